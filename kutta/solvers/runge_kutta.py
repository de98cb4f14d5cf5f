"""Explicit Runge-Kutta methods: one step for every tableau.

With step size ``h``, stages ``g_i = y + h * sum_{j<i} a_ij k_j`` and slopes ``k_i = f(t + c_i h, g_i)``.

How the sums are formed, `kutta.solvers.stages` says.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kutta.autodiff import in_forward_mode, under_transform
from kutta.solvers import tableaus
from kutta.solvers.interpolation import polynomials
from kutta.solvers.method import Field, OfTableau, Step, Time
from kutta.solvers.stages import Coefficients, ColumnSums, SlopeMatrix, TapedSlopeMatrix, coefficients
from kutta.solvers.tableaus.tableau import Interpolant, Tableau


@dataclass
class RungeKuttaStep(Step):
    """A Runge-Kutta step, with the interpolant of its tableau.

    Attributes:
        tableau: the coefficients.
        sums: what formed the step.
        stacked: all slopes that the interpolant combines, once it has been needed.
    """

    tableau: Tableau = tableaus.EULER
    sums: ColumnSums | SlopeMatrix | None = None
    stacked: Tensor | None = field(default=None, init=False)

    def at(self, theta: Any) -> Tensor:
        if self.tableau.interpolant is None:
            return super().at(theta)
        slopes, weights = self._interpolation_slopes(), self._weights(theta)
        if isinstance(self.dt, Tensor):
            return torch.addcmul(self.y0, self.dt, (weights.unsqueeze(-1) * slopes).sum(dim=0))
        return self.y0 + self.dt * torch.mv(_rows(slopes).t(), weights).view_as(self.y0)

    def picked(self, steps: Sequence[Step], index: Tensor, pick: Callable[..., Tensor]) -> Step:
        taken: Any = super().picked(steps, index, pick)
        extended = all(step.stacked is not None for step in steps)  # type: ignore[attr-defined]
        slopes = [step.stacked if extended else step._stages() for step in steps]  # type: ignore[attr-defined]
        picked = pick(slopes, 1)
        taken.stages, taken.sums = picked[: self.tableau.stages].unbind(0), None
        taken.stacked = picked if extended or self._complete else None
        return taken

    def prepare(self) -> None:
        if self.tableau.interpolant is None:
            super().prepare()
        else:
            self._interpolation_slopes()

    def release(self) -> None:
        sums, self.sums, self.stages, self.stacked, self.slopes = self.sums, None, (), None, None
        if isinstance(sums, SlopeMatrix) and hasattr(self.field, "spare"):
            sums.clear()
            self.field.spare.append(sums)

    def many(self, thetas: list[float]) -> Tensor:
        """The states at several positions, stacked: one matrix product."""
        if self.tableau.interpolant is None or isinstance(self.dt, Tensor):
            return super().many(thetas)
        slopes = self._interpolation_slopes()
        table: Any = self._coefficients.polynomials
        powers = np.array(thetas)[:, None] ** np.arange(1, table.shape[1] + 1)
        weights = torch.as_tensor(powers @ table.T * self.dt)
        weights = weights.to(self.y0.device, self.y0.dtype)
        shape = (len(thetas), *self.y0.shape)
        return torch.addmm(self.y0.reshape(1, -1), weights, _rows(slopes)).view(shape)

    @property
    def stability_size(self) -> float | None:  # type: ignore[override]
        return self.tableau.stability_size

    @property
    def weights(self) -> Sequence[float]:  # type: ignore[override]
        return self._coefficients.b

    def stiffness_pair(self) -> tuple[Tensor, Tensor]:
        """The latest two stages at the same time; else the end of the step and the embedded solution there."""
        pair = self.tableau.equal_nodes
        if not self.tableau.estimates_stiffness:
            return super().stiffness_pair()
        if pair is None:
            return self._end_and_embedded()
        first, second = (self._slope(stage) for stage in pair)
        weights = torch.mv(_rows(self._stages()).t(), self._coefficients.stiffness).view_as(self.y0)
        return first - second, self.dt * weights

    def _end_and_embedded(self) -> tuple[Tensor, Tensor]:
        """Costs one evaluation of the right-hand side."""
        assert self.error is not None
        return self.stages[-1] - self.field.derivative(self.t0 + self.dt, self.y1 - self.error), self.error

    def _slope(self, stage: int) -> Tensor:
        return self.stages[stage] if stage < self.tableau.stages else self.end_slopes()[1]

    @property
    def _coefficients(self) -> Coefficients:
        return coefficients(self.tableau, self.y0.dtype, self.y0.device)

    def _weights(self, theta: Any) -> Tensor:
        """``P_i(theta)``, ``(stages,)``; in an ensemble ``(stages, b)``."""
        value = polynomials(self._coefficients.interpolation, theta)
        return (value if isinstance(self.dt, Tensor) else value[:, 0]).to(self.y0.dtype)

    def end_slopes(self) -> tuple[Tensor, Tensor]:
        """The first slope, and the last stage or else one evaluation that the next step takes over."""
        if self.slopes is None:
            closes = self.tableau.first_same_as_last
            end = self.stages[-1] if closes else self.field.derivative(self.t0 + self.dt, self.y1)
            self.slopes = (self.stages[0], end)
        return self.slopes

    def _interpolation_slopes(self) -> Tensor:
        """All slopes that the interpolant combines, stacked; made once a step."""
        dense = self.tableau.interpolant
        assert dense is not None
        if self.stacked is None:
            self.stacked = self._stages() if self._complete else torch.stack(self._with_extra_stages(dense))
        return self.stacked

    @property
    def _complete(self) -> bool:
        """Whether the interpolant needs the stages of the step only."""
        dense = self.tableau.interpolant
        return dense is not None and len(dense.weights) == self.tableau.stages

    def _stages(self) -> Tensor:
        return self.sums.memory if type(self.sums) is SlopeMatrix else torch.stack(self.stages)

    def _with_extra_stages(self, dense: Interpolant) -> list[Tensor]:
        slopes = list(self.stages)
        slopes += [] if self.tableau.first_same_as_last else [self.end_slopes()[1]]
        for node, row in zip(dense.extra_c, self._coefficients.extra_a, strict=True):
            increment = torch.mv(_rows(torch.stack(slopes)).T, row).view_as(self.y0)
            slopes.append(self.field.derivative(self.t0 + float(node) * self.dt, self.y0 + self.dt * increment))
        return slopes


@dataclass(frozen=True)
class RungeKutta(OfTableau):
    """An explicit Runge-Kutta method given by its tableau.

    Attributes:
        tableau: the coefficients; see `kutta.solvers.tableaus.tableau.Tableau`.

    Example:
        >>> import torch, kutta as kt
        >>> method = kt.RungeKutta(kt.tableaus.BOSH3)
        >>> problem = kt.ODEProblem(lambda t, y: -y, torch.ones(1, dtype=torch.float64), (0.0, 1.0))
        >>> round(float(kt.solve(problem, method, rtol=1e-8, atol=1e-10).y1), 6)
        0.367879
    """

    tableau: Tableau
    kind = "explicit Runge-Kutta"
    tabulated = True
    carries_slope = True

    @property
    def error_order(self) -> int | None:
        if self.tableau.error is None:
            return None
        return min(self.tableau.order, self.tableau.embedded_order or self.tableau.order) + 1

    @property
    def interpolant_order(self) -> int:
        dense = self.tableau.interpolant
        return super().interpolant_order if dense is None else dense.order

    @property
    def estimates_stiffness(self) -> bool:
        return self.tableau.estimates_stiffness

    def init(self, problem: Field, t: Time, y: Tensor) -> Tensor:
        """The first slope."""
        # A copy, since `f` may be called again before the first step, and may return the same memory.
        return problem.derivative(t, y).clone()

    def resume(self, step: Step, carry: Any) -> Any:
        """The slope where the next trial starts, when this one has evaluated it."""
        if isinstance(step.accepted, Tensor):
            return carry
        if not step.accepted:
            return step.stages[0].clone()
        if carry is None and step.slopes is not None:
            return step.slopes[1]
        return carry

    def step(self, problem: Field, t: Time, y: Tensor, dt: Time, carry: Any) -> tuple[RungeKuttaStep, Any]:
        numbers = coefficients(self.tableau, y.dtype, y.device)
        times = stage_times(t, dt, numbers)
        sums = _sums(problem, numbers, y, dt)
        slope = problem.derivative(times[0], y) if carry is None else carry
        sums.add(slope)
        for index in range(1, numbers.explicit):
            sums.add(problem.derivative(times[index], sums.stage()))
        y1 = sums.end()
        if numbers.closes:
            slope = problem.derivative(times[-1], y1)
            sums.add(slope)
        error = combined_error(sums.errors()) if numbers.errors else None
        step = RungeKuttaStep(t, t + dt, dt, y, y1, problem, error, sums.stages(), tableau=self.tableau, sums=sums)
        return step, (slope if numbers.closes else None)


def stage_times(t: Time, dt: Time, numbers: Coefficients) -> Any:
    """The times ``t + c_i dt`` of all stages; for an ensemble in the real dtype of the state."""
    if not isinstance(t, Tensor) or t.dim() == 0:
        return [t + node * dt for node in numbers.nodes]
    return torch.addcmul(t.t(), numbers.c, dt.t()).to(dt.dtype).unbind(0)


def _rows(slopes: Tensor) -> Tensor:
    """Stacked slopes as a matrix, also for a state without axes."""
    return slopes.reshape(slopes.shape[0], -1)


def _sums(problem: Any, numbers: Coefficients, y: Tensor, dt: Time) -> ColumnSums | SlopeMatrix:
    """The sums over stages; in memory used again, where the problem keeps what steps have given back."""
    if under_transform() or in_forward_mode():
        return ColumnSums(numbers, y, dt)
    kind = TapedSlopeMatrix if torch.is_grad_enabled() else SlopeMatrix
    spare = getattr(problem, "spare", None)
    if spare and type(spare[-1]) is kind:
        return spare.pop().begin(y, dt)
    return kind(numbers, y).begin(y, dt)


def combined_error(estimates: Sequence[Tensor]) -> Tensor:
    """The error estimate ``dt * sum_i e_i k_i``, from one such sum or two.

    Dormand and Prince's eighth-order method has two estimates, of order five and three. Hairer,
    Norsett and Wanner (II.10) damp the first by the second, ``|e5|^2 / sqrt(|e5|^2 + 0.01 |e3|^2)``
    in norms over the state; here it is done entry by entry, whose sum of squares is never smaller
    (Titu's lemma), so the step is never less safe.
    """
    error, *second = estimates
    if not second:
        return error
    fine, rough = error.abs(), second[0].abs()
    total = fine.square() + 0.01 * rough.square()
    # The root of one stands in for that of zero, whose derivative is infinite.
    return error * (fine / torch.where(total > 0, total, 1.0).sqrt())


@dataclass(frozen=True)
class Euler(RungeKutta):
    """Euler's method, order 1: ``y + h f(t, y)``. Fixed steps only."""

    tableau: Tableau = tableaus.EULER


@dataclass(frozen=True)
class Midpoint(RungeKutta):
    """The explicit midpoint rule, order 2, with Euler's method as its error estimate."""

    tableau: Tableau = tableaus.MIDPOINT


@dataclass(frozen=True)
class Heun(RungeKutta):
    """Heun's method, order 2, with Euler's method as its error estimate."""

    tableau: Tableau = tableaus.HEUN


@dataclass(frozen=True)
class Ralston(RungeKutta):
    """Ralston's method, order 2, of smallest truncation error bound among two-stage methods."""

    tableau: Tableau = tableaus.RALSTON


@dataclass(frozen=True)
class SSPRK33(RungeKutta):
    """Shu and Osher's strong-stability-preserving method, order 3, for hyperbolic problems."""

    tableau: Tableau = tableaus.SSPRK33


@dataclass(frozen=True)
class SSPRK22(RungeKutta):
    """Shu and Osher's strong-stability-preserving method of order 2, as a formula the same as `Heun`.

    It keeps what Euler's method keeps, such as a bound on the total variation, up to the same step size.
    """

    tableau: Tableau = tableaus.SSPRK22


@dataclass(frozen=True)
class SSPRK104(RungeKutta):
    """Ketcheson's strong-stability-preserving method, order 4, ten stages, up to six times Euler's step size.

    Fixed steps only.
    """

    tableau: Tableau = tableaus.SSPRK104


@dataclass(frozen=True)
class RK4(RungeKutta):
    """The classical Runge-Kutta method, order 4, four evaluations. Fixed steps only."""

    tableau: Tableau = tableaus.RK4


@dataclass(frozen=True)
class RK38(RungeKutta):
    """Kutta's 3/8 rule, order 4, four evaluations. Fixed steps only."""

    tableau: Tableau = tableaus.RK38


@dataclass(frozen=True)
class Fehlberg2(RungeKutta):
    """Fehlberg's 2(1) pair, for loose tolerances."""

    tableau: Tableau = tableaus.FEHLBERG2


@dataclass(frozen=True)
class Bosh3(RungeKutta):
    """Bogacki and Shampine's 3(2) pair, for tolerances looser than about 1e-3."""

    tableau: Tableau = tableaus.BOSH3


@dataclass(frozen=True)
class Dopri5(RungeKutta):
    """Dormand and Prince's 5(4) pair with its fourth-order interpolant."""

    tableau: Tableau = tableaus.DOPRI5


@dataclass(frozen=True)
class Tsit5(RungeKutta):
    """Tsitouras's 5(4) pair with its fourth-order interpolant: the default for non-stiff problems."""

    tableau: Tableau = tableaus.TSIT5


@dataclass(frozen=True)
class Dopri8(RungeKutta):
    """Dormand and Prince's 8(5,3) method (DOP853) with its seventh-order interpolant, for tight tolerances."""

    tableau: Tableau = tableaus.DOPRI8


@dataclass(frozen=True)
class Vern6(RungeKutta):
    """Verner's most efficient 6(5) pair, for float64: its weights of up to 200 magnify rounding errors.

    Coefficients by Jim Verner, https://www.sfu.ca/~jverner/.
    """

    tableau: Tableau = tableaus.VERN6


@dataclass(frozen=True)
class Vern7(RungeKutta):
    """Verner's most efficient 7(6) pair, for float64 and tolerances of about 1e-8.

    Coefficients by Jim Verner, https://www.sfu.ca/~jverner/.
    """

    tableau: Tableau = tableaus.VERN7


@dataclass(frozen=True)
class Vern8(RungeKutta):
    """Verner's most efficient 8(7) pair, for float64 and tolerances of about 1e-10.

    Coefficients by Jim Verner, https://www.sfu.ca/~jverner/.
    """

    tableau: Tableau = tableaus.VERN8


@dataclass(frozen=True)
class Vern9(RungeKutta):
    """Verner's most efficient 9(8) pair, for float64 and tolerances near the limit of float64.

    Coefficients by Jim Verner, https://www.sfu.ca/~jverner/.
    """

    tableau: Tableau = tableaus.VERN9
