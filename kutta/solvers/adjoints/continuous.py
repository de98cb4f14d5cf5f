"""Gradients from the adjoint differential equation, solved backwards in time.

For a loss of the outputs ``y(t_i)``, the adjoint ``a = dL/dy`` obeys, with the right-hand side ``f``,

    da/dt = -(df/dy)^T a,     a jumps by dL/dy(t_i) at t_i,     dL/dtheta = int a^T df/dtheta dt

(Pontryagin et al. 1962; Chen et al., Neural ordinary differential equations, 2018). The three
adjoints differ in where ``y`` comes from on the way back and in how the parameter integral is taken.
Their gradients agree with the discrete ones up to the tolerance, not to rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from kutta.problems import ODEProblem
from kutta.solvers.adjoints.adjoint import Adjoint
from kutta.solvers.adjoints.inputs import Inputs, vector_jacobian_product
from kutta.solvers.controllers import PID, rms_norm
from kutta.solvers.field import VectorField
from kutta.solvers.interpolation import DenseOutput
from kutta.solvers.march import Course, Leg, march
from kutta.solvers.method import Method, Step
from kutta.solvers.stepper import Stepper
from kutta.solvers.tolerance import Tolerance
from kutta.state import layout_of


@dataclass(frozen=True)
class ContinuousAdjoint(Adjoint):
    """What the continuous adjoints share.

    Attributes:
        method: for the backward solve; by default the forward one.
        rtol: relative tolerance of the backward solve; by default the forward one, if it is a number.
        atol: absolute tolerance, likewise.
    """

    method: Method | None = None
    rtol: float | None = None
    atol: float | None = None

    sees_steps: ClassVar[bool] = False
    ensembles: ClassVar[bool] = False
    keeps_steps: ClassVar[bool] = True
    takes_implicit_methods: ClassVar[bool] = False

    def go(self, leg: Leg, inputs: Inputs) -> Course:
        backward = self.method or leg.stepper.method
        if backward.splits_state:
            raise ValueError(
                f"{type(backward).__name__} cannot solve the adjoint equation, whose state is no pair (q, p): "
                f"pass {type(self).__name__}(method=kutta.Tsit5()), or use Direct() or Recompute()"
            )
        if backward.needs_split:
            raise ValueError(
                f"{type(backward).__name__} cannot solve the adjoint equation, which has no linear part apart: "
                f"pass {type(self).__name__}(method=kutta.Tsit5()), or use Direct() or Recompute()"
            )
        if backward.linear_solves and not self.takes_implicit_methods:
            name = type(backward).__name__
            raise ValueError(
                f"{type(self).__name__}() solves for state and parameters together, whose Jacobian {name} cannot take: "
                f"use Gauss(), whose adjoint equation has the size of the state, Recompute(), or Direct(); or pass "
                f"{type(self).__name__}(method=kutta.Tsit5()) if the adjoint equation is not stiff"
            )
        if leg.stepper.controller.limits and not isinstance(leg.stepper.controller, PID):
            raise ValueError(
                f"{type(self).__name__}() takes steps of the same kind back, and max_step and CFL know none for the "
                "adjoint state: use Direct() or Recompute(), or PID"
            )
        backward.check(leg.stepper.field.layout)
        with torch.no_grad():
            wanted, leg.dense = leg.dense, leg.dense or self.keeps_steps
            t0 = leg.stepper.t
            course = march(leg)
        forward = DenseOutput(course.steps, leg.stepper.field.layout) if course.steps else None
        past = Past(leg, t0, course, inputs.inner, forward, self)
        course.y1, *course.values = _Continuous.apply(past, leg.start, *inputs.outer)
        leg.stepper.y = course.y1
        if not wanted:
            course.steps = []
        return course

    def pull_back(self, past: Past, cotangents: dict[float, Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Gradients to the initial state and to the inputs, from those at the output times."""
        raise NotImplementedError


