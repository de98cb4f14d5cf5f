"""Does a searched solver schedule err less than the best named sampler on mixtures that the search has not seen?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from time import perf_counter
from typing import Any

from torch import Tensor

import kutta as kt
from benchmarks._diffusion import most_steps
from benchmarks._mixtures import NOISE, Family
from benchmarks._report import Report, Table, arguments, finish
from kutta.solvers.diffusion.levels.grids import nodes
from kutta.solvers.diffusion.solver_schedules.search.archive import Archive
from kutta.solvers.diffusion.solver_schedules.search.breeding import Breeder
from kutta.solvers.diffusion.solver_schedules.search.evolution import Clock, Evolution, seeds
from kutta.solvers.diffusion.solver_schedules.search.teacher import Teacher

BAR = 2.0
GRIDS: dict[str, kt.diffusion.Grid] = {
    **{f"Rho({rho:g})": kt.diffusion.Rho(rho) for rho in (1.0, 2.0, 3.0, 4.0, 5.0, 7.0, 10.0)},
    "UniformLogSNR": kt.diffusion.UniformLogSNR(),
    "UniformTime(2)": kt.diffusion.UniformTime(power=2.0),
    "Beta": kt.diffusion.Beta(),
}
NAMED: dict[str, Any] = {
    "DDIM": kt.DDIM(),
    **{f"DPM-Solver++ {p}M": kt.DPMSolverPP(p, final_orders=()) for p in (2, 3)},
    **{f"DPM-Solver {p}M": kt.DPMSolver(p, final_orders=()) for p in (2, 3)},
    **{f"DPM-Solver++ {p}S": kt.diffusion.DPMSolverSinglestep(p) for p in (2, 3)},
    **{f"DPM-Solver {p}S": kt.diffusion.DPMSolverSinglestep(p, prediction="noise") for p in (2, 3)},
    **{f"exponential {p}": kt.ExponentialMultistep(p) for p in (2, 3, 4)},
    **{f"exponential {p}, corrected": kt.ExponentialMultistep(p, corrector=True) for p in (2, 3)},
    **{f"DEIS {p}": kt.DEIS(p) for p in (2, 3)},
    **{f"UniPC-{p} {v}": kt.UniPC(p, v) for p in (2, 3) for v in ("bh1", "bh2")},
    **{f"UniPC-{p} {v}, noise": kt.UniPC(p, v, "noise") for p in (2, 3) for v in ("bh1", "bh2")},
    **{f"PLMS {p}": kt.PLMS(p) for p in (2, 3, 4)},
    "PNDM": kt.PNDM(),
    "Heun (EDM)": kt.EDMHeun(),
}


@dataclass(frozen=True)
class Exam:
    """A family of mixtures with the true end states."""

    family: Family
    reference: Tensor

    @classmethod
    def drawn(cls, mixtures: int, starts: int, seed: int) -> Exam:
        family = Family.drawn(mixtures, starts, seed)
        return cls(family, family.reference())

    def error(self, sampler: kt.diffusion.Sampler, **options: Any) -> float:
        """The mean absolute deviation of the end states."""
        end = kt.solve(self.family.problem, sampler, throw=False, **options).y1
        return float((end - self.reference).abs().mean())


def best_grids(exam: Exam, evaluations: int) -> list[tuple[float, str, str, int]]:
    """Error, name, grid and steps of each named sampler on the grid that suits it best, the best first."""
    found = []
    for name, sampler in NAMED.items():
        tried = []
        for label, grid in GRIDS.items():
            steps = most_steps(
                sampler, lambda count, grid=grid: nodes(grid, NOISE, count, NOISE.start, NOISE.end), evaluations
            )
            if steps is not None:
                tried.append((exam.error(sampler, grid=grid, steps=steps), name, label, steps))
        found += [min(tried)] if tried else []
    return sorted(found)


def polished_only(teacher: Teacher, evaluations: int, count: int, polish_steps: int) -> kt.SolverSchedule:
    """The best of some named samplers after polish, without evolution."""
    evolution = Evolution(teacher, Breeder(teacher.axis, evaluations), Archive(), 0, Clock(None))
    evolution.judge(seeds(teacher.axis, evaluations))
    evolution.polish(teacher, count, polish_steps)
    return evolution.archive.best(1)[0]


def searched(exam: Exam, evaluations: int, seed: int, **options: Any) -> kt.SolverSchedule:
    return kt.diffusion.search(exam.family.problem, evaluations, references=[exam.reference], seed=seed, **options)


def main(argv: Sequence[str] | None = None) -> Report:
    """Run and report."""
    options = arguments(argv, __doc__, repeats=3)
    sizes = (4, 16, 4, 16) if options.quick else (64, 64, 64, 128)
    effort = {"generations": 1, "children": 20, "judged": 5, "polish": 1, "polish_steps": 5} if options.quick else {}
    training, held_out = Exam.drawn(*sizes[:2], seed=0), Exam.drawn(*sizes[2:], seed=1)
    settings = {
        "noise": repr(NOISE),
        "training": "{} mixtures with {} starts each, seed 0".format(*sizes[:2]),
        "held out": "{} mixtures with {} starts each, seed 1".format(*sizes[2:]),
        "error": "mean absolute deviation from the end states of the probability flow",
        "search seeds": list(range(options.repeats)),
    }
    report = Report("diffusion-search", str(__doc__), settings)
    for evaluations in (5, 8):
        _one_budget(report, training, held_out, evaluations, options.repeats, effort)
    report.notes.append(
        "Each named sampler stands on the grid on which it errs least on the held-out mixtures, so the choice of its "
        "grid has seen them; the searched schedules have not."
    )
    finish(report, options)
    return report


def _one_budget(
    report: Report, training: Exam, held_out: Exam, evaluations: int, repeats: int, effort: dict[str, int]
) -> None:
    named = best_grids(held_out, evaluations)
    table = report.table(f"{evaluations} evaluations: named samplers on their best grids", *_NAMED_COLUMNS)
    for error, name, grid, steps in named:
        table.add(name, grid, steps, error)
    table = report.table(f"{evaluations} evaluations: searched schedules", *_SEARCHED_COLUMNS)
    teacher = Teacher.of([training.family.problem], [training.reference], 1)
    best, factors = named[0][0], []
    counts = {"count": 24, "polish_steps": 150}
    if effort:
        counts = {"count": 1, "polish_steps": effort["polish_steps"]}
    _row(table, "polish alone", None, best, training, held_out, lambda: polished_only(teacher, evaluations, **counts))
    for seed in range(repeats):
        without = {**effort, "polish": 0}
        _row(
            table, "evolution alone", seed, best, training, held_out,
            lambda seed=seed, without=without: searched(training, evaluations, seed, **without),
        )  # fmt: skip
    for seed in range(repeats):
        found, factor = _row(
            table, "both", seed, best, training, held_out,
            lambda seed=seed: searched(training, evaluations, seed, **effort),
        )  # fmt: skip
        factors.append(factor)
        report.data[f"{evaluations} evaluations, seed {seed}"] = found.record()
    met = "met" if min(factors) >= BAR else "missed"
    report.notes.append(
        f"{evaluations} evaluations: the search errs {median(factors):.2f} times less than {named[0][1]} on "
        f"{named[0][2]} ({min(factors):.2f} to {max(factors):.2f} over seeds); bar >= {BAR:g}: {met}."
    )


_NAMED_COLUMNS = ("sampler", "grid", "steps", "error held out")
_SEARCHED_COLUMNS = ("search", "seed", "error in training", "error held out", "times less than the best named", "s")


def _row(table: Table, name: str, seed: int | None, best: float, training: Exam, held_out: Exam, find: Any):
    start = perf_counter()
    found = find()
    seconds = perf_counter() - start
    error = held_out.error(found)
    table.add(name, seed, training.error(found), error, best / error, seconds)
    return found, best / error


if __name__ == "__main__":
    main()
