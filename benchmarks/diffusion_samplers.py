"""How far from the exact samples do samplers end with so many evaluations of the model, beside those of diffusers?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import kutta as kt
from benchmarks._diffusion import SAMPLERS, Target, targets
from benchmarks._peers import missing
from benchmarks._report import Report, arguments, cell, finish
from benchmarks._schedulers import PNDM, SCHEDULERS

EVALUATIONS = (5, 6, 8, 10, 12, 16, 20, 32)
TOLERANCES = (1.0, 1e-1, 1e-2, 1e-3, 1e-4)
ADAPTIVE = (2, 3, 4)
# In the picture.
DRAWN = (
    "default", "DDIM", "DPM-Solver++ 2M", "exponential 3", "exponential 4, corrected", "UniPC 3", "DEIS 3", "PLMS 4",
    "GHVB 2.5", "Heun (EDM)",
)  # fmt: skip
DRAWN_OF_DIFFUSERS = ("DPMSolverMultistep 2", "UniPCMultistep 2", "EulerDiscrete", "HeunDiscrete", "PNDM")
# How the deviations of samples make one number; each is the root of the mean square over the dimensions.
MEASURES: dict[str, Callable[[Tensor], Tensor]] = {
    "root mean square": lambda deviations: deviations.square().mean().sqrt(),
    "median": torch.median,
}
NOTES = (
    "Cells: root mean square over all samples / median over samples of the deviation from the end of the probability "
    "flow, in units of the data. The first is ruled by the few samples that end in another blob, or that are thrown "
    "off; the second tells how exact the others are. Empty where so few evaluations make no step. With guidance, an "
    "evaluation is that of the guided prediction.",
    "kutta's samplers and, on the same nodes, diffusers' schedulers, in float64. On their own grids the schedulers end "
    "where they do by default, most of them without noise, and are compared with the exact samples there. PNDM begins "
    "at a lower noise level than its samples have.",
    "Options are those of each library by default: the multistep schedulers of diffusers end with lower orders where "
    "steps are fewer than 15, and UniPC's always; of kutta's samplers only DPM-Solver does.",
    "The default is the one sampler here that is chosen for the guidance and the grid.",
)


@dataclass(frozen=True)
class Errors:
    """Of samples, by the names of `MEASURES`."""

    of: dict[str, float]

    @classmethod
    def between(cls, x: Tensor | None, reference: Tensor) -> Errors | None:
        """Those of samples; ``None`` of none."""
        if x is None:
            return None
        deviations = (x - reference).square().mean(-1).sqrt()
        return cls({name: float(measure(deviations)) for name, measure in MEASURES.items()})

    def __str__(self) -> str:
        return " / ".join(map(cell, self.of.values()))


Rows = dict[str, list[Errors | None]]


def on_grid(target: Target, grid: Any, evaluations: Sequence[int]) -> dict[str, Rows]:
    """Errors of all samplers on one grid, by library and name."""
    exact = target.case.reference
    return {
        "kutta": {
            name: [Errors.between(target.solve(sampler, grid, count), exact) for count in evaluations]
            for name, sampler in SAMPLERS.items()
        },
        "diffusers": {
            name: [Errors.between(peer.on_nodes(target, grid, count), exact) for count in evaluations]
            for name, peer in SCHEDULERS.items()
        },
    }


def on_their_own(target: Target, evaluations: Sequence[int]) -> Rows:
    """Errors of the schedulers of diffusers on their usual grids."""
    found: Rows = {}
    for name, peer in {**SCHEDULERS, "PNDM": PNDM}.items():
        ends = [peer.on_its_own(target, count) for count in evaluations]
        found[name] = [None if end is None else Errors.between(end[0], _end(target, end[1])) for end in ends]
    return found


def _end(target: Target, clean: bool) -> Tensor:
    return target.clean if clean else target.case.reference


def adaptive(report: Report, target: Target, tolerances: Sequence[float]) -> None:
    """Errors of the adaptive sampler, by tolerance."""
    columns = ("order", "tolerance", "evaluations, mean", "evaluations, most", "error")
    table = report.table(f"{target.name}: AdaptiveMultistep", *columns)
    for order in ADAPTIVE:
        for tolerance in tolerances:
            sol = kt.solve(target.problem, kt.AdaptiveMultistep(order), atol=tolerance, throw=False)
            counts = sol.stats.function_evaluations.double()
            found = Errors.between(sol.y1, target.case.reference)
            table.add(order, f"{tolerance:g}", float(counts.mean()), int(counts.max()), found)


def best(rows: Rows, at: int, measure: str) -> tuple[float, str]:
    """The least error with some number of evaluations, and whose it is."""
    return min((errors[at].of[measure], name) for name, errors in rows.items() if errors[at] is not None)  # type: ignore[union-attr]


def compare(report: Report, target: Target, evaluations: Sequence[int]) -> None:
    """The tables of one problem."""
    trained = isinstance(target.problem.schedule, kt.diffusion.Discrete)
    usual = on_their_own(target, evaluations) if trained else {}
    for label, grid in target.grids.items():
        found = on_grid(target, grid, evaluations)
        table = report.table(f"{target.name}, grid {label}", "library", "sampler", *map(str, evaluations))
        for library, rows in found.items():
            for name, errors in rows.items():
                table.add(library, name, *errors)
        report.data[f"{target.name}, {label}"] = found
        _the_best(report, f"{target.name}, grid {label}", found["kutta"], found["diffusers"], evaluations)
    if usual:
        table = report.table(f"{target.name}, diffusers on their own grids", "sampler", *map(str, evaluations))
        for name, errors in usual.items():
            table.add(name, *errors)
        report.data[f"{target.name}, own grids"] = {"diffusers": usual}
        ours = report.data[f"{target.name}, rho 7"]["kutta"]
        _the_best(report, f"{target.name}, rho 7 against their own grids", ours, usual, evaluations)


def _the_best(report: Report, title: str, ours: Any, theirs: Any, evaluations: Sequence[int]) -> None:
    """The best of both libraries, and where the default stands, for each number of evaluations."""
    columns = ("kutta", "its error", "diffusers", "error there", "theirs / ours", "default / best of diffusers")
    table = report.table(f"{title}: the best", "evaluations", "measure", *columns)
    for measure in MEASURES:
        for at, count in enumerate(evaluations):
            (ours_least, name), (theirs_least, other) = best(ours, at, measure), best(theirs, at, measure)
            default = ours["default"][at].of[measure]
            ratios = theirs_least / ours_least, default / theirs_least
            table.add(count, measure, name, ours_least, other, theirs_least, *ratios)


def _drawn(errors: Errors | None) -> float:
    return float("nan") if errors is None else errors.of["root mean square"]


def draw(report: Report, evaluations: Sequence[int], names: Sequence[str], path: Path) -> None:
    """Errors against evaluations on the grid of rho 7, and the adaptive sampler."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(2, 2, figsize=(14, 11))
    for axis, name in zip(axes.flat, names, strict=True):
        found = report.data[f"{name}, rho 7"]
        curves = {label: (found["kutta"][label], "-") for label in DRAWN}
        own = report.data.get(f"{name}, own grids", found)["diffusers"]
        curves |= {label: (own[label], "--") for label in DRAWN_OF_DIFFUSERS if label in own}
        for label, (errors, style) in curves.items():
            axis.loglog(evaluations, [_drawn(one) for one in errors], style, marker=".", label=label)
        rows = next(table for table in report.tables if table.title == f"{name}: AdaptiveMultistep").records()
        rows = [row for row in rows if row["order"] == 3]
        means = [row["evaluations, mean"] for row in rows]
        axis.loglog(means, [_drawn(row["error"]) for row in rows], "k:", marker="x", label="AdaptiveMultistep(3)")
        axis.set(title=name, xlabel="evaluations", ylabel="root mean square error", ylim=(None, 3.0))
        axis.set_xticks(evaluations, map(str, evaluations))
        axis.set_xticks([], minor=True)
        axis.grid(alpha=0.3)
    axes[0, 0].legend(fontsize=7, ncol=2)
    axes[0, 1].legend(fontsize=7, ncol=2)
    figure.suptitle("Solid: kutta, grid rho 7. Dashed: diffusers, own grids (T1: the same nodes).")
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    plt.close(figure)


def main(argv: Sequence[str] | None = None) -> Report:
    """Run and report."""
    options = arguments(argv, __doc__, repeats=1)
    if missing(("diffusers",)):
        raise SystemExit("this benchmark needs diffusers: pip install diffusers")
    evaluations = EVALUATIONS[1:3] if options.quick else EVALUATIONS
    problems = targets()
    settings = {"problems": [target.name for target in problems], "dtype": "float64", "evaluations": evaluations}
    report = Report("diffusion-samplers", str(__doc__), settings)
    report.notes += NOTES
    for target in problems:
        compare(report, target, evaluations)
        adaptive(report, target, TOLERANCES[:2] if options.quick else TOLERANCES)
    finish(report, options, lambda path: draw(report, evaluations, [one.name for one in problems], path))
    return report


if __name__ == "__main__":
    main()
