"""The one call: check the input, choose what was left open, hand over to an engine."""

from __future__ import annotations

import inspect
import math
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from kutta.autodiff import as_float, outside_autocast
from kutta.memory import keep_freed_memory
from kutta.pde.problem import PDEProblem
from kutta.pde.solving import solve_pde
from kutta.pde.steady import SteadyProblem, solve_steady
from kutta.problems import (
    ConstrainedProblem,
    DiffusionProblem,
    EnsembleProblem,
    FixedPointProblem,
    LeastSquaresProblem,
    LinearProblem,
    ODEProblem,
    RootProblem,
    SplitODEProblem,
)
from kutta.regularizers.regularizer import Regularizer
from kutta.solvers.adjoints import Adjoint, Direct
from kutta.solvers.algebra.method import LinearMethod
from kutta.solvers.algebra.nonlinear.derivatives import Implicit
from kutta.solvers.algebra.nonlinear.method import NonlinearMethod
from kutta.solvers.algebra.nonlinear.solving import solve_nonlinear
from kutta.solvers.algebra.solving import solve_linear
from kutta.solvers.answer import Answer
from kutta.solvers.controllers import PID, Controller, Fixed, StepTo
from kutta.solvers.diffusion.levels.grids import Grid
from kutta.solvers.diffusion.plans.sampler import Sampler
from kutta.solvers.diffusion.solving import solve_diffusion
from kutta.solvers.engines.choice import solve_by_choice, solve_eagerly
from kutta.solvers.engines.compiled import Compiled
from kutta.solvers.engines.kernel.engine import Kernel, solve_kernel
from kutta.solvers.events import Event
from kutta.solvers.method import Method
from kutta.solvers.operand import operator_for
from kutta.solvers.options import Options
from kutta.solvers.runge_kutta import Tsit5
from kutta.state import Layout, as_state, layout_of

if TYPE_CHECKING:
    from kutta.solution import Solution


Nonlinear = RootProblem | FixedPointProblem | LeastSquaresProblem | ConstrainedProblem
Problem = ODEProblem | SplitODEProblem | EnsembleProblem | DiffusionProblem | LinearProblem | Nonlinear | PDEProblem


class Eager:
    """The engine that runs the loop in Python, one tensor operation after the other: any `f`, any device."""


