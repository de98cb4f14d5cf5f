"""What a field in space and time is off by from an equation, by the images of the field.

    r_q = T ( D_t u (t_q) - f(t_q, u_q) ),    q = 1..Q

with differences ``D_t`` in time and ``f`` as the scheme of the equation has it. ``r`` has the unit of ``u``: it is by
how much a residual of that size, if it lasted for all of the time ``T``, would change the solution.

Rates and images are linear in ``u``. Those of a sum of fields are sums, and ``r`` is computed from them at each point.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property

import torch
from torch import Tensor

from kutta.operators.constraints.expressions import Expression, Given, Image, Leaf, Path
from kutta.operators.constraints.time_differences import backward_differences
from kutta.operators.constraints.written_equation import followed, written
from kutta.pde.grids.boundary import Neumann
from kutta.pde.grids.given import filled, is_data, unknowns, where_unknown
from kutta.pde.grids.grid import Grid, conditions
from kutta.pde.lowering.forms import operations
from kutta.pde.problem import PDEProblem
from kutta.pde.schemes.scheme import Discretisation

_MOST_DIMENSIONS = 2


class SpaceTime:
    """A problem at equally spaced times, in double precision.

    Attributes:
        problem: with initial states ``(n, *shape)``.
        steps: ``Q``.
        times: ``t_0, ..., t_Q``.
        duration: ``T``.
        h: from one time to the next.
        lead: the axes of samples that the user's problem has.
    """

    def __init__(self, problem: PDEProblem, steps: int):
        self.lead = _lead(problem)
        u0 = problem.u0.reshape(-1, *problem.grid.shape).double()
        self.problem, self.steps = replace(problem, u0=u0), steps
        start, end = (float(t) for t in problem.t_span)
        self.duration, self.h = end - start, (end - start) / steps
        self.times = torch.linspace(start, end, steps + 1, dtype=torch.float64, device=u0.device)
        self.ops = operations(self.problem)

    @property
    def grid(self) -> Grid:
        """In space."""
        return self.problem.grid

    @cached_property
    def whole_grid(self) -> Grid:
        """With the axis of times before those of space, from 0 to 1 in units of the duration."""
        return Grid(
            (self.steps + 1, *self.grid.shape),
            (1.0, *self.grid.length),  # type: ignore[misc]
            ("node", *self.grid.centring),  # type: ignore[misc]
            (Neumann(), *self.grid.boundary),
            (0.0, *self.grid.origin),  # type: ignore[misc]
        )

    @cached_property
    def right(self) -> Expression:
        """``f``, written down at all times but the first at once."""
        t = self.times[1:].reshape(-1, 1, *[1] * self.grid.dim)
        return written(self.problem, self.ops, t)

    @cached_property
    def paths(self) -> list[Path]:
        """What its images are of ``u``."""
        return list(dict.fromkeys(one.path for one in self.right.leaves() if isinstance(one, Image)))

    @cached_property
    def given(self) -> list[Given]:
        """The data that it has."""
        return list({id(one): one for one in self.right.leaves() if isinstance(one, Given)}.values())

    @cached_property
    def constant(self) -> Tensor:
        """The initial states, lasting: ``(Q + 1, n, *shape)``; at nodes whose values are the boundary's, these."""
        u0 = self.problem.u0
        lasting = [u0, *(filled(self.grid, u0, t) for t in self.times[1:])]
        return torch.stack(lasting)

    def zero_at_sides(self, u: Tensor) -> Tensor:
        """Changes of a field, which are nothing at nodes whose values are the boundary's."""
        return where_unknown(self.grid, u)

    def images(self, u: Tensor) -> Tensor:
        """The rate of a field and its images, with the data of the boundary: ``(images, Q, n, *shape)``.

        Args:
            u: ``(Q + 1, n, *shape)``.
        """
        if any(callable(getattr(one, "g", None)) for _, _, one in conditions(self.grid)):
            found = [self._followed(self.ops.at(t), v) for t, v in zip(self.times[1:], u[1:], strict=True)]
            return self._with_rate(u, torch.stack(found, 1))
        return self._with_rate(u, self._followed(self.ops.at(self.times[-1]), u[1:]))

    def images_of_changes(self, u: Tensor) -> Tensor:
        """Those of fields that are added to one with data: ``(images, ..., Q, n, *shape)``.

        Args:
            u: ``(..., Q + 1, n, *shape)``.
        """
        after = u.narrow(self._axis, 1, self.steps)
        return self._with_rate(u, self._followed(self.ops.homogeneous(), after))

    def residual(self, images: Sequence[Tensor], data: Sequence[Tensor]) -> Tensor:
        """``r`` where images and data are given, one after the other, each ``(...)``."""
        rate, *found = images
        by_path = dict(zip(self.paths, found, strict=True))
        by_data = dict(zip(map(id, self.given), data, strict=True))

        def of(leaf: Leaf) -> Tensor:
            return by_path[leaf.path] if isinstance(leaf, Image) else by_data[id(leaf)]

        return self.duration * (rate - self.right.values(of))

    def data(self) -> Tensor:
        """What the equation has of them, ``(data, Q, n, *shape)``."""
        u0 = self.problem.u0
        wanted = (self.steps, *u0.shape)
        found = [one.tensor.to(u0).expand(wanted) for one in self.given]
        return torch.stack(found) if found else u0.new_empty(0, *wanted)

    def residual_of(self, u: Tensor) -> Tensor:
        """``r`` of a field ``(Q + 1, n, *shape)`` at all points, ``(Q, n, *shape)``; 0 where values are given."""
        return self.zero_at_sides(self.residual(self.images(u).unbind(), self.data().unbind()))

    @cached_property
    def unknown(self) -> Tensor:
        """Which points of a time have a residual, ``(*shape)``."""
        return unknowns(self.grid).bool().to(self.times.device)

    @cached_property
    def walls(self) -> Tensor:
        """Which points are next to a side that does not wrap around, ``(*shape)``: with the unknowns nearest to it."""
        found = torch.zeros(self.grid.shape, dtype=torch.bool, device=self.times.device)
        for axis, side, _ in conditions(self.grid):
            nearest = int(is_data(self.grid, axis, side))
            found.select(axis, nearest if side == 0 else -1 - nearest).fill_(True)
        return found

    @property
    def _axis(self) -> int:
        """Of time."""
        return -self.grid.dim - 2

    def _followed(self, ops: Discretisation, u: Tensor) -> Tensor:
        field = ops.enter(u)
        return torch.stack([ops.leave(followed(ops, path, field)) for path in self.paths])

    def _with_rate(self, u: Tensor, images: Tensor) -> Tensor:
        rate = backward_differences(u, self._axis, self.h)
        return torch.cat([rate.unsqueeze(0), images])


