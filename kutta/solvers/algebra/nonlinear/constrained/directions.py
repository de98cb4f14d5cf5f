"""Directions in which the exact augmented Lagrange function falls, by systems that are solved no better than needed."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from kutta.autodiff import read
from kutta.solution import Result
from kutta.solvers.algebra.method import Goal, LinearMethod, Outcome
from kutta.solvers.algebra.nonlinear.constrained.newton_systems import AsMatrix, ByProducts, NewtonSystem
from kutta.solvers.algebra.nonlinear.constrained.optimality import Optimality, independent
from kutta.solvers.algebra.nonlinear.iteration import chosen
from kutta.solvers.algebra.nonlinear.jacobians import by_rows
from kutta.solvers.magnitude import norm

# By what theta is multiplied where a direction does not lead down, and how small it becomes.
_TIGHTER, _LEAST_THETA = 0.1, 2e-3
# Of a system that confirms a solution.
_CONFIRMED = 1e-3
# How often a system is solved with another shift or theta, how often penalties change, and iterations for a system.
_TRIALS, _CHANGES, _MOST_ITERATIONS = 12, 30, 2000
# By what a multiple of the identity grows that does not do, and how large it is at first, beside the Hessian.
_GROWTH, _FIRST_SHIFT = 10.0, 1e-3


class Direction(NamedTuple):
    """A direction at a point of each problem.

    Attributes:
        d: ``(B, n + m)``.
        bend: what leads back from its end to the constraints, likewise, if it is shorter.
        merits: the parts of ``M`` at the point, ``(B, 3)``.
        slope: of ``M`` along the direction, ``(B,)``.
        right: ``-(grad L, c)`` there, ``(B, n + m)``.
        solved: whether its system was, ``(B,)``.
        falls: whether it leads down far enough.
    """

    d: Tensor
    bend: Tensor
    merits: Tensor
    slope: Tensor
    right: Tensor
    solved: Tensor
    falls: Tensor


class Directions:
    """Where directions come from, and what is learnt on the way.

    Attributes:
        weights: of the parts of ``M``: 1, ``eta1`` and ``eta2``, ``(B, 3)``.
    """

    def __init__(
        self, equations: Optimality, inner: LinearMethod, penalties: tuple[float, float], factor: float, accuracy: float
    ):
        self.equations, self.inner, self.accuracy = equations, inner, accuracy
        start = equations.start
        self.weights = start.new_tensor([1.0, *penalties]).repeat(start.shape[0], 1)
        self.factors = start.new_tensor([1.0, factor**2, 1.0 / factor])

    def merit(self, merits: Tensor) -> Tensor:
        """``M`` of its parts, ``(B,)``."""
        return (self.weights * merits).sum(1)

    def find(self, z: Tensor, moved: Tensor, is_near: Callable[[Tensor], Tensor]) -> Direction:
        """A direction at `z` for problems that have come there.

        Args:
            z: unknowns and multipliers.
            moved: the problems for which it is wanted.
            is_near: whether a direction is so short that it must be known well.
        """
        system = (AsMatrix if self.inner.direct else ByProducts)(self.equations, z)
        merits, gradients = by_rows(self.equations.merits, z, 3)
        d, solved, shift = self._led_down(system, gradients, moved & independent(system.triangle))
        if not self.inner.direct:
            d, solved = self._confirmed(system, shift, moved & solved & is_near(d), d, solved)
        slopes = _along(gradients, d)
        # The slope along what may be the last one is nothing but rounding.
        self._change_penalties(slopes, system.size, moved & solved & ~is_near(d))
        falls = self._falls(slopes, system.size)
        return Direction(d, self._bend(system, z, d), merits, self.merit(slopes), system.right, solved, falls)

    def _bend(self, system: NewtonSystem, z: Tensor, d: Tensor) -> Tensor:
        """A correction of second order, without which curved constraints make steps short."""
        bend = system.onto(self.equations.scaled(self.equations.parts(z + d)[0]))
        return torch.where((norm(bend) < norm(d))[:, None], bend, 0.0)

    def _led_down(self, system: NewtonSystem, gradients: Tensor, moved: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Directions, whether their systems are solved, and with which shifts."""
        d, solved = torch.zeros_like(system.right), torch.zeros_like(moved)
        shift, again, theta = system.first_shift(), moved, torch.ones_like(system.size)
        for _ in range(_TRIALS):
            found = self._solve(system, shift, again, theta * self.accuracy, d)
            d, solved = chosen(again, found.x, d), torch.where(again, _is_solved(found), solved)
            larger = self._larger(system, shift, d, solved)
            curved = again & (larger > shift)
            loose = again & ~curved & ~self._falls(_along(gradients, d), system.size) & (theta > _LEAST_THETA)
            shift = torch.where(curved, larger, shift)
            again = curved if self.inner.direct else curved | loose
            if not read(again.any().reshape(1))[0]:
                break
            theta = torch.where(again & ~curved, _TIGHTER * theta, theta)
        return d, solved, shift

    def _solve(
        self, system: NewtonSystem, shift: Tensor, where: Tensor, accuracy: Tensor | float, guess: Tensor
    ) -> Outcome:
        operator = system.operator(shift)
        self.inner.check(operator, system.right)
        solver = self.inner.solver(operator, system.right, Goal(rtol=0.0, max_steps=_MOST_ITERATIONS))
        found = solver.solve(system.right, guess, torch.where(where, accuracy * system.size, torch.inf))
        return found._replace(x=system.onto_constraints(found.x))

    def _confirmed(
        self, system: NewtonSystem, shift: Tensor, near: Tensor, d: Tensor, solved: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The same, and known well for those that may be the last: what is left may be much of some unknowns."""
        if not read(near.any().reshape(1))[0]:
            return d, solved
        found = self._solve(system, shift, near, _CONFIRMED, d)
        return chosen(near, found.x, d), torch.where(near, _is_solved(found), solved)

    def _larger(self, system: NewtonSystem, shift: Tensor, d: Tensor, solved: Tensor) -> Tensor:
        """The shift itself where it does, and a larger one where the system is singular, or curved down along the step.

        What of a step is tangential to the constraints is looked at, if there is more of it than rounding.
        """
        u = system.tangential(d)
        image = system.operator(shift).apply(u)
        curvature, square = (u * image).sum(1), u.square().sum(1)
        some = square > torch.finfo(d.dtype).eps * d.square().sum(1)
        scale = norm(image[:, : system.unknowns]) / norm(u)
        scale = torch.where(torch.isfinite(scale) & (scale > 0.0), scale, 1.0)
        wrong = ~solved | (some & (curvature <= 0.0))
        downwards = torch.where(some, (-2.0 * curvature / square).clamp(min=0.0), 0.0)
        larger = torch.maximum(_GROWTH * shift, _FIRST_SHIFT * scale) + downwards
        return torch.where(wrong & torch.isfinite(larger), larger, shift)

    def _falls(self, slopes: Tensor, size: Tensor) -> Tensor:
        """Whether ``M`` falls fast enough."""
        return self.merit(slopes) <= -0.5 * self.weights[:, 2] * size.square()

    def _change_penalties(self, slopes: Tensor, size: Tensor, where: Tensor) -> None:
        """Raise ``eta1`` and lower ``eta2`` until ``M`` falls fast enough."""
        for _ in range(_CHANGES):
            wrong = where & ~self._falls(slopes, size)
            if not read(wrong.any().reshape(1))[0]:
                break
            self.weights = chosen(wrong, self.factors * self.weights, self.weights)


def _is_solved(found: Outcome) -> Tensor:
    return torch.isfinite(found.x).all(1) & (found.codes < int(Result.MAX_STEPS))


def _along(gradients: Tensor, d: Tensor) -> Tensor:
    """The slopes of the parts of ``M``, ``(B, 3)``."""
    return (gradients @ d.unsqueeze(-1)).squeeze(-1)
