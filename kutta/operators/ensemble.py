"""Copies of a network that differ in their first weights, and what their spread says."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from kutta.operators.operator import check_counts


class Ensemble(nn.Module):
    """Independently initialised networks that are computed together.

        y_k = model(x; theta_k),    k = 1..K

    Each parameter is one tensor with the members along its first axis, and each product one for all of them; so ten
    small members take little longer than one. The sum of their losses trains them as if each were alone, with any
    optimiser that treats numbers apart, such as Adam.

    Args:
        make: makes a member, with weights drawn anew at each call; any module whose forward changes no buffers.
        members: ``K``.

    Attributes:
        member: one member, whose parameters are those of all.

    Source of the band: Lakshminarayanan, Pritzel, Blundell, Simple and scalable predictive uncertainty estimation using
    deep ensembles, NeurIPS 2017, arXiv 1612.01474.

    Example:
        >>> import torch, kutta as kt
        >>> ensemble = kt.operators.Ensemble(lambda: torch.nn.Linear(3, 2), members=5)
        >>> ensemble(torch.randn(7, 3)).shape
        torch.Size([5, 7, 2])
        >>> band = ensemble.band(torch.randn(7, 3))
        >>> bool((band.low <= band.mean).all() and (band.mean <= band.high).all())
        True
    """

    def __init__(self, make: Callable[[], nn.Module], members: int):
        super().__init__()
        check_counts(members=members)
        self.members = members
        drawn = [make() for _ in range(members)]
        self.member = copy.deepcopy(drawn[0])
        _stack(self.member, drawn)

    def forward(self, *inputs: Any) -> Tensor:
        """What all members make of the same inputs, ``(K, ...)``."""

        def of_member(state: dict[str, Tensor]) -> Tensor:
            return functional_call(self.member, state, inputs)

        state = dict(self.member.named_parameters()) | dict(self.member.named_buffers())
        return vmap(of_member, randomness="different")(state)

    def band(self, *inputs: Any) -> Band:
        """Mean and standard deviation of the members; that of a single member is zero."""
        found = self(*inputs)
        return Band(found.mean(0), found.std(0, correction=0))


class Band(NamedTuple):
    """What an ensemble says: a mean and how far its members are apart.

    Attributes:
        mean: of the members.
        deviation: the standard one.
    """

    mean: Tensor
    deviation: Tensor

    @property
    def low(self) -> Tensor:
        """Two deviations below the mean."""
        return self.mean - 2.0 * self.deviation

    @property
    def high(self) -> Tensor:
        """Two deviations above the mean."""
        return self.mean + 2.0 * self.deviation

    def worst_error(self, truth: Tensor, axes: int | tuple[int, ...]) -> Tensor:
        """``max(|low - truth|, |high - truth|) / |truth|``, the error of the worse edge of the band.

        Args:
            truth: of the shape of the mean.
            axes: over which the norms, Euclidean ones, are taken; there must be no axis along which `truth` vanishes.
        """
        edges = [torch.linalg.vector_norm(edge - truth, dim=axes) for edge in (self.low, self.high)]
        return torch.maximum(*edges) / torch.linalg.vector_norm(truth, dim=axes)


def _stack(module: nn.Module, drawn: list[nn.Module]) -> None:
    """Put the parameters and buffers of all members, along a new first axis, in the place of one's."""
    for name, one in list(module.named_parameters(recurse=False)):
        rows = torch.stack([getattr(member, name).detach() for member in drawn])
        setattr(module, name, nn.Parameter(rows, requires_grad=one.requires_grad))
    for name, _ in list(module.named_buffers(recurse=False)):
        setattr(module, name, torch.stack([getattr(member, name) for member in drawn]))
    for name, child in module.named_children():
        _stack(child, [member.get_submodule(name) for member in drawn])
