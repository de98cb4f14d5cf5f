"""Rosenbrock methods: implicit methods for stiff problems that solve linear systems only.

With the Jacobian ``J = df/dy`` and ``f_t = df/dt`` at the start of the step,

    (I - h gamma J) u_i = gamma (h f(t + alpha_i h, y + sum_{j<i} a_ij u_j) + sum_{j<i} c_ij u_j + gamma_i h^2 f_t)
    y1 = y + sum_i m_i u_i,     error = sum_i e_i u_i

(Hairer and Wanner, Solving Ordinary Differential Equations II, section IV.7, here times ``h gamma``, so that a
step of length zero is one). The matrix is factorised once a step. No stage is iterated, so a step is an
ordinary function of the state, and its gradient that of its operations.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from kutta.solvers import tableaus
from kutta.solvers.interpolation import polynomials
from kutta.solvers.jacobian import Linearisation
from kutta.solvers.method import Field, OfTableau, Step, Time
from kutta.solvers.tableaus.rosenbrock import RosenbrockTableau


class Coefficients:
    """A tableau's numbers in the dtype and on the device of a state.

    Attributes:
        gamma: the coefficient of the linear systems.
        stages: for each stage the node ``alpha_i``, the rows of ``a`` and ``c`` as a matrix, and ``gamma_i``.
        ends: the weights ``m`` and ``e`` as a matrix.
        interpolation: columns of the interpolant's coefficients in float64, ``(stages, 1)`` each.
    """

    def __init__(self, tableau: RosenbrockTableau, dtype: torch.dtype, device: torch.device):
        def tensor(*rows: Sequence[Any]) -> Tensor:
            return torch.tensor([[float(entry) for entry in row] for row in rows], dtype=dtype, device=device)

        self.gamma = float(tableau.gamma)
        self.stages = [
            (float(node), tensor(inside, coupled), float(weight))
            for node, inside, coupled, weight in zip(
                tableau.nodes, tableau.a, tableau.coupling, tableau.time_weights, strict=True
            )
        ]
        self.ends = tensor(tableau.weights, tableau.error)
        dense = torch.tensor([[float(entry) for entry in row] for row in tableau.interpolant], dtype=torch.float64)
        self.interpolation = list(dense.to(device).unsqueeze(-1).unbind(1))


@lru_cache(maxsize=64)
def coefficients(tableau: RosenbrockTableau, dtype: torch.dtype, device: torch.device) -> Coefficients:
    """The numbers of `tableau` for states of this dtype and device, made once."""
    with torch.inference_mode(False):
        return Coefficients(tableau, dtype, device)


@dataclass
class RosenbrockStep(Step):
    """A Rosenbrock step, with the interpolant of its tableau: ``y0 + sum_i P_i(theta) u_i``.

    Attributes:
        tableau: the coefficients.
        increments: the ``u_i``, stacked, until the step is released.
        start: the right-hand side near the start, which a smaller step can use again.
    """

    tableau: RosenbrockTableau = tableaus.RODAS5P
    increments: Any = None
    start: Linearisation | None = None

    def at(self, theta: Any) -> Tensor:
        weights = self._weights(theta)
        if isinstance(self.dt, Tensor):
            return self.y0 + (weights.unsqueeze(-1) * self.increments).sum(dim=0)
        return self.y0 + _combined(weights[:, 0], self.increments)

    def many(self, thetas: list[float]) -> Tensor:
        if isinstance(self.dt, Tensor):
            return super().many(thetas)
        return self.y0 + _combined(self._weights(thetas).t(), self.increments)

    def picked(self, steps: Sequence[Step], index: Tensor, pick: Callable[..., Tensor]) -> Step:
        taken: Any = super().picked(steps, index, pick)
        taken.increments, taken.start = pick([step.increments for step in steps], 1), None  # type: ignore[attr-defined]
        return taken

    def prepare(self) -> None:
        """The interpolant needs the increments only."""
        self.start = None

    def release(self) -> None:
        self.increments = self.start = None

    def _weights(self, theta: Any) -> Tensor:
        """``P_i(theta)``, ``(stages, n)``."""
        columns = coefficients(self.tableau, self.y0.dtype, self.y0.device).interpolation
        return polynomials(columns, theta).to(self.y0.dtype)


@dataclass(frozen=True)
class Rosenbrock(OfTableau):
    """A Rosenbrock method given by its tableau, for stiff problems of up to some hundred entries.

    The Jacobian is dense, from one evaluation of ``f`` on the tape and a backward pass for every entry of the
    state; in an ensemble, for every entry of one trajectory. `f` may be anything that PyTorch differentiates.
    A Jacobian counts as one of ``sol.stats.jacobian_evaluations`` and one of ``function_evaluations``. A step
    that is tried again after a rejection keeps it.

    Attributes:
        tableau: the coefficients; see `kutta.solvers.tableaus.rosenbrock.RosenbrockTableau`.

    Raises:
        TypeError: for a complex state, or one in less than single precision.

    Example:
        >>> import torch, kutta as kt
        >>> method = kt.Rosenbrock(kt.tableaus.ROSENBROCK23)
        >>> def relax(t, y):
        ...     return -1e6 * (y - torch.cos(t))
        >>> problem = kt.ODEProblem(relax, torch.zeros(1, dtype=torch.float64), (0.0, 1.0))
        >>> sol = kt.solve(problem, method, rtol=1e-4)
        >>> round(float(sol.y1), 3), sol.stats.steps < 200
        (0.54, True)
    """

    tableau: RosenbrockTableau
    kind = "Rosenbrock"
    tabulated = True

    @property
    def error_order(self) -> int:
        return min(self.tableau.order, self.tableau.embedded_order) + 1

    @property
    def interpolant_order(self) -> int:
        return self.tableau.interpolant_order

    @property
    def linear_solves(self) -> int:
        return self.tableau.stages

    def check(self, layout: Any) -> None:
        """Refuse a state for which there is no linear algebra, or no Jacobian."""
        name = type(self).__name__
        if layout.dtype.is_complex:
            raise TypeError(
                f"{name} solves real systems, since f need not have a complex derivative; got a state in "
                f"{layout.dtype}: write it as real and imaginary parts, torch.view_as_real(y0)"
            )
        if layout.dtype not in (torch.float32, torch.float64):
            raise TypeError(f"{name} solves linear systems in float32 or float64; got a state in {layout.dtype}")

    def resume(self, step: Step, carry: Any) -> Any:
        """The Jacobian where the next trial starts, when this one was rejected there."""
        return tuple(step.start) if step.accepted is False else carry  # type: ignore[attr-defined]

    def step(self, problem: Field, t: Time, y: Tensor, dt: Time, carry: Any) -> tuple[RosenbrockStep, None]:
        numbers = coefficients(self.tableau, y.dtype, y.device)
        start = problem.linearised(t, y) if carry is None else Linearisation(*carry)
        solve = _solver(start.jacobian, numbers.gamma * dt)
        bend = dt * dt * start.in_time
        increments: list[Tensor] = []
        for node, rows, weight in numbers.stages:
            if increments:
                inside, coupled = _combined(rows, torch.stack(increments)).unbind(0)
                right = dt * problem.derivative(t + node * dt, y + inside) + coupled
            else:
                right = dt * start.slope
            increments.append(solve(numbers.gamma * (right + weight * bend)))
        stacked = torch.stack(increments)
        increment, error = _combined(numbers.ends, stacked).unbind(0)
        step = RosenbrockStep(t, t + dt, dt, y, y + increment, problem, error, tableau=self.tableau)
        step.increments, step.start = stacked, None if isinstance(dt, Tensor) else start
        return step, None


def _combined(weights: Tensor, increments: Tensor) -> Tensor:
    """``sum_i weights[..., i] increments[i]``."""
    return torch.tensordot(weights, increments, dims=1)


def _solver(jacobian: Tensor, size: Time) -> Callable[[Tensor], Tensor]:
    """What solves ``(I - size J) u = right``; not finite where the matrix is singular or not finite."""
    scaled = jacobian * (size.unsqueeze(-1) if isinstance(size, Tensor) else size)
    matrix = torch.eye(jacobian.shape[-1], dtype=jacobian.dtype, device=jacobian.device) - scaled
    factors, pivots, _ = torch.linalg.lu_factor_ex(matrix)

    def solve(right: Tensor) -> Tensor:
        column = right.reshape(*jacobian.shape[:-1], 1)
        return torch.linalg.lu_solve(factors, pivots, column).reshape(right.shape)

    return solve


@dataclass(frozen=True)
class Rosenbrock23(Rosenbrock):
    """Shampine and Reichelt's pair of order 2(3), MATLAB's ode23s, for loose tolerances of about 1e-3.

    L-stable, three linear systems a step, with its second-order interpolant. The third evaluation serves the
    error estimate; the next step evaluates ``f`` there once more, together with its Jacobian.
    """

    tableau: RosenbrockTableau = tableaus.ROSENBROCK23


@dataclass(frozen=True)
class Rodas5P(Rosenbrock):
    """Steinebach's method of order 5(4) with its fourth-order interpolant: the first choice for stiff problems.

    L-stable and stiffly accurate, eight linear systems a step, for tolerances of about 1e-4 to 1e-10.
    """

    tableau: RosenbrockTableau = tableaus.RODAS5P
