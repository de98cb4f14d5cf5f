"""The right-hand side of a problem as a program of one trajectory, and the numbers it is given."""

from __future__ import annotations

import random
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from kutta.autodiff import carries_gradient
from kutta.problems import EnsembleProblem
from kutta.solvers.engines.kernel.functions import Layout
from kutta.solvers.engines.kernel.refusal import refuse
from kutta.solvers.engines.tracing.derivative import Input
from kutta.solvers.engines.tracing.fingerprint import Reads, Unclear, fingerprint
from kutta.solvers.engines.tracing.program import Builder, Node, Program, needed, needed_by
from kutta.solvers.engines.tracing.trace import NotTraceable, Traced, trace
from kutta.solvers.field import batched_arguments, checked_slope
from kutta.state import Layout as StateLayout

NAMES = ("t", "y", "parameter")
# Right-hand sides that are kept, so that solving again need not trace again.
MOST_KEPT = 64


@dataclass(frozen=True)
class RightHandSide:
    """What a kernel needs to know of ``f``, whatever the values of its tensors.

    Attributes:
        program: one trajectory's, of inputs ``"t"``, ``"y"``, ``"parameter"`` and ``"captured"``.
        conditions: of events, of the same inputs, one output each.
        layout: where they lie.
        captured: the tensors that `f` uses besides its arguments: a number of those that its
            fingerprint found, or a constant.
        libraries: what was compiled for it.
        differentiable: the directions in which its gradients have been found to be those of its operations.
    """

    program: Program
    conditions: Program
    layout: Layout
    captured: tuple[int | Tensor, ...]
    libraries: dict[Hashable, Any] = field(default_factory=dict, compare=False)
    differentiable: list[tuple[Input, ...]] = field(default_factory=list, compare=False)

    def reached(self, tensors: tuple[Tensor, ...]) -> list[Tensor]:
        """The captured tensors, given those that the fingerprint found."""
        return [tensors[one] if isinstance(one, int) else one for one in self.captured]


@dataclass(frozen=True)
class Numbers:
    """The values that a right-hand side is given, on the tape where they require gradients.

    Attributes:
        own: parameters that each trajectory has for itself, ``(n, own)``.
        shared: parameters of all, and what `f` captured, ``(shared,)``.
        differentiated: the inputs of the program that receive gradients, each with its place in `own`
            or `shared` (and whether it is one's own).
    """

    own: Tensor
    shared: Tensor
    differentiated: tuple[tuple[Input, tuple[bool, int]], ...]


def right_hand_side(cast: Cast) -> tuple[RightHandSide, tuple[Tensor, ...]]:
    """Trace the right-hand side of a problem, or find what was traced before; and the tensors that it reaches.

    Raises:
        Unsuited: where it cannot be traced, saying why.
    """
    cast.check()
    key, tensors = cast.key()
    found = _kept.pop(key, None) or cast.traced_or_reason(tensors)
    if key is not None and not cast.reads:
        _kept[key] = found
        if len(_kept) > MOST_KEPT:
            _kept.popitem(last=False)
    if isinstance(found, str):
        refuse(f"cannot trace f: {found}")
    return found, tensors


# What was traced, or why it could not be.
_kept: OrderedDict[Hashable, RightHandSide | str] = OrderedDict()


