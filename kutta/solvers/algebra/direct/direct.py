"""What direct methods have in common: an inverse, and a look at what it leaves."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from kutta.solution import Result
from kutta.solvers.algebra.method import LARGEST_RESIDUAL, Goal, LinearMethod, Outcome, Solver, Watch, norms
from kutta.solvers.algebra.operators.linear_operator import Inverse, LinearOperator, checked_image


class Direct(Solver):
    """A solver that has an inverse.

    Attributes:
        operator: ``A``.
        inverse: ``b -> A^-1 b``, by differentiable operations.
        failure: of each system, ``(*batch,)``, codes of `Result`; by default none.
    """

    inverse: Inverse

    def __init__(self, operator: LinearOperator, inverse: Inverse, failure: Tensor | None = None):
        self.operator, self.inverse, self.failure = operator, inverse, failure

    def solve(
        self, b: Tensor, guess: Tensor | None = None, floor: Tensor | None = None, watch: Watch | None = None
    ) -> Outcome:
        x = checked_image("inverse of the operator", self.inverse(b), b)
        b = self.operator.compatible(b)
        norm, wanted = norms(self.operator, b - self.operator.apply(x)), norms(self.operator, b)
        codes = torch.where(norm <= LARGEST_RESIDUAL * wanted, int(Result.SUCCESS), int(Result.SINGULAR))
        if self.failure is not None:
            codes = torch.where(self.failure != int(Result.SUCCESS), self.failure, codes)
        codes = torch.where(torch.isfinite(wanted), codes, int(Result.NON_FINITE))
        return Outcome(x, norm, torch.zeros_like(codes), codes)


class DirectMethod(LinearMethod):
    """A method without iterations."""

    direct: ClassVar[bool] = True

    def check(self, operator: LinearOperator, b: Tensor) -> None:
        if b.dtype not in (torch.float32, torch.float64, torch.complex64, torch.complex128):
            raise TypeError(
                f"{type(self).__name__} solves in single or double precision; got b of {b.dtype}: convert b and the "
                "operator, such as by b.float()"
            )

    def solver(self, operator: LinearOperator, b: Tensor, goal: Goal) -> Solver:
        return self.factorised(operator, b)

    def preconditioner(self, operator: LinearOperator, b: Tensor) -> LinearOperator:
        return InverseOperator(self.factorised(operator, b))

    def factorised(self, operator: LinearOperator, b: Tensor) -> Direct:
        """The solver, for right-hand sides such as `b`."""
        raise NotImplementedError


class InverseOperator(LinearOperator):
    """``A^-1`` by a direct solver, as the preconditioner of a nearby operator."""

    def __init__(self, solver: Direct):
        self.solver, self.axes, self.batch = solver, solver.operator.axes, solver.operator.batch
        self.symmetric, self.definite = solver.operator.symmetric, solver.operator.definite

    def apply(self, x: Tensor) -> Tensor:
        return self.solver.inverse(x)
