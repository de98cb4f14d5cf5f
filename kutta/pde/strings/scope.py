"""What the names of an equation stand for at one time, and what operators make of its unknowns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor

from kutta.pde.grids.grid import AXES, conditions
from kutta.pde.schemes.pseudo_spectral import WaveSpace
from kutta.pde.schemes.scheme import Discretisation, Field
from kutta.pde.strings.operators import Operator


class FieldScope:
    """The fields of an equation.

    Attributes:
        ops: the operations of the scheme.
        state: all unknowns as one field.
        names: the value of each name.
        components: the names of the unknowns.
    """

    def __init__(
        self,
        ops: Discretisation,
        t: Any,
        state: Field,
        components: Sequence[str],
        tensors: Mapping[str, Tensor],
        coordinates: Sequence[int],
    ):
        self.ops, self.state, self.components = ops, state, tuple(components)
        self.names: dict[str, Any] = {"t": t, **self.unknowns(state)}
        for name, value in tensors.items():
            self.names[name] = ops.data(value, state) if value.dim() else value
        if coordinates:
            points = ops.points(state)
            for axis in coordinates:
                self.names[AXES[axis]] = ops.data(points[axis], state)
        self._of_all: dict[Any, Any] = {}

    def unknowns(self, state: Field) -> dict[str, Field]:
        """The unknowns of a field of all."""
        fields = (state,) if len(self.components) == 1 else self.ops.split(state)
        return dict(zip(self.components, fields, strict=True))

    def of_unknown(self, operator: Operator, name: str) -> Any:
        """An operator of one unknown, with its data at the boundary."""
        if self._alike:
            return operator.of_field(self.ops, self.names[name])
        if operator not in self._of_all:
            self._of_all[operator] = operator.of_field(self.ops, self.state)
        found = self._of_all[operator]
        return [self._one(name, part) for part in found] if isinstance(found, list) else self._one(name, found)

    def of_function(self, operator: Operator, function: Callable[[Any], Field]) -> Any:
        """An operator of a function of the unknowns.

        Args:
            operator: to be applied.
            function: of a scope whose names stand for the values that it is a function of.
        """

        def of_state(state: Field) -> Field:
            return function(self if state is self.state else _Beyond({**self.names, **self.unknowns(state)}))

        return operator.of_function(self.ops, of_state, self.state)

    def diffusion(self, coefficient: Any, name: str) -> Field:
        """``div(a grad u)`` of one unknown."""
        if self._alike:
            return self.ops.diffusion(self.names[name], coefficient)
        if isinstance(coefficient, Tensor) and coefficient.dim():
            coefficient = coefficient.unsqueeze(-self.ops.grid.dim - 1)
        return self._one(name, self.ops.diffusion(self.state, coefficient))

    def _one(self, name: str, of_all: Field) -> Field:
        return self.ops.split(of_all)[self.components.index(name)]

    def beyond(self, what: str) -> Discretisation:
        """The operations on what has no boundary conditions of its own.

        Raises:
            ValueError: at walls, unless the scheme knows the symmetry of fields there.
        """
        if not (self.ops.grid.periodic or isinstance(self.ops, WaveSpace)):
            raise ValueError(
                f"nothing is known of {what} at walls, so that no derivative of it can be taken there; make it an "
                "unknown with an equation of its own, write its derivative out by the product rule, or use a grid that "
                "is periodic"
            )
        return self.ops

    @property
    def _alike(self) -> bool:
        """Whether all unknowns have the same data at the boundary."""
        return len(self.components) == 1 or all(isinstance(one.g, int | float) for *_, one in conditions(self.ops.grid))


class _Beyond:
    """A scope of values that are continued beyond the sides."""

    def __init__(self, names: dict[str, Any]):
        self.names = names
