"""Reaction and diffusion traced from a loop over cells: operations and time before and after simplification."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks._measure import Spread, measure, ratio
from benchmarks._problems import relative_error
from benchmarks._report import Report, arguments, finish
from kutta.solvers.engines.kernel.build import library
from kutta.solvers.engines.kernel.functions import Layout, function
from kutta.solvers.engines.kernel.precision import ALONE, BLOCK, elementary_functions
from kutta.solvers.engines.tracing.program import Builder, Node, Program
from kutta.solvers.engines.tracing.trace import Traced, trace

CELLS, QUICK = 64, 8
CALLS = 1000
# Gray and Scott's reaction, with the numbers of Pearson, Complex patterns in a simple system, Science 261, 1993.
SPREAD_U, SPREAD_V, FEED, DECAY, LENGTH = 2e-5, 1e-5, 0.04, 0.06, 2.5
LOOPS, ROWS = "eager, loop over cells", "eager, whole rows by hand"
ASKED, SIMPLE = "compiled as it was asked for", "compiled after simplification"


def loop_over_cells(t: Tensor, y: Tensor) -> Tensor:
    """As one writes it down first: cell by cell, with powers, and the reaction in both equations."""
    cells = len(y) // 2
    u, v, dx = y[:cells], y[cells:], LENGTH / cells
    du, dv = [], []
    for i in range(cells):
        left, right = (i - 1) % cells, (i + 1) % cells
        spread_u = SPREAD_U * (u[left] - 2 * u[i] + u[right]) / dx**2
        spread_v = SPREAD_V * (v[left] - 2 * v[i] + v[right]) / dx**2
        du.append(spread_u - u[i] * v[i] ** 2 + FEED * (1 - u[i]))
        dv.append(spread_v + u[i] * v[i] ** 2 - (FEED + DECAY) * v[i])
    return torch.stack(du + dv)


def whole_rows(xp: Any, y: Any) -> Any:
    """The same by hand, for all cells at once."""
    u, v = y.reshape(2, -1)
    scale, made = u.shape[0] ** 2 / LENGTH**2, u * v * v
    du = SPREAD_U * scale * (xp.roll(u, 1) - 2 * u + xp.roll(u, -1)) - made + FEED * (1 - u)
    dv = SPREAD_V * scale * (xp.roll(v, 1) - 2 * v + xp.roll(v, -1)) + made - (FEED + DECAY) * v
    return xp.concatenate([du, dv])


class Verbatim(Builder):
    """Writes every operation down as it is asked for."""

    def _simple(self, operation: str, *arguments: int) -> int:
        self.nodes.append(Node(operation, arguments))
        return len(self.nodes) - 1


def traced(y: Tensor, builder: Builder) -> Traced:
    """The loop over cells as a scalar program."""
    return trace(loop_over_cells, ("t", "y"), (torch.zeros((), dtype=y.dtype), y), builder)


HARNESS = """
extern "C" void repeat(const V *y, V *dy, const real *nothing, long calls) {
  for (long n = 0; n < calls; n++) {
    f(splat(0), y, y, nothing, dy);
    asm volatile("" : : : "memory"); // so that no call is left out
  }
}
extern "C" long lanes() { return W; }
"""


class Compiled:
    """A program that is called many times over, on one state or on a block of equal ones."""

    def __init__(self, program: Program, y: Tensor, registers: str):
        text = function("f", program, Layout(len(y), 0, (), 0), {"dy": len(y)})
        self.library = library("\n".join([elementary_functions(y.dtype, registers), text, HARNESS]))
        self.lanes = self.library.lanes()
        self.y = y[:, None].expand(-1, self.lanes).contiguous()
        self.dy = torch.empty_like(self.y)

    def run(self) -> None:
        y, dy = (ctypes.c_void_p(one.data_ptr()) for one in (self.y, self.dy))
        self.library.repeat(y, dy, y, ctypes.c_long(CALLS))

    def slope(self) -> Tensor:
        self.run()
        return self.dy[:, 0]


def state(cells: int, dtype: torch.dtype) -> Tensor:
    """Both substances, in the middle of their range."""
    u, v = np.random.default_rng(0).uniform((0.5, 0.1), (1.0, 0.4), size=(cells, 2)).T
    return torch.from_numpy(np.concatenate([u, v])).to(dtype)


def compare(report: Report, cells: int, dtype: torch.dtype, repeats: int) -> None:
    """Operations, times and errors of all forms in one precision."""
    y, t = state(cells, dtype), torch.zeros((), dtype=dtype)
    programs = {ASKED: traced(y, Verbatim()).program, SIMPLE: traced(y, Builder()).program}
    alone = {name: Compiled(program, y, ALONE) for name, program in programs.items()}
    blocks = {name: Compiled(program, y, BLOCK) for name, program in programs.items()}
    eager = {LOOPS: lambda: loop_over_cells(t, y), ROWS: lambda: whole_rows(torch, y)}
    slopes = {name: f() for name, f in eager.items()} | {name: one.slope() for name, one in alone.items()}
    calls = eager | {name: one.run for name, one in alone.items()}
    timings = measure(calls | {f"{name}, a block": one.run for name, one in blocks.items()}, repeats)
    each = {name: [seconds / shares(name, blocks) for seconds in row] for name, row in timings.items()}
    reference = whole_rows(np, y.numpy().astype(np.longdouble))
    name = str(dtype).removeprefix("torch.")
    columns = ("form", "operations", "microseconds", "time / simplified", "microseconds in a block", "error")
    table = report.table(f"{cells} cells, {name}", *columns)
    for form, slope in slopes.items():
        operations = programs[form].cost if form in programs else None
        inside = each.get(f"{form}, a block")
        cells_of_row = (_microseconds(each[form]), ratio(each[form], each[SIMPLE]), inside and _microseconds(inside))
        table.add(form, operations, *cells_of_row, relative_error(slope.numpy(), reference))
    report.data[name] = {"seconds": each, "operations": {form: one.operations for form, one in programs.items()}}


def shares(name: str, blocks: dict[str, Compiled]) -> int:
    """Right-hand sides that one call of a contender evaluates."""
    form = name.removesuffix(", a block")
    if form not in blocks:
        return 1
    return CALLS * (blocks[form].lanes if name != form else 1)


def _microseconds(seconds: Sequence[float]) -> Spread:
    return Spread.of([1e6 * one for one in seconds])


def count(report: Report, cells: int) -> None:
    """Which operations are left."""
    y = state(cells, torch.float64)
    before, after = (traced(y, builder).program.operations for builder in (Verbatim(), Builder()))
    table = report.table("Operations", "operation", "as it was asked for", "after simplification")
    for operation in sorted(before | after, key=lambda one: -before[one]):
        table.add(operation, before[operation], after[operation])
    table.add("all", before.total(), after.total())


NOTES = (
    "Gray and Scott's reaction on a ring of cells, written as a Python loop over cells with powers, divisions by the "
    "squared width of a cell, and the reaction in both equations.",
    "A time is that of one evaluation; compiled ones are called a thousand times in a row from C++. In a block: the "
    "time of a block of lanes over their number, as in an ensemble.",
    "The compiler simplifies too (common subexpressions, squares): what it is given to read is what is counted.",
    "Error: of the slope, relative in the root mean square, against whole rows in extended precision.",
)


@torch.no_grad()
def main(argv: Sequence[str] | None = None) -> Report:
    """Run and report."""
    options = arguments(argv, __doc__, repeats=11)
    cells = QUICK if options.quick else CELLS
    settings = {"repeats": options.repeats, "cells": cells, "entries": 2 * cells}
    report = Report("kernel-symbolic", "What do tracing and simplification do to a loop over cells?", settings)
    report.notes += NOTES
    count(report, cells)
    for dtype in (torch.float64, torch.float32):
        compare(report, cells, dtype, options.repeats)
    finish(report, options)
    return report


if __name__ == "__main__":
    main()
