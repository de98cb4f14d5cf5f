"""Equations that evolve in time, as a user writes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kutta.pde.grids.grid import Grid
from kutta.pde.problem import PDEProblem
from kutta.pde.schemes.scheme import Scheme
from kutta.pde.terms import Terms


class Evolution(Terms):
    """``du/dt = L u + N(t, u)``: a linear part, and what remains.

    An equation derives from this, is a frozen record of its coefficients, and says the two parts in terms of a
    `Discretisation`. Either may be left out.

    Attributes:
        components: the names of the unknowns; a single one has no axis of its own.
        dimensions: of space, in which the equation makes sense.
        degree: of the products of fields in ``N``, which aliasing depends on.
        directions: of each component, the axis along which it points, such as that of a velocity, or ``None``: what a
            `kutta.pde.Wall` turns around. By default there are none.
        numbers: the names of coefficients that are numbers, or tensors of one.
        fields: the names of those that may also be tensors of values at the points of the grid.
        functions: those of the fields that may also be functions of ``(x, t)``, such as sources.
        diffusive: those coefficients that make fast waves grow without bound if they are negative.
        ordered: whether the equation asks which values are larger, which complex ones do not tell.
    """

    def problem(self, grid: Grid, u0: Any, t_span: Sequence[Any], scheme: Scheme | None = None) -> PDEProblem:
        """The equation on a grid, from an initial state on.

        Args:
            grid: with its boundary conditions.
            u0: the initial state: a tensor ``(..., *grid.shape)``, with an axis of components before those of space
                where there are several; or a function of the coordinates ``(d, *shape)``.
            t_span: initial and final time.
            scheme: how it is discretised in space; by default what `scheme` says.
        """
        return PDEProblem(self, grid, u0, t_span, scheme)
