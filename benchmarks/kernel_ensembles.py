"""Ensembles of small systems in one compiled loop: van der Pol oscillators, and a sweep of the Lorenz equations."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

import kutta as kt
from benchmarks import _peers, _roofline
from benchmarks._families import LORENZ_SWEEP
from benchmarks._measure import Spread, Timings, measure, ratio
from benchmarks._peers import Contender
from benchmarks._problems import (
    VAN_DER_POL,
    Array,
    Problem,
    ensemble_of_van_der_pol,
    ensemble_reference,
    relative_error,
)
from benchmarks._report import Report, arguments, finish, verdict

SPAN = (0.0, 10.0)
TOL = {"rtol": 1e-6, "atol": 1e-6}
METHOD = kt.Tsit5()
SIZES = (1, 16, 256, 4096, 65536, 2**20)
ALL, MAIN = 4096, 65536
# A contender takes part as long as one solve may be expected to take less than this; only ours beyond the main size.
SECONDS = 8.0
# Trajectories whose errors are looked at.
LOOKED_AT = 256
MODULES = ("torchdiffeq", "torchode", "diffrax")
OURS, PEER, BAR = "kutta Tsit5, kernel", "diffrax Tsit5, vmap", 35.0


def contenders(problem: Problem, y0: Array, p: Array | None, absent: Sequence[str]) -> list[Contender]:
    """Every solver on an ensemble, asked for the states at the end."""
    start = torch.from_numpy(y0)
    args = () if p is None else (torch.from_numpy(p),)
    ensemble = kt.EnsembleProblem(problem.torch, start, SPAN, args=args, vectorized=True)
    f = lambda t, y: problem.torch(t, y, *args)  # noqa: E731
    found = [
        _peers.kutta("Tsit5, kernel", ensemble, METHOD, engine=kt.Kernel(), **TOL),
        _peers.kutta("Tsit5, eager", ensemble, METHOD, engine=kt.Eager(), **TOL),
    ]
    ends = torch.tensor(SPAN, dtype=start.dtype)
    if "diffrax" not in absent:
        found.append(_peers.diffrax("Tsit5, vmap", problem.jax, y0, SPAN, None, "Tsit5", p=p, **TOL))
    if "torchode" not in absent:
        found.append(_peers.torchode("Tsit5", f, start, ends, "Tsit5", **TOL))
    if "torchdiffeq" not in absent:
        found.append(_peers.torchdiffeq("dopri5", f, start, ends, "dopri5", **TOL))
    return found


def sweep(report: Report, sizes: Sequence[int], repeats: int, absent: Sequence[str]) -> dict[int, Timings]:
    """Times of van der Pol ensembles over their size, and the full comparison at the main one."""
    rows: dict[int, Timings] = {}
    allowed: set[str] | None = None
    for size in sizes:
        y0 = ensemble_of_van_der_pol(size)
        found = contenders(VAN_DER_POL, y0, None, absent)
        found = [one for one in found if allowed is None or one.name in allowed]
        run, _ = _roofline.peak(torch.float32)
        rows[size] = measure({"peak": run} | {one.name: one.run for one in found}, repeats)
        if size in (ALL, MAIN, sizes[-1]) and size <= MAIN:
            compare(report, "van der Pol", VAN_DER_POL, found, y0, None, rows[size])
        allowed = _going_on(rows[size], size, sizes)
    return rows


def _going_on(timings: Timings, size: int, sizes: Sequence[int]) -> set[str]:
    """Who takes part at the next size, if its time grows no faster than the size."""
    larger = [one for one in sizes if one > size]
    if not larger or larger[0] > MAIN:
        return {OURS}
    growth = larger[0] / size
    return {PEER} | {name for name, seconds in timings.items() if Spread.of(seconds).median * growth < SECONDS}


def compare(
    report: Report, title: str, problem: Problem, found: list[Contender], y0: Array, p: Array | None, timings: Timings
) -> None:
    """Times with the errors achieved, and the ratios to ours."""
    few = slice(0, LOOKED_AT)
    own = None if p is None else p[few].astype(np.float64)
    reference = ensemble_reference(y0[few], np.array(SPAN), problem, own)[-1]
    columns = ("solver", "ms", "error", "largest error", "steps (mean)", "time / kernel", "bar")
    table = report.table(f"{title}: {len(y0)} trajectories, {y0.dtype}", *columns)
    for one in found:
        outcome = one.read(one.run())
        ys, slower = outcome.ys[-1][few], ratio(timings[one.name], timings[OURS])
        errors = relative_error(ys, reference), float(np.abs(ys - reference).max())
        bar = verdict(slower, BAR) if (one.name, problem, len(y0)) == (PEER, VAN_DER_POL, MAIN) else None
        milliseconds = Spread.of([1e3 * seconds for seconds in timings[one.name]])
        table.add(one.name, milliseconds, *errors, outcome.mean_steps, slower, bar)
    _add_roofline(report, title, problem, y0, p, timings)


def _add_roofline(report: Report, title: str, problem: Problem, y0: Array, p: Array | None, timings: Timings) -> None:
    start, args = torch.from_numpy(y0), () if p is None else (torch.from_numpy(p),)
    ensemble = kt.EnsembleProblem(problem.torch, start, SPAN, args=args, vectorized=True)
    solution = kt.solve(ensemble, METHOD, engine=kt.Kernel(), **TOL)
    roofline = _roofline.table_of(report, timings["peak"], start.dtype)
    roofline.add(title, ensemble, METHOD, solution, timings[OURS])


def show_sweep(report: Report, rows: dict[int, Timings]) -> None:
    """A row for each solver, a column for each size."""
    table = report.table(
        "van der Pol: milliseconds over the number of trajectories (median)", "solver", *map(str, rows)
    )
    for name in (name for name in next(iter(rows.values())) if name != "peak"):
        cells = [1e3 * Spread.of(row[name]).median if name in row else None for row in rows.values()]
        table.add(name, *cells)
    report.data["sweep"] = {str(size): timings for size, timings in rows.items()}


def lorenz(report: Report, size: int, dtype: Any, repeats: int, absent: Sequence[str]) -> None:
    """A sweep over rho below the onset of chaos, so that errors mean something."""
    y0 = np.tile(LORENZ_SWEEP.y0, (size, 1)).astype(dtype)
    p = np.linspace(0.0, 21.0, size)[:, None].astype(dtype)
    p = p[np.random.default_rng(0).permutation(size)]
    found = [one for one in contenders(LORENZ_SWEEP, y0, p, absent) if not one.name.startswith("torch")]
    run, _ = _roofline.peak(torch.from_numpy(y0).dtype)
    timings = measure({"peak": run} | {one.name: one.run for one in found}, repeats)
    compare(report, "Lorenz", LORENZ_SWEEP, found, y0, p, timings)
    report.data[f"Lorenz, {y0.dtype}"] = timings


def draw(rows: dict[int, Timings], path: Path) -> None:
    """Time a trajectory over the number of trajectories."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axis = plt.subplots(figsize=(7, 5))
    for name in (name for name in next(iter(rows.values())) if name != "peak"):
        sizes = [size for size, row in rows.items() if name in row]
        each = [1e6 * Spread.of(rows[size][name]).median / size for size in sizes]
        axis.plot(sizes, each, marker="o", linewidth=2 if name == OURS else 1, label=name)
    axis.set(xscale="log", yscale="log", xlabel="trajectories", ylabel="microseconds a trajectory")
    axis.set_title("van der Pol, mu = 5, [0, 10], rtol = atol = 1e-6, float32")
    axis.grid(alpha=0.3)
    axis.legend(frameon=False)
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    plt.close(figure)


