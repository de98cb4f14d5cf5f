"""The forward loop: try a step, judge it, keep it or try again, until the final time; as one function of tensors.

The rules are those of `kutta.solvers.stepper`. All that is one number is one entry of a float64 vector
between two steps, and a 0-dimensional float64 tensor within one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from kutta.solution import Result
from kutta.solvers.controllers import tame
from kutta.solvers.engines.compiled.build import Tensors, once_if, repeat
from kutta.solvers.engines.compiled.graph import Equation
from kutta.solvers.engines.compiled.step import Scheme, combination
from kutta.solvers.engines.compiled.store import Parts
from kutta.solvers.initial_step import initial_step
from kutta.solvers.stepper import STRETCH
from kutta.solvers.tolerance import Tolerance

# Tableaus of compiled loops, so that no other one is ever at the same address.
_used: dict[int, Any] = {}


@dataclass(frozen=True, eq=False)
class Plan:
    """What a loop is compiled for.

    Attributes:
        scheme: the method.
        order: its order.
        adaptive: whether the error chooses the step size.
        estimates: whether the first step size is estimated.
        saves: whether there are output times.
        records: whether the accepted steps are written down.
        tolerance: how an error is measured; its numbers are given to the loop.
    """

    scheme: Scheme
    order: int
    adaptive: bool
    estimates: bool
    saves: bool
    records: bool
    tolerance: Tolerance

    @property
    def key(self) -> tuple[Any, ...]:
        """What two plans share whose loops are the same, for right-hand sides and tensors that are."""
        # By identity, since the hash of a hundred fractions takes longer than a short solve.
        tableau = self.scheme.tableau
        _used.setdefault(id(tableau), tableau)
        return id(tableau), self.order, self.adaptive, self.estimates, self.saves, self.records


class Numbers(NamedTuple):
    """What stays as it is. The powers are those of the error ratios, the newest first."""

    t1: Any
    direction: Any
    floor: Any
    max_steps: Any
    rows: Any
    dtmin: Any
    dtmax: Any
    safety: Any = 1.0
    min_factor: Any = 1.0
    max_factor: Any = 1.0
    power: Any = 0.0
    power1: Any = 0.0
    power2: Any = 0.0


class Progress(NamedTuple):
    """Where a solve is.

    Attributes:
        t: time.
        h: size (positive) of the next trial.
        ratio1, ratio2: error ratios of the last accepted steps.
        after_rejection: whether the last trial was rejected.
        code: the `Result` so far.
        accepted, rejected: trials so far.
        evaluations: of the right-hand side.
        saved: outputs written.
        kept: accepted steps written down.
        fresh: whether the first slope is still to be evaluated.
    """

    t: Any
    h: Any = 0.0
    ratio1: Any = 1.0
    ratio2: Any = 1.0
    after_rejection: Any = 0.0
    code: Any = 0.0
    accepted: Any = 0.0
    rejected: Any = 0.0
    evaluations: Any = 0.0
    saved: Any = 0.0
    kept: Any = 0.0
    fresh: Any = 1.0


class Given(NamedTuple):
    """The tensors of a loop besides the state.

    Attributes:
        numbers: `Numbers`, as a vector.
        slope, offset: the numbers of the tolerance.
        times: of the outputs, and at least one behind the final time.
        outputs: what they are written to, ``(len(times), *y.shape)``.
        row_numbers: accepted steps, ``(rows, 4)``: start, size, and the outputs in it from which to which.
        row_states: the states at their starts, ``(rows, *y.shape)``.
    """

    numbers: Tensor
    slope: Tensor
    offset: Tensor
    times: Tensor
    outputs: Tensor
    row_numbers: Tensor
    row_states: Tensor


GIVEN = len(Given._fields)


def forward_loop(plan: Plan, f: Equation) -> Parts:
    """What is done before the loop, and the loop: ``(progress, y, slope, *given, *kept) -> (progress, y, slope)``."""
    loop = _Loop(plan, f.values_alone())

    def run(progress: Tensor, y: Tensor, slope: Tensor, *given: Tensor) -> Tensors:
        carried = (progress, y, slope)
        carried = once_if(Progress(*progress.unbind()).fresh > 0, loop.first, carried, given)
        return repeat(loop.goes_on, loop.trial, carried, given)

    return f.before, run


@dataclass(frozen=True)
class _Loop:
    """The parts of the loop, each a function of what is carried and what is given."""

    plan: Plan
    f: Equation

    def _unpacked(self, tensors: Tensors) -> tuple[Progress, Tensor, Tensor, Given, Tensors]:
        (progress, y, slope), given, kept = tensors[:3], tensors[3 : 3 + GIVEN], tensors[3 + GIVEN :]
        return Progress(*progress.unbind()), y, slope, Given(*given), kept

    def first(self, *tensors: Tensor) -> Tensors:
        """The first slope, and the first step size where it is to be estimated."""
        now, y, _, given, kept = self._unpacked(tensors)
        field, numbers = self.f.field(kept), Numbers(*given.numbers.unbind())
        slope, h = field.derivative(now.t, y), now.h
        if self.plan.estimates:
            tolerance = self.plan.tolerance.with_numbers(given.slope, given.offset)
            h = initial_step(field, now.t, y, slope, numbers.direction, tolerance, self.plan.order)
            h = torch.clamp(h.to(torch.float64), numbers.dtmin, numbers.dtmax)
        count = now.evaluations + (2 if self.plan.estimates else 1)
        return _packed(now._replace(h=h, evaluations=count, fresh=torch.zeros_like(now.fresh))), y, slope

    def goes_on(self, *tensors: Tensor) -> Tensor:
        """Whether there is another trial."""
        now, _, _, given, _ = self._unpacked(tensors)
        numbers = Numbers(*given.numbers.unbind())
        room = (now.accepted + now.rejected < numbers.max_steps) & (now.kept < numbers.rows)
        return (now.code == 0) & (now.t != numbers.t1) & room

    def trial(self, *tensors: Tensor) -> Tensors:
        """One trial step, and what follows from it."""
        now, y, slope, given, kept = self._unpacked(tensors)
        field, numbers = self.f.field(kept), Numbers(*given.numbers.unbind())
        lands = (numbers.t1 - now.t).abs() <= now.h * (1.0 + STRETCH)
        end = torch.where(lands, numbers.t1, now.t + numbers.direction * now.h)
        dt = end - now.t
        y1, slopes = self.plan.scheme.advance(field, now.t, y, dt, slope)
        ratio = self._ratio(given, y, y1, dt, slopes)
        accepted = ratio <= 1.0
        after = self._controlled(now, numbers, dt.abs(), ratio, accepted)
        count = now.evaluations + self.plan.scheme.evaluations
        after = after._replace(t=torch.where(accepted, end, now.t), evaluations=count)
        if self.plan.saves:
            after = self._save(now, after, accepted, y, y1, slopes, given, kept, numbers)
        if self.plan.records:
            row = torch.stack((now.t, dt, now.saved, after.saved))
            place = now.kept.to(torch.int64)
            torch.ops.aten.index_put_(given.row_numbers, [place], row)
            torch.ops.aten.index_put_(given.row_states, [place], y)
            after = after._replace(kept=now.kept + accepted)
        return _packed(after), torch.where(accepted, y1, y), torch.where(accepted, slopes[-1], slope)

    def _ratio(self, given: Given, y: Tensor, y1: Tensor, dt: Tensor, slopes: list[Tensor]) -> Tensor:
        """The error ratio; of fixed steps 0, or infinity where the state is not finite."""
        if not self.plan.adaptive:
            return torch.where(torch.isfinite(y1).all(), 0.0, torch.inf).to(torch.float64)
        tolerance = self.plan.tolerance.with_numbers(given.slope, given.offset)
        error = self.plan.scheme.error_estimate(dt, slopes)
        return tolerance.ratio(error, y.abs(), y1.abs()).to(torch.float64)

    def _controlled(self, now: Progress, numbers: Numbers, size: Tensor, ratio: Tensor, accepted: Tensor) -> Progress:
        """The next step size and all that it depends on."""
        counts = {"accepted": now.accepted + accepted, "rejected": now.rejected + ~accepted}
        if not self.plan.adaptive:
            return now._replace(code=torch.where(accepted, 0.0, float(Result.NON_FINITE)).to(torch.float64), **counts)
        tamed = tame(ratio)
        factor = numbers.safety * tamed**numbers.power * now.ratio1**numbers.power1 * now.ratio2**numbers.power2
        factor = torch.clamp(factor, numbers.min_factor, numbers.max_factor)
        grown = size * torch.where(now.after_rejection > 0, factor.clamp(max=1.0), factor)
        # A step cut short to land on the final time says nothing against the size proposed before it.
        grown = torch.where(size < now.h * (1.0 - STRETCH), torch.maximum(grown, now.h), grown)
        last_place = torch.nextafter(now.t.abs(), torch.full_like(now.t, torch.inf)) - now.t.abs()
        smallest = torch.maximum(torch.maximum(numbers.dtmin, 4.0 * last_place), numbers.floor)
        shrunk = torch.maximum(size * torch.minimum(factor, numbers.safety), smallest)
        failed = ~accepted & (size <= smallest * (1.0 + STRETCH))
        why = torch.where(torch.isfinite(ratio), float(Result.STEP_UNDERFLOW), float(Result.NON_FINITE))
        return now._replace(
            h=torch.where(accepted, torch.clamp(grown, numbers.dtmin, numbers.dtmax), shrunk),
            ratio1=torch.where(accepted, tamed, now.ratio1),
            ratio2=torch.where(accepted, now.ratio1, now.ratio2),
            after_rejection=(~accepted).to(torch.float64),
            code=torch.where(failed, why, 0.0).to(torch.float64),
            **counts,
        )

    def _save(
        self,
        now: Progress,
        after: Progress,
        accepted: Tensor,
        y: Tensor,
        y1: Tensor,
        slopes: list[Tensor],
        given: Given,
        kept: Tensors,
        numbers: Numbers,
    ) -> Progress:
        """Write the outputs that lie in an accepted step."""
        scheme, known = self.plan.scheme, len(slopes)
        reach = torch.where(accepted, numbers.direction * after.t, -torch.inf)

        def due(saved: Tensor, times: Tensor, outputs: Tensor, reach: Tensor, *_: Tensor) -> Tensor:
            direction = _[0]
            return direction * times.index_select(0, saved.to(torch.int64).reshape(1))[0] <= reach

        def write(
            saved: Tensor, times: Tensor, outputs: Tensor, reach: Tensor, direction: Tensor, *step: Tensor
        ) -> Tensors:
            t, y, y1, *slopes = step
            place = saved.to(torch.int64)
            end = direction * reach
            theta = position(times.index_select(0, place.reshape(1))[0], t, end)
            torch.ops.aten.index_put_(outputs, [place], state_at(scheme, theta, end - t, y, y1, slopes))
            return (saved + 1,)

        def all_due(saved: Tensor, *others: Tensor) -> Tensors:
            times, outputs, reach, direction, t, y, y1, *more = others
            slopes, kept = more[:known], tuple(more[known:])
            extra = scheme.extra_slopes(self.f.field(kept), t, y, y1, direction * reach - t, slopes)
            step = (times, outputs, reach, direction, t, y, y1, *slopes, *extra)
            return repeat(due, write, (saved,), step)

        step = (given.times, given.outputs, reach, numbers.direction, now.t, y, y1, *slopes)
        if not scheme.extras:
            (saved,) = repeat(due, write, (now.saved,), step)
            return after._replace(saved=saved)
        (saved,) = once_if(due(now.saved, *step), all_due, (now.saved,), (*step, *kept))
        extra = torch.where(saved > now.saved, float(scheme.extra_evaluations), 0.0)
        return after._replace(saved=saved, evaluations=after.evaluations + extra)


def _packed(progress: Progress) -> Tensor:
    """One vector of it: entry by entry, since each part of a ``torch.stack`` would be a tensor of its own."""
    places = torch.arange(len(progress))
    found = torch.zeros(len(progress), dtype=torch.float64)
    for place, value in enumerate(progress):
        found = torch.where(places == place, value, found)
    return found


def position(time: Tensor, t: Tensor, end: Tensor) -> Tensor:
    """Where in a step an output time lies, from 0 to 1."""
    return torch.where(time == end, 1.0, ((time - t) / (end - t)).clamp(min=0.0)).to(torch.float64)


def state_at(scheme: Scheme, theta: Tensor, dt: Tensor, y: Tensor, y1: Tensor, slopes: list[Tensor]) -> Tensor:
    """The state at a position of a step, exact at its end."""
    start, end, weights = scheme.output_weights(theta, dt)
    found = combination(narrowed([start, end, *weights], y.dtype), [y, y1, *slopes])
    return torch.where(theta == 1.0, y1, found)


def narrowed(weights: Sequence[Any], dtype: torch.dtype) -> list[Any]:
    """Weights in the dtype of states."""
    return [weight.to(dtype) if isinstance(weight, Tensor) else weight for weight in weights]