def solve(
    problem: Problem,
    method: Method | Sampler | LinearMethod | NonlinearMethod | Answer | None = None,
    *,
    rtol: Any = 1e-5,
    atol: Any = 1e-7,
    save_at: Tensor | Sequence[float] | str | None = None,
    dense: bool = False,
    controller: Controller | None = None,
    dt0: float | None = None,
    max_steps: int = 100_000,
    events: Sequence[Event] = (),
    adjoint: Adjoint | Implicit | None = None,
    penalties: dict[str, Regularizer] | None = None,
    diagnostics: bool = False,
    progress: bool = False,
    engine: Any = "auto",
    throw: bool = True,
    steps: int | None = None,
    grid: Grid | Sequence[float] | Tensor | None = None,
    generator: Any = None,
) -> Solution:
    """Solve a differential equation or a system of equations, or sample from a diffusion model.

    Args:
        problem: what to solve.
        method: how; by default `Tsit5`, and for a `DiffusionProblem` what `kutta.diffusion.default_sampler` says. Such
            a problem is solved by samplers, with `steps`, `grid` and `generator` (`AdaptiveMultistep`: with `rtol` and
            `atol`), and as its probability-flow equation by the methods for `ODEProblem`. A `LinearProblem` is solved
            by methods such as `LU` and `CG`; by default by one that suits the operator. Nonlinear equations have
            methods of their own: see `RootProblem`, `FixedPointProblem`, `LeastSquaresProblem` and
            `ConstrainedProblem`.
        rtol: relative tolerance of the local error: a number, or a tensor (or pytree) that broadcasts
            with the state; in an ensemble also one number a trajectory. An iteration for a `LinearProblem` ends at
            ``|b - A x| <= max(rtol |b|, atol)``, or where rounding stops it (``STAGNATION``). Of nonlinear equations it
            is the tolerance of the unknowns: 1e-8, in single precision 1e-5, if not given.
        atol: absolute tolerance, likewise. In the units of the state. For a `LinearProblem` it is 0 if not given, for
            nonlinear equations 1e-10, in single precision 1e-7.
        save_at: output times: ``None`` for the final state only, a 1-dimensional tensor (in an
            ensemble also ``(T, B)``) in the direction of the solve, or ``"steps"`` for the initial
            state and every accepted step. Times that require gradients receive them.
        dense: keep an interpolant of the whole solve, to be called as ``sol(t)``.
        controller: chooses the step sizes: `PID` (the default), `I`, `PI`, or `Fixed`, `StepTo`.
        dt0: first step size; estimated when not given. For a method without an error estimate it
            stands for ``controller=Fixed(dt0)``.
        max_steps: largest number of attempted steps (in an ensemble, of each trajectory), or of iterations; of
            nonlinear equations 200 if not given.
        events: what may happen on the way; see `Event`.
        adjoint: how gradients come back: `Direct` (the default), `Recompute`, `Interpolating`, `Gauss`,
            `Backsolve`; of nonlinear equations `Implicit`.
        penalties: regularisers by name, read off the accepted steps into ``sol.penalties``.
        diagnostics: note size, error ratio and stiffness of every accepted step in ``sol.stats.history``,
            which tells whether accuracy or stability limits the steps, and which ``sol.plot()`` draws.
        progress: show a progress bar (needs tqdm).
        engine: what runs the loop: ``Eager()``, in Python; `Kernel`, for ensembles of small systems; `Compiled`,
            for a problem with one step size that is solved many times; or ``"auto"``, the kernel for 1,000
            trajectories and more where it can and the eager engine otherwise, which ``sol.stats.engine`` and
            ``sol.stats.reason`` tell.
        throw: raise `SolveError` when the solve fails; otherwise return what there is, with
            ``sol.result`` naming the reason.
        steps: of a sampler; 20 by default.
        grid: where a sampler stops on its way: a rule such as ``kutta.diffusion.Rho(7)``, or the times themselves.
        generator: of the noise of a stochastic sampler: a ``torch.Generator``, or one for each sample. It is refused
            where no noise is added.

    Returns:
        the `Solution`.

    Raises:
        TypeError, ValueError: for arguments that do not fit, before the first step.
        NotImplementedError: for what this version cannot do.
        SolveError: when the final time cannot be reached, or a system not be solved.

    Example:
        >>> import torch, kutta as kt
        >>> def oscillator(t, y):
        ...     return torch.stack([y[1], -y[0]])
        >>> y0 = torch.tensor([1.0, 0.0], dtype=torch.float64)
        >>> sol = kt.solve(kt.ODEProblem(oscillator, y0, (0.0, 6.283185307179586)), rtol=1e-9, atol=1e-9)
        >>> sol.result.name, bool(torch.allclose(sol.y1, y0, atol=1e-7))
        ('SUCCESS', True)
    """
    _check_engine(engine)
    keep_freed_memory()
    if isinstance(method, Answer):
        return method.answer(problem, _not_default(locals()), solve)
    if isinstance(problem, DiffusionProblem):
        return solve_diffusion(problem, method, _not_default(locals()), solve)
    if isinstance(problem, SteadyProblem):
        return solve_steady(problem, method, _not_default(locals()))
    if isinstance(problem, LinearProblem):
        return solve_linear(problem, method, _not_default(locals()))
    if isinstance(problem, Nonlinear):
        return solve_nonlinear(problem, method, _not_default(locals()))
    if isinstance(problem, PDEProblem):
        return solve_pde(problem, method, _not_default(locals()), solve)
    _refuse_others(method, steps, grid, generator)
    ready, layout, options = prepare(
        problem,
        method,
        rtol=rtol,
        atol=atol,
        save_at=save_at,
        dense=dense,
        controller=controller,
        dt0=dt0,
        max_steps=max_steps,
        events=events,
        adjoint=adjoint,
        penalties=penalties,
        diagnostics=diagnostics,
        progress=progress,
    )
    run: Any = solve_eagerly
    if isinstance(engine, Kernel):
        run = partial(solve_kernel, engine)
    elif isinstance(engine, Compiled):
        from kutta.solvers.engines.compiled.engine import solve_compiled  # PyTorch's compiler takes a second to import

        run = partial(solve_compiled, engine)
    elif engine is None or engine == "auto":
        run = solve_by_choice
    f, precisely = outside_autocast(ready.f, layout.device)
    with precisely:
        return run(replace(ready, f=f), layout, options, throw)


