"""Networks that know an equation, trained without solutions: a penalty, a constrained basis, and joint experts.

The problems are those of diffusion and sorption with varied coefficients, drawn anew for every step.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import torch
from torch import Tensor

import kutta as kt
from kutta.demo.digits import one_thread
from kutta.operators.constraints.space_time import SpaceTime
from kutta.operators.metrics import relative_l2, seams

END = 500.0
"""The final time."""

MEASURE = kt.operators.EstimatedError(1.3e-4, waves=32)
"""Waves that diffuse about as fast as the substance, which the ground holds back."""

OVERLAP, RIDGE, MOST = 0.25, 1e-3, 12
"""Of boxes; of weights; and iterations in the search for these."""

LONGER = 50
"""Iterations for experts that are solved one by one with a network that was trained for others."""

LOOSE = {"rtol": 1e-2, "atol": 1e-4}
"""Tolerances of the solver that networks are beside."""

ROUNDS = 3
"""Of measuring times, in which all take turns."""

# Far from the seeds of the problems in training.
_TESTS = 2**40


@dataclass(frozen=True)
class Settings:
    """How large all is.

    Attributes:
        points: cells along x.
        times: equal steps that the time span is divided into.
        steps: of training.
        batch: problems in a step.
        rate: the largest learning rate.
        modes: of the Fourier layers, along time and along x.
        width: of these.
        functions: of the basis.
        experts: boxes along x.
        tests: problems that no network has seen.
    """

    points: int = 64
    times: int = 16
    steps: int = 60
    batch: int = 4
    rate: float = 4e-3
    modes: int = 8
    width: int = 16
    functions: int = 8
    experts: int = 4
    tests: int = 16


@dataclass(frozen=True, eq=False)
class Outcome:
    """What came of a method on the tests.

    Attributes:
        name: for tables and pictures.
        predicted: fields, and how well they fulfil the equation between these times.
        errors: relative L2 over all times and places, ``(n,)``.
        seams: see `jumps`.
        seconds: for a problem, all of them at once.
        training: seconds, if it takes any.
    """

    name: str
    predicted: kt.operators.Prediction
    errors: Tensor
    seams: tuple[float, float]
    seconds: float
    training: float | None = None

    @property
    def error(self) -> float:
        """The mean over problems."""
        return float(self.errors.mean())

    @property
    def size(self) -> float:
        """The mean over problems of `Prediction.sizes`, what the residual stands for."""
        return float(self.predicted.sizes.mean())


@dataclass(frozen=True, eq=False)
class Study:
    """The whole study.

    Attributes:
        settings: how large.
        problem: the tests, as one.
        solution: of them, and how well it fulfils the equation between these times.
        networks: the outcomes of the three.
        solver: that of a solver with loose tolerances.
        apart: the last network's, with experts that are solved one by one in boxes that meet.
    """

    settings: Settings
    problem: Any
    solution: kt.operators.Prediction
    networks: Sequence[Outcome]
    solver: Outcome
    apart: Outcome

    @property
    def best(self) -> Outcome:
        """The most exact network."""
        return min(self.networks, key=lambda one: one.error)

    @property
    def faces(self) -> list[float]:
        """Between boxes, in parts of the length."""
        return [number / self.settings.experts for number in range(1, self.settings.experts)]


def study(seed: int = 0, settings: Settings | None = None, progress: bool = False) -> Study:
    """Train the three networks, and compare them with a solver on problems that none has seen.

    Args:
        seed: of everything random.
        settings: how large all is; by default half a minute's work of one core.
        progress: whether to show bars.
    """
    settings = settings or Settings()
    family = kt.operators.data.diffusion_sorption(settings.points, END)
    problem = family.draw(settings.tests, torch.Generator().manual_seed(_TESTS + seed))
    with one_thread():
        trained = {name: _trained(name, make, family, settings, seed, progress) for name, make in MODELS.items()}
        return _compared(settings, family, problem, trained)


def penalty(inputs: Sequence[str], settings: Settings) -> kt.operators.SoftConstraint:
    """A field from a network, which nothing holds to the equation but the loss."""
    network = _backbone(inputs, settings, 1)
    return kt.operators.SoftConstraint(network, settings.times, inputs, measure=MEASURE, ramp=0.0)


def basis(inputs: Sequence[str], settings: Settings) -> kt.operators.ConstrainedBasis:
    """Functions from a network, and weights from the equation."""
    return kt.operators.ConstrainedBasis(_backbone(inputs, settings), settings.times, **_hard(inputs))


def joint(inputs: Sequence[str], settings: Settings) -> kt.operators.JointExperts:
    """The same with weights of its own for each of several boxes, all found together."""
    boxes = kt.operators.Boxes((1, settings.experts), OVERLAP)
    return kt.operators.JointExperts(_backbone(inputs, settings), settings.times, boxes, **_hard(inputs))


MODELS: Mapping[str, Callable[[Sequence[str], Settings], Any]] = {
    "SoftConstraint": penalty,
    "ConstrainedBasis": basis,
    "JointExperts": joint,
}


def _backbone(inputs: Sequence[str], settings: Settings, functions: int | None = None) -> kt.operators.FNO:
    modes = (settings.modes, settings.modes)
    return kt.operators.FNO(len(inputs), functions or settings.functions, modes, width=settings.width, layers=4)


def _hard(inputs: Sequence[str]) -> dict[str, Any]:
    return {"inputs": inputs, "measure": MEASURE, "ramp": 0.0, "ridge": RIDGE, "max_steps": MOST}


def _trained(
    name: str, make: Callable[..., Any], family: Any, settings: Settings, seed: int, progress: bool
) -> tuple[Any, float]:
    """A network, and the seconds of its training."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = make(family.inputs, settings)
        began = time.perf_counter()
        kt.operators.train_on_equation(
            model,
            family,
            settings.steps,
            batch=settings.batch,
            lr=settings.rate,
            seed=seed,
            progress=progress and f"Hard constraints: {name}",
            accelerator="cpu",
        )
    return model.eval(), time.perf_counter() - began


