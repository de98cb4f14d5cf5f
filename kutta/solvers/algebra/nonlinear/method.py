"""What methods for nonlinear equations are: frozen records of options that begin an iteration."""

from __future__ import annotations

from typing import ClassVar

from kutta.solvers.algebra.nonlinear.equations import Equations
from kutta.solvers.algebra.nonlinear.iteration import Iteration
from kutta.solvers.tolerance import Tolerance


class NonlinearMethod:
    """A method for one kind of problem: a frozen dataclass of options, without state.

    Attributes:
        source: where it was published.
    """

    source: ClassVar[str] = ""

    def begin(self, equations: Equations, tolerance: Tolerance) -> Iteration:
        """An iteration at its beginning.

        Args:
            equations: what is solved, and where it begins.
            tolerance: what the unknowns may be off by.
        """
        raise NotImplementedError


class RootMethod(NonlinearMethod):
    """A method for a `kutta.RootProblem`."""


class FixedPointMethod(NonlinearMethod):
    """A method for a `kutta.FixedPointProblem`."""


class LeastSquaresMethod(NonlinearMethod):
    """A method for a `kutta.LeastSquaresProblem`."""


class ConstrainedMethod(NonlinearMethod):
    """A method for a `kutta.ConstrainedProblem`."""
