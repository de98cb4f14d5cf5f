"""The compiled engine: the whole loop of a problem with one step size, its right-hand side in it, as native code."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor

from kutta.autodiff import as_float, carries_gradient, in_forward_mode, under_transform
from kutta.problems import EnsembleProblem, ODEProblem, SplitODEProblem
from kutta.solution import Result, Solution, SolveError, Stats
from kutta.solvers.adjoints import Direct, Recompute
from kutta.solvers.algebra.operators.diagonal import Diagonal
from kutta.solvers.controllers import PID, Fixed
from kutta.solvers.engines.choice import saying, solve_eagerly
from kutta.solvers.engines.compiled import Compiled
from kutta.solvers.engines.compiled.gradient import Recording, Replay, differentiable
from kutta.solvers.engines.compiled.graph import Equation, NotCompilable, right_hand_side
from kutta.solvers.engines.compiled.linear_part import constants, split_right_hand_side
from kutta.solvers.engines.compiled.loop import Given, Numbers, Plan, Progress, forward_loop
from kutta.solvers.engines.compiled.step import Explicit
from kutta.solvers.engines.compiled.step_exponential import Exponential
from kutta.solvers.engines.compiled.store import run_compiled
from kutta.solvers.engines.compiled.transforms import parts, whole
from kutta.solvers.engines.refusal import refuse, refuse_what_no_loop_has
from kutta.solvers.field import VectorField, field_of
from kutta.solvers.options import Options
from kutta.solvers.stepper import STRETCH, TINY
from kutta.solvers.tableaus.exponential import ExponentialTableau
from kutta.solvers.tableaus.tableau import Tableau
from kutta.solvers.times import follow_initial_time, follow_output_time
from kutta.solvers.tolerance import Tolerance
from kutta.state import Layout

DTYPES = (torch.float32, torch.float64, torch.complex64, torch.complex128)
# How the steps of a method are taken, by what its coefficients are.
SCHEMES: dict[type, Any] = {Tableau: Explicit, ExponentialTableau: Exponential}


def solve_compiled(engine: Compiled, problem: Any, layout: Layout, options: Options, throw: bool) -> Solution:
    """Solve a problem with one step size."""
    _refuse_what_is_not_there(problem, layout, options)
    field = field_of(problem, layout)
    y0 = follow_initial_time(field, problem.t_span[0], layout.ravel(problem.y0)).contiguous()
    try:
        work = _Work(problem, layout, options, y0)
        work.run()
    except NotCompilable as reason:
        why = f"Compiled() cannot compile f: {reason}"
        warnings.warn(f"{why}. The eager engine solves instead", stacklevel=3)
        return saying(why, solve_eagerly, problem, layout, options, throw)
    return work.solution(field, throw)


def _refuse_what_is_not_there(problem: Any, layout: Layout, options: Options) -> None:
    if isinstance(problem, EnsembleProblem):
        refuse("Compiled", "solves an ODEProblem, with one step size; got an EnsembleProblem")
    refuse_what_no_loop_has("Compiled", layout, options, dtypes=DTYPES)
    if not options.method.tabulated or type(options.method.tableau) not in SCHEMES:  # type: ignore[attr-defined]
        name = type(options.method).__name__
        refuse("Compiled", f"has explicit Runge-Kutta methods and exponential ones only; got {name}")
    if isinstance(problem, SplitODEProblem):
        _refuse_linear_parts(problem, options)
    if layout.dtype.is_complex and not isinstance(options.controller, Fixed):
        refuse("Compiled", "takes fixed steps for complex states, kutta.Fixed(dt)")
    if options.events:
        refuse("Compiled", "has no events yet")
    if not isinstance(options.adjoint, Direct | Recompute):
        refuse("Compiled", f"differentiates the steps it took, as Direct() does; got adjoint={options.adjoint}")
    if under_transform() or in_forward_mode():
        refuse("Compiled", "does not run under torch.func transformations or in forward mode")


def _refuse_linear_parts(problem: SplitODEProblem, options: Options) -> None:
    if not isinstance(problem.linear, Diagonal):
        what = "has exponential methods where the linear part is diagonal in a transform, kutta.algebra.Diagonal"
        refuse("Compiled", f"{what}; got {type(problem.linear).__name__}")
    if not isinstance(options.controller, Fixed):
        refuse("Compiled", "takes fixed steps with exponential methods, kutta.Fixed(dt): weights belong to a step size")
    if torch.is_grad_enabled() and carries_gradient(problem.linear.symbols):
        refuse("Compiled", "has no gradients with respect to the linear part")
    if options.save_at is not None:
        _check_at_ends(options.save_at.detach().double(), problem.t_span, as_float(options.controller.dt))


def _check_at_ends(times: Tensor, span: Any, dt: float) -> None:
    """Refuse output times, but the last one, at which no step of one size ends, to as many digits as float32 has."""
    start, end = map(as_float, span)
    numbers = (times - start).abs() / dt
    off = (numbers - numbers.round()).abs() * dt
    within = (off > torch.clamp(2.0 * torch.finfo(torch.float32).eps * times.abs(), min=1e-6 * dt)) & (times != end)
    if bool(within.any()):
        what = (
            f"saves states of exponential methods at the ends of steps only, multiples of dt = {dt:g} after {start:g}"
        )
        refuse("Compiled", f"{what}; save_at has {float(times[within][0]):g}")


@dataclass(frozen=True)
class Leg:
    """A part of a solve.

    Attributes:
        last: the number of trials with which it ends.
        constants: what of the right-hand side belongs to it.
    """

    last: float = math.inf
    constants: tuple[Tensor, ...] = ()


def legs_of(
    problem: SplitODEProblem, tableau: Any, span: tuple[float, float], options: Options, y: Tensor
) -> list[Leg]:
    """The steps of the size that was asked for, and the last one, which may be shorter."""
    (t0, t1), controller = span, cast(Fixed, options.controller)
    dt = controller.dt
    steps, t, step = 0, t0, math.copysign(dt, t1 - t0)
    while abs(t1 - t) > dt * (1.0 + STRETCH):
        steps, t = steps + 1, t + step
    alike = math.isclose(t1 - t, step, rel_tol=1e-9)
    legs = [Leg(steps, (constants(problem.linear, tableau, step, y),))] if steps and not alike else []
    return [*legs, Leg(constants=(constants(problem.linear, tableau, step if alike else t1 - t, y),))]


class _Work:
    """One solve; a complex state is given to the loop as its parts."""

    def __init__(self, problem: ODEProblem | SplitODEProblem, layout: Layout, options: Options, y0: Tensor):
        self.layout, self.options = layout, options
        self.y0 = parts(y0) if y0.is_complex() else y0
        tableau: Any = options.method.tableau  # type: ignore[attr-defined]
        self.t0, self.t1 = map(as_float, problem.t_span)
        self.f: Equation
        if isinstance(problem, SplitODEProblem):
            self.f = split_right_hand_side(problem, tableau, layout, y0)
            self.legs = legs_of(problem, tableau, (self.t0, self.t1), options, y0)
        else:
            self.f, self.legs = right_hand_side(problem, layout, y0), [Leg()]
        self.final_time = problem.t_span[1]
        self.direction = 1.0 if self.t1 >= self.t0 else -1.0
        self.tolerance = Tolerance(options.rtol, options.atol, None, layout)
        self.differentiates = torch.is_grad_enabled() and any(one.requires_grad for one in (y0, *self.f.inputs))
        self.plan = self._plan()
        self.first = 0
        self.times = torch.full((1,), self.direction * math.inf, dtype=torch.float64)
        if options.save_at is not None:
            self._set_times(options.save_at.detach())
        self.outputs = self.y0.new_empty((len(self.times), *self.y0.shape)).detach()
        self.outputs[: self.first] = self.y0.detach()
        self.recordings: list[Recording] = []

    def _plan(self) -> Plan:
        options, method = self.options, self.options.method
        adaptive = isinstance(options.controller, PID)
        return Plan(
            scheme=SCHEMES[type(method.tableau)](method.tableau),  # type: ignore[attr-defined]
            order=method.order,
            adaptive=adaptive,
            estimates=adaptive and options.dt0 is None,
            saves=options.save_at is not None,
            records=self.differentiates,
            tolerance=self.tolerance,
        )

    def _set_times(self, times: Tensor) -> None:
        """The output times, with infinity behind them up to the next power of two, so that few shapes are compiled."""
        self.first = int((times == self.t0).sum())
        size = max(16, 1 << len(times).bit_length())
        self.times = torch.full((size,), self.direction * math.inf, dtype=torch.float64)
        self.times[: len(times)] = times

    def _start(self) -> Progress:
        controller: Any = self.options.controller
        first = controller.dt if not self.plan.adaptive else min(self.options.dt0 or 0.0, controller.dtmax)
        return Progress(self.t0, h=first, saved=float(self.first))

    def _numbers(self, rows: float, last: float) -> Numbers:
        controller: Any = self.options.controller
        numbers = Numbers(
            t1=self.t1,
            direction=self.direction,
            floor=TINY * abs(self.t1 - self.t0),
            max_steps=min(self.options.max_steps, last),
            rows=rows,
            dtmin=controller.dtmin,
            dtmax=controller.dtmax,
        )
        if not self.plan.adaptive:
            return numbers
        powers = controller.powers(self.options.method.error_order)
        return numbers._replace(
            safety=controller.safety,
            min_factor=controller.min_factor,
            max_factor=controller.max_factor,
            **dict(zip(("power", "power1", "power2"), powers, strict=True)),
        )

    def run(self) -> None:
        """Go through the loop leg by leg."""
        self.progress, self.y1, slope = self._start(), self.y0.detach(), torch.empty_like(self.y0)
        for leg in self.legs:
            slope = self._go(leg, slope)

    def _go(self, leg: Leg, slope: Tensor) -> Tensor:
        """One leg; when the memory for accepted steps is full, take more and go on."""
        inputs = [*(tensor.detach() for tensor in self.f.inputs), *leg.constants]
        ended = False
        while not ended:
            recording = Recording.for_state(self.y0, self.differentiates, leg.constants)
            numbers = vector(self._numbers(recording.rows, leg.last))
            given = Given(numbers, *self.tolerance.numbers, self.times, self.outputs, *recording.memory)
            tensors = (vector(self.progress), self.y1, slope, *given)
            make = partial(forward_loop, self.plan, self.f)
            state, self.y1, slope = run_compiled(self.plan.key, self.f.text, tensors, inputs, make)
            progress = Progress(*state.tolist())
            self.recordings.append(replace(recording, count=int(progress.kept)))
            ended = progress.kept < recording.rows
            self.progress = progress._replace(kept=0.0)
        return slope

    def solution(self, field: VectorField, throw: bool) -> Solution:
        """What came out."""
        progress = self.progress
        result = self._result()
        rows = self.outputs[: int(progress.saved)]
        y1, rows = self._on_tape(self.y1, rows)
        if self.layout.dtype.is_complex:
            y1, rows = whole(y1), whole(rows.transpose(0, 1))
        if not result.failed:
            y1 = follow_output_time(field, self.final_time, y1)
        t1 = torch.tensor(progress.t, dtype=torch.float64)
        ts, rows = self._outputs(field, t1, y1, rows)
        solution = Solution(
            ts=ts,
            ys=self.layout.unravel(rows, axes=1),
            y1=self.layout.unravel(y1),
            t1=t1,
            stats=self._stats(),
            result=result,
        )
        if result.failed and throw:
            raise SolveError(result, progress.t, progress.h, solution=solution)
        return solution

    def _result(self) -> Result:
        result = Result(int(self.progress.code))
        return Result.MAX_STEPS if result is Result.SUCCESS and self.progress.t != self.t1 else result

    def _stats(self) -> Stats:
        accepted, rejected = int(self.progress.accepted), int(self.progress.rejected)
        return Stats(accepted + rejected, accepted, rejected, int(self.progress.evaluations), engine="compiled")

    def _on_tape(self, y1: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        if not self.differentiates:
            return y1, rows
        replay = Replay(self.plan, self.f, self.recordings, self.times, self.first)
        return differentiable(replay, self.y0, self.f.inputs, y1, rows)

    def _outputs(self, field: VectorField, t1: Tensor, y1: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Output times and states."""
        save = self.options.save_at
        if save is None:
            return t1.reshape(1), y1[None]
        ts = save[: len(rows)]
        if carries_gradient(ts):
            rows = torch.stack([follow_output_time(field, t, row) for t, row in zip(ts, rows, strict=True)])
        return ts, rows


def vector(numbers: Progress | Numbers) -> Tensor:
    """Numbers as a float64 vector."""
    return torch.tensor(numbers, dtype=torch.float64)
