"""Accuracy against cost on four classical systems in float64, one trajectory each."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

import kutta as kt
from benchmarks import _peers
from benchmarks._measure import Spread, measure
from benchmarks._peers import Contender
from benchmarks._problems import SMALL_SYSTEMS, VAN_DER_POL, Problem, relative_error
from benchmarks._report import Report, arguments, finish

TOLERANCES = (1e-4, 1e-6, 1e-8, 1e-10, 1e-12)
TARGETS = (1e-3, 1e-6, 1e-8)
KUTTA = ("Dopri5", "Tsit5", "Dopri8", "Vern7", "Vern9")
MODULES = ("torchdiffeq", "torchode", "diffrax", "sksundae")


def contenders(problem: Problem, tolerance: float, absent: Sequence[str]) -> list[Contender]:
    """Every solver on a problem, with equal relative and absolute tolerance."""
    tol = {"rtol": tolerance, "atol": tolerance}
    found = [*_of_torch(problem, tol, absent), *_compiled(problem, tol, absent)]
    y0, span = np.array(problem.y0), problem.span
    found.append(_peers.scipy_ivp("DOP853", problem.numpy, y0, span, **tol))
    found.append(_peers.scipy_lsoda(problem.numpy, y0, span, **tol))
    if "sksundae" not in absent:
        found += [_peers.cvode(problem.numpy, y0, span, method, **tol) for method in ("Adams", "BDF")]
    return found


def _of_torch(problem: Problem, tol: dict[str, float], absent: Sequence[str]) -> list[Contender]:
    y0 = torch.tensor(problem.y0, dtype=torch.float64)
    ts = torch.tensor(problem.span, dtype=torch.float64)
    ode = kt.ODEProblem(problem.torch, y0, problem.span)
    found = [_peers.kutta(name, ode, getattr(kt, name)(), **tol) for name in KUTTA]
    if "torchdiffeq" not in absent:
        found += [_peers.torchdiffeq(m, problem.torch, y0, ts, m, **tol) for m in ("dopri5", "dopri8")]
    if "torchode" not in absent:
        found += [_peers.torchode("Tsit5", problem.torch_rows, y0[None], ts, "Tsit5", **tol)]
    return found


def _compiled(problem: Problem, tol: dict[str, float], absent: Sequence[str]) -> list[Contender]:
    if "diffrax" in absent:
        return []
    y0 = np.array(problem.y0)
    return [_peers.diffrax(m, problem.jax, y0, problem.span, None, m, **tol) for m in ("Tsit5", "Dopri8")]


def points(problem: Problem, tolerance: float, repeats: int, absent: Sequence[str]) -> list[dict[str, Any]]:
    """One point of the diagram for each solver that can do this tolerance."""
    found, working = [], {}
    for one in contenders(problem, tolerance, absent):
        try:
            outcome = one.read(one.run())
        except (AssertionError, RuntimeError, ValueError) as failure:
            found.append({"solver": one.name, "tolerance": tolerance, "failure": type(failure).__name__})
            continue
        error = relative_error(outcome.ys[-1].ravel(), problem.reference())
        working[one.name] = one.run
        found.append({"solver": one.name, "tolerance": tolerance, "error": error, "evaluations": outcome.evaluations})
    timings = measure(working, repeats, warm_up=0)
    for point in found:
        if point["solver"] in timings:
            point["milliseconds"] = Spread.of([1e3 * s for s in timings[point["solver"]]])
    return found


def milliseconds_for(target: float, curve: Sequence[dict[str, Any]]) -> float | None:
    """Time at which a curve reaches an error, by log-log interpolation; ``None`` where it does not."""
    usable = [p for p in curve if p.get("error", 0.0) > 0.0 and math.isfinite(p["error"])]
    ordered = sorted(usable, key=lambda p: -p["error"])
    for before, after in itertools.pairwise(ordered):
        if before["error"] >= target >= after["error"]:
            errors = [math.log(p["error"]) for p in (after, before)]
            times = [math.log(p["milliseconds"].median) for p in (after, before)]
            return math.exp(float(np.interp(math.log(target), errors, times)))
    return None


def curves(found: Sequence[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """The points of each solver."""
    names = list(dict.fromkeys(point["solver"] for point in found))
    return {name: [point for point in found if point["solver"] == name] for name in names}


def fill(report: Report, problem: Problem, found: Sequence[dict[str, Any]]) -> None:
    """The tables of one problem."""
    summary = report.table(
        f"{problem.name}: milliseconds to a relative error", "solver", *(f"{target:.0e}" for target in TARGETS)
    )
    for name, curve in curves(found).items():
        summary.add(name, *(milliseconds_for(target, curve) for target in TARGETS))
    table = report.table(f"{problem.name}: all runs", "solver", "tolerance", "error", "evaluations", "ms")
    for name, curve in curves(found).items():
        for p in curve:
            table.add(
                name,
                f"{p['tolerance']:.0e}",
                p.get("error", p.get("failure")),
                p.get("evaluations"),
                p.get("milliseconds"),
            )


def draw(results: dict[str, list[dict[str, Any]]], path: Path) -> None:
    """Error against time and against evaluations, a column a problem."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(2, len(results), figsize=(4.2 * len(results), 8), squeeze=False)
    for column, (title, found) in enumerate(results.items()):
        for name, curve in curves(found).items():
            _draw_curve(axes[:, column], name, [p for p in curve if p.get("error", 0.0) > 0.0])
        axes[0, column].set(title=title, xlabel="milliseconds")
        axes[1, column].set(xlabel="evaluations of f")
    for axis in axes.flat:
        axis.set(xscale="log", yscale="log", ylabel="relative error")
        axis.grid(alpha=0.3)
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="lower center", ncols=7, frameon=False)
    figure.tight_layout(rect=(0, 0.06, 1, 1))
    figure.savefig(path, dpi=120)
    plt.close(figure)