def _not_default(given: dict[str, Any]) -> dict[str, Any]:
    """The arguments besides problem and method that are not at their defaults."""
    options = [one for one in inspect.signature(solve).parameters.values() if one.kind is one.KEYWORD_ONLY]
    return {one.name: given[one.name] for one in options if given[one.name] is not one.default}


def _refuse_others(method: Any, steps: Any, grid: Any, generator: Any) -> None:
    others = (
        (Sampler, "a sampler, for a DiffusionProblem"),
        (LinearMethod, "for a LinearProblem"),
        (NonlinearMethod, "for nonlinear equations, such as a RootProblem"),
    )
    for kind, what in others:
        if isinstance(method, kind):
            raise TypeError(f"{type(method).__name__} is {what}")
    for name, value in (("steps", steps), ("grid", grid), ("generator", generator)):
        if value is not None:
            raise ValueError(f"{name} is for the samplers of a DiffusionProblem; for equal steps pass kutta.Fixed(dt)")


def prepare(
    problem: Any,
    method: Any,
    *,
    save_at: Any = None,
    controller: Any = None,
    dt0: float | None = None,
    max_steps: int = 100_000,
    events: Any = (),
    adjoint: Any = None,
    penalties: Any = None,
    **others: Any,
) -> tuple[Any, Layout, Options]:
    """Check all arguments of a solve and fill in those left open."""
    if not isinstance(problem, ODEProblem | SplitODEProblem | EnsembleProblem):
        made = ": call its method problem(grid, ...)" if hasattr(problem, "problem") else ""
        raise TypeError(
            f"problem must be an ODEProblem, SplitODEProblem or EnsembleProblem; got {type(problem).__name__}{made}"
        )
    if not callable(problem.f):
        raise TypeError(f"f must be callable; got {type(problem.f).__name__}")
    if not isinstance(problem.args, tuple):
        raise TypeError(f"args must be a tuple; got {type(problem.args).__name__}: write args=(value,)")
    if not isinstance(max_steps, int) or max_steps < 1:
        raise ValueError(f"max_steps must be a positive whole number; got {max_steps!r}")
    method, y0, dt0 = _check_method(method), as_state(problem.y0), _check_first_step(dt0)
    layout = layout_of(y0, isinstance(problem, EnsembleProblem))
    problem = _check_parts(problem, method, y0, layout)
    method.check(layout)
    _check_limit(controller, layout)
    span = _check_span(problem.t_span, layout)
    _check_prescribed(controller, span)
    options = Options(
        method=method,
        controller=_check_controller(controller, method, dt0),
        adjoint=_check("adjoint", adjoint, Adjoint, Direct()),
        save_at=_check_save_at(save_at, span, layout),
        events=_check_events(events),
        penalties=_check_penalties(penalties, method, layout, others.get("rtol")),
        dt0=dt0,
        max_steps=max_steps,
        **others,
    )
    return replace(problem, y0=y0, t_span=span), layout, options


def _check_parts(problem: Any, method: Method, y0: Any, layout: Layout) -> Any:
    """The problem as the method takes it: in two parts, or as a whole."""
    name = type(method).__name__
    if isinstance(problem, EnsembleProblem) and not method.ensembles:
        raise NotImplementedError(
            f"{name} advances one problem with one step size; got an EnsembleProblem: give an ODEProblem whose state "
            "has a batch axis"
        )
    if not isinstance(problem, SplitODEProblem):
        if method.needs_split:
            raise TypeError(
                f"{name} treats the linear part of the right-hand side apart: pass a "
                f"SplitODEProblem(linear, f, y0, t_span); got {type(problem).__name__}"
            )
        return problem
    if not layout.is_single:
        raise TypeError(f"y0 of a SplitODEProblem must be one tensor, which linear acts on; got {layout.spec}")
    split = replace(problem, linear=operator_for(problem.linear, y0))
    return split if method.needs_split else split.whole()


