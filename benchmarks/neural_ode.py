"""A neural ODE: forward without gradients, forward and backward, overhead, and memory of the adjoints."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

import kutta as kt
from benchmarks import _memory, _neural, _peers
from benchmarks._measure import Spread, Timings, measure, ratio
from benchmarks._neural import SPAN, TOLERANCE, Field, flat, gradient, initial_state
from benchmarks._peers import Contender
from benchmarks._problems import relative_error
from benchmarks._report import Report, arguments, finish

TOL = {"rtol": TOLERANCE, "atol": TOLERANCE}
ADJOINTS = {"direct": kt.Direct, "recompute": kt.Recompute}
MODULES = ("torchdiffeq", "torchode")
PEER = "torchdiffeq dopri5"
OURS = ("kutta Dopri5", "kutta Tsit5")
TIGHTER = [TOLERANCE * 10 ** (-k / 4) for k in range(1, 13)]
Solve = Callable[[Any, Tensor], Tensor]


def with_kutta(field: Any, y0: Tensor, method: Any, adjoint: Any = None) -> Tensor:
    """The final state by `kutta.solve`."""
    return kt.solve(kt.ODEProblem(field, y0, SPAN), method, adjoint=adjoint, **TOL).y1


def with_torchdiffeq(field: Any, y0: Tensor, method: str = "dopri5", **options: Any) -> Tensor:
    """The final state by `torchdiffeq.odeint`."""
    from torchdiffeq import odeint

    return odeint(field, y0, torch.tensor(SPAN), method=method, **(TOL | options))[-1]


def with_torchdiffeq_adjoint(field: Any, y0: Tensor, **options: Any) -> Tensor:
    """The final state by `torchdiffeq.odeint_adjoint`, which integrates the adjoint equation backwards."""
    from torchdiffeq import odeint_adjoint

    return odeint_adjoint(field, y0, torch.tensor(SPAN), method="dopri5", **TOL, **options)[-1]


def forward_solvers(field: Field, y0: Tensor, absent: Sequence[str]) -> list[Contender]:
    """Solvers of the forward problem."""
    ts = torch.tensor(SPAN)
    problem = kt.ODEProblem(field, y0, SPAN)
    found = [_peers.kutta(name, problem, getattr(kt, name)(), **TOL) for name in ("Dopri5", "Tsit5")]
    if "torchdiffeq" not in absent:
        found.append(_peers.torchdiffeq("dopri5", field, y0, ts, "dopri5", **TOL))
    if "torchode" not in absent:
        found.append(_peers.torchode("Dopri5, a step size a row", field, y0, ts, "Dopri5", **TOL))
    return found


def as_accurate(ours: Contender, field: Field, y0: Tensor) -> Contender:
    """torchdiffeq with the loosest of some tolerances at which its error is not larger than ours."""
    expected = _neural.reference(field, y0)
    bound = relative_error(ours.read(ours.run()).ys[-1], expected)
    for tolerance in TIGHTER:
        tol = {"rtol": tolerance, "atol": tolerance}
        one = _peers.torchdiffeq(f"dopri5 at {tolerance:.0e}", field, y0, torch.tensor(SPAN), "dopri5", **tol)
        if relative_error(one.read(one.run()).ys[-1], expected) <= bound:
            break
    return one


@torch.no_grad()
def forward(report: Report, field: Field, y0: Tensor, repeats: int, absent: Sequence[str]) -> None:
    """Time, steps, errors and overhead without gradients."""
    found = forward_solvers(field, y0, absent)
    if "torchdiffeq" not in absent:
        found.append(as_accurate(found[0], field, y0))
        accurate = found[-1].name
    outcomes = {one.name: one.read(one.run()) for one in found}
    bare = {f"f of {name}": _bare(field, y0, outcome.evaluations or 1) for name, outcome in outcomes.items()}
    timings = measure({one.name: one.run for one in found} | bare, repeats, warm_up=2)
    expected = _neural.reference(field, y0)
    table = report.table(
        "Forward, no gradient", "solver", "ms", "error", "steps", "evaluations", "time / (evaluations x f)"
    )
    for name, outcome in outcomes.items():
        overhead = ratio(timings[name], timings[f"f of {name}"])
        error = relative_error(outcome.ys[-1], expected)
        table.add(name, _milliseconds(timings[name]), error, outcome.steps, outcome.evaluations, overhead)
    _ratios(report, "Forward: time over that of kutta, paired", timings, PEER, OURS, 2.5)
    if "torchdiffeq" not in absent:
        _ratios(report, "Forward: the same for torchdiffeq as accurate as kutta Dopri5", timings, accurate, OURS)
    report.data["forward seconds"] = timings


def _bare(field: Field, y0: Tensor, evaluations: int) -> Callable[[], None]:
    """The right-hand side alone, as often as a solver evaluates it."""
    t = torch.zeros(())

    def run() -> None:
        for _ in range(evaluations):
            field(t, y0)

    return run


def gradient_solvers(absent: Sequence[str]) -> dict[str, Solve]:
    """Ways to a differentiable final state."""
    found: dict[str, Solve] = {
        f"kutta {type(method).__name__}, {type(adjoint).__name__}": partial(with_kutta, method=method, adjoint=adjoint)
        for method in (kt.Dopri5(), kt.Tsit5())
        for adjoint in (kt.Direct(), kt.Recompute())
    }
    if "torchdiffeq" not in absent:
        found[PEER] = with_torchdiffeq
        found["torchdiffeq dopri5, adjoint"] = with_torchdiffeq_adjoint
        found["torchdiffeq dopri5, adjoint, seminorm"] = partial(
            with_torchdiffeq_adjoint, adjoint_options={"norm": "seminorm"}
        )
    return found


def forward_and_backward(report: Report, field: Field, y0: Tensor, repeats: int, absent: Sequence[str]) -> None:
    """Time and accuracy of gradients."""
    solvers = gradient_solvers(absent)
    timings = measure({name: partial(gradient, solve, field, y0) for name, solve in solvers.items()}, repeats)
    expected = _exact_gradient(field, y0)
    table = report.table("Forward and backward", "solver", "ms", "error of the gradient", "calls of f")
    for name, solve in solvers.items():
        error = relative_error(flat(gradient(solve, field, y0)), expected)
        table.add(name, _milliseconds(timings[name]), error, _calls(solve, field, y0))
    ours = tuple(name for name in timings if name.startswith("kutta"))
    for peer in (name for name in timings if name not in ours):
        bar = 1.8 if peer == PEER else None
        _ratios(report, f"Forward and backward: {peer} over kutta, paired", timings, peer, ours, bar)
    report.data["gradient seconds"] = timings


def _calls(solve: Solve, field: Field, y0: Tensor) -> int:
    """Calls of `field` in the forward and the backward pass."""
    calls = []
    hook = field.register_forward_pre_hook(lambda *_: calls.append(1))
    gradient(solve, field, y0)
    hook.remove()
    return len(calls)


def _exact_gradient(field: Field, y0: Tensor) -> np.ndarray[Any, Any]:
    """By an eighth-order method in float64 with tolerance 1e-11."""
    wide = Field().double()
    wide.load_state_dict(field.state_dict())

    def solve(f: Any, y: Tensor) -> Tensor:
        problem = kt.ODEProblem(f, y, SPAN)
        return kt.solve(problem, kt.Dopri8(), rtol=1e-11, atol=1e-11).y1

    return flat(gradient(solve, wide, y0.double()))


def _ratios(
    report: Report, title: str, timings: Timings, peer: str, ours: Sequence[str], bar: float | None = None
) -> None:
    if peer not in timings:
        return
    table = report.table(title, "kutta", f"{peer} / kutta", "bar")
    for name in ours:
        same = name in ("kutta Dopri5", "kutta Dopri5, Direct")
        table.add(name, ratio(timings[peer], timings[name]), f">= {bar}" if bar and same else None)


def _milliseconds(seconds: Sequence[float]) -> Spread:
    return Spread.of([1e3 * s for s in seconds])


def fixed_gradient(field: Field, y0: Tensor, adjoint: str, steps: int) -> Sequence[Tensor]:
    """The gradient through a number of fixed steps of Dormand and Prince's method."""
    control = kt.Fixed((SPAN[1] - SPAN[0]) / steps)

    def solve(f: Any, y: Tensor) -> Tensor:
        problem = kt.ODEProblem(f, y, SPAN)
        return kt.solve(problem, kt.Dopri5(), controller=control, adjoint=ADJOINTS[adjoint]()).y1

    return gradient(solve, field, y0)


