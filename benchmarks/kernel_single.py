"""One trajectory of the Lorenz equations: a whole call of the kernel against SciPy, diffrax, and C++ by hand."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

import kutta as kt
from benchmarks import _peers, _roofline
from benchmarks._measure import Spread, Timings, measure, ratio
from benchmarks._peers import Contender, Outcome
from benchmarks._problems import LORENZ, relative_error
from benchmarks._report import Report, arguments, finish, verdict
from kutta.solvers.engines.kernel.build import library

TOLERANCE = 1e-8
TOL = {"rtol": TOLERANCE, "atol": TOLERANCE}
END, QUICK = 20.0, 1.0
# Errors grow like exp(0.9 t): until here they are still far below one.
COMPARED = 8.0
BY_HAND = Path(__file__).parent / "_tsit5.cpp"
CALL_BAR, STEP_BAR, LONGER = 20.0, 2.0, 20
PEER, HAND, OURS, SAME = "SciPy DOP853", "C++ by hand, Tsit5", "kutta Tsit5, kernel", "kutta Dopri8, kernel"


def by_hand(end: float) -> Contender:
    """The program in ``_tsit5.cpp``, called as the kernel is called."""
    solve = library(BY_HAND.read_text(encoding="utf-8")).solve
    solve.restype = ctypes.c_long
    doubles = [ctypes.c_double(value) for value in (0.0, end, TOLERANCE, TOLERANCE)]

    def run() -> tuple[np.ndarray[Any, Any], int]:
        y = np.array(LORENZ.y0)
        return y, solve(ctypes.c_void_p(y.ctypes.data), *doubles)

    return Contender(HAND, run, lambda result: Outcome(result[0][None], 6 * result[1] + 2, *2 * (result[1],)))


def contenders(end: float, absent: Sequence[str]) -> list[Contender]:
    """Every solver, asked for the state at `end`."""
    y0, span = np.array(LORENZ.y0), (0.0, end)
    problem = problem_until(end)
    found = [
        _peers.kutta("Tsit5, kernel", problem, kt.Tsit5(), engine=kt.Kernel(), **TOL),
        _peers.kutta("Dopri8, kernel", problem, kt.Dopri8(), engine=kt.Kernel(), **TOL),
        _peers.kutta("Tsit5, eager", problem, kt.Tsit5(), engine=kt.Eager(), **TOL),
        _peers.scipy_ivp("DOP853", LORENZ.numpy, y0, span, **TOL),
        _peers.scipy_lsoda(LORENZ.numpy, y0, span, **TOL),
        by_hand(end),
    ]
    if "diffrax" not in absent:
        found += [_peers.diffrax(m, LORENZ.jax, y0, span, None, m, **TOL) for m in ("Tsit5", "Dopri8")]
    return found


def problem_until(end: float) -> kt.ODEProblem:
    """The equations for torch."""
    return kt.ODEProblem(LORENZ.torch, torch.tensor(LORENZ.y0, dtype=torch.float64), (0.0, end))


def compare(report: Report, end: float, repeats: int, absent: Sequence[str]) -> None:
    """Whole calls, with the errors at a time at which chaos has not yet hidden them."""
    found = contenders(end, absent)
    early = {one.name: one.read(one.run()) for one in contenders(min(end, COMPARED), absent)}
    reference = replace(LORENZ, span=(0.0, min(end, COMPARED))).reference()
    timings = measure({one.name: one.run for one in found}, repeats)
    columns = ("solver", "ms", f"error at {min(end, COMPARED):g}", "steps", "evaluations", f"{PEER} / this", "bar")
    table = report.table(f"Lorenz, one trajectory to t = {end:g}, whole calls", *columns)
    for one in found:
        outcome, faster = one.read(one.run()), ratio(timings[PEER], timings[one.name])
        milliseconds = Spread.of([1e3 * seconds for seconds in timings[one.name]])
        error = relative_error(early[one.name].ys[-1].ravel(), reference)
        bar = verdict(faster, CALL_BAR) if one.name in (OURS, SAME) else None
        table.add(one.name, milliseconds, error, outcome.steps, outcome.evaluations, faster, bar)
    report.data["seconds"] = timings


def step_by_step(report: Report, end: float, repeats: int) -> None:
    """Time of a step, from solves of two lengths, so that what surrounds the loop cancels out."""
    ends = (end, LONGER * end)
    solvers = {last: [one for one in contenders(last, ("diffrax",)) if one.name in (OURS, SAME, HAND)] for last in ends}
    run, _ = _roofline.peak(torch.float64)
    calls = {f"{one.name} to {last:g}": one.run for last, found in solvers.items() for one in found}
    timings = measure({"peak": run} | calls, repeats)
    steps = {f"{one.name} to {last:g}": one.read(one.run()).steps for last, found in solvers.items() for one in found}
    each = {name: _of_step(name, timings, steps, ends) for name in (OURS, SAME, HAND)}
    table = report.table("A step", "solver", "ns", "this / by hand", "bar")
    for name, seconds in each.items():
        slower = ratio(seconds, each[HAND])
        bar = f"<= {STEP_BAR:g}: {'met' if slower.median <= STEP_BAR else 'missed'}" if name == OURS else None
        table.add(name, Spread.of([1e9 * value for value in seconds]), slower, bar)
    _add_roofline(report, ends[1], timings)
    report.data["seconds of two lengths"] = timings


def _of_step(name: str, timings: Timings, steps: dict[str, Any], ends: tuple[float, float]) -> list[float]:
    """Seconds of one step, round by round."""
    short, long = (f"{name} to {last:g}" for last in ends)
    more = steps[long] - steps[short]
    return [(b - a) / more for a, b in zip(timings[short], timings[long], strict=True)]


def _add_roofline(report: Report, end: float, timings: Timings) -> None:
    roofline = _roofline.table_of(report, timings["peak"], torch.float64)
    for name, method in ((OURS, kt.Tsit5()), (SAME, kt.Dopri8())):
        problem = problem_until(end)
        solution = kt.solve(problem, method, engine=kt.Kernel(), **TOL)
        roofline.add(f"{name} to {end:g}", problem, method, solution, timings[f"{name} to {end:g}"])


NOTES = (
    f"Two solutions of the Lorenz equations part like exp(0.9 t), so that all errors at the end are of order one. They "
    f"are compared at t = {COMPARED:g}, in solves of that length with the same tolerances, relative to an "
    "extrapolation method in extended precision.",
    "Whole calls of each library, with its checks; compilation excluded. kutta's Dopri8 is the method of SciPy's "
    "DOP853; the loops of LSODA and diffrax are compiled.",
    "By hand: the same method, step control and first step for this one system (benchmarks/_tsit5.cpp), compiled "
    "with the same flags and called through ctypes.",
    f"A step: the difference of the times of two solves, one {LONGER} times as long, over that of their steps.",
)


@torch.no_grad()
def main(argv: Sequence[str] | None = None) -> Report:
    """Run and report."""
    options = arguments(argv, __doc__, repeats=11)
    absent = _peers.missing(("diffrax",))
    settings = {"repeats": options.repeats, "dtype": "float64", **TOL, "absent": absent}
    report = Report("kernel-single", "What does one trajectory of a small system cost in a compiled loop?", settings)
    report.notes += NOTES
    end = QUICK if options.quick else END
    with _peers.float64_in_jax(absent):
        compare(report, end, options.repeats, absent)
        step_by_step(report, end, options.repeats)
    finish(report, options)
    return report


if __name__ == "__main__":
    main()