def _check(name: str, value: Any, kind: type, default: Any) -> Any:
    if value is None:
        return default
    if isinstance(value, type) and issubclass(value, kind):
        raise TypeError(f"{name} must be an instance: write {value.__name__}() with its parentheses")
    if not isinstance(value, kind):
        raise TypeError(f"{name} must be a {kind.__name__}; got {type(value).__name__}")
    return value


def _check_method(method: Any) -> Method:
    if isinstance(method, str):
        raise TypeError(f"method must be a method object such as kutta.Tsit5(); got the string {method!r}")
    return _check("method", method, Method, Tsit5())


def _check_engine(engine: Any) -> None:
    if engine is None or isinstance(engine, Eager | Kernel | Compiled) or engine in ("auto", "eager"):
        return
    if isinstance(engine, type) and issubclass(engine, Eager | Kernel | Compiled):
        raise TypeError(f"engine must be an instance: write {engine.__name__}() with its parentheses")
    raise NotImplementedError(f"this version has the engines Eager(), Kernel() and Compiled(); got engine={engine!r}")


def _check_first_step(dt0: Any) -> float | None:
    if dt0 is None:
        return None
    try:
        size = abs(as_float(None if isinstance(dt0, str | bool) else dt0))
    except (TypeError, ValueError, RuntimeError):
        raise TypeError(f"dt0 must be one number; got {dt0!r}") from None
    if not 0.0 < size < math.inf:
        raise ValueError(f"dt0 must be a positive, finite step size; got {dt0!r}")
    return size


def _check_controller(controller: Any, method: Method, dt0: float | None) -> Controller:
    controller = _check("controller", controller, Controller, None)
    if controller is None:
        if method.error_order is not None:
            return PID()
        if dt0 is None:
            raise ValueError(
                f"{type(method).__name__} estimates no error, so its step size must be given: "
                "pass controller=kutta.Fixed(dt)"
            )
        return Fixed(dt0)
    if isinstance(controller, PID) and method.error_order is None:
        raise ValueError(
            f"{type(method).__name__} estimates no error, so {type(controller).__name__} cannot control it: "
            "pass controller=kutta.Fixed(dt)"
        )
    if isinstance(controller, Fixed | StepTo) and dt0 is not None:
        raise ValueError(f"dt0 is the first step size of an adaptive solve; {type(controller).__name__} has its own")
    return controller


def _check_limit(controller: Any, layout: Layout) -> None:
    """Refuse a largest step that depends on the state for the trajectories of an ensemble."""
    if layout.batch is not None and isinstance(controller, Controller) and controller.limits:
        raise NotImplementedError(
            "max_step and CFL are for problems with one step size; got an EnsembleProblem: give an ODEProblem whose "
            "state has a batch axis, and the smallest limit of the batch"
        )


def _check_prescribed(controller: Any, span: tuple[Any, Any]) -> None:
    """Refuse prescribed steps that lead from another time to another time; those of an ensemble may."""
    if not isinstance(controller, StepTo) or any(isinstance(t, Tensor) and t.dim() for t in span):
        return
    (t0, t1), (first, last) = map(as_float, span), (float(controller.ts[0]), float(controller.ts[-1]))
    if (first, last) != (t0, t1):
        raise ValueError(
            f"StepTo(ts) must lead from t_span[0] = {t0:.9g} to t_span[1] = {t1:.9g}; "
            f"got times from {first:.9g} to {last:.9g}"
        )


def _check_span(t_span: Any, layout: Layout) -> tuple[Any, Any]:
    try:
        t0, t1 = t_span
    except (TypeError, ValueError):
        raise ValueError(f"t_span must hold the initial and the final time; got {t_span!r}") from None
    return _check_time("t_span[0]", t0, layout), _check_time("t_span[1]", t1, layout)


