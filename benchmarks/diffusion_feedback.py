"""How strong a feedback must be taken for guidance of a weight, so that the default is not thrown off in few steps?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

import kutta as kt
from benchmarks._report import Report, arguments, finish
from kutta.solvers.diffusion.automatic import feedback, typical_step
from kutta.solvers.diffusion.levels.grids import nodes
from kutta.solvers.diffusion.momentum.stability import corrected_limit

F64 = torch.float64
NOISE, GRID = kt.diffusion.VP(), kt.diffusion.Rho(7)
FAST, SLOW = (kt.ExponentialMultistep(order, corrector=True) for order in (2, 1))
WEIGHTS = (1.0, 2.0, 4.0, 7.5, 15.0, 30.0, 60.0)
STEPS, MANY = range(4, 25), 200
THROWN_OFF = 1.2  # the root mean square of the samples, of that of samples with many steps


@dataclass(frozen=True)
class Mixture:
    """Blobs of one size around normal means, of which guidance leads to the first quarter."""

    blobs: int
    size: int
    variance: float
    seed: int

    def guided(self, weight: float, starts: int = 64) -> kt.DiffusionProblem:
        generator = torch.Generator().manual_seed(self.seed)
        means, x = (torch.randn(count, self.size, generator=generator, dtype=F64) for count in (self.blobs, starts))
        teacher = kt.diffusion.GaussianMixture(torch.ones(self.blobs), means, self.variance * torch.ones(self.blobs))
        first = torch.arange(self.blobs) < max(1, self.blobs // 4)
        return kt.DiffusionProblem(teacher.model(NOISE), NOISE, x, condition=first, guidance=kt.diffusion.CFG(weight))


KINDS = ((2, 2, 0.05), (4, 8, 0.05), (4, 16, 0.15), (8, 16, 0.05), (8, 16, 0.3), (8, 64, 0.05))
MIXTURES = [Mixture(*kind, seed) for kind in KINDS for seed in range(3)]


def sampled(problem: kt.DiffusionProblem, sampler: kt.diffusion.Sampler, steps: int) -> Tensor:
    return kt.solve(problem, sampler, steps=steps, grid=GRID, throw=False).y1


def rms(x: Tensor) -> float:
    found = float(x.square().mean().sqrt())
    return found if math.isfinite(found) else math.inf


def most_thrown_off(mixture: Mixture, weight: float, steps: Sequence[int]) -> int:
    """The largest number of steps whose samples the rule of order 2 throws off, and that of order 1 less so."""
    problem = mixture.guided(weight)
    many = rms(sampled(problem, FAST, MANY))
    found = [
        count
        for count in steps
        if (fast := rms(sampled(problem, FAST, count))) > THROWN_OFF * many
        and fast > rms(sampled(problem, SLOW, count))
    ]
    return max(found, default=steps[0] - 1)


def needed_feedback(steps: int) -> float:
    """The `mu` above which so many steps are taken with the rule of order 1."""
    return corrected_limit(2, typical_step(nodes(GRID, NOISE, steps, NOISE.start, NOISE.end)))


def fitted(weights: Sequence[float], needed: Sequence[float]) -> tuple[float, float]:
    """``c`` and ``a`` of ``mu = c w^a``, with the slope of least squares and as small a `c` as leaves nothing above."""
    logs = np.log(weights), np.log(needed)
    slope = float(np.polyfit(*logs, 1)[0])
    return float(np.exp((logs[1] - slope * logs[0]).max())), slope


def main(argv: Sequence[str] | None = None) -> Report:
    """Run and report."""
    options = arguments(argv, __doc__, repeats=1)
    weights, mixtures = (WEIGHTS[::3], MIXTURES[:4]) if options.quick else (WEIGHTS, MIXTURES)
    settings = {"schedule": repr(NOISE), "grid": repr(GRID), "steps": f"{STEPS[0]} to {STEPS[-1]}", "dtype": "float64"}
    report = Report("diffusion-feedback", str(__doc__), {**settings, "mixtures": len(mixtures)})
    columns = ("weight", "most steps thrown off", "median mixture", "feedback that is needed", "feedback that is taken")
    table = report.table("Exponential multistep of order 2 with a corrector", *columns)
    needed = []
    for weight in weights:
        most = [most_thrown_off(mixture, weight, STEPS) for mixture in mixtures]
        needed.append(needed_feedback(max(most)))
        table.add(weight, max(most), float(np.median(most)), needed[-1], feedback(weight))
        report.data[f"weight {weight:g}"] = most
    factor, exponent = fitted(weights, needed)
    report.data["fit"] = {"factor": factor, "exponent": exponent}
    enough = sum(feedback(weight) > one for weight, one in zip(weights, needed, strict=True))
    report.notes += [
        f"Thrown off: the root mean square of the samples is more than {THROWN_OFF} times that of {MANY} steps, and "
        "more than that of order 1. The largest number of steps of all mixtures is what a weight is judged by.",
        f"The needed ones lie below {factor:.3f} w^{exponent:.3f}; kutta.diffusion.Automatic takes enough for {enough} "
        f"of {len(weights)} weights.",
    ]
    finish(report, options)
    return report


if __name__ == "__main__":
    main()