def fixed_forward(field: Field, y0: Tensor, adjoint: str, steps: int) -> Tensor:
    """The same without the backward pass."""
    control = kt.Fixed((SPAN[1] - SPAN[0]) / steps)
    problem = kt.ODEProblem(field, y0.clone().requires_grad_(), SPAN)
    return kt.solve(problem, kt.Dopri5(), controller=control, adjoint=ADJOINTS[adjoint]()).y1


def memory(report: Report, field: Field, y0: Tensor, steps: int) -> None:
    """Peak memory of the adjoints over many fixed steps."""
    table = report.table(
        f"Memory of {steps} fixed steps, MB",
        "adjoint",
        "peak of live tensors",
        "saved by autograd",
        "growth of the process",
    )
    figures = {name: _memory_of(field, y0, name, steps) for name in ADJOINTS}
    for name, values in figures.items():
        table.add(name, *(value / 1e6 for value in values))
    pairs = zip(figures["recompute"], figures["direct"], strict=True)
    shares = [100 * ours / direct if direct else None for ours, direct in pairs]
    table.add("recompute, % of direct (bar: at most 5)", *shares)
    report.data["memory bytes"] = figures


def _memory_of(field: Field, y0: Tensor, adjoint: str, steps: int) -> tuple[int, int, int]:
    live = _memory.peak_bytes(lambda: fixed_gradient(field, y0, adjoint, steps))
    saved = _memory.saved_bytes(lambda: fixed_forward(field, y0, adjoint, steps))
    command = [sys.executable, "-m", "benchmarks._peak_memory", adjoint, str(steps)]
    root = Path(__file__).parent.parent
    resident = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout
    return live, saved, int(resident)


