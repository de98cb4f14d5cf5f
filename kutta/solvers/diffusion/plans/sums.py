"""Weighted sums of states, the one operation of all samplers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor


def weighted_sum(terms: Sequence[tuple[Any, Tensor]], like: Tensor) -> Tensor:
    """``sum_i w_i x_i``, a new tensor.

    Args:
        terms: weights, which are Python numbers or tensors of one number or one a sample, with what they weigh.
        like: what an empty sum is like.
    """
    if not terms:
        return torch.zeros_like(like)
    (weight, tensor), *others = terms
    total = tensor * along(weight, tensor)
    in_place = not torch.is_grad_enabled()
    for weight, tensor in others:
        if isinstance(weight, Tensor):
            total = total + along(weight, tensor) * tensor
        else:
            total = total.add_(tensor, alpha=weight) if in_place else torch.add(total, tensor, alpha=weight)
    return total


def along(weight: Any, x: Tensor) -> Any:
    """A number, or numbers of the samples in a shape that goes with their states."""
    if not isinstance(weight, Tensor):
        return weight
    return weight.to(x) if weight.dim() == 0 else weight.to(x).reshape(-1, *[1] * (x.dim() - 1))
