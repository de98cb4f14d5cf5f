"""What the loops need to know about PyTorch's transformations, in one place."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor
from torch._C import _functorch  # pyright: ignore[reportAttributeAccessIssue]
from torch.autograd import forward_ad
from torch.utils import _pytree as pytree


def under_transform() -> bool:
    """Whether a ``torch.func`` transformation (grad, jvp, vmap, ...) is active."""
    return _functorch.peek_interpreter_stack() is not None


def in_forward_mode() -> bool:
    """Whether tensors may carry tangents."""
    return forward_ad._current_level >= 0


def is_mapped(value: Any) -> bool:
    """Whether some tensor in a pytree is one of a batch under ``vmap``."""
    return under_transform() and any(
        _is_batched(leaf) for leaf in pytree.tree_leaves(value) if isinstance(leaf, Tensor)
    )


def _is_batched(tensor: Tensor) -> bool:
    while _functorch.is_gradtrackingtensor(tensor):  # vmap(grad(...)) wraps the batched tensor once more
        tensor = _functorch.get_unwrapped(tensor)
    return _functorch.is_batchedtensor(tensor)


def carries_gradient(value: Any) -> bool:
    """Whether some tensor in a pytree is being differentiated, in reverse or forward mode."""
    return any(_tensor_carries_gradient(leaf) for leaf in pytree.tree_leaves(value) if isinstance(leaf, Tensor))


def _tensor_carries_gradient(tensor: Tensor) -> bool:
    if tensor.requires_grad and torch.is_grad_enabled():
        return True
    if forward_ad._current_level < 0:
        return False
    return forward_ad.unpack_dual(tensor).tangent is not None


def nodes_on_tape(value: Any, known: Iterable[Any] = ()) -> Iterator[Any]:
    """The nodes through which a pytree of tensors was computed, without `known` ones and what lies behind these."""
    nodes = [leaf.grad_fn for leaf in pytree.tree_leaves(value) if isinstance(leaf, Tensor)]
    seen = set(known)
    while nodes:
        node = nodes.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        yield node
        nodes.extend(following for following, _ in node.next_functions)


def leaves_on_tape(value: Any, known: Iterable[Any] = ()) -> Iterator[Tensor]:
    """The tensors that require gradients and that the nodes on the tape begin with."""
    for node in nodes_on_tape(value, known):
        variable = getattr(node, "variable", None)
        if isinstance(variable, Tensor):
            yield variable


def outside_autocast(f: Callable[..., Any], device: torch.device) -> tuple[Callable[..., Any], Any]:
    """A right-hand side that runs under the present autocast alone, and a context without it for all else.

    Sums over stages and error estimates need the precision of the state; what `f` returns is brought
    back to it.
    """
    kind = device.type
    if not torch.is_autocast_enabled(kind):
        return f, nullcontext()
    dtype, cache = torch.get_autocast_dtype(kind), torch.is_autocast_cache_enabled()

    @functools.wraps(f, assigned=(), updated=())
    def under_autocast(t: Any, y: Any, *args: Any) -> Any:
        with torch.autocast(kind, dtype, cache_enabled=cache):
            slope = f(t, y, *args)
        return pytree.tree_map(lambda part, like: part.to(like.dtype), slope, y)

    return under_autocast, torch.autocast(kind, enabled=False)


def as_float(t: Any) -> float:
    """A time as a Python number, whether or not it is being differentiated."""
    return float(t.detach()) if isinstance(t, Tensor) else float(t)


class _WorstOfBatch(torch.autograd.Function):
    """The identity, except under vmap, where the largest value speaks for the whole batch."""

    @staticmethod
    def forward(values: Tensor) -> Tensor:
        return values.clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        ctx.set_materialize_grads(False)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        raise RuntimeError("step-size control is not differentiated")

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None], values: Tensor) -> tuple[Tensor, None]:
        return _WorstOfBatch.apply(values.amax(in_dims[0])), None  # type: ignore[arg-type]


def read(values: Tensor) -> Any:
    """The values as Python numbers: the loop's one transfer from device to host.

    Under ``vmap`` the largest of the batch is read, so that one step size suits every member.
    """
    if under_transform():
        with torch.no_grad():
            values = _WorstOfBatch.apply(values.detach())  # type: ignore[assignment]
    return values.tolist()
