"""An ensemble of stiff systems: Robertson's reactions with a Rosenbrock method, against diffrax's implicit one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

import kutta as kt
from benchmarks import _peers, _roofline
from benchmarks._families import ROBERTSON, stiff_reference, varied
from benchmarks._measure import Spread, measure, ratio
from benchmarks._peers import Contender
from benchmarks._problems import Array
from benchmarks._report import Report, arguments, finish, verdict

RTOL, ATOL = 1e-6, 1e-10
SIZE, QUICK = 10_000, 8
METHOD = kt.Rodas5P()
# Tolerances of ours as multiples of the others', loosest first.
LADDER = tuple(10 ** (-k / 4) for k in range(-8, 13))
LOOKED_AT = 16
PEER, BAR = "diffrax Kvaerno5, vmap", 20.0


def ours(y0: Array, p: Array, factor: float, name: str) -> Contender:
    """The kernel at a multiple of the tolerances."""
    tol = {"rtol": RTOL * factor, "atol": ATOL * factor}
    return _peers.kutta(name, problem_of(y0, p), METHOD, engine=kt.Kernel(), **tol)


def problem_of(y0: Array, p: Array) -> kt.EnsembleProblem:
    """The ensemble, for torch."""
    return kt.EnsembleProblem(
        ROBERTSON.torch, torch.from_numpy(y0), ROBERTSON.span, args=(torch.from_numpy(p),), vectorized=True
    )


def error(ys: Any, reference: Array) -> float:
    """Root mean square over all entries, each in units of ``1e-6 |y| + 1e-10``."""
    return float(np.sqrt(np.mean(((ys - reference) / (RTOL * np.abs(reference) + ATOL)) ** 2)))


def as_accurate(y0: Array, p: Array, reference: Array, bound: float) -> float:
    """The loosest multiple of the tolerances from which on our error stays below a bound."""
    found = LADDER[-1]
    for factor in reversed(LADDER):
        one = ours(y0, p, factor, "")
        if error(one.read(one.run()).ys[-1], reference) > bound:
            break
        found = factor
    return found


def contenders(y0: Array, p: Array, reference: Array, absent: Sequence[str]) -> list[Contender]:
    """The kernel at the tolerances, as accurate as diffrax, and diffrax."""
    found = [ours(y0, p, 1.0, "Rodas5P, kernel")]
    if "diffrax" in absent:
        return found
    few = with_diffrax(y0[:LOOKED_AT], p[:LOOKED_AT])
    bound = error(few.read(few.run()).ys[-1], reference)
    factor = as_accurate(y0[:LOOKED_AT], p[:LOOKED_AT], reference, bound)
    name = f"Rodas5P, kernel, tolerances times {factor:.2g}"
    return [*found, ours(y0, p, factor, name), with_diffrax(y0, p)]


def with_diffrax(y0: Array, p: Array) -> Contender:
    """The peer at the tolerances."""
    return _peers.diffrax("Kvaerno5, vmap", ROBERTSON.jax, y0, ROBERTSON.span, None, "Kvaerno5", RTOL, ATOL, p)


def compare(report: Report, size: int, repeats: int, absent: Sequence[str]) -> None:
    """Times, errors, ratios and the roofline."""
    y0, p = varied(ROBERTSON, size)
    few = slice(0, LOOKED_AT)
    reference = stiff_reference(ROBERTSON, y0[few], p[few])
    found = contenders(y0, p, reference, absent)
    run, _ = _roofline.peak(torch.float64)
    timings = measure({"peak": run} | {one.name: one.run for one in found}, repeats)
    columns = ("solver", "ms", "error", "steps (mean)", "steps (most)", "diffrax / this", "bar")
    table = report.table(f"{size} Robertson problems", *columns)
    for one in found:
        outcome = one.read(one.run())
        milliseconds = Spread.of([1e3 * seconds for seconds in timings[one.name]])
        faster = ratio(timings[PEER], timings[one.name]) if PEER in timings else None
        bar = verdict(faster, BAR) if faster and "times" in one.name else None
        steps = (outcome.mean_steps, outcome.steps)
        table.add(one.name, milliseconds, error(outcome.ys[-1][few], reference), *steps, faster, bar)
    solution = kt.solve(problem_of(y0, p), METHOD, engine=kt.Kernel(), rtol=RTOL, atol=ATOL)
    roofline = _roofline.table_of(report, timings["peak"], torch.float64)
    roofline.add("Robertson", problem_of(y0, p), METHOD, solution, timings[found[0].name])
    report.data["seconds"] = timings


NOTES = (
    "Rate constants: 0.04, 3e7 and 1e4, each times a random number between 1/sqrt(2) and sqrt(2) for each trajectory.",
    f"Error: of the final states of the first {LOOKED_AT} trajectories against SciPy's Radau at rtol = 1e-10, atol = "
    "1e-15; the root mean square over the entries of the error over 1e-6 |y| + 1e-10.",
    "The row with other tolerances is the kernel at the loosest of some at which it is at least as accurate as "
    "Kvaerno5 is at 1e-6 and 1e-10; the bar is for that row.",
    "diffrax: its own choice of root finder and step control; jit of vmap, compilation excluded.",
)


@torch.no_grad()
def main(argv: Sequence[str] | None = None) -> Report:
    """Run and report."""
    options = arguments(argv, __doc__, repeats=3)
    absent = _peers.missing(("diffrax",))
    settings = {"repeats": options.repeats, "dtype": "float64", "rtol": RTOL, "atol": ATOL, "span": ROBERTSON.span}
    report = Report(
        "kernel-stiff", "What does a compiled loop bring to stiff ensembles?", settings | {"absent": absent}
    )
    report.notes += NOTES
    with _peers.float64_in_jax(absent):
        compare(report, QUICK if options.quick else SIZE, options.repeats, absent)
    finish(report, options)
    return report


if __name__ == "__main__":
    main()
