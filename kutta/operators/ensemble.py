"""Copies of a network that differ in their first weights, and what their spread says."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from kutta.operators.operator import check_counts
from kutta.operators.scope import check_scopes
from kutta.operators.stacked_weights import check_alike, pick, stack
from kutta.operators.trained_operator import TrainedOperator


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
        stack(self.member, drawn)

    @classmethod
    def of(cls, networks: Sequence[nn.Module]) -> Ensemble:
        """Networks that there are already, such as some trained one after the other; their weights are copied.

        Args:
            networks: of one structure, that differ in nothing but their weights; trained ones for the same problems.
                What the inputs had in training is what they had in that of the first.

        Raises:
            ValueError: for networks that differ in more.
        """
        for number, network in enumerate(networks):
            check_alike(number, network, networks[0])
        check_scopes([one.scope for one in networks if isinstance(one, TrainedOperator)])
        return cls(iter(networks).__next__, len(networks))

    def forward(self, *inputs: Any) -> Tensor:
        """What all members make of the same inputs, ``(K, ...)``."""
        return _of_all(self.member, inputs)

    def each(self, work: Callable[[nn.Module], Tensor]) -> Tensor:
        """What a function makes of every member, ``(K, ...)``; such as many calls, each of what the last one returned.

        Args:
            work: is called once, with a module that stands for all members.
        """
        return _of_all(_AtWork(self.member, work), ())

    def alone(self, number: int) -> nn.Module:
        """A copy of one member, with weights of its own.

        Args:
            number: from 0 to ``K - 1``.
        """
        member = copy.deepcopy(self.member)
        pick(member, number)
        return member

    def band(self, *inputs: Any) -> Band:
        """Mean and standard deviation of the members."""
        return Band.of(self(*inputs))


class Band(NamedTuple):
    """What an ensemble says: a mean and how far its members are apart.

    Attributes:
        mean: of the members.
        deviation: the standard one.
    """

    mean: Tensor
    deviation: Tensor

    @classmethod
    def of(cls, said: Tensor) -> Band:
        """That of what ``K`` members say, ``(K, ...)``.

        Squares are divided by ``K - 1``, so that their mean is the variance of all members that could have been drawn,
        however few there are. A single member tells nothing of that, and its deviation is zero.
        """
        mean = said.mean(0)
        return cls(mean, said.std(0, correction=1) if len(said) > 1 else torch.zeros_like(mean))

    @property
    def width(self) -> Tensor:
        """Two deviations: how far the edges are from the mean."""
        return 2.0 * self.deviation

    @property
    def low(self) -> Tensor:
        """Two deviations below the mean."""
        return self.mean - self.width

    @property
    def high(self) -> Tensor:
        """Two deviations above the mean."""
        return self.mean + self.width

    def worst_error(self, truth: Tensor, axes: int | tuple[int, ...]) -> Tensor:
        """``max(|low - truth|, |high - truth|) / |truth|``, the error of the worse edge of the band.

        Args:
            truth: of the shape of the mean.
            axes: over which the norms, Euclidean ones, are taken; there must be no axis along which `truth` vanishes.
        """
        edges = [torch.linalg.vector_norm(edge - truth, dim=axes) for edge in (self.low, self.high)]
        return torch.maximum(*edges) / torch.linalg.vector_norm(truth, dim=axes)


class _AtWork(nn.Module):
    """A function of a module as a module, whose weights `functional_call` can exchange."""

    def __init__(self, member: nn.Module, work: Callable[[nn.Module], Tensor]):
        super().__init__()
        self.member, self.work = member, work

    def forward(self) -> Tensor:
        return self.work(self.member)


def _of_all(module: nn.Module, inputs: tuple[Any, ...]) -> Tensor:
    """What a module makes of inputs with the weights of each member, ``(K, ...)``."""

    def of_member(state: dict[str, Tensor]) -> Tensor:
        return functional_call(module, state, inputs)

    state = dict(module.named_parameters()) | dict(module.named_buffers())
    return vmap(of_member, randomness="different")(state)
