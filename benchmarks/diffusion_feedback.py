"""How strong a feedback must be taken for guidance of a weight, so that the default is not thrown off in few steps?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

import kutta as kt
from benchmarks._report import Report, arguments, finish
from kutta.solvers.diffusion.automatic import feedback, finite_steps, multistep, typical_step
from kutta.solvers.diffusion.levels.grids import nodes
from kutta.solvers.diffusion.momentum.stability import corrected_limit

F64 = torch.float64
STABLE_DIFFUSION = kt.diffusion.Discrete(torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=F64) ** 2)
WEIGHTS = (1.0, 4.0, 7.5, 15.0, 30.0)
STEPS, MANY = range(4, 21), 200
THROWN_OFF = 1.2  # the root mean square of the samples, of that of samples with many steps


@dataclass(frozen=True)
class Setting:
    """A noise schedule and a grid."""

    noise: kt.diffusion.Schedule
    grid: kt.diffusion.Grid

    def steps(self, count: int) -> Tensor:
        """So many steps of ``log(alpha / sigma)``."""
        return finite_steps(nodes(self.grid, self.noise, count, self.noise.start, self.noise.end))

    def samplers(self, count: int) -> tuple[kt.diffusion.Sampler, kt.diffusion.Sampler]:
        """What is taken for so many steps where order 2 is stable, and where it is not."""
        return multistep(self.steps(count), 0.0), multistep(self.steps(count), math.inf)

    def needed_feedback(self, count: int) -> float:
        """The `mu` above which so many steps are taken with the rule of order 1."""
        return corrected_limit(2, typical_step(self.steps(count)))


SETTINGS = {
    "VP, Rho(7)": Setting(kt.diffusion.VP(), kt.diffusion.Rho(7)),
    "VP, UniformTime": Setting(kt.diffusion.VP(), kt.diffusion.UniformTime()),
    "VP, UniformLogSNR": Setting(kt.diffusion.VP(), kt.diffusion.UniformLogSNR()),
    "EDM, Rho(7)": Setting(kt.diffusion.EDM(), kt.diffusion.Rho(7)),
    "Cosine, Rho(7)": Setting(kt.diffusion.Cosine(start=0.999, end=1e-3), kt.diffusion.Rho(7)),
    "Stable Diffusion, Rho(7)": Setting(STABLE_DIFFUSION, kt.diffusion.Rho(7)),
    "Stable Diffusion, linspace": Setting(STABLE_DIFFUSION, kt.diffusion.TrainingSteps("linspace")),
    "Stable Diffusion, trailing": Setting(STABLE_DIFFUSION, kt.diffusion.TrainingSteps("trailing")),
}


@dataclass(frozen=True)
class Mixture:
    """Blobs of one size around normal means, of which guidance leads to the first quarter."""

    blobs: int
    size: int
    variance: float
    seed: int

    def guided(self, noise: kt.diffusion.Schedule, weight: float, starts: int = 64) -> kt.DiffusionProblem:
        generator = torch.Generator().manual_seed(self.seed)
        means, x = (torch.randn(count, self.size, generator=generator, dtype=F64) for count in (self.blobs, starts))
        teacher = kt.diffusion.GaussianMixture(torch.ones(self.blobs), means, self.variance * torch.ones(self.blobs))
        first = torch.arange(self.blobs) < max(1, self.blobs // 4)
        x = noise.sigma(torch.tensor(noise.start, dtype=F64)) * x
        return kt.DiffusionProblem(teacher.model(noise), noise, x, condition=first, guidance=kt.diffusion.CFG(weight))


KINDS = ((2, 2, 0.05), (4, 8, 0.05), (4, 16, 0.15), (8, 16, 0.05), (8, 16, 0.3), (8, 64, 0.05), (4, 64, 0.05))
MIXTURES = [Mixture(*kind, seed) for kind in KINDS for seed in range(2)]


def sampled(problem: kt.DiffusionProblem, sampler: kt.diffusion.Sampler, steps: int, grid: Any = None) -> Tensor:
    return kt.solve(problem, sampler, steps=steps, grid=grid, throw=False).y1


def rms(x: Tensor) -> float:
    found = float(x.square().mean().sqrt())
    return found if math.isfinite(found) else math.inf


def most_thrown_off(mixture: Mixture, setting: Setting, weight: float, steps: Sequence[int]) -> int:
    """The largest number of steps whose samples the rule of order 2 throws off, and that of order 1 less so."""
    problem = mixture.guided(setting.noise, weight)
    many, found = rms(sampled(problem, kt.ExponentialMultistep(2, corrector=True), MANY)), []
    for count in steps:
        fast, slow = (rms(sampled(problem, one, count, setting.grid)) for one in setting.samplers(count))
        if fast > THROWN_OFF * many and fast > slow:
            found.append(count)
    return max(found, default=steps[0] - 1)


def main(argv: Sequence[str] | None = None) -> Report:
    """Run and report."""
    options = arguments(argv, __doc__, repeats=1)
    weights, mixtures = (WEIGHTS[::3], MIXTURES[:2]) if options.quick else (WEIGHTS, MIXTURES)
    settings = dict(list(SETTINGS.items())[:2]) if options.quick else SETTINGS
    report = Report(
        "diffusion-feedback",
        str(__doc__),
        {"steps": f"{STEPS[0]} to {STEPS[-1]}", "dtype": "float64", "mixtures": len(mixtures)},
    )
    steps = report.table("Most steps thrown off", "weight", *settings)
    needed = report.table("Feedback that is needed", "weight", *settings, "taken")
    enough = True
    for weight in weights:
        most = [max(most_thrown_off(one, setting, weight, STEPS) for one in mixtures) for setting in settings.values()]
        found = [setting.needed_feedback(count) for setting, count in zip(settings.values(), most, strict=True)]
        steps.add(weight, *most)
        needed.add(weight, *found, feedback(weight))
        enough &= feedback(weight) > max(found)
        report.data[f"weight {weight:g}"] = {"steps": most, "feedback": found}
    report.notes += [
        "Exponential multistep of order 2 with a corrector. Thrown off: the root mean square of the samples is more "
        f"than {THROWN_OFF} times that of {MANY} steps, and more than that of order 1; the largest number of steps of "
        f"all mixtures counts, {STEPS[0] - 1} where there is none.",
        f"kutta.diffusion.Automatic takes {'enough' if enough else 'TOO LITTLE'} for all of these.",
    ]
    finish(report, options)
    return report


if __name__ == "__main__":
    main()
