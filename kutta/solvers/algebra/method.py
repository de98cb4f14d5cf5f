"""What every method for linear systems is: it makes itself ready for an operator, and then solves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from torch import Tensor

from kutta.solvers.algebra.operators.linear_operator import Inverse, LinearOperator
from kutta.solvers.magnitude import norm

# A residual of more than this part of the right-hand side is no solution: the operator is singular to working
# precision, or elimination needed pivots that it did not choose.
LARGEST_RESIDUAL = 0.01

# Up to so many unknowns an operator that is no matrix is written out as one, where a method needs its entries.
LARGEST_WRITTEN_OUT = 4096

# Called with the part of the way that is done, from 0 to 1.
Watch = Callable[[float], None]


@dataclass(frozen=True)
class Goal:
    """When an iteration ends: at ``|b - A x| <= max(rtol |b|, atol)``, with the Euclidean norm of each sample.

    Attributes:
        rtol: relative to the right-hand side.
        atol: absolute.
        max_steps: the largest number of iterations.
    """

    rtol: float = 1e-5
    atol: float = 0.0
    max_steps: int = 100_000


class Outcome(NamedTuple):
    """What came of a solve, for a batch of systems of the shape ``*batch``.

    Attributes:
        x: the solution, like the right-hand side.
        norm: of the residual ``b - A x``, ``(*batch,)``.
        iterations: ``(*batch,)``.
        codes: of `kutta.Result`, ``(*batch,)``.
    """

    x: Tensor
    norm: Tensor
    iterations: Tensor
    codes: Tensor


class Solver:
    """A method that is ready for one operator.

    Attributes:
        operator: ``A``.
        inverse: ``b -> A^-1 b`` by differentiable operations, where the solver is one.
    """

    operator: LinearOperator
    inverse: Inverse | None = None

    def solve(
        self, b: Tensor, guess: Tensor | None = None, floor: Tensor | None = None, watch: Watch | None = None
    ) -> Outcome:
        """Solve ``A x = b``.

        Args:
            b: the right-hand side, a state or a batch of such.
            guess: where to begin; by default at zero.
            floor: norms of residuals, ``(*batch,)``, below which there is nothing to do.
            watch: called after every iteration.
        """
        raise NotImplementedError

    def transposed(self) -> Solver:
        """The same for ``A^T``, of a solver without an inverse."""
        raise NotImplementedError


class LinearMethod:
    """A method for linear systems: a frozen dataclass of options, without state.

    Attributes:
        direct: whether it does without iterations, tolerances and a guess.
        source: where it was published.
    """

    direct: ClassVar[bool] = False
    source: ClassVar[str] = ""

    def check(self, operator: LinearOperator, b: Tensor) -> None:
        """Refuse an operator that this method cannot solve with."""

    def solver(self, operator: LinearOperator, b: Tensor, goal: Goal) -> Solver:
        """Make ready for an operator, and right-hand sides such as `b`."""
        raise NotImplementedError

    def preconditioner(self, operator: LinearOperator, b: Tensor) -> LinearOperator:
        """What approximates ``A^-1``, for right-hand sides such as `b`."""
        raise TypeError(f"{type(self).__name__} is no preconditioner")


def state_axes(operator: LinearOperator, b: Tensor) -> int:
    """How many trailing axes of `b` make one state."""
    return b.dim() if operator.axes is None else operator.axes


def norms(operator: LinearOperator, x: Tensor) -> Tensor:
    """The Euclidean norm of each state of a batch, ``(*batch,)``."""
    return norm(x.flatten(x.dim() - state_axes(operator, x)))
