"""Newton's systems for the equations of Karush, Kuhn and Tucker, ``[B G^T; G 0] d = -(grad L, c)``.

``B`` is the Hessian of ``L`` with a multiple of the identity added, so that it is positive definite where ``G`` is
zero: then the system has one solution wherever the rows of ``G`` are independent, and a step along it goes down.
"""

from __future__ import annotations

import torch
from torch import Tensor

from kutta.solvers.algebra.nonlinear.constrained.optimality import Optimality
from kutta.solvers.algebra.nonlinear.iteration import chosen
from kutta.solvers.algebra.nonlinear.jacobians import by_rows, products
from kutta.solvers.algebra.operators.dense import Dense
from kutta.solvers.algebra.operators.linear_operator import LinearOperator
from kutta.solvers.algebra.operators.matrix_free import MatrixFree
from kutta.solvers.magnitude import norm

# Multiples of the identity that are tried, in units of the Hessian: the last one makes any definite.
_SHIFTS = (0.0, 1e-4, 1e-3, 1e-2, 0.1, 1.0, 2.0)
# In the same units: by how much it must be definite.
_LEAST_CURVATURE = 1e-8


class NewtonSystem:
    """The system at one point of each problem.

    Attributes:
        right: ``-(grad L, c)``, ``(B, n + m)``.
        size: its norms, ``(B,)``.
        normals: ``G^T``, ``(B, n, m)``.
        basis, triangle: orthonormal columns that span the same, and ``R`` with ``G^T = Q R``.
    """

    def __init__(self, equations: Optimality, z: Tensor):
        self.right, self.unknowns = -equations(z), equations.unknowns
        equations.jacobians += 1
        self.size = norm(self.right)
        self.normals = equations.normals(z).mT
        self.basis, self.triangle = torch.linalg.qr(self.normals)

    def operator(self, shift: Tensor) -> LinearOperator:
        """``K`` with ``shift``, ``(B,)``, times the identity added to the Hessian."""
        raise NotImplementedError

    def first_shift(self) -> Tensor:
        """With which to begin, ``(B,)``."""
        return torch.zeros_like(self.size)

    def tangential(self, d: Tensor) -> Tensor:
        """What of the unknowns of a direction lies in the null space of ``G``, with zeros for the multipliers."""
        step = d[:, : self.unknowns].unsqueeze(-1)
        along = step - self.basis @ (self.basis.mT @ step)
        return torch.nn.functional.pad(along.squeeze(-1), (0, d.shape[1] - self.unknowns))

    def onto(self, c: Tensor) -> Tensor:
        """The shortest step of the unknowns that takes away `c` by the first derivatives, and none of the multipliers.

        Zero where the rows of ``G`` depend on each other.
        """
        parts = torch.linalg.solve_triangular(self.triangle.mT, -c.unsqueeze(-1), upper=False)
        step = (self.basis @ parts).squeeze(-1)
        step = torch.where(torch.isfinite(step).all(1, keepdim=True), step, 0.0)
        return torch.nn.functional.pad(step, (0, c.shape[1]))

    def onto_constraints(self, d: Tensor) -> Tensor:
        """A direction, changed so that ``G dx = -c``, however exactly its system was solved.

        Then ``|c|^2`` falls along it, and a large ``eta1`` makes ``M`` fall.
        """
        image = (self.normals.mT @ d[:, : self.unknowns].unsqueeze(-1)).squeeze(-1)
        return d + self.onto(image - self.right[:, self.unknowns :])

    def diagonal(self, shift: Tensor) -> Tensor:
        """The shift for unknowns and nothing for multipliers, ``(B, n + m)``."""
        return torch.nn.functional.pad(
            shift[:, None].expand(-1, self.unknowns), (0, self.right.shape[1] - self.unknowns)
        )


class ByProducts(NewtonSystem):
    """Known by products with the Hessian, each a derivative in forward mode of a gradient."""

    def __init__(self, equations: Optimality, z: Tensor):
        super().__init__(equations, z)
        self.products = products(equations.image, z)

    def operator(self, shift: Tensor) -> LinearOperator:
        diagonal = self.diagonal(shift)
        return MatrixFree(lambda v: self.products(v)[1] + diagonal * v, 1, symmetric=True)


class AsMatrix(NewtonSystem):
    """Written out, with a Hessian that is made definite by Cholesky's factorisation of what it is on the null space."""

    def __init__(self, equations: Optimality, z: Tensor):
        super().__init__(equations, z)
        self.matrix = by_rows(equations.image, z, z.shape[1])[1]

    def operator(self, shift: Tensor) -> LinearOperator:
        return Dense(self.matrix + torch.diag_embed(self.diagonal(shift)), symmetric=True)

    def first_shift(self) -> Tensor:
        whole = torch.linalg.qr(self.normals, mode="complete")[0]
        null = whole[:, :, self.normals.shape[2] :]
        hessian = self.matrix[:, : self.unknowns, : self.unknowns]
        # No eigenvalue is larger than the largest sum of a row.
        scale = hessian.abs().sum(2).amax(1)
        scale = torch.where(scale > 0.0, scale, 1.0)
        reduced = null.mT @ hessian @ null
        eye = torch.eye(reduced.shape[1], dtype=reduced.dtype, device=reduced.device)
        shift = torch.full_like(scale, torch.nan)
        for multiple in _SHIFTS:
            tried = (multiple - _LEAST_CURVATURE) * scale
            info = torch.linalg.cholesky_ex(reduced + tried[:, None, None] * eye)[1]
            shift = chosen(torch.isnan(shift) & (info == 0), multiple * scale, shift)
        return torch.where(torch.isnan(shift), 0.0, shift)
