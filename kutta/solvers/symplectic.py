"""Symplectic splittings for separable Hamiltonian systems: kicks and drifts in turn.

For ``dq/dt = V(t, p)``, ``dp/dt = F(t, q)`` a step of size ``h`` is a sequence of exact flows of the parts,

    p <- p + h * kick_i * F(q),      q <- q + h * drift_i * V(p),      i = 1, 2, ...

It preserves phase-space volume, and keeps the energy within a bound for very long times (Hairer, Lubich
and Wanner, Geometric Numerical Integration, chapter VI).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from kutta.solvers import tableaus
from kutta.solvers.method import Field, Method, Step, Time
from kutta.solvers.tableaus import Splitting
from kutta.state import Layout


@dataclass(frozen=True)
class SymplecticSplitting(Method):
    """A splitting given by its coefficients. Fixed steps only.

    The state is a pair ``y0 = (q, p)`` of tensors (or pytrees) of the same size, and ``f(t, (q, p))``
    returns ``(dq/dt, dp/dt)``, the first depending on ``p`` alone and the second on ``q`` alone.

    Attributes:
        splitting: the coefficients.

    Example:
        >>> import torch, kutta as kt
        >>> def pendulum(t, state):
        ...     q, p = state
        ...     return p, -torch.sin(q)
        >>> start = (torch.tensor([1.0], dtype=torch.float64), torch.tensor([0.0], dtype=torch.float64))
        >>> sol = kt.solve(kt.ODEProblem(pendulum, start, (0.0, 100.0)), kt.VelocityVerlet(), controller=kt.Fixed(0.1))
        >>> q, p = sol.y1
        >>> energy = 0.5 * p**2 - torch.cos(q)
        >>> bool(abs(energy + torch.cos(torch.tensor(1.0))) < 1e-3)
        True
    """

    splitting: Splitting
    kind = "symplectic splitting"
    splits_state = True

    @property
    def order(self) -> int:
        return self.splitting.order

    @property
    def source(self) -> str:
        return self.splitting.source

    def check(self, layout: Layout) -> None:
        parts = [] if layout.is_single else layout.spec.children()
        sizes, counts = layout.sizes, [part.num_leaves for part in parts]
        if len(parts) != 2 or sum(sizes[: counts[0]]) != sum(sizes[counts[0] :]):
            raise ValueError(
                f"{type(self).__name__} needs a pair y0 = (q, p) of positions and momenta of the same size; "
                f"got {'one tensor' if layout.is_single else f'{len(parts)} parts with sizes {sizes}'}"
            )

    def init(self, problem: Field, t: Time, y: Tensor) -> Tensor:
        """The slope at the start, whose force serves the first kick."""
        return problem.derivative(t, y)

    def step(self, problem: Field, t: Time, y: Tensor, dt: Time, carry: Tensor | None) -> tuple[Step, Any]:
        q, p = y.chunk(2, dim=-1)
        time_q, time_p, slope = t, t, carry
        for kick, drift in zip(map(float, self.splitting.kick), map(float, self.splitting.drift), strict=True):
            if kick:
                slope = problem.derivative(time_q, torch.cat([q, p], dim=-1)) if slope is None else slope
                p, time_p, slope = p + kick * dt * _force(slope), time_p + kick * dt, slope if not drift else None
            if drift:
                velocity = problem.derivative(time_p, torch.cat([q, p], dim=-1))
                q, time_q, slope = q + drift * dt * _velocity(velocity), time_q + drift * dt, None
        # A force that belongs to the final positions serves the next step's first kick.
        return Step(t, t + dt, dt, y, torch.cat([q, p], dim=-1), problem), slope


def _velocity(slope: Tensor) -> Tensor:
    return slope.chunk(2, dim=-1)[0]


def _force(slope: Tensor) -> Tensor:
    return slope.chunk(2, dim=-1)[1]


@dataclass(frozen=True)
class SemiImplicitEuler(SymplecticSplitting):
    """One kick and one drift: order 1."""

    splitting: Splitting = tableaus.SEMI_IMPLICIT_EULER


@dataclass(frozen=True)
class VelocityVerlet(SymplecticSplitting):
    """Half a kick, a drift, half a kick: order 2, time-symmetric. Also called leapfrog."""

    splitting: Splitting = tableaus.VELOCITY_VERLET


@dataclass(frozen=True)
class Ruth3(SymplecticSplitting):
    """Ruth's third-order splitting."""

    splitting: Splitting = tableaus.RUTH3


@dataclass(frozen=True)
class Yoshida4(SymplecticSplitting):
    """Yoshida's (also Forest and Ruth's) fourth-order composition, time-symmetric."""

    splitting: Splitting = tableaus.YOSHIDA4


@dataclass(frozen=True)
class KahanLi6(SymplecticSplitting):
    """Kahan and Li's sixth-order composition, time-symmetric, with small error constants."""

    splitting: Splitting = tableaus.KAHAN_LI6
