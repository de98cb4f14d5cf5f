"""Which tensors a right-hand side depends on, for the adjoints that run it again."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from kutta.autodiff import leaves_on_tape


class Inputs(NamedTuple):
    """What a right-hand side depends on, other than time and state.

    Attributes:
        outer: the tensors that receive gradients.
        inner: what stands for them in the right-hand side that an adjoint runs again. One argument
            may be computed from another; its stand-in is not, so that no gradient is counted twice.
    """

    outer: tuple[Tensor, ...] = ()
    inner: tuple[Tensor, ...] = ()


def with_stand_ins(args: tuple[Any, ...]) -> tuple[Any, ...]:
    """The arguments with each tensor that requires gradients cut loose from its past."""
    return pytree.tree_map(
        lambda leaf: leaf.detach().requires_grad_() if isinstance(leaf, Tensor) and leaf.requires_grad else leaf, args
    )


def differentiable_inputs(f: Any, args: tuple[Any, ...], stand_ins: tuple[Any, ...], slope: Any) -> Inputs:
    """Every tensor other than time and state that receives a gradient through `f`, a function or several.

    They are the tensors among `args`, the parameters of modules and the tensors that `f` is made of
    (bound objects, attributes, partial applications, closures, globals), and the leaves found on the
    tape of one evaluation with the stand-ins, `slope`.
    """
    found: dict[int, Tensor] = {}
    outer: dict[int, Tensor] = {}
    for original, leaf in zip(pytree.tree_leaves(args), pytree.tree_leaves(stand_ins), strict=True):
        if isinstance(leaf, Tensor) and leaf.requires_grad:
            found[id(leaf)], outer[id(leaf)] = leaf, original
    for tensor in _tensors_of(f, set()):
        if tensor.requires_grad:
            found[id(tensor)] = tensor
    # What lies behind a tensor found already gets its gradient through that one.
    known = {tensor.grad_fn for tensor in found.values() if tensor.grad_fn is not None}
    for leaf in leaves_on_tape(slope, known):
        found[id(leaf)] = leaf
    return Inputs(tuple(outer.get(key, tensor) for key, tensor in found.items()), tuple(found.values()))


def _tensors_of(value: Any, seen: set[int]) -> Iterator[Tensor]:
    if id(value) in seen:
        return
    seen.add(id(value))
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, nn.Module):
        for module in value.modules():
            for part in (*vars(module).values(), *module._parameters.values(), *module._buffers.values()):
                if isinstance(part, Tensor):
                    yield part
    elif isinstance(value, functools.partial):
        for part in (value.func, *value.args, *value.keywords.values()):
            yield from _tensors_of(part, seen)
    elif isinstance(value, list | tuple | dict):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _tensors_of(part, seen)
    else:
        yield from _tensors_of(getattr(value, "__self__", None), seen)
        yield from _tensors_of(getattr(value, "__wrapped__", None), seen)
        for cell in getattr(value, "__closure__", None) or ():
            yield from _tensors_of(_content(cell), seen)
        code = getattr(value, "__code__", None)
        names = code.co_names if code is not None else ()
        for part in (*map(getattr(value, "__globals__", {}).get, names), *getattr(value, "__dict__", {}).values()):
            if isinstance(part, Tensor | nn.Module):
                yield from _tensors_of(part, seen)


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # a name that is not bound yet
        return None


def vector_jacobian_product(
    slope: Callable[[], Tensor], inputs: tuple[Tensor, ...], cotangent: Tensor
) -> tuple[Tensor, ...]:
    """The products of `cotangent` with the derivatives of ``slope()`` to `inputs`, on the tape in gradient mode."""
    taped = torch.is_grad_enabled()
    with torch.enable_grad():
        value = slope()
    if not value.requires_grad:
        return tuple(torch.zeros_like(one) for one in inputs)
    grads = torch.autograd.grad(value, inputs, cotangent, create_graph=taped, allow_unused=True)
    return tuple(torch.zeros_like(one) if g is None else g for g, one in zip(grads, inputs, strict=True))
