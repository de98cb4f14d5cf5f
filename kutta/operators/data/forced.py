"""Ordinary equations that are driven by a function, ``s' = f(s, u(t))``, as operators from ``u`` to ``s``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from kutta.operators.data.random_fields import SampledFunctions
from kutta.problems import ODEProblem
from kutta.solve import solve


@dataclass(frozen=True)
class Forced:
    """``s' = slope(s, u(t))`` from ``s(0) = 0``.

    Attributes:
        slope: ``(s (n, c), u (n,)) -> ds/dt (n, c)``.
        components: ``c``.
        end: the final time, from 0.

    Example:
        >>> import torch, kutta as kt
        >>> swing = kt.operators.data.pendulum(end=1.0)
        >>> u = kt.operators.data.random_functions(5, generator=torch.Generator().manual_seed(0))
        >>> swing.solve(u)(torch.tensor([0.5, 1.0])).shape
        torch.Size([5, 2, 2])
    """

    slope: Callable[[Tensor, Tensor], Tensor]
    components: int = 1
    end: float = 1.0

    def solve(self, u: SampledFunctions, nodes: int = 201, rtol: float = 1e-8) -> SampledFunctions:
        """``s`` of all functions, by `kutta.solve`.

        Args:
            u: the functions, from 0 to `end`.
            nodes: times at which `s` is kept; between them it is cubic.
            rtol: of the solver, whose absolute tolerance is a tenth of it.

        Returns:
            with values ``(n, nodes, c)``.

        Raises:
            ValueError: for functions on another interval.
        """
        if (u.left, u.right) != (0.0, self.end):
            raise ValueError(f"u must be given from 0 to {self.end:g}; got {u.left:g} to {u.right:g}")

        def f(t: Tensor, s: Tensor) -> Tensor:
            return self.slope(s, u.at(t))

        start = u.values.new_zeros(len(u), self.components)
        times = torch.linspace(0.0, self.end, nodes, dtype=torch.float64)
        sol = solve(ODEProblem(f, start, (0.0, self.end)), save_at=times, rtol=rtol, atol=0.1 * rtol)
        return SampledFunctions(sol.ys.movedim(0, 1), 0.0, self.end)


def antiderivative() -> Forced:
    """``s' = u``."""
    return Forced(lambda s, u: u[:, None])


def nonlinear_decay() -> Forced:
    """``s' = -s^2 + u``."""
    return Forced(lambda s, u: u[:, None] - s**2)


def pendulum(end: float = 1.0, gravity: float = 1.0) -> Forced:
    """``s_1' = s_2, s_2' = -k sin s_1 + u``: a pendulum that is pushed.

    Args:
        end: the final time.
        gravity: ``k``.
    """

    def slope(s: Tensor, u: Tensor) -> Tensor:
        angle, speed = s.unbind(-1)
        return torch.stack([speed, u - gravity * torch.sin(angle)], -1)

    return Forced(slope, 2, end)