NOTES = (
    f"Errors: of the final states of the first {LOOKED_AT} trajectories against DOP853 in float64 with tolerance "
    "1e-12; relative in the root mean square, and the largest absolute one of an entry.",
    "Whole calls are timed, with the checks and the making of the solution; compilation is excluded for all. The "
    "kernel uses PyTorch's number of threads, diffrax as many as XLA takes.",
    f"A solver is left out of larger ensembles where one solve could take more than {SECONDS:.0f} s, judged by the "
    "size before; torchode and torchdiffeq are left out of the Lorenz sweep.",
    "torchdiffeq advances all trajectories with one step size and measures their joint error.",
    "Lorenz: rho from 0 to 21 in random order, sigma = 10, beta = 8/3, from (1, 0, 0), below the onset of chaos.",
)


@torch.no_grad()
def main(argv: Sequence[str] | None = None) -> Report:
    """Run and report."""
    options = arguments(argv, __doc__, repeats=7)
    absent = _peers.missing(MODULES)
    settings = {"repeats": options.repeats, **TOL, "span": SPAN, "absent": absent}
    report = Report("kernel-ensembles", "What does a compiled loop bring to ensembles of small systems?", settings)
    report.notes += NOTES
    rows = sweep(report, (1, 16) if options.quick else SIZES, options.repeats, absent)
    show_sweep(report, rows)
    size = 16 if options.quick else MAIN
    lorenz(report, size, np.float32, options.repeats, absent)
    with _peers.float64_in_jax(absent):
        lorenz(report, size, np.float64, options.repeats, absent)
    finish(report, options, lambda path: draw(rows, path))
    return report


if __name__ == "__main__":
    main()
