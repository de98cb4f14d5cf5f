"""The samplers against the classes of the diffusers library: same model, same nodes, float64.

One row of the table is one comparison; add rows for further samplers. Those classes round their tables to float32,
so the nodes are taken from them, and all else is computed in float64 by both.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import kutta as kt
from kutta.solvers.diffusion.levels.schedules import Schedule, as_float64
from tests.solvers.diffusion.problems import F64, normal, stable_diffusion_betas

diffusers = pytest.importorskip("diffusers")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

TOLERANCE = 1e-10  # 1e-6 would do; but a table that one side rounds to float32 shall not pass unseen
TEACHER = kt.diffusion.GaussianMixture([0.2, 0.3, 0.5], [[-2.0, 0.5], [1.0, 1.5], [1.5, -1.0]], [0.25, 0.09, 0.16])


class Wide:
    """PyTorch, but what asks for float32 gets float64."""

    float32 = torch.float64

    def __getattr__(self, name: str) -> Any:
        return getattr(torch, name)


class NoiseLevels(Schedule):
    """Variance preserving, with the ratio of noise to data for the time."""

    start, end = 20.0, 0.0

    def log_alpha(self, t: Tensor) -> Tensor:
        return -0.5 * torch.log1p(as_float64(t) ** 2)

    def sigma(self, t: Tensor) -> Tensor:
        return as_float64(t) / torch.sqrt(1.0 + as_float64(t) ** 2)

    def time(self, log_snr: Tensor) -> Tensor:
        return torch.exp(-as_float64(log_snr))


# How to read a scheduler: the times at which it asks for the model, one an entry of `timesteps`, and the nodes.
Times = tuple[Tensor, Tensor]


def by_sigmas(scheduler: Any) -> Times:
    return scheduler.sigmas, torch.unique_consecutive(scheduler.sigmas)


def by_training_steps(scheduler: Any) -> Times:
    """Leading steps with an offset of 1, and the first training step at the end."""
    ratio = scheduler.config.num_train_timesteps // scheduler.num_inference_steps
    return scheduler.timesteps.double(), as_float64([*reversed(range(1, 1000, ratio)), 0])


def by_ratio(scheduler: Any) -> Times:
    kappa = scheduler.betas / scheduler.alphas
    return kappa, kappa


# What a scheduler's network is: a function of the state it is given, and the time.
Network = Callable[[Tensor, Tensor], Tensor]


def as_predicted(row: "Row") -> Network:
    return TEACHER.model(row.seen, row.prediction)


def of_noise(row: "Row") -> Network:
    return TEACHER.model(row.seen, "epsilon")


def preconditioned(row: "Row") -> Network:
    """The network inside Karras's preconditioning, table 1 there, for data of deviation 1/2."""

    def network(x: Tensor, sigma: Tensor) -> Tensor:
        sigma = sigma[:, None]
        total = sigma**2 + 0.25
        x = x * total.sqrt()
        return (TEACHER.data(x, 1.0, sigma[:, 0]) - 0.25 / total * x) * total.sqrt() / (0.5 * sigma)

    return network


@dataclass(frozen=True)
class Row:
    """A scheduler and the sampler that does the same.

    Attributes:
        scheduler: the class.
        config: its arguments.
        sampler: ours.
        schedule: in whose times the nodes are.
        seen: the schedule of the states that the model of the scheduler is given.
        times: how to read the scheduler.
        prediction: of the model.
        network: of the scheduler.
        steps: how many.
        options: of the scheduler's step.
        stochastic: whether it takes a generator.
    """

    scheduler: str
    config: dict[str, Any]
    sampler: Any
    schedule: Schedule = field(default_factory=NoiseLevels)
    seen: Schedule = field(default_factory=NoiseLevels)
    times: Callable[[Any], Times] = by_sigmas
    prediction: str = "epsilon"
    network: Callable[["Row"], Network] = as_predicted
    steps: int = 10
    options: dict[str, Any] = field(default_factory=dict)
    stochastic: bool = False

    def __str__(self) -> str:
        return f"{self.scheduler}-{self.sampler}-{self.prediction}-{self.steps}".replace(" ", "")


STEPS = {"trained_betas": stable_diffusion_betas().tolist(), "steps_offset": 1, "timestep_spacing": "leading"}
ON_STEPS: dict[str, Any] = {
    "schedule": kt.diffusion.Discrete(stable_diffusion_betas()),
    "seen": kt.diffusion.Discrete(stable_diffusion_betas()),
    "times": by_training_steps,
}
SINES = np.sin(np.linspace(1.5, 0.02, 11)).tolist()
STABLE = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
EXPLODING: dict[str, Any] = {"schedule": kt.diffusion.EDM()}
FLOW: dict[str, Any] = {
    "schedule": kt.diffusion.RectifiedFlow(),
    "seen": kt.diffusion.RectifiedFlow(),
    "prediction": "flow",
}
LOWER = {1: (), 2: (1,), 3: (2, 1)}  # the orders of the last steps of the schedulers
NAMES = {"epsilon": "epsilon", "data": "sample", "v": "v_prediction", "flow": "flow_prediction"}


def unipc(order: int, variant: str, form: str = "data", end: str = "sigma_min", prediction: str = "epsilon") -> Row:
    # Not with B = h and an end without noise: there the scheduler multiplies infinity by zero.
    config = {"solver_order": order, "solver_type": variant, "final_sigmas_type": end, "predict_x0": form == "data"}
    sampler = kt.UniPC(order, variant, form, LOWER[order])
    config = {"prediction_type": NAMES[prediction], **config, **STABLE}
    return Row("UniPCMultistepScheduler", config, sampler, prediction=prediction)


