"""Iterations with a relaxation learned online, against every fixed one and the best for each system."""

from __future__ import annotations

from collections.abc import Sequence as Several
from functools import partial

import torch

import kutta as kt
from benchmarks import _relaxation
from benchmarks._measure import Spread, measure
from benchmarks._relaxation import OMEGAS, Sequence
from benchmarks._report import Report, Table, arguments, finish

# Iterations relative to omega = 1 over 1000 steps: the best fixed relaxation, and the bandit without context.
EXPECTED = {25: (0.90, 0.99), 50: (0.72, 0.81), 100: (0.54, 0.64)}
WITHIN = 0.05
TRIALS = 40
COARSE = (0, 4, 8, 12, 16)
DISTRIBUTIONS = {"Beta(1/2, 3/2)": (0.5, 1.5), "Beta(2, 6)": (2.0, 6.0)}


def strategies(sequence: Sequence) -> dict[str, kt.algebra.Strategy]:
    """The tuners that are compared."""
    return {
        "TsallisINF(least=1)": kt.algebra.TsallisINF(1.0),
        "TsallisINF()": kt.algebra.TsallisINF(),
        "Binned": kt.algebra.Binned(*sequence.interval),
        "ChebyshevBandit": kt.algebra.ChebyshevBandit(*sequence.interval),
    }


def trials(sequence: Sequence, rounds: int, repeats: int) -> dict[str, Spread]:
    """Iterations a system of each tuner, over trials with other seeds."""
    return {
        name: Spread.of([_relaxation.played(sequence, one, rounds, seed) / rounds for seed in range(repeats)])
        for name, one in strategies(sequence).items()
    }


def compare_shifts(report: Report, systems: int, side: int, rounds: int, repeats: int) -> None:
    """SOR on shifted Laplacians."""
    columns = ("who", "iterations a system", "fixed relaxations that are better, of 20", "of 5")
    for name, (alpha, beta) in DISTRIBUTIONS.items():
        sequence = _relaxation.shifted_laplacians(alpha, beta, systems, side)
        fixed = sequence.costs.double().mean(0)
        table = report.table(f"SOR, shifts by {name}, {rounds} systems", *columns)
        for omega, mean in zip(OMEGAS, fixed.tolist(), strict=True):
            if OMEGAS.index(omega) in COARSE or mean <= fixed.min():
                _add(table, f"omega = {omega:.2f}", mean, fixed)
        for tuner, spread in trials(sequence, rounds, repeats).items():
            _add(table, tuner, spread, fixed)
        _add(table, "the best for each system", float(sequence.costs.double().amin(1).mean()), fixed)
        report.data[name] = {"fixed": fixed.tolist()}


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
        expected = EXPECTED[n] if steps == 1000 else (None, None)
        _relative(table, n, f"best fixed, omega = {OMEGAS[best]:.2f}", float(fixed[best]) / first, expected[0])
        for name, spread in trials(sequence, steps, repeats).items():
            relative = Spread(*(value / first for value in (spread.median, spread.low, spread.high)))
            _relative(table, n, name, relative, expected[1] if name == "TsallisINF(least=1)" else None)
        tuner = kt.algebra.Tuner(OMEGAS, kt.algebra.ChebyshevBandit(*sequence.interval))
        online = _relaxation.heat_online(n, steps, tuner, contextual=True) / steps
        _relative(table, n, "ChebyshevBandit, each system solved once", online / first, None)
        _relative(table, n, "the best for each system", float(sequence.costs.double().amin(1).mean()) / first, None)
        report.data[f"heat {n}"] = {"fixed": fixed.tolist()}


def _relative(table: Table, n: int, who: str, value: float | Spread, expected: float | None) -> None:
    median = value.median if isinstance(value, Spread) else value
    off = None if expected is None else f"{100.0 * (median / expected - 1.0):+.1f} %"
    table.add(n, who, value, expected, off)


def compare_overhead(report: Report, repeats: int) -> None:
    """What a tuner itself costs."""
    sequence = Sequence(torch.arange(1, 21).repeat(200, 1), torch.linspace(0.0, 1.0, 200), (0.0, 1.0))
    calls = {name: partial(_relaxation.played, sequence, one, 200, 0) for name, one in strategies(sequence).items()}
    table = report.table("A suggestion and a report, 20 values", "tuner", "microseconds")
    for name, seconds in measure(calls, repeats).items():
        table.add(name, Spread.of([1e6 * value / 200 for value in seconds]))


NOTES = (
    "Iterations of kutta.SOR and of kutta.CG with kutta.SOR(omega, symmetric=True), to 1e-8 of the right-hand side "
    "(SOR) or of the residual of the guess, which is the state before (CG). A table holds those of each system with "
    "each relaxation; tuners see only what they choose. Medians and ranges over trials with other seeds.",
    "Shifts: (A + c I) x = b, A the five-point Laplacian of 10 x 10 points with 4 on its diagonal, c = -0.15 + 0.6 X. "
    "Rounds draw from a pool of systems. Of 5: omega = 1, 1.2, 1.4, 1.6, 1.8.",
    "Heat: Crank-Nicolson with dt = 0.001 on n x n interior points of the unit square, "
    "kappa = max(0.1 sin 2 pi t, -10 sin 2 pi t). The context is log10(kappa).",
    f"Expected: figures of an earlier run of this experiment, to be met within {100 * WITHIN:.0f} %.",
)


@torch.no_grad()
def main(argv: Several[str] | None = None) -> Report:
    """Run and report."""
    options = arguments(argv, __doc__, repeats=TRIALS)
    quick = options.quick
    systems, side, rounds = (20, 4, 20) if quick else (1000, 10, 5000)
    sizes, steps = ((5,), 5) if quick else (tuple(EXPECTED), 1000)
    settings = {"trials": options.repeats, "systems": systems, "rounds": rounds, "dtype": "float64"}
    report = Report("learned-relaxation", "How many iterations does a learned relaxation take?", settings)
    report.notes += NOTES
    compare_shifts(report, systems, side, rounds, options.repeats)
    compare_heat(report, sizes, steps, options.repeats)
    compare_overhead(report, min(options.repeats, 7))
    finish(report, options)
    return report


if __name__ == "__main__":
    main()
