"""How good are digits of a flow model that are sampled with 4, 6 or 10 evaluations of it?"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

import kutta as kt
from benchmarks._diffusion import SAMPLERS, most_steps
from benchmarks._measure import Spread, ratio
from benchmarks._peers import missing
from benchmarks._report import Report, arguments, finish
from kutta.demo.digits_flow import Settings, load_images, noise_for, problem, train
from kutta.demo.frechet import Judge
from kutta.solvers.diffusion.automatic import default_sampler
from kutta.solvers.diffusion.levels.grids import nodes

EVALUATIONS, SAMPLES = (4, 6, 10), 900
GRIDS: dict[str, kt.diffusion.Grid] = {"even times": kt.diffusion.UniformTime(), "Beta": kt.diffusion.Beta()}
OURS = (
    "default", "DDIM", "DPM-Solver++ 2M", "DPM-Solver++ 3M", "exponential 2", "exponential 3",
    "exponential 3, corrected", "exponential 3, singlestep start", "UniPC 2", "UniPC 3", "DEIS 3", "PLMS 2", "PLMS 4",
    "PNDM", "GHVB 1.8", "GHVB 2.5", "DPM-Solver++ 2M, heavy ball 0.8", "Heun (EDM)",
)  # fmt: skip
FLOW = {"use_flow_sigmas": True, "prediction_type": "flow_prediction"}
# The class of each scheduler, its arguments, and its steps for so many evaluations.
SCHEDULERS: dict[str, tuple[str, dict[str, Any], Callable[[int], int]]] = {
    "FlowMatchEuler": ("FlowMatchEulerDiscreteScheduler", {}, lambda count: count),
    "FlowMatchHeun": ("FlowMatchHeunDiscreteScheduler", {}, lambda count: (count + 1) // 2),
    "DPMSolverMultistep 2": ("DPMSolverMultistepScheduler", {**FLOW, "solver_order": 2}, lambda count: count),
    "DPMSolverMultistep 3": ("DPMSolverMultistepScheduler", {**FLOW, "solver_order": 3}, lambda count: count),
    "UniPCMultistep 2": ("UniPCMultistepScheduler", {**FLOW, "solver_order": 2}, lambda count: count),
}
NOTES = (
    "Distance: the Fréchet distance of the features of a classifier between the samples and all real images. The "
    "samples shall show the digits of as many real images. The row `exact` is what the model itself can do.",
    "Deviation: root mean square over pixels, brightness from -1 to 1, from the end of the flow that is followed to "
    "a tolerance of 1e-6 from the same noise.",
    "Each seed has a model, a classifier and noise of its own; all samplers share them. Cells: medians over the seeds, "
    "with the smallest and the largest in brackets; ratios are taken seed by seed.",
    "diffusers' schedulers stand on their own grids.",
)

Sample = Callable[[int], Tensor | None]


@dataclass(frozen=True)
class Studio:
    """A model with what its samples begin with and are judged by.

    Attributes:
        problem: the way from noise to digits.
        digits: that the samples shall show.
        judge: of samples.
        exact: where the flow leads.
    """

    problem: kt.DiffusionProblem
    digits: Tensor
    judge: Judge
    exact: Tensor

    @classmethod
    def of(cls, settings: Settings, count: int, seed: int) -> Studio:
        images, digits = load_images()
        way = problem(train(settings, seed), noise_for(count, seed), digits[:count])
        exact = kt.solve(way, kt.Dopri5(), rtol=1e-6, atol=1e-6).y1
        return cls(way, digits[:count], Judge.of(images, digits, seed), exact)

    def contenders(self) -> dict[str, dict[str, Sample]]:
        """Samples for a number of evaluations, by library and name."""
        ours = {
            f"{name}, {label}": lambda count, sampler=SAMPLERS[name], grid=grid: self._sampled(sampler, grid, count)
            for name in OURS
            for label, grid in GRIDS.items()
        }
        theirs = {} if missing(("diffusers",)) else {name: self._scheduled(name) for name in SCHEDULERS}
        return {"kutta": ours, "diffusers": theirs}

    def _sampled(self, sampler: Any, grid: Any, evaluations: int) -> Tensor | None:
        sampler = default_sampler(self.problem) if sampler is None else sampler
        schedule = self.problem.schedule
        ends = schedule.start, schedule.end
        steps = most_steps(sampler, lambda count: nodes(grid, schedule, count, *ends), evaluations)
        return None if steps is None else kt.solve(self.problem, sampler, grid=grid, steps=steps, throw=False).y1

    def _scheduled(self, name: str) -> Sample:
        kind, config, steps = SCHEDULERS[name]

        def sample(evaluations: int) -> Tensor:
            scheduler = getattr(importlib.import_module("diffusers"), kind)(**config)
            scheduler.set_timesteps(steps(evaluations))
            x = torch.as_tensor(self.problem.x)
            for sigma, t in zip(scheduler.sigmas, scheduler.timesteps, strict=False):
                velocity = self.problem.model(x, sigma.float().expand(len(x)), self.problem.condition)
                x = scheduler.step(velocity, t, x).prev_sample
            return x

        return sample

    def scores(self, x: Tensor) -> tuple[float, float, float]:
        """Distance, share of the samples that are read as the wanted digit, and deviation."""
        deviation = float((x - self.exact).square().mean().sqrt())
        return self.judge.distance(x), self.judge.legible(x, self.digits), deviation


Scores = dict[tuple[str, str], list[list[tuple[float, float, float] | None]]]  # of a sampler: seeds, evaluations


def measured(studios: Sequence[Studio]) -> Scores:
    """The scores of all contenders."""
    found: Scores = {}
    for studio in studios:
        for library, samples in studio.contenders().items():
            for name, sample in samples.items():
                ends = [sample(count) for count in EVALUATIONS]
                found.setdefault((library, name), []).append([None if x is None else studio.scores(x) for x in ends])
    return found


def column(rows: Any, at: int, which: int) -> list[float] | None:
    """One score with one number of evaluations, of each seed."""
    cells = [row[at] for row in rows]
    return None if None in cells else [one[which] for one in cells]


def spread(values: list[float] | None) -> Spread | None:
    return None if values is None else Spread.of(values)


def tabulate(report: Report, found: Scores, exact: Sequence[tuple[float, float, float]]) -> None:
    """A table for each score, and one of distances beside that of the default."""
    counts = [str(count) for count in EVALUATIONS]
    for which, title in enumerate(("Distance", "Share read as wanted", "Deviation")):
        table = report.table(title, "library", "sampler", *counts)
        table.add("", "exact", *[Spread.of([one[which] for one in exact])] * len(counts))
        for (library, name), rows in found.items():
            table.add(library, name, *(spread(column(rows, at, which)) for at in range(len(counts))))
    table = report.table("Distance in units of the default's", "library", "sampler", *counts)
    default = found["kutta", "default, even times"]
    for (library, name), rows in found.items():
        cells = [column(rows, at, 0) for at in range(len(counts))]
        base = [column(default, at, 0) or [] for at in range(len(counts))]
        table.add(library, name, *(one and ratio(one, own) for one, own in zip(cells, base, strict=True)))


def conclude(report: Report, found: Scores) -> None:
    """The best of each library with each number of evaluations."""
    for at, count in enumerate(EVALUATIONS):
        medians: dict[str, list[tuple[float, str]]] = {}
        for (library, name), rows in found.items():
            values = column(rows, at, 0)
            if values is not None:
                medians.setdefault(library, []).append((Spread.of(values).median, name))
        default = Spread.of(column(found["kutta", "default, even times"], at, 0) or []).median
        bests = ", ".join(f"of {library} {min(own)[1]} ({min(own)[0]:.3g})" for library, own in medians.items())
        report.notes.append(f"{count} evaluations, least median distance: {bests}; the default's is {default:.3g}.")


@torch.no_grad()
def judged(studios: Sequence[Studio]) -> tuple[Scores, list[tuple[float, float, float]]]:
    return measured(studios), [studio.scores(studio.exact) for studio in studios]


def main(argv: Sequence[str] | None = None) -> Report:
    """Run and report."""
    options = arguments(argv, __doc__, repeats=3)
    if missing(("sklearn", "pytorch_lightning")):
        raise SystemExit('this benchmark needs scikit-learn and Lightning: pip install "kutta[demo]"')
    settings, samples = (Settings(steps=5), 60) if options.quick else (Settings(), SAMPLES)
    described = {"model": repr(settings), "samples": samples, "seeds": list(range(options.repeats)), "dtype": "float32"}
    report = Report("diffusion-digits", str(__doc__), described)
    report.notes += NOTES
    found, exact = judged([Studio.of(settings, samples, seed) for seed in range(options.repeats)])
    tabulate(report, found, exact)
    conclude(report, found)
    report.data = {f"{library}, {name}": rows for (library, name), rows in found.items()}
    finish(report, options)
    return report


if __name__ == "__main__":
    main()
