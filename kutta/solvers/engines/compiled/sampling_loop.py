"""The loop of a sampler with the model in it, as one function of tensors: the same for all samplers.

What a sampler does is a table of numbers, which is given to the loop (`kutta.solvers.diffusion.plans.table`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.fx import GraphModule

from kutta.solvers.diffusion.plans.table import Table
from kutta.solvers.engines.compiled.build import Tensors, once_if, repeat
from kutta.solvers.engines.compiled.graph import RightHandSide
from kutta.solvers.engines.compiled.rewrite import values_alone
from kutta.solvers.engines.compiled.store import Parts


@dataclass(frozen=True)
class Kind:
    """What a loop is compiled for.

    Attributes:
        size: how many states are remembered.
        free: whether outputs without guidance are used.
        pauses: whether there are rows without an evaluation.
        noisy: whether noise is added.
        saves: whether the states at the nodes are written down.
    """

    size: int
    free: bool
    pauses: bool
    noisy: bool
    saves: bool

    @classmethod
    def of(cls, rows: Table, saves: bool) -> Kind:
        """The kind that a table asks for."""
        return cls(rows.size, bool(rows.free.any()), not bool(rows.evaluates.all()), bool(rows.noise.any()), saves)


class Memory(NamedTuple):
    """The tensors of a loop; it writes to the last five.

    Attributes:
        count: of the rows.
        places, evaluates, levels: of each row; see `Table`.
        weights: of each row, those of the states, the outputs, the free outputs and the noise as far as they are used,
            in the dtype of the states.
        noise: fresh noise, as many states as there are rows that add some.
        draws: of each row, which of them.
        states: ``(size + 1, *x.shape)``.
        outputs: likewise, what the model returned.
        free: likewise, without guidance.
        sums: of the entries of the state at each node, and one more for what is none.
        nodes: the states themselves, likewise.
    """

    count: Tensor
    places: Tensor
    evaluates: Tensor
    levels: Tensor
    weights: Tensor
    noise: Tensor
    draws: Tensor
    states: Tensor
    outputs: Tensor
    free: Tensor
    sums: Tensor
    nodes: Tensor


def memory_of(kind: Kind, rows: Table, x: Tensor, noise: Sequence[Tensor]) -> Memory:
    """The tensors of a loop at its beginning, with more rows than there are, so that few shapes are compiled.

    Args:
        kind: what the loop is compiled for.
        rows: of the plan.
        x: the initial state.
        noise: in the order of its use.
    """
    room = max(16, 1 << len(rows.places).bit_length())
    weights = [rows.states, rows.outputs, *([rows.free] if kind.free else [])]
    weights += [rows.noise[:, None]] if kind.noisy else []

    def states(count: int) -> Tensor:
        # What is multiplied by zero before it is written must be finite.
        return x.new_zeros(count, *x.shape)

    remembered, drawn = states(kind.size + 1), x.new_empty(room if kind.noisy else 1, *x.shape)
    remembered[0] = x
    for place, one in enumerate(noise):
        drawn[place] = one
    return Memory(
        torch.tensor(len(rows.places)),
        _filled(rows.places, room),
        _filled(rows.evaluates, room),
        _filled(rows.levels, room),
        _filled(torch.cat(weights, 1).to(x.dtype), room),
        drawn,
        _filled((torch.cumsum(rows.noise != 0.0, 0) - 1).clamp(min=0), room),
        remembered,
        states(kind.size + 1),
        states(kind.size + 1 if kind.free else 1),
        x.new_zeros(room + 1),
        x.new_empty(room + 1 if kind.saves else 1, *x.shape),
    )


def _filled(rows: Tensor, room: int) -> Tensor:
    return torch.cat([rows, rows.new_zeros(room - len(rows), *rows.shape[1:])])


def sampling_loop(kind: Kind, model: RightHandSide) -> Parts:
    """What is done before the loop, and the loop: ``(row, *memory, *kept) -> (row,)``.

    Args:
        kind: what is compiled.
        model: maps ``((model_t, log_snr), x)`` to the outputs, ``(1, *x.shape)`` or with the free ones ``(2, ...)``.
    """
    loop = _Loop(kind, values_alone(model.inside))

    def run(row: Tensor, *given: Tensor) -> Tensors:
        return repeat(lambda row, count, *_: row < count, loop.step, (row,), given)

    return model.before.forward, run


@dataclass(frozen=True)
class _Loop:
    """The parts of the loop, each a function of the number of the row and of what is given."""

    kind: Kind
    graph: GraphModule

    def step(self, row: Tensor, *given: Tensor) -> Tensors:
        """One row."""
        memory = Memory(*given[: len(Memory._fields)])
        if self.kind.pauses:
            (row,) = once_if(_entry(memory.evaluates, row) > 0, self.evaluate, (row,), given)
        else:
            self.evaluate(row, *given)
        _, to, node = _entry(memory.places, row).unbind()
        found = self._sum(memory, row)
        torch.ops.aten.index_put_(memory.states, [to], found)
        torch.ops.aten.index_put_(memory.sums, [node], found.sum())
        if self.kind.saves:
            torch.ops.aten.index_put_(memory.nodes, [node], found)
        return (row + 1,)

    def evaluate(self, row: Tensor, *given: Tensor) -> Tensors:
        """Call the model, and remember what it returns."""
        memory, kept = Memory(*given[: len(Memory._fields)]), given[len(Memory._fields) :]
        at = _entry(memory.places, row)[0]
        found = self.graph(_entry(memory.levels, row), _entry(memory.states, at), *kept)
        torch.ops.aten.index_put_(memory.outputs, [at], found[0])
        if self.kind.free:
            torch.ops.aten.index_put_(memory.free, [at], found[1])
        return (row.clone(),)

    def _sum(self, memory: Memory, row: Tensor) -> Tensor:
        weights = iter(_entry(memory.weights, row).unbind())
        remembered = [memory.states, memory.outputs, *([memory.free] if self.kind.free else [])]
        terms = [next(weights) * one[place] for one in remembered for place in range(self.kind.size)]
        if self.kind.noisy:
            terms.append(next(weights) * _entry(memory.noise, _entry(memory.draws, row)))
        total, *others = terms
        for term in others:
            total = total + term
        return total


def _entry(tensor: Tensor, place: Tensor) -> Tensor:
    return tensor.index_select(0, place.reshape(1))[0]