@dataclass
class Past:
    """A leg that has been gone, as the backward pass needs it.

    Attributes:
        leg: the leg.
        t0: where it started.
        course: what happened.
        inputs: the tensors that the right-hand side depends on.
        forward: the solution as a function of time, if its steps were kept.
        adjoint: the adjoint, with its options.
    """

    leg: Leg
    t0: float
    course: Course
    inputs: tuple[Tensor, ...]
    forward: DenseOutput | None
    adjoint: ContinuousAdjoint

    @property
    def field(self) -> VectorField:
        """The right-hand side."""
        return self.leg.stepper.field

    def outputs(self) -> dict[float, Tensor]:
        """The states at all output times and at the end."""
        rows = [row for value in self.course.values for row in value]
        return {**dict(zip(self.course.times, rows, strict=True)), self.course.t1: self.course.y1.detach()}

    def vjp(self, t: Any, y: Tensor, a: Tensor, to_state: bool, to_inputs: bool) -> tuple[Tensor, ...]:
        """``a^T df/dy`` and ``a^T df/dtheta``, as far as wanted."""
        y = y if y.requires_grad else y.detach().requires_grad_(to_state)
        wanted = ((y,) if to_state else ()) + (self.inputs if to_inputs else ())
        return vector_jacobian_product(lambda: self.field.derivative(t, y), wanted, a)

    def backward_stepper(self, f: Callable[..., Any], state: Any, norm: Any, stops: Sequence[float]) -> Stepper:
        """A stepper for a backward differential equation, which lands on the output times."""
        forward, adjoint = self.leg.stepper, self.adjoint
        problem = ODEProblem(f, state, (self.course.t1, self.t0))
        layout = layout_of(state, ensemble=False)
        field = VectorField(problem, layout)
        rtol, atol = (
            own if own is not None else theirs if isinstance(theirs, float) else float(theirs.min())
            for own, theirs in ((adjoint.rtol, forward.tolerance.rtol), (adjoint.atol, forward.tolerance.atol))
        )
        jumps = forward.controller.jump_ts
        if isinstance(forward.controller, PID):
            controller: Any = PID(step_ts=list(stops), jump_ts=jumps)
        else:
            controller = _at_stops(forward.controller, stops)
        return Stepper(
            field,
            adjoint.method or forward.method,
            controller,
            Tolerance(rtol, atol, norm, layout),
            (self.course.t1, self.t0),
            layout.ravel(state),
            max_steps=forward.max_steps,
        )


def _at_stops(controller: Any, stops: Sequence[float]) -> Any:
    return replace(controller, step_ts=[*controller.step_ts, *stops])


def _walk_back(
    stepper: Stepper, jump: Callable[[float, Tensor], Tensor | None], each: Callable[[Step], None]
) -> Tensor:
    """Solve to the initial time; `jump` may replace the state where a step ends."""
    while not stepper.done:
        step = stepper.advance()
        if step is None:
            raise RuntimeError(
                f"the backward solve of the adjoint failed at t = {stepper.t:.9g}: {stepper.result.advice}; "
                "Direct() and Recompute() need no backward solve"
            )
        each(step)
        changed = jump(step.t1, stepper.y)
        if changed is not None:
            stepper.restart(stepper.t, changed)
        else:
            stepper.carry = stepper.method.resume(step, stepper.carry)
    return stepper.y


@dataclass(frozen=True)
class Interpolating(ContinuousAdjoint):
    """Solve the adjoint with ``y`` from the dense forward solution, parameters as further states.

    Stable where `Backsolve` is not, since ``y`` is not integrated backwards. Memory grows with the
    accepted steps, but holds no tape.

    Attributes:
        seminorm: leave the parameters' integral out of the error norm (Kidger, Chen and Lyons,
            "Hey, that's not an ODE", 2021): they do not feed back, and steps are saved.
    """

    seminorm: bool = True

    def pull_back(self, past: Past, cotangents: dict[float, Tensor]) -> tuple[Tensor, list[Tensor]]:
        assert past.forward is not None
        forward = past.forward

        def f(t: Tensor, state: Any) -> Any:
            a, _ = state
            y = forward.state_near(float(t))
            to_state, *to_inputs = past.vjp(t, y, a, True, True)
            return -to_state, [-_like(a, part) for part in to_inputs]

        end = cotangents[past.course.t1]
        start = (end, [_like(end, torch.zeros_like(one)) for one in past.inputs])
        stepper = past.backward_stepper(f, start, _adjoint_only if self.seminorm else None, list(cotangents))
        layout = stepper.field.layout

        def jump(t: float, flat: Tensor) -> Tensor | None:
            if t not in cotangents:
                return None
            a, totals = layout.unravel(flat)
            return layout.ravel((a + cotangents[t], totals))

        return layout.unravel(_walk_back(stepper, jump, lambda step: None))


def _like(one: Tensor, value: Tensor) -> Tensor:
    """A value in the dtype of another tensor, so that states and parameters of any dtypes share one solve."""
    return value.real.to(one.dtype) if value.is_complex() and not one.is_complex() else value.to(one.dtype)


def _adjoint_only(state: Any) -> Tensor:
    return rms_norm(state[0])