def _check_time(name: str, t: Any, layout: Layout) -> Any:
    if isinstance(t, float) and math.isfinite(t) and layout.batch is None:
        return t
    tensor = _as_times(t)
    if tensor.is_complex() or tensor.dtype == torch.bool:
        raise TypeError(f"{name} must be a real number; got {tensor.dtype}")
    if tensor.dim() and (layout.batch is None or tensor.shape != (layout.batch,)):
        wanted = "a number" if layout.batch is None else f"a number or a tensor of shape ({layout.batch},)"
        raise ValueError(f"{name} must be {wanted}; got shape {tuple(tensor.shape)}")
    if not bool(torch.isfinite(tensor.detach()).all()):
        raise ValueError(f"{name} must be finite; got {t!r}")
    return tensor.to(layout.device, torch.float64)


def _as_times(t: Any) -> Tensor:
    """Times as a tensor; Python floats keep all their digits, whatever the default dtype."""
    tensor = torch.as_tensor(t)
    if isinstance(t, Tensor) or not tensor.is_floating_point():
        return tensor
    return torch.as_tensor(t, dtype=torch.float64)


def _check_save_at(save_at: Any, span: tuple[Tensor, Tensor], layout: Layout) -> Any:
    if save_at is None:
        return None
    if isinstance(save_at, str):
        if save_at != "steps":
            raise ValueError(f'save_at must be None, "steps" or a tensor of times; got {save_at!r}')
        return save_at
    if isinstance(save_at, int):
        raise TypeError(
            f"save_at must be a tensor or a sequence of times; got the number {save_at!r}: for that many at equal "
            f"distances pass torch.linspace(t0, t1, {save_at}, dtype=torch.float64)"
        )
    ts = _as_times(save_at)
    precision = 2 * torch.finfo(ts.dtype).eps if ts.is_floating_point() and ts.dtype != torch.float64 else 0.0
    ts = ts.to(layout.device, torch.float64)
    per_trajectory = layout.batch is not None and ts.dim() == 2 and ts.shape[1] == layout.batch
    if not (ts.dim() == 1 or per_trajectory) or ts.numel() == 0:
        also = "" if layout.batch is None else f" or (T, {layout.batch})"
        raise ValueError(f"save_at must be a non-empty tensor of times of shape (T,){also}; got {tuple(ts.shape)}")
    t0, t1 = (torch.as_tensor(t, dtype=torch.float64, device=layout.device).detach() for t in span)
    if precision and t0.dim() == t1.dim() == 0:
        # Times that were rounded to fewer digits than the ends of the solve still mean those ends.
        for end in (t0, t1):
            ts = torch.where((ts.detach() - end).abs() <= precision * end.abs(), end + (ts - ts.detach()), ts)
    times = ts.detach() if per_trajectory or layout.batch is None else ts.detach()[:, None]
    direction = torch.where(t1 >= t0, 1.0, -1.0)
    if not bool((torch.diff(times * direction, dim=0) >= 0).all()):
        raise ValueError("save_at must be sorted in the direction of the solve, from t_span[0] to t_span[1]")
    if not bool(((times * direction >= t0 * direction) & (times * direction <= t1 * direction)).all()):
        raise ValueError(
            f"save_at must lie within t_span = ({_shown(t0)}, {_shown(t1)}); got times from {float(times.min()):.9g} "
            f"to {float(times.max()):.9g}"
        )
    return ts


def _shown(t: Tensor) -> str:
    return f"{float(t):.9g}" if t.dim() == 0 else f"{float(t.min()):.9g}..{float(t.max()):.9g}"


def _check_events(events: Any) -> tuple[Event, ...]:
    if callable(events):
        raise TypeError(
            "events must be a sequence of kutta.Event; got a function: write events=[kutta.Event(function)]"
        )
    events = (events,) if isinstance(events, Event) else tuple(events)
    for index, event in enumerate(events):
        _check(f"events[{index}]", event, Event, None)
    return events


def _check_penalties(penalties: Any, method: Method, layout: Layout, rtol: Any) -> dict[str, Regularizer]:
    penalties = dict(penalties or {})
    for name, regularizer in penalties.items():
        _check(f"penalties[{name!r}]", regularizer, Regularizer, None)
        regularizer.check(method, layout.dtype, rtol)
    return penalties
