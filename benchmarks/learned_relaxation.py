"""Iterations with a relaxation learned online, against every fixed one and the best for each system."""

from __future__ import annotations

from collections.abc import Sequence as Several
from functools import partial
from itertools import islice

import torch

import kutta as kt
from benchmarks import _relaxation
from benchmarks._measure import Spread, measure
from benchmarks._relaxation import OMEGAS, Sequence, System, played, strategies
from benchmarks._report import Report, Table, arguments, finish

# Iterations relative to omega = 1 over 1000 steps: the best fixed relaxation, and the bandit without context.
EXPECTED = {25: (0.90, 0.99), 50: (0.72, 0.81), 100: (0.54, 0.64)}
TRIALS, CHECKED = 40, 20
COARSE = (0, 4, 8, 12, 16)
DISTRIBUTIONS = {"Beta(1/2, 3/2)": (0.5, 1.5), "Beta(2, 6)": (2.0, 6.0)}


def trials(sequence: Sequence, repeats: int) -> dict[str, Spread]:
    """Iterations a system of each tuner, over trials with other seeds."""
    return {
        name: Spread.of([played(sequence, one, seed) for seed in range(repeats)])
        for name, one in strategies(sequence).items()
    }


def compare_shifts(report: Report, systems: int, side: int, repeats: int) -> None:
    """SOR on shifted Laplacians."""
    columns = ("who", "iterations a system", "fixed ones that are better, of 20", "of 5")
    for name, (alpha, beta) in DISTRIBUTIONS.items():
        shifts, b = _relaxation.shifted_laplacians(alpha, beta, systems, side)
        sequence = _relaxation.shifts_sequence(shifts, b)
        fixed = sequence.costs.double().mean(0)
        table = report.table(f"SOR, shifts by {name}, {systems} systems", *columns)
        for place in sorted({*COARSE, int(fixed.argmin())}):
            _add(table, f"omega = {OMEGAS[place]:.2f}", float(fixed[place]), fixed)
        for tuner, spread in trials(sequence, repeats).items():
            _add(table, tuner, spread, fixed)
        _add(table, "the best for each system", float(sequence.costs.double().amin(1).mean()), fixed)
        some = [System(4.0 + float(c), 1.0, one) for c, one in islice(zip(shifts, b, strict=True), CHECKED)]
        report.data[name] = {"fixed": fixed.tolist(), "off kutta.SOR": _relaxation.difference(some, sequence.costs)}


def _add(table: Table, who: str, cost: float | Spread, fixed: torch.Tensor) -> None:
    mean = cost.median if isinstance(cost, Spread) else cost
    table.add(who, cost, int((fixed < mean).sum()), int((fixed[list(COARSE)] < mean).sum()))


def compare_heat(report: Report, sizes: Several[int], steps: int, repeats: int) -> None:
    """Conjugate gradients with SSOR in an implicit method for the heat equation."""
    columns = ("points a side", "who", "iterations / those of omega = 1", "expected", "off by")
    table = report.table(f"SSOR-CG, heat equation, {steps} steps", *columns)
    for n in sizes:
        sequence = _relaxation.heat_sequence(n, steps)
        fixed = sequence.costs.double().mean(0)
        first, best = float(fixed[0]), int(fixed.argmin())
        expected = EXPECTED.get(n, (None, None)) if steps == 1000 else (None, None)
        _relative(table, n, f"best fixed, omega = {OMEGAS[best]:.2f}", float(fixed[best]) / first, expected[0])
        for name, spread in trials(sequence, repeats).items():
            relative = Spread(*(value / first for value in (spread.median, spread.low, spread.high)))
            _relative(table, n, name, relative, expected[1] if name == "TsallisINF(least=1)" else None)
        tuner = kt.algebra.Tuner(OMEGAS, kt.algebra.ChebyshevBandit(*sequence.interval))
        online = _relaxation.heat_online(n, steps, tuner) / steps
        _relative(table, n, "ChebyshevBandit in kutta.solve", online / first, None)
        _relative(table, n, "the best for each system", float(sequence.costs.double().amin(1).mean()) / first, None)
        some = [system for _, system in islice(_relaxation.heat(n, steps), CHECKED)]
        off = _relaxation.difference(some, sequence.costs)
        report.data[f"heat {n}"] = {"fixed": fixed.tolist(), "off kutta.CG": off}


def _relative(table: Table, n: int, who: str, value: float | Spread, expected: float | None) -> None:
    median = value.median if isinstance(value, Spread) else value
    off = None if expected is None else f"{100.0 * (median / expected - 1.0):+.1f} %"
    table.add(n, who, value, expected, off)


def compare_overhead(report: Report, repeats: int) -> None:
    """What a tuner itself costs."""
    sequence = Sequence(torch.arange(1, 21).repeat(200, 1), torch.linspace(0.0, 1.0, 200), (0.0, 1.0))
    calls = {name: partial(played, sequence, one, 0) for name, one in strategies(sequence).items()}
    table = report.table("A suggestion and a report, 20 values", "tuner", "microseconds")
    for name, seconds in measure(calls, repeats).items():
        table.add(name, Spread.of([1e6 * value / 200 for value in seconds]))


NOTES = (
    "A table holds the iterations of each system with each relaxation, to 1e-8 of the right-hand side (SOR), or of the "
    "residual of the guess, which is the state before (CG); tuners see only what they choose. Medians and ranges over "
    "trials with other seeds. The tables are made by benchmarks/_relaxation.cpp.",
    "Shifts: (A + c I) x = b, A the five-point Laplacian of 10 x 10 points with 4 on its diagonal, c = -0.15 + 0.6 X. "
    "Of 5: omega = 1, 1.2, 1.4, 1.6, 1.8.",
    "Heat: Crank-Nicolson with dt = 0.001 on n x n interior points of the unit square, "
    "kappa = max(0.1 sin 2 pi t, -10 sin 2 pi t). The context is log10(kappa). In kutta.solve: one run, where each "
    "system is solved once, with the relaxation that is suggested.",
    "Expected: figures of an earlier run of this experiment, to be met within 5 %.",
)


@torch.no_grad()
def main(argv: Several[str] | None = None) -> Report:
    """Run and report."""
    options = arguments(argv, __doc__, repeats=TRIALS)
    systems, side, sizes, steps = (30, 4, (5,), 5) if options.quick else (5000, 10, tuple(EXPECTED), 1000)
    settings = {"trials": options.repeats, "systems": systems, "dtype": "float64"}
    report = Report("learned-relaxation", "How many iterations does a learned relaxation take?", settings)
    report.notes += NOTES
    compare_shifts(report, systems, side, options.repeats)
    compare_heat(report, sizes, steps, options.repeats)
    compare_overhead(report, min(options.repeats, 7))
    off = max(value for data in report.data.values() for name, value in data.items() if name.startswith("off"))
    report.notes.append(
        f"Counts of the tables differ from those of kutta.SOR and kutta.CG by at most {off}, where looked."
    )
    finish(report, options)
    return report


if __name__ == "__main__":
    main()
