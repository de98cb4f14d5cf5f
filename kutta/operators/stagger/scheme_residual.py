"""How well states that follow each other fulfil the scheme of an equation: a loss that needs no solutions."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from kutta.pde.problem import PDEProblem

if TYPE_CHECKING:
    from jaxtyping import Float


class SchemeResidual:
    """What states are off by from steps of the implicit midpoint rule.

        r_q = u_q - u_{q-1} - dt f(t_{q-1} + dt / 2, (u_{q-1} + u_q) / 2),    q = 1..T

    with the right-hand side ``f`` of a problem, as its scheme discretises it. Where all ``r`` are zero, the states are
    those of that rule, which is of order 2 and stable for every ``dt`` that the equation is stable for.

    Args:
        problem: equation, grid and scheme; of its initial state only the kind matters, and of its times the first.
        dt: from one state to the next.

    Raises:
        TypeError: for what is no problem in space and time.

    Example:
        >>> import torch, kutta as kt
        >>> grid = kt.pde.Grid(32)
        >>> problem = kt.pde.Heat(0.1).problem(grid, torch.zeros(32), (0.0, 1.0))
        >>> of_each = {"in_channels": 1, "out_channels": 1, "modes": (8,), "width": 8}
        >>> model, a = kt.operators.NeuralStagger("FNO", of_each, stagger=(2,)), torch.randn(4, 1, 32)
        >>> loss = kt.operators.SchemeResidual(problem, 0.01)(a, model.states(a, grid)).square().mean()
        >>> loss.backward()
    """

    def __init__(self, problem: PDEProblem, dt: float):
        if not isinstance(problem, PDEProblem):
            raise TypeError(f"problem must be such as kutta.pde.Heat(0.1).problem(...); got {type(problem).__name__}")
        self.f: Callable[..., Any] = problem.as_ode().f
        self.start, self.dt = problem.t_span[0], dt

    def __call__(
        self, a: Float[Tensor, "n c *shape"], states: Float[Tensor, "n times c *shape"]
    ) -> Float[Tensor, "n times c *shape"]:
        """``r`` of each step.

        Args:
            a: the states at the first time.
            states: those after 1 to ``T`` steps.
        """
        chain = [a, *states.unbind(1)]
        return torch.stack([self._of_step(q, *pair) for q, pair in enumerate(pairwise(chain))], 1)

    def _of_step(self, number: int, before: Tensor, after: Tensor) -> Tensor:
        middle = torch.as_tensor(self.start + (number + 0.5) * self.dt, dtype=torch.float64, device=after.device)
        return after - before - self.dt * self.f(middle, 0.5 * (before + after))