def _draw_curve(axes: Any, name: str, curve: list[dict[str, Any]]) -> None:
    library = name.split()[0]
    colours = {"kutta": "C3", "torchdiffeq": "C0", "torchode": "C1", "diffrax": "C2", "SciPy": "C7", "CVODE": "C5"}
    marks = {"Tsit5": "o", "Dopri5": "s", "dopri5": "s", "Dopri8": "^", "dopri8": "^", "Vern7": "v", "Vern9": "D"}
    marks |= {"DOP853": "P", "LSODA": "x", "Adams": "+", "BDF": "1"}
    style = {"color": colours.get(library), "marker": marks.get(name.split()[-1], "x"), "label": name, "ms": 4}
    style["linewidth"] = 1.6 if library == "kutta" else 0.9
    errors = [p["error"] for p in curve]
    axes[0].plot([p["milliseconds"].median for p in curve], errors, **style)
    axes[1].plot([p["evaluations"] for p in curve], errors, **style)


NOTES = (
    "Error: of the state at the final time, relative, against an extrapolation method in extended precision.",
    "diffrax: jit; compilation is excluded. It and the loops of LSODA and CVODE are compiled; SciPy's DOP853, "
    "torchdiffeq, torchode and kutta loop in Python. NumPy right-hand sides of small systems use Python numbers.",
    "One small system at a time is where a tensor library in eager mode is slowest: each operation costs "
    "microseconds whatever its size. See the ensemble benchmark for many systems at once.",
    "Evaluations of diffrax are computed from its steps, those of the others are counted.",
)


def main(argv: Sequence[str] | None = None) -> Report:
    """Run and report."""
    options = arguments(argv, __doc__, repeats=5)
    absent = _peers.missing(MODULES)
    problems = (replace(VAN_DER_POL, span=(0.0, 1.0)),) if options.quick else SMALL_SYSTEMS
    tolerances = (1e-3,) if options.quick else TOLERANCES
    settings = {"repeats": options.repeats, "dtype": "float64", "tolerances": "rtol = atol", "absent": absent}
    report = Report("work-precision", "What does an accurate solution of one small system cost?", settings)
    report.notes += NOTES
    results = {}
    with _peers.float64_in_jax(absent), torch.no_grad():
        for problem in problems:
            found = [p for tolerance in tolerances for p in points(problem, tolerance, options.repeats, absent)]
            results[problem.name] = found
            fill(report, problem, found)
    report.data["points"] = results
    finish(report, options, lambda path: draw(results, path))
    return report


if __name__ == "__main__":
    main()
