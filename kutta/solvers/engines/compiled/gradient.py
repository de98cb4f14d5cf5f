"""The backward loop: the accepted steps in reverse order, each taken once more and pulled back.

Of each accepted step the forward loop has written down the start, the size, the state and which outputs lie
in it. The backward loop hands the gradient of the state from the end of a step to its start and adds up the
gradients of what was computed before the loop: those of `kutta.Direct`, for the same steps. What was done before
the loop is pulled back once, at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.fx import GraphModule
from torch.fx.experimental.proxy_tensor import make_fx

from kutta.solvers.engines.compiled.build import Tensors, once_if, repeat
from kutta.solvers.engines.compiled.graph import Equation, NotCompilable
from kutta.solvers.engines.compiled.loop import Plan, narrowed, position
from kutta.solvers.engines.compiled.rewrite import rules, split, values_alone
from kutta.solvers.engines.compiled.store import Parts, run_compiled

# Accepted steps written down by one call of the forward loop, and the bytes that they may take.
ROWS, BYTES = 1024, 1 << 28


@dataclass(frozen=True)
class Recording:
    """Accepted steps.

    Attributes:
        numbers: ``(rows, 4)``: start, size, and the outputs in the step from which to which.
        states: the states at their starts, ``(rows, *y.shape)``.
        constants: what of the right-hand side belongs to them.
        count: how many there are.
    """

    numbers: Tensor
    states: Tensor
    constants: Tensors = ()
    count: int = 0

    @classmethod
    def for_state(cls, y: Tensor, wanted: bool, constants: Tensors = ()) -> Recording:
        """Memory for steps; none if they are not wanted."""
        rows = max(2, min(ROWS, BYTES // (y.numel() * y.element_size()))) if wanted else 0
        return cls(torch.empty(rows, 4, dtype=torch.float64), y.detach().new_empty((rows, *y.shape)), constants)

    @property
    def rows(self) -> float:
        """How many steps there is room for; no steps need no room."""
        return len(self.numbers) or torch.inf

    @property
    def memory(self) -> tuple[Tensor, Tensor]:
        """What the forward loop writes to."""
        return self.numbers, self.states


@dataclass(frozen=True, eq=False)
class Replay:
    """What a backward pass needs to know of a solve.

    Attributes:
        plan: what the loop was compiled for.
        f: the right-hand side; its inputs are followed by the constants of a recording.
        recordings: the accepted steps.
        times: the output times, padded.
        first: outputs at the initial time.
    """

    plan: Plan
    f: Equation
    recordings: Sequence[Recording]
    times: Tensor
    first: int

    def pull_back(
        self, inputs: Tensors, wanted: Sequence[bool], end: Tensor, outputs: Tensor
    ) -> tuple[Tensor, Tensors]:
        """Gradients to the initial state and to the inputs that want one, given those of the end and the outputs."""
        with torch.enable_grad():
            inputs, sources = _tracked(inputs, wanted)
            prepared = self.f.before(*inputs)
        which = tuple(one.requires_grad for one in prepared)
        start, found = self._through_steps(tuple(one.detach() for one in prepared), which, end, outputs)
        return start, _gradients([one for one in prepared if one.requires_grad], sources, found)

    def _through_steps(
        self, prepared: Tensors, which: tuple[bool, ...], end: Tensor, outputs: Tensor
    ) -> tuple[Tensor, Tensors]:
        """Gradients to the initial state and to those of the prepared tensors that want one."""
        found = tuple(torch.zeros_like(one) for one, needed in zip(prepared, which, strict=True) if needed)
        padded = outputs.new_zeros((len(self.times), *end.shape))
        padded[: len(outputs)] = outputs
        plan, constants = self.plan, len(self.recordings[0].constants)
        wanted = (*which, *[False] * constants)
        for recording in reversed(self.recordings):
            given = (*prepared, *recording.constants)
            left = torch.tensor(recording.count, dtype=torch.int64)
            tensors = (left, end, *found, recording.numbers, recording.states, self.times, padded)
            make = partial(backward_loop, plan, self.f, wanted, end, given)
            key = ("backward", wanted, *plan.key)
            _, end, *found = run_compiled(key, self.f.text, tensors, given, make)
        return end + outputs[: self.first].sum(0), tuple(found)


def differentiable(replay: Replay, y0: Tensor, inputs: Tensors, y1: Tensor, outputs: Tensor) -> tuple[Tensor, Tensor]:
    """The final state and the outputs as differentiable functions of the initial state and of the inputs."""
    return _Replayed.apply(replay, y1, outputs, y0, *inputs)  # type: ignore[return-value]


class _Replayed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, replay: Replay, y1: Tensor, outputs: Tensor, y0: Tensor, *inputs: Tensor) -> Tensors:
        ctx.replay = replay
        ctx.save_for_backward(*inputs)
        return y1.clone(), outputs.clone()

    @staticmethod
    def backward(ctx: Any, end: Tensor, outputs: Tensor) -> tuple[Any, ...]:
        if torch.is_grad_enabled():
            raise NotImplementedError("Compiled() has no second derivatives: for create_graph=True use engine=Eager()")
        inputs, wanted = ctx.saved_tensors, ctx.needs_input_grad[4:]
        try:
            start, found = ctx.replay.pull_back(inputs, wanted, end.contiguous(), outputs)
        except NotCompilable as problem:
            raise RuntimeError(f"Compiled() cannot compile the gradient, use engine=Eager(): {problem}") from problem
        found = iter(found)
        return None, None, None, start, *(next(found) if needed else None for needed in wanted)


def backward_loop(plan: Plan, f: Equation, wanted: Sequence[bool], y: Tensor, inputs: Tensors) -> Parts:
    """What is done before the loop, and the loop.

    It is a function ``(left, end, *found, numbers, states, times, outputs, *kept) -> (left, end, *found)``:
    ``left`` counts the steps still to go, ``end`` is the gradient of the state there, ``found`` are those of
    the inputs so far, and ``outputs`` are the gradients of the outputs.
    """
    plain = _Part.of(_without_outputs(plan, f, wanted), y, 1, inputs)
    slopes = plan.scheme.slopes + plan.scheme.extras
    dense = _Part.of(_with_outputs(plan, f, wanted), y, 2 + slopes, inputs) if plan.saves else None
    count, own = sum(wanted), len(plain.before(*inputs))

    def before(*inputs: Tensor) -> Tensors:
        return *plain.before(*inputs), *(dense.before(*inputs) if dense is not None else ())

    def run(left: Tensor, end: Tensor, *others: Tensor) -> Tensors:
        found, given = others[:count], others[count:]
        split_at = 2 + count, 2 + count + 4, 2 + count + 4 + own

        def step(*tensors: Tensor) -> Tensors:
            (left, end, *found), given = tensors[: split_at[0]], tensors[split_at[0] : split_at[1]]
            kept, more = tensors[split_at[1] : split_at[2]], tensors[split_at[2] :]
            left = left - 1
            t, dt, first, last, y = _step_of(left, given)
            if dense is None:
                return left, *_added(plain, (t, dt, y), kept, end, found)
            carried, here = (end, *found), (t, dt, first, last, y, *given[2:])
            carried = once_if(last > first, partial(_through_outputs, plan, dense, count), carried, (*here, *more))
            carried = once_if(last <= first, partial(_past_outputs, plain, count), carried, (*here, *kept))
            return left, *carried

        return repeat(lambda left, *_: left > 0, step, (left, end, *found), given)

    return before, run


@dataclass(frozen=True)
class _Part:
    """The step pulled back, ``(t, dt, y, *cotangents, *inputs) -> gradients``, and what of it comes before the loop."""

    before: GraphModule
    inside: GraphModule

    @classmethod
    def of(cls, function: Callable[..., Tensors], y: Tensor, cotangents: int, inputs: Tensors) -> _Part:
        number = torch.zeros((), dtype=torch.float64)
        examples = (number, number.clone(), y.clone(), *(y.clone() for _ in range(cotangents)))
        examples = (*examples, *(one.detach().clone() for one in inputs))
        graph = make_fx(function, rules(), tracing_mode="fake")(*examples)
        return cls(*split(values_alone(graph), varying=3 + cotangents))


def _without_outputs(plan: Plan, f: Equation, wanted: Sequence[bool]) -> Callable[..., Tensors]:
    def pull_back(t: Tensor, dt: Tensor, y: Tensor, end: Tensor, *inputs: Tensor) -> Tensors:
        with torch.enable_grad():
            (y, *given), sources = _tracked((y, *inputs), (True, *wanted))
            field = f.field(given)
            y1, _ = plan.scheme.advance(field, t, y, dt, field.derivative(t, y))
        return _gradients([y1], sources, [end])

    return pull_back


def _with_outputs(plan: Plan, f: Equation, wanted: Sequence[bool]) -> Callable[..., Tensors]:
    def pull_back(t: Tensor, dt: Tensor, y: Tensor, start: Tensor, end: Tensor, *others: Tensor) -> Tensors:
        count = plan.scheme.slopes + plan.scheme.extras
        of_slopes, inputs = others[:count], others[count:]
        with torch.enable_grad():
            (y, *given), sources = _tracked((y, *inputs), (True, *wanted))
            field = f.field(given)
            y1, slopes = plan.scheme.advance(field, t, y, dt, field.derivative(t, y))
            slopes = [*slopes, *plan.scheme.extra_slopes(field, t, y, y1, dt, slopes)]
        first, *rest = _gradients([y1, *slopes], sources, [end, *of_slopes])
        return first + start, *rest

    return pull_back


def _tracked(tensors: Tensors, wanted: Sequence[bool]) -> tuple[Tensors, list[Tensor]]:
    """The tensors as autograd shall know them, and those of them that want a gradient."""
    tensors = tuple(one.detach().requires_grad_(needed) for one, needed in zip(tensors, wanted, strict=True))
    return tensors, [one for one in tensors if one.requires_grad]


def _gradients(values: Sequence[Tensor], sources: Sequence[Tensor], cotangents: Sequence[Tensor]) -> Tensors:
    """Gradients to the sources, given those to the values, of which some may not depend on any."""
    pairs = [(value, one) for value, one in zip(values, cotangents, strict=True) if value.requires_grad]
    if not pairs:
        return tuple(torch.zeros_like(one) for one in sources)
    values, cotangents = zip(*pairs, strict=True)
    found = torch.autograd.grad(values, sources, cotangents, allow_unused=True)
    return tuple(torch.zeros_like(one) if g is None else g for g, one in zip(found, sources, strict=True))


def _step_of(left: Tensor, given: Tensors) -> Tensors:
    """Start, size, first output, first output after it, and state, of the step with a number."""
    numbers, states = given[:2]
    place = left.reshape(1)
    return *numbers.index_select(0, place)[0].unbind(), states.index_select(0, place)[0]


def _added(
    part: _Part, step: Tensors, kept: Tensors, cotangents: Sequence[Tensor] | Tensor, found: Sequence[Tensor]
) -> Tensors:
    cotangents = (cotangents,) if isinstance(cotangents, Tensor) else cotangents
    start, *more = part.inside(*step, *cotangents, *kept)
    return start, *(one + other for one, other in zip(found, more, strict=True))


def _past_outputs(part: _Part, count: int, *tensors: Tensor) -> Tensors:
    """A step without outputs."""
    (end, *found), (t, dt, _, _, y, _, _, *kept) = tensors[: 1 + count], tensors[1 + count :]
    return _added(part, (t, dt, y), tuple(kept), end, found)


def _through_outputs(plan: Plan, part: _Part, count: int, *tensors: Tensor) -> Tensors:
    """A step with outputs: their gradients go to the state at its start, that at its end, and its slopes."""
    (end, *found), (t, dt, first, last, y, times, outputs, *kept) = tensors[: 1 + count], tensors[1 + count :]
    slopes = plan.scheme.slopes + plan.scheme.extras

    def add(place: Tensor, start: Tensor, end: Tensor, *others: Tensor) -> Tensors:
        of_slopes, (_, t, dt, times, outputs) = others[:slopes], others[slopes:]
        where = place.to(torch.int64).reshape(1)
        theta = position(times.index_select(0, where)[0], t, t + dt)
        value = outputs.index_select(0, where)[0]
        inside, at_end = torch.where(theta == 1.0, 0.0, value), torch.where(theta == 1.0, value, 0.0)
        of_start, of_end, weights = plan.scheme.output_weights(theta, dt)
        weights = narrowed([of_start, of_end, *weights], y.dtype)
        found = [one + weight * inside for one, weight in zip([start, end, *of_slopes], weights, strict=True)]
        return place + 1, found[0], found[1] + at_end, *found[2:]

    nothing = [torch.zeros_like(y) for _ in range(1 + slopes)]
    carried = (first, nothing[0], end, *nothing[1:])
    _, start, end, *of_slopes = repeat(
        lambda place, *others: place < others[2 + slopes], add, carried, (last, t, dt, times, outputs)
    )
    return _added(part, (t, dt, y), tuple(kept), (start, end, *of_slopes), found)
