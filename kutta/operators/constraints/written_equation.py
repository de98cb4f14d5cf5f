"""An equation in terms of the images of its unknown, ``du/dt = R(I_1 u, I_2 u, ...)`` at each point."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import torch
from torch import Tensor

from kutta.operators.constraints.expressions import Expression, Given, Image, Path
from kutta.pde.elliptic.conductances import MEANS
from kutta.pde.grids.boundary import Periodic
from kutta.pde.grids.values import converted, is_number, total
from kutta.pde.problem import PDEProblem
from kutta.pde.schemes.finite_difference import CentralDifferences
from kutta.pde.schemes.finite_volume import Cells
from kutta.pde.schemes.scheme import Discretisation, Field, Law

# Operations that look along all axes; others name the one that they look along.
_ALL_AROUND = ("laplacian", "inverse_laplacian", "diffusion")


class Writing(Discretisation):
    """The operations of a scheme, which are written down. Derivatives of products are those of Leibniz.

    Attributes:
        ops: those of the scheme.
        device: of data.
        with_data: whether they have the boundary data of the grid.
    """

    product_rule = pointwise = True

    def __init__(self, ops: Any, device: torch.device, with_data: bool = True):
        self.ops, self.device, self.with_data = ops, device, with_data
        self.grid, self.t = ops.grid, ops.t

    def homogeneous(self) -> Self:
        return type(self)(self.ops, self.device, with_data=False)

    def split(self, u: Field) -> tuple[Field, ...]:
        if not isinstance(u, Given):
            raise NotImplementedError("constraints are for one unknown; got one that is split into components")
        return tuple(Given(part) for part in super().split(u.tensor))

    def derivative(self, u: Field, axis: int, order: int = 1) -> Field:
        written = self._linear(u, "derivative", axis, order)
        return self.homogeneous()._of_values(u, axis, order) if written is None else written

    def laplacian(self, u: Field) -> Field:
        written = self._linear(u, "laplacian")
        if written is not None:
            return written
        return total(self.homogeneous()._of_values(u, axis, 2) for axis in range(self.grid.dim))

    def inverse_laplacian(self, f: Field) -> Field:
        written = self._linear(f, "inverse_laplacian")
        if written is None:
            raise NotImplementedError(
                "constraints take the inverse of the Laplacian of what is linear in the unknown; got that of a product"
            )
        return written

    def diffusion(self, u: Field, coefficient: Any) -> Field:
        if isinstance(coefficient, Expression) and not isinstance(coefficient, Given):
            return self._diffusion_by_values(u, coefficient)
        values = coefficient.tensor if isinstance(coefficient, Given) else coefficient
        written = self._linear(u, "diffusion", values)
        if written is not None:
            return written
        if is_number(values):
            return super().diffusion(u, values)
        return self._diffusion_by_values(u, Given(values))

    def advection(self, u: Field, velocity: Sequence[Any]) -> Field:
        self._check_unlimited()
        return super().advection(u, velocity)

    def derivative_of(self, function: Any, u: Field, axis: int, order: int = 1) -> Field:
        if self.ops.has_data:
            self._check_walls("a function", ("derivative", axis))
        return self.homogeneous().derivative(function(u), axis, order)

    def laplacian_of(self, function: Any, u: Field) -> Field:
        return total(self.derivative_of(function, u, axis, 2) for axis in range(self.grid.dim))

    def convection(self, law: Law, u: Field) -> Field:
        self._check_unlimited()
        return total(
            self.derivative_of(lambda v, axis=axis: law.flux(v, axis), u, axis) for axis in range(self.grid.dim)
        )

    def points(self, u: Field) -> Tensor:
        return self.grid.points(torch.float64, self.device)

    def data(self, values: Any, u: Field) -> Field:
        values = converted(values, torch.float64, self.device)
        return Given(values) if values.dim() else values

    def evaluated(self, function: Any, t: Any, u: Field) -> Any:
        """At each of several times, one after the other, as fields are: ``(Q, 1 or n, *shape)``."""
        if not (isinstance(t, Tensor) and t.dim()):
            return super().evaluated(function, t, u)
        x = self.points(u)
        each = [function(x, one) for one in t.flatten()]
        if isinstance(each[0], Tensor | int | float):
            return self._at_all_times(each)
        return [self._at_all_times(parts) for parts in zip(*each, strict=True)]

    def _at_all_times(self, values: Sequence[Any]) -> Tensor:
        """Numbers or fields, ``(*shape)`` or ``(n, *shape)``, of one time after the other: ``(Q, 1 or n, *shape)``."""
        fields = [converted(one, torch.float64, self.device) for one in values]
        lasting = [one.reshape(*[1] * (self.grid.dim + 1 - one.dim()), *one.shape) for one in fields]
        return torch.stack(torch.broadcast_tensors(*lasting))

    def _of_values(self, u: Expression, axis: int, order: int) -> Expression:
        """A derivative of what is computed at points, by the chain rule."""
        self._check_walls("a product or a function", ("derivative", axis))
        for _ in range(order):
            u = u.derivative(lambda leaf: self.derivative(leaf, axis))
        return u

    def _diffusion_by_values(self, u: Field, coefficient: Expression) -> Field:
        """With a coefficient that depends on the unknown."""
        return super().diffusion(u, coefficient)

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

    def _check_unlimited(self) -> None:
        if isinstance(self.ops, Cells):
            raise NotImplementedError("constraints are not for limited fluxes: take kutta.pde.FiniteDifference()")

    def _check_walls(self, what: str, operation: tuple[Any, ...]) -> None:
        """Refuse what a wall says nothing of: its conditions are those of the unknown."""
        axes = range(self.grid.dim) if operation[0] in _ALL_AROUND else operation[1:2]
        if not all(isinstance(self.grid.boundary[axis][0], Periodic) for axis in axes):
            raise NotImplementedError(
                f"constraints take derivatives between walls of the unknown alone; got {operation[0]} of {what}: write "
                "the term with derivatives of the unknown, such as u * ops.derivative(u, 0), or where differences are "
                "central as ops.derivative_of(function, u, axis), of the unknown u itself"
            )


class WritingDifferences(Writing):
    """The same of central differences: a derivative is a sum over neighbours, whatever it is of.

        df/dx (x_i)  ~  sum_j w_j f(x_{i+j})

    What is at a neighbour is computed there from images at neighbours. So all is as the scheme has it, also for fields
    that alternate from point to point, which first differences do not see.
    """

    ops: CentralDifferences
    product_rule = pointwise = False

    def derivative_of(self, function: Any, u: Field, axis: int, order: int = 1) -> Field:
        """Beyond walls it is the unknown that is continued, not the function of it."""
        if not isinstance(u, Image):
            return super().derivative_of(function, u, axis, order)
        stencil = self.ops.stencil(axis, order)
        return total(weight * function(self._neighbour(u, axis, offset)) for offset, weight in stencil)

    def _of_values(self, u: Expression, axis: int, order: int) -> Expression:
        self._check_walls("a product or a function", ("derivative", axis))
        return total(weight * self._neighbour(u, axis, offset) for offset, weight in self.ops.stencil(axis, order))

    def _diffusion_by_values(self, u: Field, coefficient: Expression) -> Field:
        for axis in range(self.grid.dim):
            self._check_walls("a product or a function", ("derivative", axis))
        if self.ops.accuracy > 2:
            slopes = (self.derivative(coefficient, axis) * self.derivative(u, axis) for axis in range(self.grid.dim))
            return coefficient * self.laplacian(u) + total(slopes)
        return total(self._net_flow(u, coefficient, axis) for axis in range(self.grid.dim))

    def _net_flow(self, u: Field, coefficient: Expression, axis: int) -> Expression:
        """What flows in through both faces of a cell, with the harmonic means of coefficients there."""

        def flow(offset: int) -> Expression:
            beside = self._neighbour(coefficient, axis, offset)
            return MEANS["harmonic"](coefficient, beside) * (self._neighbour(u, axis, offset) - u)  # type: ignore[arg-type]

        return (flow(1) + flow(-1)) / self.grid.spacing[axis] ** 2

    def _neighbour(self, u: Field, axis: int, offset: int) -> Any:
        """A field so many points further on."""
        return u.mapped(lambda leaf: self._linear(leaf, "neighbour", axis, offset)) if offset else u


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
    kind, u = WritingDifferences if isinstance(ops, CentralDifferences) else Writing, Image()
    writing = kind(ops, problem.u0.device)
    parts = equation.linear(writing, u), equation.nonlinear(writing, t, u)
    return total(part for part in parts if part is not None)


def followed(ops: Discretisation, path: Path, u: Any) -> Any:
    """What an image is of a field."""
    homogeneous = ops.homogeneous()
    for with_data, name, *arguments in path:
        u = getattr(ops if with_data else homogeneous, name)(u, *arguments)
    return u
