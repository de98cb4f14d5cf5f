"""Generalised minimal residuals."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from kutta.solution import Result
from kutta.solvers.algebra.krylov.iteration import Begin, Recurrence
from kutta.solvers.algebra.krylov.krylov import KrylovMethod
from kutta.solvers.algebra.krylov.system import System, norm, over


@dataclass(frozen=True)
class GMRES(KrylovMethod):
    """Generalised minimal residuals, begun anew after `restart` iterations, for any operator.

    Iterate ``k`` has the smallest residual of ``x_0 + M^-1 span(r_0, A M^-1 r_0, ...)`` with the preconditioner
    ``M^-1`` at the right, so that the residual is the true one. Memory is that of twice ``restart`` vectors, and an
    iteration also costs four products with those that there are.

    Attributes:
        preconditioner: any linear one. Of a function the transposed one, for gradients, is found by differentiation.
        restart: iterations before it begins anew, 1 or more.

    Example:
        >>> import torch, kutta as kt
        >>> A = torch.tensor([[1.0, 2.0], [-2.0, 1.0]], dtype=torch.float64)
        >>> b = torch.tensor([5.0, 0.0], dtype=torch.float64)
        >>> kt.solve(kt.LinearProblem(A, b), kt.GMRES(), rtol=1e-12).y1
        tensor([1., 2.], dtype=torch.float64)
    """

    restart: int = 30
    source = "Saad and Schultz, GMRES, 1986"

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.restart, bool) or not isinstance(self.restart, int) or self.restart < 1:
            raise ValueError(f"restart must be a positive whole number; got {self.restart!r}")

    def begin(self) -> Begin:
        return partial(_Arnoldi, restart=self.restart)


class _Arnoldi(Recurrence):
    """An orthonormal basis with ``A M^-1 V_k = V_{k+1} H_k``, and ``H_k`` rotated to triangular form, ``Q H = R``."""

    failure = int(Result.SINGULAR)

    def __init__(self, system: System, x: Tensor, residual: Tensor, restart: int):
        self.system, self.x, self.size = system, x, min(restart, system.size)
        self._begin(residual)

    def _begin(self, residual: Tensor) -> None:
        size, lead = self.size, residual.shape[:-1]
        self.count, self.norm, self.rest = 0, norm(residual), norm(residual).to(residual.dtype)
        self.start = self.norm
        self.basis = [over(residual, self.norm, self.norm > 0.0)]
        self.rotations = torch.eye(size + 1, dtype=residual.dtype, device=residual.device).expand(*lead, -1, -1).clone()
        self.triangle: list[Tensor] = []
        self.right: list[Tensor] = []

    def advance(self, running: Tensor) -> None:
        image = self.system.apply(self.system.precondition(self.basis[-1]))
        image, column = _orthogonalised(image, torch.stack(self.basis, -2))
        below = norm(image)
        place = self.count
        column = (self.rotations[..., : place + 1, : place + 1] @ column.unsqueeze(-1)).squeeze(-1)
        pivot = column[..., place:]
        length = torch.hypot(pivot.abs(), below)
        self.broken = length <= 4.0 * torch.finfo(length.dtype).eps * norm(column)
        running = running & ~self.broken
        self._rotate(place, over(pivot, length, running), over(below, length, running), running)
        column = torch.cat([column[..., :place], length.to(column.dtype)], -1)
        unit = torch.eye(place + 1, dtype=column.dtype, device=column.device)[place]
        self.triangle.append(torch.where(running, column, unit))
        self.basis.append(over(image, below, running & (below > 0.0)))
        self.count += 1
        if self.count == self.size:
            self._restart()

    def _restart(self) -> None:
        """Begin anew from the true residual; where that has not fallen, though it seemed to, it is rounding."""
        start, seeming = self.start, self.norm
        self.x = self.solution()
        self._begin(self.system.residual(self.x))
        self.broken = self.broken | ((self.norm > 0.5 * start) & (self.norm > 2.0 * seeming))

    def _rotate(self, place: int, c: Tensor, s: Tensor, running: Tensor) -> None:
        """The rotation that takes ``(pivot, below)`` to ``(length, 0)``, put behind the earlier ones."""
        row = self.rotations[..., place, :]
        after = torch.eye(self.size + 1, dtype=row.dtype, device=row.device)[place + 1]
        upper, lower = c.conj() * row + s * after, c * after - s * row
        self.rotations = torch.cat(
            [
                self.rotations[..., :place, :],
                torch.where(running, upper, row).unsqueeze(-2),
                torch.where(running, lower, after).unsqueeze(-2),
                self.rotations[..., place + 2 :, :],
            ],
            -2,
        )
        self.right.append(c.conj() * self.rest)
        self.rest = torch.where(running, -s * self.rest, self.rest)
        self.norm = self.rest.abs()

    def solution(self) -> Tensor:
        """``x + M^-1 V R^-1 g``."""
        if not self.count:
            return self.x
        rows = [torch.nn.functional.pad(column, (0, self.count - column.shape[-1])) for column in self.triangle]
        weights = torch.linalg.solve_triangular(torch.stack(rows, -1), torch.stack(self.right, -2), upper=True)
        step = (torch.stack(self.basis[: self.count], -1) @ weights).squeeze(-1)
        return self.x + self.system.precondition(step)


def _orthogonalised(image: Tensor, basis: Tensor) -> tuple[Tensor, Tensor]:
    """What of a vector is orthogonal to a basis ``(..., k, n)``, and its parts along it; twice, against rounding."""
    total = torch.zeros_like(basis[..., 0])
    for _ in range(2):
        parts = (basis.conj() @ image.unsqueeze(-1)).squeeze(-1)
        image = image - (parts.unsqueeze(-2) @ basis).squeeze(-2)
        total = total + parts
    return image, total
