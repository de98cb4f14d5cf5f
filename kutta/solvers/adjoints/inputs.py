"""Which tensors a right-hand side depends on, for the adjoints that run it again."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from kutta.autodiff import leaves_on_tape, nodes_on_tape
from kutta.problems import SplitODEProblem

# Tensors that require gradients, each with what stands for it.
StandIns = list[tuple[Tensor, Tensor]]


class Inputs(NamedTuple):
    """What a right-hand side depends on, other than time and state.

    Attributes:
        outer: the tensors that receive gradients.
        inner: what stands for them in the right-hand side that an adjoint runs again. One argument
            may be computed from another, and the linear part from what the remainder has too; their
            stand-ins are not, so that no gradient is counted twice.
    """

    outer: tuple[Tensor, ...] = ()
    inner: tuple[Tensor, ...] = ()


def cut_loose(tensor: Tensor) -> Tensor:
    """A tensor of the same values without a past, which requires gradients."""
    return tensor.detach().requires_grad_()


def with_stand_ins(problem: Any, stand_in: Callable[[Tensor], Tensor] = cut_loose) -> tuple[Any, StandIns]:
    """A problem whose arguments and linear part have stand-ins for the tensors that require gradients, and which."""
    pairs: StandIns = []

    def replaced(leaf: Any) -> Any:
        if not (isinstance(leaf, Tensor) and leaf.requires_grad):
            return leaf
        pairs.append((leaf, stand_in(leaf)))
        return pairs[-1][1]

    inner = replace(problem, args=pytree.tree_map(replaced, problem.args))
    if isinstance(problem, SplitODEProblem):
        inner = replace(inner, linear=problem.linear.of_stand_ins(replaced))
    return inner, pairs


def differentiable_inputs(f: Any, stand_ins: StandIns, slope: Any) -> Inputs:
    """Every tensor other than time and state that receives a gradient through `f`, a function or several.

    They are those that have stand-ins, the parameters of modules and the tensors that `f` is made of
    (bound objects, attributes, partial applications, closures, globals), and the leaves found on the
    tape of one evaluation with the stand-ins, `slope`.
    """
    found = {id(inner): inner for _, inner in stand_ins}
    outer = {id(inner): original for original, inner in stand_ins}
    for tensor in _tensors_of(f, set()):
        if tensor.requires_grad:
            found[id(tensor)] = tensor
    dependent: list[int] | None = None
    while dependent is None or dependent:
        # What lies behind a tensor found already gets its gradient through that one.
        for leaf in leaves_on_tape(slope, _nodes(found)):
            found[id(leaf)] = leaf
        # What is computed from another one would be counted twice: it hands its gradient on instead.
        dependent = [key for key, tensor in found.items() if _is_computed_from_others(tensor, found)]
        for key in dependent:
            del found[key]
    return Inputs(tuple(outer.get(key, tensor) for key, tensor in found.items()), tuple(found.values()))


def _nodes(found: dict[int, Tensor]) -> set[Any]:
    return {tensor.grad_fn for tensor in found.values() if tensor.grad_fn is not None}


def _is_computed_from_others(tensor: Tensor, found: dict[int, Tensor]) -> bool:
    others = _nodes(found) - {tensor.grad_fn}
    return any(
        node in others or id(getattr(node, "variable", None)) in found
        for node in nodes_on_tape(tensor)
        if node is not tensor.grad_fn
    )


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
    # Inputs may lie behind what was computed before the solve, which is gone through each time.
    grads = torch.autograd.grad(value, inputs, cotangent, retain_graph=True, create_graph=taped, allow_unused=True)
    return tuple(torch.zeros_like(one) if g is None else g for g, one in zip(grads, inputs, strict=True))