def draw(report: Report, path: Path) -> None:
    """Median times as bars."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(2, 1, figsize=(8, 7))
    for axis, key, title in zip(
        axes, ("forward seconds", "gradient seconds"), ("forward", "forward and backward"), strict=True
    ):
        timings = report.data[key]
        names = [name for name in timings if not name.startswith("f of")]
        medians = [1e3 * Spread.of(timings[name]).median for name in names]
        axis.barh(names, medians, color=["C3" if name.startswith("kutta") else "C0" for name in names])
        axis.invert_yaxis()
        axis.set(title=title, xlabel="milliseconds")
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    plt.close(figure)


NOTES = (
    f"Weights: normal with standard deviation {_neural.GAIN} / sqrt(inputs), seed 0, chosen so that the solve takes "
    "the 20 to 60 steps of a trained model. Only the final state is asked for.",
    "Errors: relative in the root mean square, of the final state against DOP853 in float64 at 1e-12, of the gradient "
    "against an eighth-order solve in float64 at 1e-11.",
    "time / (evaluations x f): wall time over that of evaluating f alone equally often, in the same rounds.",
    "torchdiffeq measures the error of its dopri5 by another embedded method than Dormand and Prince's, whose estimate "
    "is smaller: at one tolerance its steps are longer and less accurate. The row with another tolerance is the "
    "loosest at which it is as accurate as kutta's Dopri5.",
    "torchode gives each of the 128 rows its own step size, which is another problem; for information.",
    "Memory. Peak of live tensors: bytes of all storages made during the solve and its backward pass that are alive "
    "at once. Saved by autograd: distinct storages on the tape at the end of the forward pass; Recompute's states are "
    "not among them. Growth of the process: peak resident size of a fresh process beyond that after a few steps, "
    "which includes the allocator's slack and Python's objects.",
)


def main(argv: Sequence[str] | None = None) -> Report:
    """Run and report."""
    options = arguments(argv, __doc__, repeats=11)
    absent = _peers.missing(MODULES)
    field, y0 = Field(0.5 if options.quick else _neural.GAIN), initial_state(8 if options.quick else _neural.BATCH)
    settings = {"repeats": options.repeats, "dtype": "float32", **TOL, "span": SPAN, "batch": len(y0)}
    report = Report("neural-ode", "What does a neural ODE cost?", settings | {"absent": absent})
    report.notes += NOTES
    forward(report, field, y0, options.repeats, absent)
    forward_and_backward(report, field, y0, options.repeats, absent)
    memory(report, field, y0, 10 if options.quick else 1000)
    finish(report, options, lambda path: draw(report, path))
    return report


if __name__ == "__main__":
    main()
