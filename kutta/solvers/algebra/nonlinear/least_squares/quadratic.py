"""Half a sum of squares near a point, by the first derivatives of what is squared."""

from __future__ import annotations

from functools import cached_property

import torch
from torch import Tensor

from kutta.solvers.algebra.nonlinear.block_chain import BlockChain
from kutta.solvers.algebra.nonlinear.iteration import chosen
from kutta.solvers.algebra.nonlinear.least_squares.gram import ChainGram, DenseGram, Gram


class Quadratic:
    """``|F(x + d)|^2 / 2`` about as ``value + gradient . d + d . gram d / 2``.

    Unknowns are measured in units of their columns, so that neither the method nor its rounding depends on the units of
    the user: ``scale`` times the unknowns is what is solved for.

    Attributes:
        value: ``|F|^2 / 2``, ``(B,)``.
        gradient: ``J^T F``, ``(B, n)``.
        gram: ``J^T J``.
        scale: the norms of the columns of ``J``, ``(B, n)``; 1 for a column of zeros.
    """

    def __init__(self, value: Tensor, gradient: Tensor, gram: Gram):
        self.value, self.gradient, self.gram = value, gradient, gram
        norms = gram.diagonal().clamp(min=0.0).sqrt()
        self.scale = torch.where(norms > 0.0, norms, 1.0)

    @classmethod
    def of(cls, r: Tensor, jacobian: Tensor | BlockChain, unit: Tensor) -> Quadratic:
        """That of ``F``, ``(B, m)``, with the Jacobian ``(B, m, n)``, in a unit, ``(B, 1)``."""
        r = r / unit
        value = 0.5 * r.square().sum(1)
        if isinstance(jacobian, BlockChain):
            chain = jacobian.over(unit)
            return cls(value, chain.pulled(r), ChainGram(*chain.products()))
        transposed = (jacobian / unit[..., None]).mT
        return cls(value, (transposed @ r.unsqueeze(-1)).squeeze(-1), DenseGram(transposed @ transposed.mT))

    def chosen(self, where: Tensor, other: Quadratic) -> Quadratic:
        """This one for some problems of a batch, another one for the others."""
        value, gradient = chosen(where, self.value, other.value), chosen(where, self.gradient, other.gradient)
        return Quadratic(value, gradient, self.gram.chosen(where, other.gram))

    def minimiser(self, damping: Tensor, scale: Tensor) -> Tensor:
        """The ``d`` that makes the sum with ``damping |scale d|^2 / 2`` least, ``(B, n)``; NaN where there is none.

        Args:
            damping: ``(B,)``.
            scale: in what units of the unknowns, ``(B, n)``.
        """
        unit = 1.0 / scale
        return unit * self.gram.solve(unit, damping, -(unit * self.gradient))

    @cached_property
    def nearest(self) -> Tensor:
        """About where the gradient is zero, seen from here; damped as little as rounding asks for."""
        least = 8.0 * self.gradient.shape[1] * torch.finfo(self.gradient.dtype).eps
        return self.minimiser(torch.full_like(self.value, least), self.scale)

    def bend(self, d: Tensor) -> Tensor:
        """``d . gram d``, ``(B,)``."""
        return (d * self.gram.apply(d)).sum(1)

    def decrease(self, d: Tensor) -> Tensor:
        """By how much the sum falls, ``(B,)``."""
        return -(self.gradient * d).sum(1) - 0.5 * self.bend(d)
