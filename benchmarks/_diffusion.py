"""The sampling problems of the benchmarks, each with the states to which its probability flow leads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

import kutta as kt
from kutta.solvers.diffusion.automatic import default_sampler
from kutta.solvers.diffusion.levels.grids import nodes
from tests.solvers.diffusion.problems import Case, normal, reference, stable_diffusion_betas, t1, t2

RHO = kt.diffusion.Rho(7)
TRAINING = kt.diffusion.TrainingSteps()
SIZE, BLOBS = 64, 10


@dataclass(frozen=True)
class Target:
    """A problem with an exact model, and how far samples are from where they belong.

    Attributes:
        name: of the problem.
        case: the problem and its reference.
        grids: by name, those on which samplers are compared.
    """

    name: str
    case: Case
    grids: dict[str, kt.diffusion.Grid]

    @property
    def problem(self) -> kt.DiffusionProblem:
        return self.case.problem

    @property
    def span(self) -> tuple[float, float]:
        return self.problem.schedule.start, self.problem.schedule.end

    @property
    def kappa(self) -> Tensor:
        """The ratios of noise to data at the two ends."""
        return torch.exp(-self.problem.schedule.log_snr(torch.tensor(self.span, dtype=torch.float64)))

    def nodes(self, grid: Any, steps: int) -> kt.diffusion.Nodes:
        """The nodes of a grid for this problem."""
        return nodes(grid, self.problem.schedule, steps, *self.span)

    @cached_property
    def clean(self) -> Tensor:
        """Where the flow leads when it is followed to no noise at all, for samplers whose last step goes there."""
        last = float(self.kappa[1])
        rest = kt.diffusion.EDM(start=last, end=1e-5 * last)
        x = self.case.reference / self.problem.schedule.alpha(torch.tensor(self.span[1], dtype=torch.float64))
        return reference(replace(self.problem, model=self.case.teacher.model(rest), schedule=rest, x=x), 1e-10)

    def noise(self, x: Tensor, kappa: Tensor) -> Tensor:
        """What the model and its guidance predict for states whose data and noise have variances that sum to 1."""
        alpha = torch.rsqrt(1.0 + kappa**2)

        def predicted(condition: Any = None) -> Tensor:
            return self.case.teacher.noise(x, alpha, kappa * alpha, condition)

        if self.problem.guidance is None:
            return predicted()
        free = predicted()
        return free + self.problem.guidance.weight * (predicted(self.problem.condition) - free)

    def solve(self, sampler: Any, grid: Any, evaluations: int) -> Tensor | None:
        """The samples of as many steps as the evaluations allow; ``None`` if they do not suffice for one."""
        sampler = default_sampler(self.problem) if sampler is None else sampler
        steps = most_steps(sampler, lambda count: self.nodes(grid, count), evaluations)
        return None if steps is None else self.case.solve(sampler, steps, grid=grid, throw=False)


def most_steps(
    sampler: kt.diffusion.Sampler, nodes: Callable[[int], kt.diffusion.Nodes], evaluations: int
) -> int | None:
    """The most steps that a sampler can take with so many evaluations."""
    for steps in range(evaluations, 0, -1):
        if sampler.plan(nodes(steps)).evaluations <= evaluations:
            return steps
    return None


@cache
def wide_mixture() -> Case:
    """Ten blobs in 64 dimensions under the schedule of the latent models, 256 starts.

    Means are standard normal, variances log-uniform between 0.01 and 1 in each dimension, weights between 1 and 3.
    """
    numbers = np.random.default_rng(2)
    means = normal(numbers, BLOBS, SIZE)
    weights, variances = numbers.uniform(1.0, 3.0, BLOBS), 0.01 ** numbers.uniform(0.0, 1.0, (BLOBS, SIZE))
    teacher = kt.diffusion.GaussianMixture(torch.from_numpy(weights), means, torch.from_numpy(variances))
    schedule = kt.diffusion.Discrete(stable_diffusion_betas())
    problem = kt.DiffusionProblem(teacher.model(schedule), schedule, normal(numbers, 256, SIZE))
    return Case(problem, reference(problem, 1e-10), teacher)


def targets() -> list[Target]:
    """The problems."""
    both = {"rho 7": RHO, "training steps": TRAINING}
    return [
        Target("T1, two dimensions", t1(), {"rho 7": RHO}),
        Target("64 dimensions", wide_mixture(), both),
        Target("T2, guidance 7.5", t2(7.5), both),
        Target("T2, guidance 15", t2(15.0), both),
    ]


MULTISTEP = kt.ExponentialMultistep
SINGLE, GRADED, CORRECTED = kt.diffusion.SinglestepStart(), kt.diffusion.GradedStart(), kt.diffusion.CorrectedRamp()
# By name; `None` is what `kutta.solve` takes by default.
SAMPLERS: dict[str, Any] = {
    "default": None,
    "DDIM": kt.DDIM(),
    "DPM-Solver++ 2M": kt.DPMSolverPP(2),
    "DPM-Solver++ 3M": kt.DPMSolverPP(3),
    **{f"exponential {p}": MULTISTEP(p) for p in (2, 3, 4)},
    **{f"exponential {p}, corrected": MULTISTEP(p, corrector=True) for p in (2, 3, 4)},
    **{f"exponential {p}, corrected ramp": MULTISTEP(p, starter=CORRECTED) for p in (3, 4)},
    **{f"exponential {p}, singlestep start": MULTISTEP(p, starter=SINGLE) for p in (3, 4)},
    **{f"exponential {p}, graded start": MULTISTEP(p, starter=GRADED) for p in (3, 4)},
    **{f"UniPC {p}": kt.UniPC(p) for p in (2, 3)},
    "DEIS 3": kt.DEIS(3),
    **{f"PLMS {p}": kt.PLMS(p) for p in (2, 4)},
    "PNDM": kt.PNDM(),
    **{f"GHVB {number}": kt.GHVB.numbered(number) for number in (1.8, 2.5, 3.8)},
    "PLMS 4, heavy ball 0.8": kt.HeavyBall(kt.PLMS(4), 0.8),
    "DPM-Solver++ 2M, heavy ball 0.8": kt.HeavyBall(kt.DPMSolverPP(2), 0.8),
    "Heun (EDM)": kt.EDMHeun(),
}
