"""Joined layers as an operation that autograd can go back through.

Where nothing wants a gradient, it computes the layers alone. Under autograd it also keeps what the pullback
needs, which is an operation too, so that a tracer writes down one each way.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from kutta.solvers.engines.compiled.layers_native import library, registered
from kutta.solvers.engines.compiled.layers_pullback import Sums, pullback, transposed
from kutta.solvers.engines.compiled.layers_source import Layers, forward, keeping, names

_differentiable: set[Any] = set()


def operation(layers: Layers, dtype: torch.dtype) -> Any:
    """An operation ``(x, weight, bias, weight, bias, ...) -> Tensor``, with rows filled up to whole blocks."""
    found = registered(forward(layers, dtype))
    if found not in _differentiable:
        _differentiable.add(found)
        _make_differentiable(found, layers)
    return found


def _make_differentiable(plain: Any, layers: Layers) -> None:
    def call(x: Tensor, *tensors: Tensor) -> Tensor:
        if torch.is_grad_enabled() and any(one.requires_grad for one in (x, *tensors)):
            return _Layers.apply(layers, x, *tensors)  # type: ignore[return-value]
        with torch._C._AutoDispatchBelowAutograd():
            return plain(x, *tensors)

    library.impl(plain, call, "Autograd")


class _Layers(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, layers: Layers, x: Tensor, *tensors: Tensor) -> Tensor:
        out, kept = registered(keeping(layers, x.dtype))(x, *tensors)
        ctx.layers = layers
        ctx.save_for_backward(x, kept, *tensors)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Any, ...]:
        layers, (x, kept, *tensors) = ctx.layers, ctx.saved_tensors
        given = dict(zip(names(layers), tensors, strict=True))
        sums = Sums.of(layers, ctx.needs_input_grad[2:], x.dtype)
        back = [transposed(layer, given[f"weight{place}"]) for place, layer in enumerate(layers)]
        to_x, found = registered(pullback(layers, sums, x.dtype))(gradient, kept, x, *back)
        parts = sums.taken_apart(found)
        return None, to_x, *(parts.get(name) for name in given)
