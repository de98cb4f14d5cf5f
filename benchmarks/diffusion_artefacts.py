"""Which samplers throw samples far from the data under strong guidance and few steps?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import kutta as kt
from benchmarks._diffusion import Target
from benchmarks._report import Report, Table, arguments, finish
from tests.solvers.diffusion.problems import magnitude, t2, t2_grid

STEPS = (6, 8, 10, 15, 25)
SAMPLERS: dict[str, kt.diffusion.Sampler] = {
    "DDIM": kt.DDIM(),
    "PLMS2": kt.PLMS(2),
    "PLMS4": kt.PLMS(4),
    "PLMS4+HB0.9": kt.HeavyBall(kt.PLMS(4), 0.9),
    "PLMS4+HB0.8": kt.HeavyBall(kt.PLMS(4), 0.8),
    "GHVB3.8": kt.GHVB.numbered(3.8),
    "GHVB2.5": kt.GHVB.numbered(2.5),
    "DPM++2M": kt.DPMSolverPP(2, final_orders=()),
}
# Magnitude score and root mean square error that the specification gives.
SPECIFIED: dict[float, dict[str, tuple[tuple[float, float] | None, ...]]] = {
    7.5: {
        "DDIM": ((2.12, 0.30), (2.06, 0.24), (2.01, 0.21), (2.02, 0.13), (2.00, 0.12)),
        "PLMS2": ((1.12, 0.27), (1.71, 0.14), (1.75, 0.13), (1.88, 0.12), (1.94, 0.03)),
        "PLMS4": ((22.2, 4.78), (16.3, 4.18), (15.9, 4.16), (1.95, 0.12), (2.00, 0.01)),
        "PLMS4+HB0.8": ((0.13, 0.67), (1.84, 0.72), (2.22, 0.16), (2.02, 0.12), (2.00, 0.12)),
        "GHVB3.8": ((7.59, 2.79), (9.17, 2.90), (8.34, 2.62), (1.94, 0.11), (2.00, 0.01)),
        "GHVB2.5": ((0.34, 0.39), (1.73, 0.14), (1.78, 0.13), (1.89, 0.12), (1.98, 0.02)),
        "DPM++2M": ((1.77, 0.25), (1.80, 0.12), (1.92, 0.12), (2.00, 0.11), (2.05, 0.02)),
    },
    15.0: {
        "PLMS4": (None, (159.0, 19.1), None, None, None),
        "PLMS4+HB0.9": (None, (9.5, 4.3), None, None, None),
        "PLMS4+HB0.8": (None, (0.23, 0.49), None, None, None),
        "GHVB3.8": (None, (46.0, 9.7), None, None, None),
        "GHVB2.5": (None, (2.11, 0.19), None, None, None),
    },
}
BLOW_UP, CALM = 5.0, 1.2  # of the score of the exact samples


def shown(score: tuple[float, float] | None) -> str | None:
    return None if score is None else f"{score[0]:.3g} / {score[1]:.2g}"


def scores(target: Target, sampler: Any, steps: Sequence[int]) -> list[tuple[float, float]]:
    """Magnitude score and root mean square error for each number of steps."""
    ends = [target.case.solve(sampler, count, grid=t2_grid(count), throw=False) for count in steps]
    return [(magnitude(target.case, x), target.case.rms(x)) for x in ends]


def main(argv: Sequence[str] | None = None) -> Report:
    """Run and report."""
    options = arguments(argv, __doc__, repeats=1)
    steps = STEPS[:2] if options.quick else STEPS
    settings = {"problem": "T2", "grid": "model times equally spaced from 999 to 1, then 0", "dtype": "float64"}
    report = Report("diffusion-artefacts", str(__doc__), settings)
    report.notes += [
        "Cells: magnitude score / root mean square error. The score is the mean over samples of "
        "sum |x_i / sd| [|x_i / sd| > 3].",
        "The specification does not say by which random numbers its figures came about, so digits differ; the ordering "
        "counts.",
    ]
    for weight in (7.5, 15.0):
        _one_weight(report, weight, steps)
    finish(report, options)
    return report


def _one_weight(report: Report, weight: float, steps: Sequence[int]) -> None:
    target = Target(f"T2, guidance {weight:g}", t2(weight), {})
    exact = magnitude(target.case, target.case.reference)
    table = report.table(
        f"Guidance {weight:g}, score of the exact samples {exact:.2f}", "sampler", "from", *map(str, steps)
    )
    found = {}
    for name, sampler in {**SAMPLERS, "default": kt.diffusion.default_sampler(target.problem)}.items():
        found[name] = scores(target, sampler, steps)
        _row(table, name, "measured", found[name])
        if name in SPECIFIED[weight]:
            _row(table, name, "specified", SPECIFIED[weight][name][: len(steps)])
    report.data[f"guidance {weight:g}"] = {"exact": exact, **found}
    at = 1  # eight steps
    ratios = {name: found[name][at][0] / exact for name in ("PLMS4", "PLMS4+HB0.8", "GHVB2.5")}
    met = ratios["PLMS4"] >= BLOW_UP and max(ratios["PLMS4+HB0.8"], ratios["GHVB2.5"]) <= CALM
    report.notes.append(
        f"Guidance {weight:g}, {steps[at]} steps, in units of the exact score: "
        + ", ".join(f"{name} {ratio:.2f}" for name, ratio in ratios.items())
        + f"; bar PLMS4 >= {BLOW_UP:g}, the others <= {CALM:g}: {'met' if met else 'missed'}."
    )


def _row(table: Table, name: str, source: str, cells: Sequence[tuple[float, float] | None]) -> None:
    table.add(name, source, *map(shown, cells))


if __name__ == "__main__":
    main()
