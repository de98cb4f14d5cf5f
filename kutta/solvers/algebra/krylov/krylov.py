"""What Krylov methods have in common: a preconditioner, and the loop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from kutta.solvers.algebra.krylov.iteration import Begin, iterate
from kutta.solvers.algebra.krylov.system import System
from kutta.solvers.algebra.method import Goal, LinearMethod, Outcome, Solver, Watch
from kutta.solvers.algebra.operators.linear_operator import LinearOperator
from kutta.solvers.algebra.operators.matrix_free import MatrixFree

# A method such as kutta.SOR(), an operator that approximates A^-1, or a function that does.
Preconditioner = LinearMethod | LinearOperator | Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class KrylovMethod(LinearMethod):
    """A method that needs nothing of the operator but ``A x``.

    Attributes:
        preconditioner: what approximates ``A^-1``.
    """

    preconditioner: Preconditioner | None = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        given = self.preconditioner
        if isinstance(given, type):
            raise TypeError(f"preconditioner must be an instance: write {given.__name__}() with its parentheses")
        if not (given is None or isinstance(given, LinearMethod | LinearOperator) or callable(given)):
            raise TypeError(
                "preconditioner must be a method such as kutta.SOR(), a linear operator or a function r -> z; "
                f"got {given!r}"
            )
        if isinstance(given, KrylovMethod):
            raise TypeError(
                f"{type(given).__name__} is no preconditioner: what it does depends on the right-hand side in a "
                "nonlinear way"
            )

    def begin(self) -> Begin:
        """What makes the recurrence."""
        raise NotImplementedError

    def solver(self, operator: LinearOperator, b: Tensor, goal: Goal) -> Solver:
        return Iterative(self.begin(), operator, approximate_inverse(self.preconditioner, operator, b), goal)


class Iterative(Solver):
    """An iteration for one operator.

    Attributes:
        begin: makes the recurrence.
        operator: ``A``.
        approximate: the preconditioner, or nothing.
        goal: when it ends.
    """

    def __init__(self, begin: Begin, operator: LinearOperator, approximate: LinearOperator | None, goal: Goal):
        self.begin, self.operator, self.approximate, self.goal = begin, operator, approximate, goal

    def solve(
        self, b: Tensor, guess: Tensor | None = None, floor: Tensor | None = None, watch: Watch | None = None
    ) -> Outcome:
        system = System(self.operator, self.approximate, self.operator.compatible(b))
        guess = None if guess is None else system.flat(guess)
        floor = None if floor is None else floor.unsqueeze(-1)
        return iterate(self.begin, system, guess, self.goal, floor, watch)

    def transposed(self) -> Solver:
        approximate = None if self.approximate is None else self.approximate.transposed()
        return Iterative(self.begin, self.operator.transposed(), approximate, self.goal)


def approximate_inverse(given: Any, operator: LinearOperator, b: Tensor) -> LinearOperator | None:
    """A preconditioner for an operator, as an operator."""
    if given is None or isinstance(given, LinearOperator):
        return given
    if isinstance(given, LinearMethod):
        given.check(operator, b)
        return given.preconditioner(operator, b)
    return MatrixFree(given, operator.axes, symmetric=operator.symmetric)
