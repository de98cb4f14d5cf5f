"""Operators that are networks of conductances on a grid."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad

from kutta.solvers.algebra.multigrid.network import Network
from kutta.solvers.algebra.multigrid.slices import Margins, within
from kutta.solvers.algebra.operators.linear_operator import Inverse, LinearOperator, Scalar, Sum, Transposed, is_zero
from kutta.solvers.algebra.operators.matrix_free import MatrixFree


class NetworkOperator(LinearOperator):
    """``A = W^-1 K`` at the points of a grid that are unknowns, and a shift at the others.

    ``K`` is the symmetric matrix of a network and ``W`` the volumes that belong to its points, in units of those
    inside, so that the operator is its own transpose in the inner product with these weights.

    Attributes:
        axes: of the grid.
        weights: ``W``, 1 at points that are no unknowns; or nothing, where all are 1.
        margins: for each axis how many points before and after the unknowns are none.
        shift: what the operator is at those. Where it is zero, solutions are.
        singular: whether constants are in the null space.
    """

    axes: int
    weights: Tensor | None = None
    margins: Margins
    shift: Scalar = 0.0
    singular: bool = False

    def network(self) -> Network:
        """The conductances. They carry the derivatives of what they depend on."""
        raise NotImplementedError

    def unknowns(self, x: Tensor) -> Tensor:
        """A view of the points that are unknowns, of a tensor that broadcasts with the grid."""
        return within(x, self.margins)

    def gathered(self, b: Tensor) -> Tensor:
        """The right-hand side ``W b`` of the symmetric system ``K u = W b``, without what no ``u`` leads to."""
        inside = self.unknowns(b)
        if self.singular:
            inside = inside - self.mean(inside)
        return inside.contiguous() if self.weights is None else self.unknowns(self.weights.to(b)) * inside

    def scattered(self, u: Tensor, b: Tensor) -> Tensor:
        """The solution ``A^-1 b`` from that of the symmetric system; of those that differ by a constant, of mean 0."""
        if self.singular:
            u = u - self.mean(u)
        if not isinstance(self.shift, Tensor):
            return self.among(u, 0.0 if self.shift == 0 else b / self.shift)
        return self.among(u, torch.where(self.shift == 0, 0.0, b / torch.where(self.shift == 0, 1.0, self.shift)))

    def compatible(self, b: Tensor) -> Tensor:
        inside = self.unknowns(b)
        if self.singular:
            inside = inside - self.mean(inside)
        if not isinstance(self.shift, Tensor):
            return self.among(inside, 0.0 if self.shift == 0 else b)
        return self.among(inside, torch.where(self.shift == 0, 0.0, b))

    def regular(self) -> LinearOperator:
        """``A + c (I - C)``: what `compatible` takes away, the null space, times the mean ``c`` of the diagonal."""
        if self.singular or (self.outside and (isinstance(self.shift, Tensor) or is_zero(self.shift))):
            return Sum((self, MatrixFree(self._null, self.axes)))
        return self

    def _null(self, x: Tensor) -> Tensor:
        return self.diagonal(x).mean(self.dims, keepdim=True) * (x - self.compatible(x))

    def mean(self, u: Tensor) -> Tensor:
        """Of the unknowns of a state by volume, ``(..., 1, ..., 1)``."""
        if self.weights is None:
            return u.mean(self.dims, keepdim=True)
        weights = self.unknowns(self.weights.to(u))
        return (weights * u).sum(self.dims, keepdim=True) / weights.sum()

    def unweighted(self, u: Tensor) -> Tensor:
        """``W^-1 u`` for unknowns."""
        return u if self.weights is None else u / self.unknowns(self.weights.to(u))

    def among(self, u: Tensor, others: Tensor | float) -> Tensor:
        """Unknowns among the points that are none, which take the values of `others`."""
        if not self.outside:
            return u
        around = [count for margin in reversed(self.margins) for count in margin]
        whole = pad(u, around)
        return whole + others * (1.0 - pad(torch.ones_like(u), around)) if isinstance(others, Tensor) else whole

    @property
    def outside(self) -> bool:
        """Whether some points are no unknowns."""
        return any(map(any, self.margins))

    @property
    def dims(self) -> tuple[int, ...]:
        """The axes of a state."""
        return tuple(range(-self.axes, 0))

    def transposed(self) -> LinearOperator:
        return self if self.weights is None else Similar(self, self.weights)


class Similar(Transposed):
    """``W A W^-1``: the transposed of a network's operator, and of what approximates its inverse.

    Attributes:
        operator: ``A``.
        weights: ``W``.
    """

    def __init__(self, operator: LinearOperator, weights: Tensor):
        super().__init__(operator)
        self.weights = weights

    def compatible(self, b: Tensor) -> Tensor:
        return self._through(self.operator.compatible, b)

    def _through(self, function: Inverse, x: Tensor) -> Tensor:
        weights = self.weights.to(x)
        return weights * function(x / weights)
