"""The Krylov space of a vector, in which an operator is a small matrix."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from kutta.solvers.magnitude import magnitude

# With an operator, of one vector.
Product = Callable[[Tensor], Tensor]


class Space:
    """The Krylov space of a vector, grown by several dimensions at a time."""

    def __init__(self, product: Product, vector: Tensor):
        self.product = product
        unit = magnitude(vector)[0]
        length = torch.linalg.vector_norm(vector / unit)
        self.norm = unit * length
        self.basis = [vector / unit / torch.where(length > 0, length, 1.0)]
        self.columns: list[Tensor] = []
        self.extend()

    @property
    def dimension(self) -> int:
        """The dimension of the space."""
        return len(self.columns)

    def extend(self, steps: int = 4) -> None:
        """Some steps of Arnoldi's process, orthogonalising twice."""
        for _ in range(min(steps, self.basis[0].numel() - self.dimension)):
            known, image = torch.stack(self.basis), self.product(self.basis[-1])
            column = known.conj() @ image
            image = image - column @ known
            again = known.conj() @ image
            image = image - again @ known
            rest = torch.linalg.vector_norm(image)
            self.columns.append(torch.cat([column + again, rest.to(image.dtype).reshape(1)]))
            self.basis.append(image / torch.where(rest > 0, rest, 1.0))

    def matrix(self) -> Tensor:
        """``[[H_m, 0], [h e_m^T, 0]]``, ``(m + 1, m + 1)``."""
        size = self.dimension + 1
        columns = [torch.nn.functional.pad(column, (0, size - len(column))) for column in self.columns]
        return torch.stack([*columns, torch.zeros_like(columns[0])], -1)

    def exponential(self, time: float) -> Tensor:
        """The coefficients of ``exp(time B) b / |b|`` in the basis."""
        return torch.linalg.matrix_exp(time * self.matrix())[:, 0]

    def combined(self, weights: Tensor) -> Tensor:
        """The vector of these coefficients."""
        return self.norm * (weights @ torch.stack(self.basis))

    def integral(self, time: float, weights: Tensor, other: Tensor) -> Tensor:
        """``int_0^time exp(s B) b (exp((time - s) other) weights)^H ds``, ``(n, p)``.

        The coefficients are a block of one exponential (Van Loan, Computing integrals involving the matrix exponential,
        IEEE Trans. Automatic Control 23, 1978).
        """
        own = self.matrix()
        first = torch.eye(len(own), dtype=own.dtype, device=own.device)[0]
        corner = torch.outer(first, weights.conj())
        both = torch.cat(
            [torch.cat([own, corner], 1), torch.cat([torch.zeros_like(corner.mT), other.mH], 1)],
        )
        inner = torch.linalg.matrix_exp(time * both)[: len(own), len(own) :]
        return self.norm * (torch.stack(self.basis, -1) @ inner)
