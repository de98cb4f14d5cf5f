"""Van der Pol oscillators (mu = 2) with one shared step size: the compiled engine against its peers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

import kutta as kt
from benchmarks import _peers
from benchmarks._measure import Spread, Timings, measure, ratio
from benchmarks._peers import Contender
from benchmarks._problems import relative_error
from benchmarks._report import Report, arguments, finish

SPAN = (0.0, 30.0)
TOL = {"rtol": 1e-5, "atol": 1e-5}
SIZES = (1, 64, 512, 4096)
MODULES = ("torchdiffeq", "diffrax")
OURS, EAGER = "kutta Tsit5, compiled", "kutta Tsit5, eager"
BARS = {"diffrax Tsit5, joint": 2.0, "torchdiffeq dopri5": 25.0}


def with_torch(t: Any, y: Any) -> Any:
    x, v = y[..., 0], y[..., 1]
    return torch.stack([v, 2.0 * (1.0 - x * x) * v - x], -1)


def with_jax(t: Any, y: Any, args: Any) -> Any:
    import jax.numpy as jnp

    x, v = y[..., 0], y[..., 1]
    return jnp.stack([v, 2.0 * (1.0 - x * x) * v - x], -1)


def contenders(y0: Any, absent: Sequence[str]) -> list[Contender]:
    """Every solver with the same tolerances."""
    start = torch.from_numpy(y0)
    problem = kt.ODEProblem(with_torch, start, SPAN)
    found = [
        _peers.kutta("Tsit5, compiled", problem, kt.Tsit5(), engine=kt.Compiled(), **TOL),
        _peers.kutta("Tsit5, eager", problem, kt.Tsit5(), engine=kt.Eager(), **TOL),
    ]
    if "torchdiffeq" not in absent:
        found.append(_peers.torchdiffeq("dopri5", with_torch, start, torch.tensor(SPAN), "dopri5", **TOL))
    if "diffrax" not in absent:
        import jax.numpy as jnp

        found.append(_peers.diffrax_joint("Tsit5, joint", with_jax, None, jnp.asarray(y0), SPAN, "Tsit5", **TOL))
    return found


def reference(y0: Any) -> Any:
    """The final state in float64, by DOP853 with tolerance 1e-12."""
    from scipy.integrate import solve_ivp

    def f(t: float, y: Any) -> Any:
        x, v = y.reshape(y0.shape).T
        return np.stack([v, 2.0 * (1.0 - x * x) * v - x], -1).ravel()

    solution = solve_ivp(f, SPAN, y0.astype(np.float64).ravel(), "DOP853", rtol=1e-12, atol=1e-12)
    return solution.y[:, -1].reshape(y0.shape)


@torch.no_grad()
def compare(report: Report, size: int, repeats: int, absent: Sequence[str]) -> None:
    """Times, errors and ratios at one size."""
    y0 = np.random.default_rng(0).normal(size=(size, 2)).astype(np.float32)
    found, expected = contenders(y0, absent), reference(y0)
    timings = measure({one.name: one.run for one in found}, repeats, warm_up=2)
    table = report.table(f"{size} oscillators", "solver", "ms", "microseconds a step", "error", "steps", "evaluations")
    for one in found:
        outcome, times = one.read(one.run()), timings[one.name]
        a_step = Spread.of([1e6 * seconds / (outcome.steps or 1) for seconds in times])
        error = relative_error(outcome.ys[-1], expected)
        milliseconds = Spread.of([1e3 * seconds for seconds in times])
        table.add(one.name, milliseconds, a_step, error, outcome.steps, outcome.evaluations)
    _ratios(report, size, timings)
    report.data[f"seconds at {size}"] = timings


def _ratios(report: Report, size: int, timings: Timings) -> None:
    table = report.table(f"{size} oscillators: time over that of {OURS}, paired", "solver", "ratio", "bar")
    for name in timings:
        if name != OURS:
            bar = f">= {BARS[name]}" if size == SIZES[-1] and name in BARS else None
            table.add(name, ratio(timings[name], timings[OURS]), bar)


NOTES = (
    "Only the final state is asked for; every solver has one step size for the whole state.",
    "Error: relative in the root mean square, of the final state against DOP853 in float64 at 1e-12.",
    "torchdiffeq by its method of the same order and number of stages: its release has no tsit5.",
    "Compilation, of kutta and of diffrax, is not in the times.",
)


def main(argv: Sequence[str] | None = None) -> Report:
    """Run and report."""
    options = arguments(argv, __doc__, repeats=11)
    absent = _peers.missing(MODULES)
    settings = {"repeats": options.repeats, "dtype": "float32", "span": SPAN, **TOL, "absent": absent}
    report = Report("compiled-van-der-pol", "What does a compiled loop with one step size cost?", settings)
    report.notes += NOTES
    for size in (4,) if options.quick else SIZES:
        compare(report, size, options.repeats, absent)
    finish(report, options)
    return report


if __name__ == "__main__":
    main()
