"""An ensemble of van der Pol oscillators (mu = 5) in float32: own step sizes against a shared one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

import kutta as kt
from benchmarks import _peers
from benchmarks._measure import Spread, Timings, measure, ratio
from benchmarks._peers import Contender, Outcome
from benchmarks._problems import VAN_DER_POL, ensemble_of_van_der_pol, ensemble_reference, relative_error
from benchmarks._report import Report, arguments, finish

SPAN = (0.0, 10.0)
SAVED = 50
TOLERANCE = 1e-6
SIZE = 256
QUICK = 4
SIZES = (16, 64, 256, 1024, 4096, 16384)
MODULES = ("torchdiffeq", "torchode", "diffrax")
OURS = ("kutta Tsit5", "kutta Dopri5")
BARS = (("torchdiffeq dopri5", 2.5), ("torchode Tsit5", 2.5))


def contenders(y0: Any, times: Any, absent: Sequence[str], information: bool = True) -> list[Contender]:
    """Every solver on the ensemble; `information` adds what is not eager PyTorch written for batches."""
    found = _ours(y0, times, information)
    found += _eager_peers(y0, times, absent)
    if information and "diffrax" not in absent:
        tol = {"rtol": TOLERANCE, "atol": TOLERANCE}
        found.append(_peers.diffrax("Tsit5, vmap", VAN_DER_POL.jax, y0, _span(times), times, "Tsit5", **tol))
    return found


def _span(times: Any) -> tuple[float, float]:
    return float(times[0]), float(times[-1])


def _ours(y0: Any, times: Any, mapped: bool) -> list[Contender]:
    options = {"rtol": TOLERANCE, "atol": TOLERANCE, "save_at": torch.from_numpy(times), "engine": kt.Eager()}
    start, f, span = torch.from_numpy(y0), VAN_DER_POL.torch, _span(times)
    vectorized = kt.EnsembleProblem(f, start, span, vectorized=True)
    found = [_peers.kutta(name, vectorized, getattr(kt, name)(), **options) for name in ("Tsit5", "Dopri5")]
    if mapped:
        single = kt.EnsembleProblem(f, start, span)
        found.append(_peers.kutta("Tsit5, f through vmap", single, kt.Tsit5(), **options))
    return found


def _eager_peers(y0: Any, times: Any, absent: Sequence[str]) -> list[Contender]:
    tol = {"rtol": TOLERANCE, "atol": TOLERANCE}
    start, ts, f = torch.from_numpy(y0), torch.from_numpy(times).float(), VAN_DER_POL.torch
    found = []
    if "torchdiffeq" not in absent:
        found.append(_peers.torchdiffeq("dopri5", f, start, ts, "dopri5", **tol))
    if "torchode" not in absent:
        found += [_peers.torchode(name, f, start, ts, name, **tol) for name in ("Tsit5", "Dopri5")]
    return found


def errors(outcome: Outcome, reference: Any) -> tuple[float, float]:
    """Relative error over everything, and the largest absolute one of a single entry."""
    return relative_error(outcome.ys, reference), float(np.abs(outcome.ys - reference).max())


def compare(report: Report, size: int, times: Any, repeats: int, absent: Sequence[str]) -> None:
    """The main comparison at one size, with achieved errors and ratios."""
    y0 = ensemble_of_van_der_pol(size)
    reference = ensemble_reference(y0, times)
    found = contenders(y0, times, absent)
    timings = measure({one.name: one.run for one in found}, repeats)
    table = report.table(
        f"{size} trajectories", "solver", "ms", "error", "largest error", "steps (mean)", "steps (most)", "calls of f"
    )
    for one in found:
        outcome = one.read(one.run())
        milliseconds = Spread.of([1e3 * s for s in timings[one.name]])
        steps = (outcome.mean_steps, outcome.steps, outcome.evaluations)
        table.add(one.name, milliseconds, *errors(outcome, reference), *steps)
    add_ratios(report, timings)
    report.data["seconds"] = timings


def add_ratios(report: Report, timings: Timings) -> None:
    """Times of the others over ours, round by round."""
    others = [name for name in timings if name not in OURS]
    table = report.table("Time over that of kutta, paired", "solver", *(f"/ {name}" for name in OURS), "bar")
    for name in others:
        bar = dict(BARS).get(name)
        table.add(name, *(ratio(timings[name], timings[ours]) for ours in OURS), bar and f">= {bar}")


def sweep(report: Report, sizes: Sequence[int], times: Any, repeats: int, absent: Sequence[str]) -> None:
    """Times over the size of the ensemble."""
    names: list[str] = []
    rows: dict[int, Timings] = {}
    for size in sizes:
        found = contenders(ensemble_of_van_der_pol(size), times, absent)
        rows[size] = measure({one.name: one.run for one in found}, repeats)
        names = list(rows[size])
    table = report.table("Milliseconds over the size of the ensemble (median)", "solver", *map(str, sizes))
    for name in names:
        table.add(name, *(1e3 * Spread.of(rows[size][name]).median for size in sizes))
    report.data["sweep"] = {str(size): timings for size, timings in rows.items()}


def draw(report: Report, path: Path) -> None:
    """Time over the size of the ensemble."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    sizes = [int(size) for size in report.data["sweep"]]
    figure, axis = plt.subplots(figsize=(7, 5))
    for name in next(iter(report.data["sweep"].values())):
        medians = [1e3 * Spread.of(timings[name]).median for timings in report.data["sweep"].values()]
        axis.plot(sizes, medians, marker="o", linewidth=2 if name.startswith("kutta") else 1, label=name)
    axis.set(xscale="log", yscale="log", xlabel="trajectories", ylabel="milliseconds")
    axis.set_title("van der Pol, mu = 5, [0, 10], rtol = atol = 1e-6, float32")
    axis.grid(alpha=0.3)
    axis.legend(frameon=False)
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    plt.close(figure)


NOTES = (
    "Error: of all states at the output times, relative in the root mean square, against DOP853 in float64 with "
    "tolerance 1e-12. Largest error: of any entry.",
    "torchdiffeq advances all trajectories with one step size and measures their joint error, so that single "
    "trajectories may be less accurate than asked for. The others control each trajectory by itself.",
    "torchode: integral control and shared solver objects, in eager mode. diffrax: jit of vmap, compilation excluded; "
    "for information, since the comparison is of eager PyTorch. Its calls of f are computed from its steps.",
)


@torch.no_grad()
def main(argv: Sequence[str] | None = None) -> Report:
    """Run and report."""
    options = arguments(argv, __doc__, repeats=11)
    absent = _peers.missing(MODULES)
    times = np.linspace(0.0, 0.5, 5) if options.quick else np.linspace(*SPAN, SAVED)
    settings = {"repeats": options.repeats, "dtype": "float32", "rtol": TOLERANCE, "atol": TOLERANCE}
    settings |= {"span": _span(times), "output times": len(times), "absent": absent}
    settings |= {"initial states": "standard normal, seed 0"}
    report = Report("ensemble-van-der-pol", "What does an ensemble of small systems cost?", settings)
    report.notes += NOTES
    compare(report, QUICK if options.quick else SIZE, times, options.repeats, absent)
    sizes = (QUICK,) if options.quick else SIZES
    sweep(report, sizes, times, 1 if options.quick else max(3, options.repeats // 2), absent)
    finish(report, options, lambda path: draw(report, path))
    return report


if __name__ == "__main__":
    main()
