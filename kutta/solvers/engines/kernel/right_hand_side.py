"""The right-hand side of a problem as a program of one trajectory, and the numbers it is given."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from kutta.autodiff import carries_gradient
from kutta.problems import EnsembleProblem
from kutta.solvers.engines.kernel.source import Layout
from kutta.solvers.engines.tracing.program import Builder, Node, Program, needed_by
from kutta.solvers.engines.tracing.trace import NotTraceable, Traced, trace
from kutta.solvers.field import batched_arguments, checked_slope
from kutta.state import Layout as StateLayout

NAMES = ("t", "y", "parameter")


@dataclass(frozen=True)
class RightHandSide:
    """What a kernel needs to know of ``f``.

    Attributes:
        program: one trajectory's, of inputs ``"t"``, ``"y"``, ``"parameter"`` and ``"captured"``.
        layout: where they lie.
        own: parameters that each trajectory has for itself, ``(n, own)``.
        shared: parameters of all, and what `f` captured.
    """

    program: Program
    layout: Layout
    own: Tensor
    shared: Tensor


def right_hand_side(problem: Any, layout: StateLayout) -> RightHandSide:
    """Trace the right-hand side of a problem.

    Raises:
        ValueError: where it cannot be traced, saying why.
    """
    many = isinstance(problem, EnsembleProblem)
    nothing = tuple(pytree.tree_map(lambda leaf: False, arg) for arg in problem.args)
    batched = batched_arguments(problem, layout.batch or 0) if many else nothing
    leaves, flags = pytree.tree_leaves(problem.args), pytree.tree_leaves(batched)
    parameters = [(leaf, flag) for leaf, flag in zip(leaves, flags, strict=True) if _is_real(leaf)]
    sizes = layout.sizes
    try:
        if any(flag and not _is_real(leaf) for leaf, flag in zip(leaves, flags, strict=True)):
            raise NotTraceable("args has a whole number or truth value for each trajectory: make it floating-point")
        if many and problem.vectorized:
            traced, other = (_traced(problem, layout, batched, rows) for rows in (2, 3))
            program = _of_one(traced.program, sizes, parameters, 2)
            if program != _of_one(other.program, sizes, parameters, 3):
                raise NotTraceable("with vectorized=True it must not depend on how many trajectories there are")
        else:
            traced = _traced(problem, layout, batched, None)
            program = traced.program
        _check_captured(traced)
        return _laid_out(program, traced, parameters, sum(sizes), layout)
    except NotTraceable as reason:
        raise ValueError(f"Kernel() cannot trace f: {reason}. Use engine=Eager()") from reason


def _traced(problem: Any, layout: StateLayout, batched: Any, rows: int | None) -> Traced:
    """The right-hand side shown one trajectory, or several alike, and what it returns checked like any slope."""
    many = layout.batch is not None

    def example(leaf: Any, has_rows: bool) -> Any:
        if not (isinstance(leaf, Tensor) and has_rows):
            return leaf
        return leaf[0] if rows is None else leaf[:1].expand(rows, *leaf.shape[1:]).clone()

    t = torch.zeros(() if rows is None else (rows,), dtype=layout.dtype)
    y = pytree.tree_map(lambda leaf: example(leaf, many), problem.y0)
    args = pytree.tree_map(example, problem.args, batched)
    with torch.no_grad():
        checked_slope(problem.f(t, y, *args), y, replace(layout, batch=rows))
    return trace(lambda t, y, args: layout.spec.flatten_up_to(problem.f(t, y, *args)), NAMES, (t, y, args))


def _is_real(leaf: Any) -> bool:
    return isinstance(leaf, Tensor) and leaf.is_floating_point()


def _check_captured(traced: Traced) -> None:
    if any(carries_gradient(tensor) for tensor in traced.captured):
        raise NotTraceable("it uses tensors that require gradients, which Kernel() does not give yet")


def _laid_out(
    program: Program, traced: Traced, parameters: list[tuple[Tensor, bool]], size: int, layout: StateLayout
) -> RightHandSide:
    """Separate what each trajectory has for itself from what all share."""
    own, shared = [], []
    places: list[tuple[bool, int]] = []
    count = layout.batch or 1
    for leaf, is_own in parameters:
        flat = leaf.detach().to(layout.dtype)
        flat = flat.reshape(count, -1) if is_own else flat.reshape(-1)
        kept = own if is_own else shared
        first = sum(one.shape[-1] for one in kept)
        places += [(is_own, first + place) for place in range(flat.shape[-1])]
        kept.append(flat)
    first = sum(len(one) for one in shared)
    shared += [tensor.detach().to(layout.dtype).reshape(-1) for tensor in traced.captured]
    nothing = torch.zeros(count, 0, dtype=layout.dtype)
    numbers = torch.cat(shared) if shared else nothing[0]
    where = Layout(size, sum(one.shape[1] for one in own), len(numbers), tuple(places), first)
    return RightHandSide(program, where, torch.cat([nothing, *own], dim=1).contiguous(), numbers.contiguous())


def _of_one(program: Program, state: list[int], parameters: list[tuple[Tensor, bool]], count: int) -> Program:
    """The program of one of the few trajectories that a right-hand side of all was shown.

    Raises:
        NotTraceable: where a trajectory sees another one.
    """
    states = _rows([(size, True) for size in state], count)
    sizes = [(leaf.numel() // len(leaf) if is_own else leaf.numel(), is_own) for leaf, is_own in parameters]
    rows = {"t": [(row, 0) for row in range(count)], "y": states, "parameter": _rows(sizes, count)}
    alone = []
    for row in range(count):
        outputs = [node for node, (own, _) in zip(program.outputs, states, strict=True) if own == row]
        alone.append(_restricted(program, outputs, rows, row))
    if any(one != alone[0] for one in alone):
        raise NotTraceable("with vectorized=True it must do the same for every trajectory")
    return alone[0]


def _rows(sizes: list[tuple[int, bool]], count: int) -> list[tuple[int | None, int]]:
    """Of every flat place of leaves with some rows, or with none, the row and the place in one trajectory."""
    found: list[tuple[int | None, int]] = []
    first = 0
    for size, has_rows in sizes:
        found += [(row, first + place) for row in (range(count) if has_rows else (None,)) for place in range(size)]
        first += size
    return found


def _restricted(program: Program, outputs: list[int], rows: dict[str, Any], row: int) -> Program:
    """The part of a program that some outputs need, its inputs those of one row."""
    builder, known = Builder(), {}
    for number in needed_by(program.nodes, outputs):
        known[number] = _moved(builder, program.nodes[number], known, rows, row)
    return builder.program([known[output] for output in outputs])


def _moved(builder: Builder, node: Node, known: dict[int, int], rows: dict[str, Any], row: int) -> int:
    if node.operation == "const":
        return builder.const(node.value)
    if node.operation != "input":
        return builder.apply(node.operation, *(known[one] for one in node.arguments))
    name, place = node.value
    if name == "captured":
        return builder.input(name, place)
    own, where = rows[name][place]
    if own not in (None, row):
        raise NotTraceable("with vectorized=True a trajectory must not depend on the others")
    return builder.input(name, where)