class Cast:
    """Who takes part in a right-hand side: the problem, and which of its arguments each trajectory has for itself.

    `conditions` of events are functions like it, and are traced with it.
    """

    def __init__(self, problem: Any, layout: StateLayout, conditions: Sequence[Callable[..., Tensor]] = ()):
        self.problem, self.layout, self.many = problem, layout, layout.batch is not None
        self.conditions = tuple(conditions)
        nothing = tuple(pytree.tree_map(lambda leaf: False, arg) for arg in problem.args)
        self.batched = batched_arguments(problem, layout.batch or 0) if self.many else nothing
        self.vectorized = isinstance(problem, EnsembleProblem) and problem.vectorized
        leaves, flags = pytree.tree_leaves(problem.args), pytree.tree_leaves(self.batched)
        self.leaves = list(zip(leaves, flags, strict=True))
        self.parameters = [(leaf, is_own) for leaf, is_own in self.leaves if is_real(leaf)]
        self.reads = False  # whether f takes numbers out of tensors, which are then part of the program

    def check(self) -> None:
        if any(flag and not is_real(leaf) for leaf, flag in self.leaves):
            refuse("needs floating-point args where each trajectory has its own; got whole numbers or truth values")

    def key(self) -> tuple[Hashable, tuple[Tensor, ...]]:
        """What the trace depends on, ``None`` where nobody knows, and the tensors that ``f`` reaches."""
        try:
            ours = fingerprint(self.problem.f, *self.conditions)
            given = fingerprint(*self.examples(2 if self.vectorized else None))
        except Unclear:
            return None, ()
        spec = pytree.tree_structure(self.problem.args)
        flags = tuple(is_own for _, is_own in self.leaves)
        return (ours.key, given.key, spec, flags, self.layout.spec, self.vectorized), ours.tensors

    def examples(self, rows: int | None) -> tuple[Any, Any, Any]:
        """Time, state and arguments of one trajectory, or of several alike."""

        def example(leaf: Any, has_rows: bool) -> Any:
            if not (isinstance(leaf, Tensor) and has_rows):
                return leaf
            return (leaf[0] if rows is None else leaf[:1].expand(rows, *leaf.shape[1:])).clone()

        t = torch.as_tensor(self.problem.t_span[0], dtype=self.layout.dtype, device=self.layout.device)
        t = t.detach().reshape(-1)[0]
        t = t if rows is None else t.expand(rows)
        y = pytree.tree_map(lambda leaf: example(leaf, self.many), self.problem.y0)
        return t, y, pytree.tree_map(example, self.problem.args, self.batched)

    def traced_or_reason(self, tensors: tuple[Tensor, ...]) -> RightHandSide | str:
        """The traced functions, or why they cannot be traced."""
        try:
            return self.traced(tensors)
        except NotTraceable as reason:
            return str(reason)

    def traced(self, tensors: tuple[Tensor, ...]) -> RightHandSide:
        size, sizes = sum(self.layout.sizes), [*self.layout.sizes, *[1] * len(self.conditions)]
        traced = self._trace(2 if self.vectorized else None)
        program = traced.program
        if self.vectorized:
            program = _of_one(program, sizes, self.parameters, 2)
            if program != _of_one(self._trace(3).program, sizes, self.parameters, 3):
                raise NotTraceable("with vectorized=True it must not depend on how many trajectories there are")
        number = {id(tensor): place for place, tensor in enumerate(tensors)}
        captured = tuple(number.get(id(tensor), tensor) for tensor in traced.captured)
        slopes, conditions = (needed(program.nodes, part) for part in (program.outputs[:size], program.outputs[size:]))
        return RightHandSide(slopes, conditions, self._layout(), captured)

    def _trace(self, rows: int | None) -> Traced:
        """The right-hand side shown one trajectory or several alike, and what it returns checked like any slope."""
        f, layout = self.problem.f, self.layout
        self._try_out(rows)
        t, y, args = self.examples(rows)

        def together(t: Tensor, y: Any, args: tuple[Any, ...]) -> list[Tensor]:
            return [*layout.spec.flatten_up_to(f(t, y, *args)), *(one(t, y, *args) for one in self.conditions)]

        traced = trace(together, NAMES, (t, y, args))
        wide = [one.dtype for one in traced.captured if one.dtype.itemsize > layout.dtype.itemsize]
        if wide:
            raise NotTraceable(f"it uses tensors of {wide[0]}, and the state has {layout.dtype}")
        return traced

    def _try_out(self, rows: int | None) -> None:
        """Call the functions once as they are, and see what they return and what they look at."""
        t, y, args = self.examples(rows)
        luck = random.getstate(), repr(np.random.get_state())
        try:
            with torch.no_grad(), Reads() as reads:
                slope = self.problem.f(t, y, *args)
                for condition in self.conditions:
                    condition(t, y, *args)
        except Exception as problem:
            if rows is None:
                raise
            raise NotTraceable(f"with vectorized=True it must take any number of trajectories ({problem})") from problem
        self.reads = self.reads or reads.any
        if (random.getstate(), repr(np.random.get_state())) != luck:
            raise NotTraceable("it draws random numbers")
        checked_slope(slope, y, replace(self.layout, batch=rows))

    def _layout(self) -> Layout:
        """Separate what each trajectory has for itself from what all share."""
        taken = {True: 0, False: 0}
        places: list[tuple[bool, int]] = []
        for leaf, is_own in self.parameters:
            size = _size(leaf, is_own)
            places += [(is_own, taken[is_own] + place) for place in range(size)]
            taken[is_own] += size
        return Layout(sum(self.layout.sizes), taken[True], tuple(places), taken[False])

    def numbers(self, f: RightHandSide, tensors: tuple[Tensor, ...]) -> Numbers:
        """The values, in the order of the layout."""
        like = {"device": self.layout.device, "dtype": self.layout.dtype}
        count, captured = self.layout.batch or 1, f.reached(tensors)
        own = [leaf.to(**like).reshape(count, -1) for leaf, is_own in self.parameters if is_own]
        shared = [leaf.to(**like).reshape(-1) for leaf, is_own in self.parameters if not is_own]
        shared += [tensor.to(**like).reshape(-1) for tensor in captured]
        nothing = torch.zeros(count, 0, **like)
        differentiated = self._differentiated(f.layout, captured)
        return Numbers(torch.cat([nothing, *own], dim=1), torch.cat([nothing[0], *shared]), differentiated)

    def _differentiated(self, layout: Layout, captured: list[Tensor]) -> tuple[tuple[Input, tuple[bool, int]], ...]:
        if not carries_gradient([*(leaf for leaf, _ in self.parameters), *captured]):
            return ()
        parameters = [carries_gradient(leaf) for leaf, is_own in self.parameters for _ in range(_size(leaf, is_own))]
        reached = [carries_gradient(tensor) for tensor in captured for _ in range(tensor.numel())]
        found = [(("parameter", one), layout.places[one]) for one, wanted in enumerate(parameters) if wanted]
        found += [(("captured", one), (False, layout.captured + one)) for one, wanted in enumerate(reached) if wanted]
        return tuple(found)


def _size(leaf: Tensor, is_own: bool) -> int:
    """Entries that one trajectory sees."""
    return leaf.numel() // (len(leaf) if is_own else 1)


def is_real(leaf: Any) -> bool:
    """Whether an argument is a parameter; others are constants."""
    return isinstance(leaf, Tensor) and leaf.is_floating_point()


def _of_one(program: Program, state: list[int], parameters: list[tuple[Tensor, bool]], count: int) -> Program:
    """The program of one of the few trajectories that a right-hand side of all was shown.

    Raises:
        NotTraceable: where a trajectory sees another one.
    """
    states = _rows([(size, True) for size in state], count)
    sizes = [(_size(leaf, is_own), is_own) for leaf, is_own in parameters]
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
