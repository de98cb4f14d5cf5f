"""A chain of segments, run forward without a tape and backward one segment at a time.

A segment maps the state before it to the state after it and the outputs within it. The forward pass
has been made already; only the states before the segments are kept. The backward pass runs each
segment once more on the tape and pulls back the gradients of what came out of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.utils import _pytree as pytree

from kutta.solvers.adjoints.inputs import Inputs


class State(NamedTuple):
    """What is handed from step to step: a pytree of tensors.

    Attributes:
        y: the state of the differential equation.
        carry: the method's; ``None`` where the method starts afresh.
        penalties: the regularisers'.
    """

    y: Tensor
    carry: Any
    penalties: tuple[Any, ...]


Segment = Callable[[State], tuple[State, list[Tensor]]]


@dataclass
class Chain:
    """A forward pass that can be made again.

    Attributes:
        segments: its parts in order.
        starts: the state before each.
        end: the state after the last.
        outputs: all outputs in order.
        inputs: what the segments depend on besides the state before them.
    """

    segments: Sequence[Segment]
    starts: Sequence[State]
    end: State
    outputs: list[Tensor]
    inputs: tuple[Tensor, ...] = ()


def replay(chain: Chain, start: State, inputs: Inputs) -> tuple[State, list[Tensor]]:
    """The end and the outputs of a chain, as differentiable functions of `start` and `inputs`."""
    leaves, spec = pytree.tree_flatten(chain.end)
    kept = [index for index, leaf in enumerate(leaves) if isinstance(leaf, Tensor)]
    start_leaves = [leaf for leaf in pytree.tree_leaves((start.y, start.penalties)) if isinstance(leaf, Tensor)]
    chain.inputs = inputs.inner
    results = _Replay.apply(chain, kept, len(start_leaves), *start_leaves, *inputs.outer)
    for index, tensor in zip(kept, results, strict=False):
        leaves[index] = tensor
    return pytree.tree_unflatten(leaves, spec), list(results[len(kept) :])


class _Replay(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, chain: Chain, kept: list[int], starts: int, *tensors: Tensor) -> tuple[Tensor, ...]:
        ctx.chain, ctx.kept, ctx.starts = chain, kept, starts
        ctx.save_for_backward(*tensors[starts:])
        ctx.set_materialize_grads(False)
        leaves = pytree.tree_leaves(chain.end)
        return (*(leaves[index].clone() for index in kept), *chain.outputs)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Any, ...]:
        chain, inputs = ctx.chain, ctx.chain.inputs
        leaves, spec = pytree.tree_flatten(chain.end)
        leaves: list[Any] = [None] * len(leaves)
        for index, grad in zip(ctx.kept, grads, strict=False):
            leaves[index] = grad
        cotangent, outputs = pytree.tree_unflatten(leaves, spec), list(grads[len(ctx.kept) :])
        totals: list[Tensor | None] = [None] * len(inputs)
        for segment, start in zip(reversed(chain.segments), reversed(chain.starts), strict=True):
            cotangent, partial = _pull_back(segment, start, cotangent, outputs, inputs)
            totals = [_plus(total, part) for total, part in zip(totals, partial, strict=True)]
        ends = pytree.tree_leaves((chain.end.y, chain.end.penalties))
        grads_at_start = pytree.tree_leaves((cotangent.y, cotangent.penalties))
        start_grads = [g for g, leaf in zip(grads_at_start, ends, strict=True) if isinstance(leaf, Tensor)]
        return None, None, None, *start_grads, *totals


def _pull_back(
    segment: Segment, start: State, cotangent: State, outputs: list[Tensor | None], inputs: Sequence[Tensor]
) -> tuple[State, Sequence[Tensor | None]]:
    """Gradients at a segment's start and to the inputs; takes its outputs' gradients off the list's end."""
    leaves, spec = pytree.tree_flatten(start)
    leaves = [leaf.detach().requires_grad_() if _differentiable(leaf) else leaf for leaf in leaves]
    wanted = [leaf for leaf in leaves if _differentiable(leaf)]
    with torch.enable_grad():
        end, values = segment(pytree.tree_unflatten(leaves, spec))
    split = len(outputs) - len(values)
    pairs = [(end.y, cotangent.y), *zip(values, outputs[split:], strict=True)]
    del outputs[split:]
    for produced, grad in ((end.carry, cotangent.carry), (end.penalties, cotangent.penalties)):
        if grad is not None:
            pairs += zip(pytree.tree_leaves(produced), pytree.tree_leaves(grad), strict=True)
    pairs = [(value, grad) for value, grad in pairs if grad is not None and value.requires_grad]
    if not pairs:
        return pytree.tree_unflatten([None] * len(leaves), spec), [None] * len(inputs)
    values_, grads_ = zip(*pairs, strict=True)
    # Inputs may lie behind what was computed before the solve, which every segment goes through.
    found = torch.autograd.grad(values_, [*wanted, *inputs], grads_, retain_graph=True, allow_unused=True)
    at_start = iter(found[: len(wanted)])
    start_grads = [next(at_start) if _differentiable(leaf) else None for leaf in leaves]
    return pytree.tree_unflatten(start_grads, spec), found[len(wanted) :]


def _differentiable(leaf: Any) -> bool:
    return isinstance(leaf, Tensor) and (leaf.is_floating_point() or leaf.is_complex())


def _plus(total: Tensor | None, part: Tensor | None) -> Tensor | None:
    return part if total is None else total if part is None else total + part
