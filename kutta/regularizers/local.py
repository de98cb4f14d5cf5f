"""Penalties on single steps drawn at random: a global penalty for the price of one step, under any adjoint.

Pal, Edelman, Rackauckas, Locally regularized neural differential equations: some black boxes were
meant to remain closed, ICML 2023, arXiv 2303.02262.

Of the accepted steps ``j = 1..n`` with sizes ``h_j``, which cover the time ``T``, one is drawn and taken once
more; let ``x_j`` be its error ratio (or its stiffness). For the global penalty ``R = sum_j x_j h_j``

    steps drawn alike:            E[n x_j h_j] = R       E[x_j h_j] = R / n
    times drawn uniformly:        E[T x_j]     = R       E[x_j h_j] = sum_j x_j h_j^2 / T

On the left the unbiased estimators, on the right the published ones. Under a controller that keeps
``x_j`` where it is, ``T x_j`` varies least.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import torch
from torch import Tensor

from kutta.autodiff import is_mapped
from kutta.problems import EnsembleProblem
from kutta.regularizers.choices import check_choice
from kutta.regularizers.error_estimate import ErrorEstimate
from kutta.regularizers.over_steps import OverSteps
from kutta.regularizers.regularizer import Regularizer
from kutta.regularizers.sampling import Draws, EnsembleSampler, Sampler
from kutta.regularizers.stiffness_estimate import StiffnessEstimate
from kutta.solvers.field import EnsembleField
from kutta.solvers.initial_step import initial_step
from kutta.solvers.method import Method, Step
from kutta.solvers.tolerance import Tolerance

Sample = Literal["uniform_time", "uniform_step"]
Estimator = Literal["unbiased", "published"]
StepSize = Literal["solver", "initial"]


@dataclass(frozen=True)
class Local(Regularizer):
    """What `LocalErrorEstimate` and `LocalStiffnessEstimate` share.

    Attributes:
        sample: ``"uniform_time"``: a time is drawn uniformly, and with it the step that contains it;
            ``"uniform_step"``: all accepted steps are alike.
        estimator: ``"unbiased"`` estimates ``sum_j x_j h_j``, without bias if `step` is ``"solver"``;
            ``"published"`` is ``x_j h_j`` as it stands.
        step: ``"solver"``: the solver's own step is taken again; ``"initial"``: a step of the size with which a
            fresh solve would begin, from the drawn time itself, as the published code does.
        through_state: whether gradients also flow through the state at which the step starts. Without,
            they reach the parameters through the one step only, and the adjoint has nothing to do.
        draws: how many steps are drawn; their mean is taken. More than one are taken as one batched step, by
            ``torch.func.vmap`` over the right-hand side.
        generator: where the draws come from; by default PyTorch's global one. What was drawn is in
            ``sol.draws``.
    """

    sample: Sample = "uniform_time"
    estimator: Estimator = "unbiased"
    step: StepSize = field(default="solver", kw_only=True)
    through_state: bool = field(default=False, kw_only=True)
    draws: int = field(default=1, kw_only=True)
    generator: torch.Generator | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        for name, kind in (("sample", Sample), ("estimator", Estimator), ("step", StepSize)):
            check_choice(name, getattr(self, name), kind)
        if self.draws < 1:
            raise ValueError(f"draws must be at least 1; got {self.draws}")
        if not self.measured.weighted:
            raise ValueError(f"{type(self).__name__} estimates sums weighted by the step size; got {self.measured}")

    @property
    def measured(self) -> OverSteps:
        """The global penalty whose number of one step is taken."""
        raise NotImplementedError

    def check(self, method: Method, dtype: torch.dtype, rtol: Any) -> None:
        """Refuse a method whose steps cannot be taken alone."""
        self.measured.check(method, dtype, rtol)
        if not method.steps_alike:
            raise ValueError(f"{type(self).__name__} needs a one-step method; got {type(method).__name__}")
        if not method.ensembles:
            raise ValueError(
                f"{type(self).__name__} takes its steps together, each of a size of its own, which "
                f"{type(method).__name__} cannot: use ErrorEstimate() or StiffnessEstimate(), or a Runge-Kutta method"
            )

    def sampler(self, y: Tensor, ensemble: bool) -> Sampler | EnsembleSampler:
        """Watches one solve and draws."""
        if is_mapped(y):
            raise NotImplementedError(
                f"{type(self).__name__} draws steps, which torch.func.vmap cannot do: solve one EnsembleProblem, "
                "whose trajectories each have draws of their own"
            )
        inside = self.step == "initial" and self.sample == "uniform_time"
        options = (self.draws, self.sample == "uniform_time", inside, self.generator)
        if not ensemble:
            return Sampler(*options, keeps=not self.through_state)
        if self.through_state and torch.is_grad_enabled():
            raise NotImplementedError(
                f"{type(self).__name__}(through_state=True) is not there for ensembles: leave it out, or solve one "
                "ODEProblem whose state has a batch axis"
            )
        return EnsembleSampler(*options, y)

    def penalty(self, draws: Draws | None, problem_field: Any, method: Method, tolerance: Tolerance) -> Tensor:
        """The estimate, from steps taken once more: a number, or ``(B,)`` in an ensemble; of no step, zero."""
        if draws is None:
            return torch.zeros((), dtype=problem_field.real_dtype, device=problem_field.device)
        y = draws.y if self.through_state else draws.y.detach()
        # A trajectory without a step has nothing to take again.
        there = torch.nonzero(draws.dt)[:, 0]
        nothing = torch.zeros(len(draws.dt), dtype=problem_field.real_dtype, device=y.device)
        trajectories = (-1, self.draws) if problem_field.layout.batch is not None else (-1,)
        if not len(there):
            return nothing.reshape(trajectories).mean(dim=-1)
        step, dt = _taken(self.step, draws, y, there, problem_field, method, tolerance)
        taken = self.measured.measure(step).reshape(-1)
        values = nothing.index_put((there,), taken.to(nothing.dtype)).reshape(trajectories)
        size = nothing.index_put((there,), dt.reshape(-1).abs().to(nothing.dtype)).reshape(trajectories)
        if self.estimator == "published":
            return (values * size).mean(dim=-1)
        if self.sample == "uniform_time":
            return torch.as_tensor(draws.length).to(values) * values.mean(dim=-1)
        return draws.steps * (values * size).mean(dim=-1)


@dataclass(frozen=True)
class LocalErrorEstimate(Local):
    """Estimates `ErrorEstimate`, ``sum_j q_j h_j``, from steps drawn at random.

    Attributes:
        error: the error estimate that is measured, with its options; its `reduce` has no meaning here.

    Example:
        >>> import torch, kutta as kt
        >>> rate = torch.tensor(3.0, dtype=torch.float64, requires_grad=True)
        >>> problem = kt.ODEProblem(lambda t, y, k: -k * y, torch.ones(1, dtype=torch.float64), (0.0, 1.0), (rate,))
        >>> local = kt.regularizers.LocalErrorEstimate(generator=torch.Generator().manual_seed(0))
        >>> sol = kt.solve(problem, adjoint=kt.Gauss(), penalties={"error": local})
        >>> sol.penalties["error"].backward()
        >>> bool(rate.grad > 0)
        True
    """

    error: ErrorEstimate = field(default_factory=ErrorEstimate, kw_only=True)

    @property
    def measured(self) -> OverSteps:
        return self.error

    def restricted(self, part: Callable[[Any], Any]) -> LocalErrorEstimate:
        return replace(self, error=self.error.restricted(part))


@dataclass(frozen=True)
class LocalStiffnessEstimate(Local):
    """Estimates `StiffnessEstimate`, ``sum_j S_j h_j``, from steps drawn at random. Its authors found no gain in it.

    Attributes:
        stiffness: the stiffness estimate that is measured, with its options; its `reduce` has no meaning here.
    """

    stiffness: StiffnessEstimate = field(default_factory=StiffnessEstimate, kw_only=True)

    @property
    def measured(self) -> OverSteps:
        return self.stiffness

    def restricted(self, part: Callable[[Any], Any]) -> LocalStiffnessEstimate:
        return replace(self, stiffness=self.stiffness.restricted(part))


def _taken(
    size: StepSize, draws: Draws, y: Tensor, there: Tensor, problem_field: Any, method: Method, tolerance: Tolerance
) -> tuple[Step, Tensor]:
    """The steps once more, as one: of one problem without an axis for them if there is only one."""
    if problem_field.layout.batch is None and len(draws.t) == 1:
        t, dt, y = float(draws.t[0]), float(draws.dt[0]), y[0]
        if size == "initial":
            dt = float(_initial(problem_field, t, y, 1.0 if dt > 0 else -1.0, tolerance, method))
        step, _ = method.step(problem_field, t, y, dt, None)
        step.tolerance = tolerance
        return step, torch.tensor([dt], dtype=torch.float64, device=y.device)
    rows, tolerance = _rows(problem_field, y, there, tolerance)
    t, dt, y = draws.t[there, None], draws.dt[there, None], y.reshape(len(draws.t), -1)[there]
    if size == "initial":
        dt = _initial(rows, t, y, torch.sign(dt), tolerance, method)
    step, _ = method.step(rows, t, y, dt.to(rows.real_dtype), None)
    step.tolerance = tolerance
    return step, dt


@torch.no_grad()
def _initial(problem_field: Any, t: Any, y: Tensor, direction: Any, tolerance: Tolerance, method: Method) -> Tensor:
    """The signed size with which a fresh solve would begin."""
    slope = problem_field.derivative(t, y)
    h = initial_step(problem_field, t, y, slope, direction, tolerance, method.order).to(torch.float64)
    return direction * (h if h.dim() == 0 else h[:, None])


def _rows(problem_field: Any, y: Tensor, there: Tensor, tolerance: Tolerance) -> tuple[EnsembleField, Tolerance]:
    """The right-hand side of the draws `there`, one row each, and their tolerances."""
    number = y.shape[0]
    batch = problem_field.layout.batch
    if batch is not None:
        lanes = there // (number // batch)
        rows = problem_field.take(lanes)
        return rows, tolerance.take(lanes, rows.layout)
    problem, layout = problem_field.problem, replace(problem_field.layout, batch=number)
    # The arguments are common to all draws, whatever their shapes.
    shared = EnsembleProblem(problem.f, y, problem.t_span, problem.args, batched_args=(False,) * len(problem.args))
    return EnsembleField(shared, layout), tolerance.for_rows(layout)
