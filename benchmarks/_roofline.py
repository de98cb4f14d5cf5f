"""How much of what a processor can do is done: operations counted from the trace, over a measured peak."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from benchmarks._measure import Spread
from benchmarks._report import Report, Table
from kutta.problems import EnsembleProblem
from kutta.solvers.engines.kernel.build import library
from kutta.solvers.engines.kernel.machines import FEW
from kutta.solvers.engines.kernel.right_hand_side import Cast, right_hand_side
from kutta.solvers.engines.tracing.derivative import jacobian
from kutta.solvers.engines.tracing.program import Program
from kutta.solvers.tableaus.tableau import Tableau
from kutta.state import as_state, layout_of

# Chains of multiply-and-add that do not wait for each other, enough to hide the latency of one.
CHAINS, ROUNDS = 8, 200_000
SOURCE = """
typedef {real} V __attribute__((vector_size(64)));
extern "C" void run(long rounds, double *out) {{
  V sums[{chains}], factor = V{{}} + {real}(0.999), move = V{{}} + {real}(0.001);
  for (int i = 0; i < {chains}; i++) sums[i] = V{{}} + {real}(i);
  for (long r = 0; r < rounds; r++)
    for (int i = 0; i < {chains}; i++) sums[i] = sums[i] * factor + move;
  for (int i = 0; i < {chains}; i++) *out += sums[i][0];
}}
"""
NOTE = (
    "Operations: additions, multiplications, divisions and elementary functions of the simplified trace count one "
    "each, as do those of the sums of the tableau and, for Rosenbrock methods, of the Jacobian and of dense "
    "elimination; the error's norm, the choice of the step size and the lanes that stand idle are not counted. Peak: "
    f"{CHAINS} chains of fused multiplications and additions (two operations each) in the widest registers, one "
    "thread, measured in the same rounds."
)


def peak(dtype: torch.dtype) -> tuple[Callable[[], None], int]:
    """A loop of fused multiplications and additions, and how many operations it does."""
    real, size = ("float", 4) if dtype == torch.float32 else ("double", 8)
    compiled = library(SOURCE.format(real=real, chains=CHAINS))
    out = ctypes.c_double()

    def run() -> None:
        compiled.run(ctypes.c_long(ROUNDS), ctypes.byref(out))

    return run, 2 * CHAINS * ROUNDS * 64 // size


def program_of(problem: Any) -> Program:
    """The simplified right-hand side of one trajectory."""
    layout = layout_of(as_state(problem.y0), isinstance(problem, EnsembleProblem))
    return right_hand_side(Cast(problem, layout))[0].program


def operations_of_step(program: Program, tableau: Any) -> int:
    """Scalar operations of one step."""
    return (_of_explicit if isinstance(tableau, Tableau) else _of_rosenbrock)(program, tableau)


def _of_explicit(program: Program, tableau: Tableau) -> int:
    """Sums ``y + h sum_i a_i k_i`` and ``h sum_i e_i k_i``, and the right-hand side."""
    rows = [*tableau.a[1:], *([] if tableau.first_same_as_last else [tableau.b])]
    sums = sum(2 * _terms(row) + 1 for row in rows)
    errors = sum(2 * _terms(row) for row in (tableau.error, tableau.second_error) if row)
    evaluations = tableau.stages - tableau.first_same_as_last
    return evaluations * program.cost + len(program.outputs) * (sums + errors)


def _of_rosenbrock(program: Program, tableau: Any) -> int:
    """Those sums, the Jacobian, its factors (``2/3 n^3``), and two triangular systems a stage (``2 n^2``)."""
    size = len(program.outputs)
    slopes = jacobian(program, [*(("y", place) for place in range(size)), ("t", 0)])
    sums = sum(2 * _terms(row) for row in (*tableau.a, *tableau.coupling, tableau.weights, tableau.error))
    solves = tableau.stages * (program.cost + 2 * size * size)
    return slopes.cost + 2 * size**3 // 3 + solves + size * sums


def _terms(row: Sequence[Any]) -> int:
    return sum(bool(one) for one in row)


def table_of(report: Report, peaks: Sequence[float], dtype: torch.dtype) -> Roofline:
    """A new table under the peak of a type, given the seconds of `peak`."""
    rate = peak(dtype)[1] / Spread.of(peaks).median
    title = f"Roofline of the kernel: peak of one thread {rate / 1e9:.3g} 10^9 operations a second"
    columns = ("operations of f", "operations of a step", "steps", "threads", "10^9 operations / s", "% of peak")
    if NOTE not in report.notes:
        report.notes.append(NOTE)
    return Roofline(report.table(f"{title}, {str(dtype).removeprefix('torch.')}", "problem", *columns), rate)


@dataclass(frozen=True)
class Roofline:
    """A table of solves, and the operations a second that one thread could do."""

    table: Table
    rate: float

    def add(self, name: str, problem: Any, method: Any, solution: Any, seconds: Sequence[float]) -> None:
        """What a solve did in its median time."""
        program, steps = program_of(problem), float(torch.as_tensor(solution.stats.steps).sum())
        work, threads = operations_of_step(program, method.tableau), _threads(problem)
        speed = steps * work / Spread.of(seconds).median
        share = 100.0 * speed / (self.rate * threads)
        self.table.add(name, program.cost, work, f"{steps:.3g}", threads, speed / 1e9, share)


def _threads(problem: Any) -> int:
    """Threads that the kernel uses by default."""
    many = isinstance(problem, EnsembleProblem) and len(problem.y0) >= FEW
    return torch.get_num_threads() if many else 1
