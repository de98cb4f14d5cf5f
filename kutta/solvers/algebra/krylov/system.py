"""Linear systems as iterations see them: flat vectors ``(*batch, n)``, and one number a sample ``(*batch, 1)``."""

from __future__ import annotations

import torch
from torch import Tensor

from kutta.solvers.algebra.method import state_axes
from kutta.solvers.algebra.operators.linear_operator import LinearOperator, checked_image
from kutta.solvers.magnitude import magnitude


class System:
    """``A`` and an approximation of its inverse, on flat vectors.

    The right-hand side is divided by its magnitude, since norms of what is very small or very large are zero or
    infinite. So are guesses and residuals, and the solution is multiplied by it in the end.

    Attributes:
        operator: ``A``.
        approximate: the preconditioner, about ``A^-1``; or nothing.
        unit: a power of two beside each right-hand side, ``(*batch, 1)``.
        b: the right-hand side, flat, in this unit.
        lead: the batch.
        shape: of one state.
    """

    def __init__(self, operator: LinearOperator, approximate: LinearOperator | None, b: Tensor):
        self.operator, self.approximate = operator, approximate
        cut = b.dim() - state_axes(operator, b)
        self.lead, self.shape = b.shape[:cut], b.shape[cut:]
        self.unit = magnitude(self.flat(b))
        self.b = self.flat(b) / self.unit

    @property
    def size(self) -> int:
        """The number of unknowns."""
        return self.shape.numel()

    def apply(self, x: Tensor) -> Tensor:
        """``A x``."""
        x = self.shaped(x)
        return self.flat(checked_image("operator", self.operator.apply(x), x))

    def residual(self, x: Tensor) -> Tensor:
        """``b - A x``."""
        return self.b - self.apply(x)

    def precondition(self, r: Tensor) -> Tensor:
        """About ``A^-1 r``."""
        if self.approximate is None:
            return r
        r = self.shaped(r)
        return self.flat(checked_image("preconditioner", self.approximate.apply(r), r))

    def flat(self, x: Tensor) -> Tensor:
        """A batch of states as flat vectors."""
        return x.reshape(*self.lead, self.size)

    def shaped(self, x: Tensor) -> Tensor:
        """The reverse."""
        return x.reshape(*self.lead, *self.shape)


def dot(x: Tensor, y: Tensor) -> Tensor:
    """``x^H y`` of each sample."""
    return torch.linalg.vecdot(x, y).unsqueeze(-1)


def inner(x: Tensor, y: Tensor) -> Tensor:
    """The real part of ``x^H y``."""
    return dot(x, y).real


def norm(x: Tensor) -> Tensor:
    """The Euclidean norm of each sample."""
    return torch.linalg.vector_norm(x, dim=-1, keepdim=True)


def over(numerator: Tensor, denominator: Tensor, where: Tensor) -> Tensor:
    """A quotient where it is wanted, and zero elsewhere: a step of that size leaves a sample as it is."""
    return torch.where(where, numerator / denominator, 0.0)