def _lead(problem: PDEProblem) -> tuple[int, ...]:
    """The axes of samples: none or one."""
    if not isinstance(problem, PDEProblem):
        raise TypeError(f"problem must be such as kutta.pde.Heat(0.1).problem(...); got {type(problem).__name__}")
    lead = tuple(problem.u0.shape[: problem.u0.dim() - problem.grid.dim - (len(problem.equation.components) > 1)])
    if problem.u0.is_complex():
        raise TypeError(f"constraints are for real fields; got u0 of {problem.u0.dtype}")
    if problem.grid.dim > _MOST_DIMENSIONS:
        raise NotImplementedError(
            f"constraints are for grids of at most {_MOST_DIMENSIONS} dimensions in space, as time is one more for the "
            f"network; got {problem.grid.dim}"
        )
    if len(lead) > 1 or 0 in lead:
        raise ValueError(
            f"u0 must have at most one axis of samples, with at least one; got the shape {tuple(problem.u0.shape)}"
        )
    return lead


def at_points(fields: Tensor, index: Tensor, dim: int) -> Tensor:
    """The values of fields at points among all of all their times.

    Args:
        fields: ``(..., times, n, *shape)``.
        index: of any shape.
        dim: axes of space.

    Returns:
        ``(..., n, *index.shape)``.
    """
    flat = fields.transpose(-dim - 2, -dim - 1).flatten(-dim - 1)
    return flat.index_select(-1, index.flatten()).unflatten(-1, index.shape)