@dataclass(frozen=True)
class Backsolve(ContinuousAdjoint):
    """Solve ``y`` backwards together with the adjoint: constant memory, approximate gradients.

    Integrating ``y`` backwards amplifies errors where the flow contracts, so the gradient can be
    wrong for dissipative or stiff problems; `Recompute` is the safe choice for little memory. At each
    output time ``y`` is set to its forward value.

    Attributes:
        seminorm: leave the parameters' integral out of the error norm.
    """

    seminorm: bool = True
    keeps_steps: ClassVar[bool] = False

    def pull_back(self, past: Past, cotangents: dict[float, Tensor]) -> tuple[Tensor, list[Tensor]]:
        outputs = past.outputs()

        def f(t: Tensor, state: Any) -> Any:
            y, a, _ = state
            y = y.detach().requires_grad_()
            with torch.enable_grad():
                slope = past.field.derivative(t, y)
            to_state, *to_inputs = vector_jacobian_product(lambda: slope, (y, *past.inputs), a)
            return slope.detach(), -to_state, [-_like(a, part) for part in to_inputs]

        end = cotangents[past.course.t1]
        start = (past.course.y1.detach(), end, [_like(end, torch.zeros_like(one)) for one in past.inputs])
        stepper = past.backward_stepper(f, start, _state_and_adjoint if self.seminorm else None, list(cotangents))
        layout = stepper.field.layout

        def jump(t: float, flat: Tensor) -> Tensor | None:
            if t not in cotangents:
                return None
            y, a, totals = layout.unravel(flat)
            return layout.ravel((outputs.get(t, y), a + cotangents[t], totals))

        _, a, totals = layout.unravel(_walk_back(stepper, jump, lambda step: None))
        return a, totals


def _state_and_adjoint(state: Any) -> Tensor:
    return torch.maximum(rms_norm(state[0]), rms_norm(state[1]))


@dataclass(frozen=True)
class Gauss(ContinuousAdjoint):
    """Solve the adjoint alone and take the parameters' integral by Gauss-Legendre quadrature.

    ``y`` comes from the dense forward solution. The backward system has the size of the state,
    whatever the number of parameters, and the quadrature evaluates the parameters' product only
    at a few points a step. The one continuous adjoint for implicit methods: the Jacobian of the backward
    system is ``-(df/dy)^T`` along the forward solution.
    """

    takes_implicit_methods: ClassVar[bool] = True

    def pull_back(self, past: Past, cotangents: dict[float, Tensor]) -> tuple[Tensor, list[Tensor]]:
        assert past.forward is not None
        forward = past.forward
        totals = [torch.zeros_like(one) for one in past.inputs]

        def f(t: Tensor, a: Tensor) -> Tensor:
            return -past.vjp(t, forward.state_near(t.to(torch.float64)), a, True, False)[0]

        stepper = past.backward_stepper(f, cotangents[past.course.t1], None, list(cotangents))
        positions, weights = _gauss_legendre(stepper.method.order)

        def quadrature(step: Step) -> None:
            for theta, weight in zip(positions, weights, strict=True):
                t = step.t0 + theta * step.dt
                parts = past.vjp(t, forward.state_near(t), step.at(theta), False, True)
                for total, part in zip(totals, parts, strict=True):
                    total.add_(part, alpha=-weight * step.dt)

        def jump(t: float, a: Tensor) -> Tensor | None:
            return a + cotangents[t] if t in cotangents else None

        return _walk_back(stepper, jump, quadrature if past.inputs else lambda step: None), totals


def _gauss_legendre(order: int) -> tuple[list[float], list[float]]:
    """Nodes and weights on [0, 1], exact for polynomials of the degree a method of this order resolves."""
    nodes, weights = np.polynomial.legendre.leggauss(order // 2 + 1)
    return ((nodes + 1) / 2).tolist(), (weights / 2).tolist()


class _Continuous(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, past: Past, y0: Tensor, *inputs: Tensor) -> tuple[Tensor, ...]:
        ctx.past = past
        ctx.save_for_backward(*inputs)
        return (past.course.y1.clone(), *past.course.values)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_end: Tensor, *grads: Tensor) -> tuple[Any, ...]:
        past, inputs = ctx.past, ctx.saved_tensors
        cotangents = {past.course.t1: grad_end.clone()}
        rows = [row for grad in grads for row in grad]
        for t, row in zip(past.course.times, rows, strict=True):
            cotangents[t] = cotangents[t] + row if t in cotangents else row
        if past.course.t1 == past.t0:
            return None, cotangents[past.t0], *(torch.zeros_like(one) for one in inputs)
        with torch.no_grad():
            to_start, to_inputs = past.adjoint.pull_back(past, cotangents)
        return None, to_start, *(_like(one, total) for one, total in zip(inputs, to_inputs, strict=True))
