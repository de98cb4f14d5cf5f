"""Tensor operations and reads of device values by the host, a step, of the eager PyTorch solvers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

import kutta as kt
from benchmarks import _peers
from benchmarks._peers import Contender
from benchmarks._report import Report, arguments, finish

MODULES = ("torchdiffeq", "torchode")
# Operations whose result the host has to wait for: a number, or a tensor of unknown size.
BLOCKING_OPERATIONS = ("_local_scalar_dense", "nonzero", "masked_select", "is_nonzero", "equal", "unique")
# Python methods that copy to the host without such an operation.
BLOCKING_METHODS = ("tolist", "numpy", "cpu", "__array__")
VIEWS = ("view", "reshape", "expand", "slice", "select", "unsqueeze", "squeeze", "permute", "t", "transpose", "split")
VIEWS += ("alias", "detach", "unbind", "_unsafe_view", "split_with_sizes", "as_strided")


class Operations(TorchDispatchMode):
    """Counts tensor operations by name."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        self.counts[name] += 1
        if name == "index" and any(i is not None and i.dtype is torch.bool for i in args[1]):
            self.counts["nonzero"] += 1
        return func(*args, **(kwargs or {}))


class Methods(TorchFunctionMode):
    """Counts calls of the methods that copy to the host."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = getattr(func, "__name__", "")
        if name in BLOCKING_METHODS:
            self.counts[name] += 1
        return func(*args, **(kwargs or {}))


def count(run: Callable[[], Any]) -> Counter[str]:
    """Operations by name, with ``reads``, ``views`` and ``all``."""
    with Methods() as methods, Operations() as operations:
        run()
    counts = operations.counts
    reads = sum(counts[name] for name in BLOCKING_OPERATIONS) + sum(methods.counts.values())
    views = sum(counts[name] for name in VIEWS)
    return Counter({**counts, **methods.counts, "all": counts.total(), "views": views, "reads": reads})


def per_step(make: Callable[[float], Contender], short: float, long: float) -> dict[str, float]:
    """What each further step costs: the difference of a long and a short solve, so that set-up cancels."""
    ends = [make(end) for end in (short, long)]
    counts = [count(one.run) for one in ends]
    steps = [one.read(one.run()).steps or 0 for one in ends]
    further = steps[1] - steps[0]
    return {name: (counts[1][name] - counts[0][name]) / further for name in counts[1]} | {"steps": float(further)}


def solvers(single: bool, saved: int, absent: Sequence[str]) -> dict[str, Callable[[float], Contender]]:
    """Solvers of ``y' = -y`` for 64 entries, to a given end."""
    found: dict[str, Callable[[float], Contender]] = {
        f"kutta {name}": lambda end, name=name: _kutta(name, single, saved, end) for name in ("Dopri5", "Tsit5")
    }
    if single and "torchdiffeq" not in absent:
        found["torchdiffeq dopri5"] = lambda end: _peers.torchdiffeq(
            "dopri5", decay, _start(), _times(end, saved), "dopri5", **TOL
        )
    if not single and "torchode" not in absent:
        for name in ("Dopri5", "Tsit5"):
            found[f"torchode {name}"] = lambda end, name=name: _peers.torchode(
                name, decay, _start(), _times(end, saved), name, **TOL
            )
    return found


TOL = {"rtol": 1e-6, "atol": 1e-6}


def decay(t: Any, y: Any) -> Any:
    """The right-hand side: one operation."""
    return -y


def _start() -> torch.Tensor:
    return torch.linspace(1.0, 2.0, 64).reshape(32, 2)


def _times(end: float, saved: int) -> torch.Tensor:
    return torch.linspace(0.0, end, saved)


def _kutta(name: str, single: bool, saved: int, end: float) -> Contender:
    kind = kt.ODEProblem if single else kt.EnsembleProblem
    options = {} if single else {"vectorized": True}
    problem = kind(decay, _start(), (0.0, end), **options)
    return _peers.kutta(name, problem, getattr(kt, name)(), save_at=_times(end, saved).double(), **TOL)


def compare(report: Report, single: bool, saved: int, ends: tuple[float, float], absent: Sequence[str]) -> None:
    """A table for one kind of problem."""
    kind = "one step size" if single else "a step size a trajectory"
    table = report.table(
        f"A further step, {kind}, {saved} output times", "solver", "operations", "of these views", "host reads", "steps"
    )
    with torch.no_grad():
        for name, make in solvers(single, saved, absent).items():
            found = per_step(make, *ends)
            table.add(name, found["all"], found["views"], found["reads"], int(found["steps"]))
            report.data[f"{name}, {kind}, {saved} output times"] = found


NOTES = (
    "f is one operation, and a Runge-Kutta method of order five calls it six times a step. The figures are the "
    "difference of a long and a short solve over that of their steps, rejected ones included.",
    "Host reads: values that Python waits for (item, bool, float, tolist, numpy, cpu) and operations whose result has "
    "a size that depends on values (nonzero, boolean indexing). On a GPU each one stops the queue. Interpolation at "
    "output times is included.",
)


def main(argv: Sequence[str] | None = None) -> Report:
    """Run and report."""
    options = arguments(argv, __doc__, repeats=1)
    absent = _peers.missing(MODULES)
    report = Report("host-reads", "How many operations and host reads does a step take?", {**TOL, "absent": absent})
    report.notes += NOTES
    ends = (2.0, 6.0) if options.quick else (5.0, 30.0)
    for single in (True, False):
        for saved in (2, 50):
            compare(report, single, saved, ends, absent)
    finish(report, options)
    return report


if __name__ == "__main__":
    main()
