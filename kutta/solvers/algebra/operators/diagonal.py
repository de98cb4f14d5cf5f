"""An operator that is diagonal in a transform."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from kutta.solvers.algebra.operators.linear_operator import LinearOperator


def _same(x: Tensor) -> Tensor:
    return x


@dataclass(frozen=True, eq=False)
class Diagonal(LinearOperator):
    """``x -> backward(symbols * forward(x))``.

    Attributes:
        symbols: the eigenvalues, real or complex, of a shape that broadcasts with ``forward(x)``.
        forward: into the space where the operator is diagonal, such as a fast Fourier transform.
        backward: its inverse.
    """

    symbols: Tensor
    forward: Callable[[Tensor], Tensor] = _same
    backward: Callable[[Tensor], Tensor] = _same

    def apply(self, x: Tensor) -> Tensor:
        return self.backward(self.symbols * self.forward(x))

    def transposed(self) -> Diagonal:
        return Diagonal(self.symbols.conj(), self.forward, self.backward)

    def shifted(self, shift: Any, scale: Any) -> Diagonal:
        return Diagonal(shift + scale * self.symbols, self.forward, self.backward)

    def inverse(self) -> Callable[[Tensor], Tensor]:
        return lambda b: self.backward(self.forward(b) / self.symbols)