def deis(order: int, steps: int = 10, prediction: str = "epsilon") -> Row:
    config = {"solver_order": order, "prediction_type": NAMES[prediction], **STABLE}
    sampler = kt.DEIS(order, final_orders=LOWER[order] if steps < 15 else ())
    return Row("DEISMultistepScheduler", config, sampler, prediction=prediction, steps=steps)


def ddim(sampler: Any, eta: float = 0.0) -> Row:
    config = {"clip_sample": False, "set_alpha_to_one": False, **STEPS}
    return Row("DDIMScheduler", config, sampler, options={"eta": eta}, stochastic=eta > 0.0, **ON_STEPS)


# That scheduler averages predictions of v as they are, and takes the average for one at the present state. In the
# publication predictions of the noise are averaged, so that is what ours is compared with, whatever the model predicts.
PNDM_OF_V: dict[str, Any] = {"prediction": "v", "network": of_noise}

ROWS = [
    ddim(kt.DDIM()),
    ddim(kt.AncestralEuler(0.7), eta=0.7),
    ddim(kt.AncestralEuler(1.0), eta=1.0),
    Row("PNDMScheduler", {"skip_prk_steps": True, **STEPS}, kt.PLMS(4, start="heun"), **ON_STEPS),
    Row("PNDMScheduler", {"skip_prk_steps": True, **STEPS}, kt.PLMS(4, start="heun"), **ON_STEPS, **PNDM_OF_V),
    Row("PNDMScheduler", STEPS, kt.PNDM(), **ON_STEPS),
    Row("PNDMScheduler", STEPS, kt.PNDM(), steps=20, **ON_STEPS),
    Row("IPNDMScheduler", {"trained_betas": SINES}, kt.PLMS(4), times=by_ratio, prediction="v"),
    *(deis(order) for order in (1, 2, 3)),
    *(deis(order, steps=20) for order in (2, 3)),
    *(deis(3, prediction=prediction) for prediction in ("data", "v")),
    *(unipc(order, variant, form) for order in (1, 2, 3) for variant in ("bh1", "bh2") for form in ("data", "noise")),
    *(unipc(order, "bh2", end="zero") for order in (1, 2, 3)),
    *(unipc(3, "bh2", form, prediction=one) for form in ("data", "noise") for one in ("data", "v")),
    Row(
        "UniPCMultistepScheduler",
        {"use_flow_sigmas": True, "prediction_type": NAMES["flow"], "flow_shift": 3.0},
        kt.UniPC(2, final_orders=(1,)),
        **FLOW,
    ),
    Row("EulerDiscreteScheduler", STABLE, kt.DDIM(), **EXPLODING),
    Row("EulerAncestralDiscreteScheduler", STABLE, kt.AncestralEuler(), stochastic=True, **EXPLODING),
    Row("HeunDiscreteScheduler", STABLE, kt.EDMHeun(), **EXPLODING),
    Row("HeunDiscreteScheduler", {"use_karras_sigmas": True, **STABLE}, kt.EDMHeun(), **EXPLODING),
    Row("EDMEulerScheduler", {}, kt.DDIM(), network=preconditioned, **EXPLODING),
    Row("FlowMatchEulerDiscreteScheduler", {"shift": 3.0}, kt.DDIM(), **FLOW),
]


def relative(ours: Tensor, theirs: Tensor) -> float:
    return float((ours - theirs).abs().max() / theirs.abs().max())


def sampled_by_scheduler(row: Row, scheduler: Any, x: Tensor, asked: Tensor) -> Tensor:
    network, options = row.network(row), dict(row.options)
    if row.stochastic:
        options["generator"] = torch.Generator().manual_seed(7)
    for time, t in zip(asked, scheduler.timesteps, strict=False):
        given = scheduler.scale_model_input(x, t) if hasattr(scheduler, "scale_model_input") else x
        output = network(given, time.expand(len(x)))
        x = scheduler.step(output, t, x, **options).prev_sample
    return x


def both(row: Row, patch: Callable[..., None]) -> tuple[Tensor, Tensor]:
    kind = getattr(diffusers, row.scheduler)
    patch(sys.modules[kind.__module__], "torch", Wide())
    scheduler = kind(**row.config)
    scheduler.set_timesteps(row.steps)
    if hasattr(scheduler, "sigmas"):
        scheduler.sigmas = scheduler.sigmas.double()
    asked, nodes = row.times(scheduler)
    x = row.schedule.sigma(nodes[0]) * normal(np.random.default_rng(0), 16, 2)
    model = TEACHER.model(row.schedule, row.prediction)
    problem = kt.DiffusionProblem(
        model, row.schedule, x, prediction=row.prediction, t_span=(float(nodes[0]), float(nodes[-1]))
    )
    torch.manual_seed(7)
    ours = kt.solve(problem, row.sampler, grid=nodes).y1
    return ours, sampled_by_scheduler(row, scheduler, x, asked)


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_samplers_do_what_the_schedulers_do(row, monkeypatch):
    ours, theirs = both(row, monkeypatch.setattr)
    assert ours.dtype == theirs.dtype == F64
    assert relative(ours, theirs) < TOLERANCE
