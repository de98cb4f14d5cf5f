"""The equations of Karush, Kuhn and Tucker, of the unknowns and the multipliers together, ``z = (x, lambda)``.

With the Lagrange function ``L = f + lambda . c`` and ``G = dc/dx`` they are ``grad L = 0`` and ``c = 0``, and their
derivative is ``K = [H G^T; G 0]``, symmetric, with the Hessian ``H`` of ``L``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from kutta.solvers.algebra.implicit import undifferentiated
from kutta.solvers.algebra.nonlinear.equations import Equations, check_real
from kutta.solvers.algebra.nonlinear.jacobians import by_rows, by_transposes
from kutta.solvers.magnitude import norm


class Optimality(Equations):
    """``z -> (grad L, c)``, from ``(B, n + m)`` to ``(B, n + m)``, of which no row sees another.

    Constraints are measured in units of their gradients at the beginning where those are larger than 1, and multipliers
    in the inverse of these units: beside a steep constraint every merit is a narrow valley.

    Attributes:
        constraints: ``c`` as the user has it.
        units: of the constraints, ``(B, m)``.
        unknowns: how many there are, ``n``; what comes after them are multipliers.
        start: the unknowns at which iterations begin, and the multipliers for which ``grad L`` is least there.
    """

    def __init__(self, f: Callable[..., Any], constraints: Callable[..., Any], x0: Any, args: Any, batched: bool):
        super().__init__("f", f, x0, args, batched)
        check_real("ConstrainedProblem", self.layout.dtype)
        self.constraints = Equations("constraints", constraints, x0, args, batched)
        self.unknowns = self.start.shape[1]
        with undifferentiated():
            self._check_counts()
            gradients = by_rows(self.constraints.image, self.start, self.constraints.count)[1]
            self.units = torch.linalg.vector_norm(gradients, dim=2).nan_to_num(1.0, 1.0).clamp(min=1.0)
            self.start = torch.cat([self.start, self._first_multipliers()], 1)

    def shaped(self, x: Tensor) -> Any:
        """The unknowns as the user has them."""
        return super().shaped(x[:, : self.unknowns])

    def image(self, x: Tensor) -> Tensor:
        x, multipliers = self.parts(x)
        values, pull = torch.func.vjp(self._both, x)  # pyright: ignore[reportAssignmentType]
        gradient = pull(torch.cat([torch.ones_like(values[:, :1]), multipliers], 1))[0]
        return torch.cat([gradient, values[:, 1:]], 1)

    def parts(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """What belongs to the unknowns, and what to the multipliers."""
        return z[:, : self.unknowns], z[:, self.unknowns :]

    def multipliers(self, z: Tensor) -> Tensor:
        """Those of the constraints as the user has them, ``(B, m)``."""
        return self.parts(z)[1] / self.units

    def norm(self, r: Tensor) -> Tensor:
        """That of ``(grad L, c)`` with the constraints as the user has them, ``(B,)``."""
        gradient, c = self.parts(r)
        return norm(torch.cat([gradient, self.units * c], 1))

    def scaled(self, x: Tensor) -> Tensor:
        """``c`` in its units."""
        return self.constraints.image(x) / self.units

    def normals(self, z: Tensor) -> Tensor:
        """``G``, ``(B, m, n)``, a backward pass for each constraint."""
        return by_rows(self.scaled, self.parts(z)[0], z.shape[1] - self.unknowns)[1]

    def merits(self, z: Tensor) -> Tensor:
        """``L``, ``|c|^2 / 2`` and ``|G grad L|^2 / 2``, ``(B, 3)``."""
        x, multipliers = self.parts(z)
        values, pull = torch.func.vjp(self._both, x)  # pyright: ignore[reportAssignmentType]
        weights = torch.cat([torch.ones_like(values[:, :1]), multipliers], 1)
        gradient = pull(weights)[0]
        # Not in forward mode: this is differentiated, and where tensors carry tangents there is no second one.
        _, across = by_transposes(self.scaled, x)(gradient)
        squares = [0.5 * part.square().sum(1) for part in (values[:, 1:], across)]
        return torch.stack([(weights * values).sum(1), *squares], 1)

    def _both(self, x: Tensor) -> Tensor:
        """``f`` and ``c``, ``(B, 1 + m)``."""
        return torch.cat([Equations.image(self, x), self.scaled(x)], 1)

    def _check_counts(self) -> None:
        values, count = Equations.image(self, self.start), self.constraints.image(self.start).shape[1]
        if values.shape[1] != 1:
            raise ValueError(
                f"f must return one number, or of a batch one for each problem; got {values.shape[1]} for each: add "
                "them up"
            )
        if not 1 <= count <= self.unknowns:
            raise ValueError(
                f"constraints must return at least one equation and no more than there are unknowns, {self.unknowns}; "
                f"got {count}: minimise their squares by a kutta.LeastSquaresProblem if they cannot all hold"
            )

    def _first_multipliers(self) -> Tensor:
        """The least squares of ``grad f + G^T lambda``; zero where there are no such."""
        _, jacobian = by_rows(self._both, self.start, 1 + self.constraints.count)
        q, r = torch.linalg.qr(jacobian[:, 1:].mT)
        right = -(q.mT @ jacobian[:, 0].unsqueeze(-1))
        found = torch.linalg.solve_triangular(r, right, upper=True).squeeze(-1)
        usable = torch.isfinite(found).all(1) & independent(r)
        return torch.where(usable[:, None], found, 0.0)


def independent(triangle: Tensor) -> Tensor:
    """Whether gradients of constraints are, by the ``R`` of ``G^T = Q R``, to more than rounding, ``(B,)``."""
    sizes = triangle.diagonal(dim1=-2, dim2=-1).abs()
    return sizes.amin(1) > 8.0 * triangle.shape[1] * torch.finfo(sizes.dtype).eps * sizes.amax(1)
