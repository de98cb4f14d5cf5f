"""The terms of an equation that evolves in time, and what it says of itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from torch import Tensor

from kutta.pde.coefficients import check_coefficient, check_not_negative, check_number
from kutta.pde.grids.grid import Grid
from kutta.pde.schemes.finite_difference import FiniteDifference
from kutta.pde.schemes.pseudo_spectral import PseudoSpectral
from kutta.pde.schemes.scheme import Discretisation, Field, Scheme


class Terms:
    """``du/dt = L u + N(t, u)``: what a `kutta.pde.PDEProblem` asks of its equation; see `kutta.pde.Evolution`."""

    components: ClassVar[tuple[str, ...]] = ("u",)
    dimensions: ClassVar[tuple[int, ...]] = (1, 2, 3)
    degree: ClassVar[int] = 1
    directions: ClassVar[tuple[int | None, ...]] = ()
    numbers: ClassVar[tuple[str, ...]] = ()
    fields: ClassVar[tuple[str, ...]] = ()
    functions: ClassVar[tuple[str, ...]] = ()
    diffusive: ClassVar[tuple[str, ...]] = ()
    ordered: ClassVar[bool] = False

    def linear(self, ops: Discretisation, u: Field) -> Field | None:
        """``L u``; it may depend on neither the time nor, but linearly, on `u`."""
        return None

    def nonlinear(self, ops: Discretisation, t: Any, u: Field) -> Field | None:
        """``N(t, u)``."""
        return None

    def speeds(self, grid: Grid, t: Any, u: Tensor) -> Sequence[Any] | None:
        """How fast anything moves along each axis, numbers or tensors over the grid: what bounds explicit steps.

        ``None`` where the equation does not say, or waves are not what bounds them.
        """
        return None

    def scheme(self, grid: Grid) -> Scheme:
        """The scheme that is used when none is named: waves where all is periodic, else differences of order 2."""
        return PseudoSpectral() if grid.periodic else FiniteDifference()

    def check(self, grid: Grid, scheme: Scheme, u0: Tensor) -> None:
        """Refuse coefficients, a grid, a scheme or an initial state that make no sense together."""
        if self.ordered and u0.is_complex():
            raise TypeError(f"{type(self).__name__} is for real fields; got u0 of {u0.dtype}")
        for name in self.numbers:
            check_number(name, getattr(self, name))
        lead = u0.shape[: u0.dim() - grid.dim - (len(self.components) > 1)]
        for name in self.fields:
            if not (name in self.functions and callable(getattr(self, name))):
                check_coefficient(name, getattr(self, name), grid, lead)
        for name in self.diffusive:
            check_not_negative(name, getattr(self, name))

    def admissible(self, u0: Tensor, grid: Grid) -> Tensor:
        """What of an initial state the equation allows: all of it, unless there is a constraint."""
        return u0

    def advice(self, grid: Grid, u: Tensor) -> str:
        """What may be said of a solve that came to infinite values or to NaN, and was last at the state `u`."""
        return ""
