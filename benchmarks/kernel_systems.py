"""Systems of tens and hundreds of entries in one compiled loop: stars, reactions, and reactions on a grid."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch

import kutta as kt
from benchmarks import _peers, _roofline
from benchmarks._families import BRUSSELATOR, POLLUTION, stiff_reference, varied
from benchmarks._measure import Spread, Timings, measure, ratio
from benchmarks._peers import Contender
from benchmarks._problems import PLEIADES, Array, Problem, relative_error
from benchmarks._report import Report, arguments, finish


@dataclass(frozen=True)
class Case:
    """A system, how it is solved, and by whom besides.

    Attributes:
        problem: one trajectory of it.
        method: ours.
        rtol, atol: of all solvers.
        scipy: methods of `solve_ivp`, or ``"LSODA"`` for the compiled loop of `odeint`.
        diffrax: its method.
        count: trajectories of the ensemble.
    """

    problem: Problem
    method: Any
    rtol: float
    atol: float
    scipy: tuple[str, ...]
    diffrax: str
    count: int = 256

    @property
    def tolerances(self) -> dict[str, float]:
        return {"rtol": self.rtol, "atol": self.atol}


CASES = (
    Case(PLEIADES, kt.Dopri8(), 1e-8, 1e-8, ("DOP853", "LSODA"), "Dopri8"),
    Case(POLLUTION, kt.Rodas5P(), 1e-6, 1e-10, ("Radau", "LSODA"), "Kvaerno5"),
    Case(BRUSSELATOR, kt.Tsit5(), 1e-6, 1e-6, ("DOP853", "LSODA"), "Tsit5"),
)
QUICK = (replace(CASES[1], count=8, scipy=("LSODA",)),)


def one_trajectory(case: Case) -> list[Contender]:
    """Solvers of the usual trajectory."""
    problem, tol = case.problem, case.tolerances
    y0 = np.array(problem.y0)
    ode = kt.ODEProblem(problem.torch, torch.from_numpy(y0), problem.span)
    found = [_peers.kutta(f"{type(case.method).__name__}, kernel", ode, case.method, engine=kt.Kernel(), **tol)]
    for method in case.scipy:
        solver = _peers.scipy_lsoda if method == "LSODA" else partial(_peers.scipy_ivp, method)
        found.append(solver(problem.numpy, y0, problem.span, **tol))
    return found


def drawn(case: Case) -> tuple[Array, Array | None]:
    """Initial states and parameters of the ensemble; those of the first trajectory are the usual ones."""
    y0, p = varied(case.problem, case.count)
    if not case.problem.parameters:
        shifts = 0.01 * np.random.default_rng(0).normal(size=y0.shape)
        shifts[0] = 0.0
        return y0 + shifts, None
    p[0] = case.problem.parameters
    return y0, p


def ensemble_of(case: Case) -> kt.EnsembleProblem:
    """The ensemble, for torch."""
    y0, p = drawn(case)
    args = () if p is None else (torch.from_numpy(p),)
    return kt.EnsembleProblem(case.problem.torch, torch.from_numpy(y0), case.problem.span, args=args)


def ensemble(case: Case, absent: Sequence[str]) -> list[Contender]:
    """Solvers of the ensemble."""
    (y0, p), problem = drawn(case), case.problem
    name = f"{type(case.method).__name__}, kernel"
    found = [_peers.kutta(name, ensemble_of(case), case.method, engine=kt.Kernel(), **case.tolerances)]
    if "diffrax" not in absent:
        rest = {"method": case.diffrax, "p": p, **case.tolerances}
        found.append(_peers.diffrax(f"{case.diffrax}, vmap", problem.jax, y0, problem.span, None, **rest))
    return found


def reference(case: Case) -> Array:
    """The usual trajectory's final state."""
    problem = case.problem
    if isinstance(case.method, kt.Rodas5P):
        return stiff_reference(problem, np.array([problem.y0]), np.array([problem.parameters]))[0]
    return problem.reference()


def fill(report: Report, title: str, found: list[Contender], timings: Timings, expected: Array) -> None:
    """Times, errors of the usual trajectory, and ratios to ours."""
    table = report.table(title, "solver", "ms", "error", "steps (mean)", "evaluations", "time / kernel")
    for one in found:
        outcome, slower = one.read(one.run()), ratio(timings[one.name], timings[found[0].name])
        milliseconds = Spread.of([1e3 * seconds for seconds in timings[one.name]])
        error = relative_error(outcome.ys[-1].reshape(-1, len(expected))[0], expected)
        table.add(one.name, milliseconds, error, outcome.mean_steps or outcome.steps, outcome.evaluations, slower)


def compare(report: Report, case: Case, repeats: int, absent: Sequence[str]) -> None:
    """One trajectory, many, and the roofline."""
    name, expected = case.problem.name, reference(case)
    run, _ = _roofline.peak(torch.float64)
    groups: dict[str, Callable[[], list[Contender]]] = {
        f"{name}, {len(expected)} entries: one trajectory": lambda: one_trajectory(case),
        f"{name}: {case.count} trajectories": lambda: ensemble(case, absent),
    }
    for title, contenders in groups.items():
        found = contenders()
        timings = measure({"peak": run} | {one.name: one.run for one in found}, repeats)
        fill(report, title, found, timings, expected)
        report.data[title] = timings
    solution = kt.solve(ensemble_of(case), case.method, engine=kt.Kernel(), **case.tolerances)
    roofline = _roofline.table_of(report, timings["peak"], torch.float64)
    roofline.add(title, ensemble_of(case), case.method, solution, timings[found[0].name])


NOTES = (
    "Error: of the final state of the usual trajectory, which is the first of each ensemble, relative in the root mean "
    "square; against an extrapolation method in extended precision, or for the reactions SciPy's Radau at 1e-10.",
    "Ensembles: initial states of the stars moved by 0.01, all reaction rates and the feed of the Brusselator times a "
    "random number between 1/sqrt(2) and sqrt(2).",
    "Compilation is excluded for all. LSODA through odeint, whose loop is compiled; the right-hand sides that SciPy "
    "calls are NumPy, or Python numbers for the reactions.",
)


@torch.no_grad()
def main(argv: Sequence[str] | None = None) -> Report:
    """Run and report."""
    options = arguments(argv, __doc__, repeats=5)
    absent = _peers.missing(("diffrax",))
    cases = QUICK if options.quick else CASES
    tolerances = {case.problem.name: case.tolerances for case in cases}
    settings = {"repeats": options.repeats, "dtype": "float64", "tolerances": tolerances, "absent": absent}
    report = Report("kernel-systems", "What does a compiled loop bring to systems of tens of entries?", settings)
    report.notes += NOTES
    with _peers.float64_in_jax(absent):
        for case in cases:
            compare(report, case, options.repeats, absent)
    finish(report, options)
    return report


if __name__ == "__main__":
    main()