@torch.no_grad()
def _compared(settings: Settings, family: Any, problem: Any, trained: Mapping[str, tuple[Any, float]]) -> Study:
    models = {name: model for name, (model, _) in trained.items()}
    last = list(models.values())[-1]
    space_time = SpaceTime(problem, settings.times)
    found = torch.zeros(settings.tests, 1, dtype=torch.int64)

    def solved(method: Any, **options: Any) -> kt.operators.Prediction:
        u = kt.solve(problem, method, save_at=space_time.times, **options).ys
        return last.predicted(space_time, u, last.measured_on(space_time), found)

    boxes = kt.operators.Boxes((1, settings.experts))
    options = {**_hard(family.inputs), "max_steps": LONGER}
    apart = kt.operators.MixtureOfExperts(last.backbone, settings.times, boxes, **options).eval()
    predicted, seconds = _in_turns(
        {
            **{name: lambda model=model: model(problem) for name, model in models.items()},
            "RKC2": lambda: solved(kt.RKC2(), **LOOSE),
            "apart": lambda: apart(problem),
        }
    )
    solution = solved(family.method, **family.options)

    def outcome(name: str, training: float | None = None) -> Outcome:
        u = predicted[name].u
        errors = relative_l2(u.transpose(0, 1), solution.u.transpose(0, 1), problem.grid)
        return Outcome(name, predicted[name], errors, jumps(u, settings), seconds[name] / settings.tests, training)

    networks = [outcome(name, training) for name, (_, training) in trained.items()]
    return Study(settings, problem, solution, networks, outcome("RKC2"), outcome("apart"))


def _in_turns(calls: Mapping[str, Callable[[], Any]]) -> tuple[dict[str, Any], dict[str, float]]:
    """What calls return, and their median seconds; the first round, in which all is set up, does not count."""
    found: dict[str, Any] = {}
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(1 + ROUNDS):
        for name, call in calls.items():
            began = time.perf_counter()
            found[name] = call()
            seconds[name].append(time.perf_counter() - began)
    return found, {name: median(each[1:]) for name, each in seconds.items()}


def jumps(u: Tensor, settings: Settings) -> tuple[float, float]:
    """Those of values and of slopes across the faces of boxes, over those beside them, but for the first time."""
    values, slopes = seams(u[1:], (settings.experts,))
    return float(values), float(slopes)
