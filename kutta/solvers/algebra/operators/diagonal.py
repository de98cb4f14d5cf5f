"""Operators that are diagonal, or become so by a transform."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from kutta.solvers.algebra.operators.linear_operator import (
    Inverse,
    LinearOperator,
    Scalar,
    is_real,
    stays_definite,
)


def unchanged(x: Tensor) -> Tensor:
    """The transform of an operator that is diagonal as it is."""
    return x


class Diagonal(LinearOperator):
    """``backward(symbols * forward(x))``: an operator that is diagonal in a transform, such as that of Fourier.

    Attributes:
        symbols: what each transformed entry is multiplied with; it broadcasts with ``forward(x)``.
        forward, backward: the transform and its inverse, along the axes of a state.
        axes: how many trailing axes make one state; by default those of `symbols`.
        symmetric: whether the operator equals its conjugate transpose.
        definite: whether it is moreover positive definite, or negative definite.

    Example:
        The Laplacian of periodic functions, and what it has as the Laplacian:

        >>> import torch, kutta as kt
        >>> k = 2 * torch.pi * torch.fft.rfftfreq(32, 1 / 32, dtype=torch.float64)
        >>> laplacian = kt.algebra.Diagonal(-(k**2), torch.fft.rfft, lambda u: torch.fft.irfft(u, 32), symmetric=True)
        >>> x = torch.arange(32, dtype=torch.float64) / 32
        >>> wave = torch.sin(2 * torch.pi * x)
        >>> bool(torch.allclose(laplacian.inverse()(wave), -wave / (2 * torch.pi) ** 2))
        True
    """

    def __init__(
        self,
        symbols: Tensor,
        forward: Callable[[Tensor], Tensor] = unchanged,
        backward: Callable[[Tensor], Tensor] = unchanged,
        axes: int | None = None,
        symmetric: bool = False,
        definite: bool = False,
    ):
        if not isinstance(symbols, Tensor) or not (symbols.is_floating_point() or symbols.is_complex()):
            raise TypeError(f"symbols must be a tensor of a floating-point or complex dtype; got {symbols!r}")
        self.axes = max(symbols.dim(), 1) if axes is None else axes
        self.symbols, self.forward, self.backward = symbols, forward, backward
        self.symmetric, self.definite = symmetric or definite, definite
        self.batch = symbols.shape[: max(symbols.dim() - self.axes, 0)]

    def apply(self, x: Tensor) -> Tensor:
        return self.backward(self.symbols * self.forward(x))

    def check(self, x: Tensor) -> None:
        if x.dim() < (self.axes or 0):
            raise ValueError(f"a state of this operator has {self.axes} axes; got shape {tuple(x.shape)}")
        if self.forward is unchanged and torch.promote_types(self.symbols.dtype, x.dtype) != x.dtype:
            raise TypeError(f"symbols have dtype {self.symbols.dtype} and cannot act on {x.dtype}: convert one of them")

    def transposed(self) -> LinearOperator:
        if self.forward is unchanged and self.backward is unchanged:
            return self
        return super().transposed()

    def shifted(self, shift: Scalar, scale: Scalar) -> LinearOperator:
        symmetric = self.symmetric and is_real(shift, scale)
        definite = stays_definite(self, shift, scale)
        return Diagonal(shift + scale * self.symbols, self.forward, self.backward, self.axes, symmetric, definite)

    def diagonal(self, like: Tensor) -> Tensor:
        if self.forward is unchanged and self.backward is unchanged:
            return self.symbols.expand(*self.batch, *self.state_shape(like))
        return super().diagonal(like)

    def inverse(self) -> Inverse | None:
        """Division by the symbols; where one is zero, such as that of the mean, the answer has zero.

        So what comes out solves the system wherever it has a solution.
        """
        zero = self.symbols == 0
        reciprocal = torch.where(zero, 0.0, 1.0 / torch.where(zero, 1.0, self.symbols))
        return lambda x: self.backward(reciprocal * self.forward(x))
