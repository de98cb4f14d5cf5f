"""An equation in terms of the images of its unknown, ``du/dt = R(I_1 u, I_2 u, ...)`` at each point."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from kutta.operators.constraints.expressions import Expression, Given, Image, Path
from kutta.pde.grids.boundary import Periodic
from kutta.pde.grids.values import total
from kutta.pde.problem import PDEProblem
from kutta.pde.schemes.finite_difference import CentralDifferences
from kutta.pde.schemes.finite_volume import Cells
from kutta.pde.schemes.scheme import Discretisation, Field, Law


class Writing(Discretisation):
    """The operations of a scheme, which are written down. Derivatives of products are those of Leibniz.

    Attributes:
        ops: those of the scheme.
        with_data: whether they have the boundary data of the grid.
    """

    product_rule = pointwise = True

    def __init__(self, ops: Discretisation, with_data: bool = True):
        self.ops, self.grid, self.t, self.with_data = ops, ops.grid, ops.t, with_data

    def homogeneous(self) -> Writing:
        return Writing(self.ops, with_data=False)

    def split(self, u: Field) -> tuple[Field, ...]:
        if not isinstance(u, Given):
            raise NotImplementedError("constraints are for one unknown; got one that is split into components")
        return tuple(Given(part) for part in super().split(u.tensor))

    def derivative(self, u: Field, axis: int, order: int = 1) -> Field:
        written = self._linear(u, "derivative", axis, order)
        return self.homogeneous()._by_the_chain_rule(u, axis, order) if written is None else written

    def laplacian(self, u: Field) -> Field:
        written = self._linear(u, "laplacian")
        if written is not None:
            return written
        return total(self.homogeneous()._by_the_chain_rule(u, axis, 2) for axis in range(self.grid.dim))

    def inverse_laplacian(self, f: Field) -> Field:
        written = self._linear(f, "inverse_laplacian")
        if written is None:
            raise NotImplementedError(
                "constraints take the inverse of the Laplacian of what is linear in the unknown; got that of a product"
            )
        return written

    def diffusion(self, u: Field, coefficient: Any) -> Field:
        coefficient = coefficient.tensor if isinstance(coefficient, Given) else coefficient
        written = None if isinstance(coefficient, Expression) else self._linear(u, "diffusion", coefficient)
        return super().diffusion(u, coefficient) if written is None else written

    def derivative_of(self, function: Any, u: Field, axis: int, order: int = 1) -> Field:
        if isinstance(self.ops, CentralDifferences) and not self.grid.periodic and isinstance(u, Image):
            return self._of_neighbours(function, u, axis, order)
        if self.ops.has_data:
            self._check_walls("a function", ("derivative", axis))
        return self.homogeneous().derivative(function(u), axis, order)

    def laplacian_of(self, function: Any, u: Field) -> Field:
        return total(self.derivative_of(function, u, axis, 2) for axis in range(self.grid.dim))

    def convection(self, law: Law, u: Field) -> Field:
        if isinstance(self.ops, Cells):
            raise NotImplementedError("constraints are not for limited fluxes: take kutta.pde.FiniteDifference()")
        return total(
            self.derivative_of(lambda v, axis=axis: law.flux(v, axis), u, axis) for axis in range(self.grid.dim)
        )

    def _of_neighbours(self, function: Any, u: Image, axis: int, order: int) -> Field:
        """``sum_j w_j f(u_j)``: beyond walls it is the unknown that is continued, not the function of it."""

        def neighbour(offset: int) -> Any:
            return self._linear(u, "neighbour", axis, order, offset) if offset else u

        stencil = self.ops.stencil(axis, order)  # type: ignore[attr-defined]
        return total(weight * function(neighbour(offset)) for offset, weight in stencil)

    def points(self, u: Field) -> Tensor:
        return self.grid.points()

    def data(self, values: Any, u: Field) -> Field:
        return Given(values) if isinstance(values, Tensor) and values.dim() else values

    def _linear(self, u: Field, *operation: Any) -> Expression | None:
        """An operation on what is linear in the unknown; ``None`` for anything else."""
        if isinstance(u, Image):
            return Image((*u.path, (self.with_data, *operation)))
        if isinstance(u, Given):
            self._check_walls("data", operation)
            return Given(self.ops.leave(followed(self.ops, ((False, *operation),), self.ops.enter(u.tensor))))
        if self.with_data and self.ops.has_data:
            self._check_walls("a sum or a product", operation)
        return u.linear(lambda part: self.homogeneous()._linear(part, *operation))

    def _check_walls(self, what: str, operation: tuple[Any, ...]) -> None:
        """Refuse what a wall says nothing of: its conditions are those of the unknown."""
        axes = operation[1:2] if operation[0] == "derivative" else range(self.grid.dim)
        if not all(isinstance(self.grid.boundary[axis][0], Periodic) for axis in axes):
            raise NotImplementedError(
                f"constraints take derivatives between walls of the unknown alone; got {operation[0]} of {what}: write "
                "the term with derivatives of the unknown, such as u * ops.derivative(u, 0), or where differences are "
                "central as ops.derivative_of(function, u, axis)"
            )

    def _by_the_chain_rule(self, u: Expression, axis: int, order: int) -> Expression:
        self._check_walls("a product or a function", ("derivative", axis))
        for _ in range(order):
            u = u.derivative(lambda leaf: self.derivative(leaf, axis))
        return u


def written(problem: PDEProblem, ops: Discretisation, t: Any) -> Expression:
    """The right-hand side of a problem with one unknown.

    Args:
        problem: with its equation.
        ops: the operations of its scheme.
        t: the time, or a tensor of several that is seen as fields are.

    Raises:
        NotImplementedError: for several unknowns, and what an equation does that has no values at a point.
    """
    equation = problem.equation
    if len(equation.components) > 1:
        raise NotImplementedError(
            f"constraints are for equations of one unknown; {type(equation).__name__} has "
            f"{', '.join(equation.components)}"
        )
    writing, u = Writing(ops), Image()
    parts = equation.linear(writing, u), equation.nonlinear(writing, t, u)
    return total(part for part in parts if part is not None)


def followed(ops: Discretisation, path: Path, u: Any) -> Any:
    """What an image is of a field."""
    homogeneous = ops.homogeneous()
    for with_data, name, *arguments in path:
        u = getattr(ops if with_data else homogeneous, name)(u, *arguments)
    return u
