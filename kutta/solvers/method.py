"""What a time-stepping method is: two verbs, and the record of a step that everything else reads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor

from kutta.solution import Result
from kutta.solvers.interpolation import hermite
from kutta.solvers.jacobian import Linearisation

Time = Any  # a float, or for the trajectories of an ensemble a tensor of shape (b, 1)


class Slopes(Protocol):
    """Any object with a `derivative`, which is all that explicit methods use."""

    def derivative(self, t: Any, y: Any) -> Any:
        """``dy/dt`` at ``(t, y)``."""
        ...


class Field(Slopes, Protocol):
    """The part of a problem that a method may use."""

    def linearised(self, t: Any, y: Any) -> Linearisation:
        """The derivative with its own derivatives to `y` and `t`."""
        ...


@dataclass
class Step:
    """One step from ``(t0, y0)`` to ``(t1, y1)``: what saving, events and regularisers read.

    In an ensemble, times and step sizes have shape ``(b, 1)`` and states ``(b, D)``.

    Attributes:
        t0: time at the start.
        t1: time at the end.
        dt: the step size, ``t1 - t0``.
        y0: state at the start.
        y1: state at the end.
        field: what gave the derivatives.
        error: estimate of the local error, of the state's shape; ``None`` without one.
        stages: the stage derivatives ``k_i``.
        interpolant: maps ``theta = (t - t0) / dt``, a number or a tensor that broadcasts with the
            state, to the state there; by default the cubic Hermite polynomial through both ends.
        accepted: whether the step was kept; per trajectory in an ensemble.
        slopes: derivatives at both ends, for the Hermite polynomial; evaluated when first needed.
        tolerance: what the error was measured by.
        covered: the part of the step that was gone before an event cut it, one if none did; in an
            ensemble with events a tensor ``(b, 1)``.
        stability_size: length of the method's stability region along the negative real axis, if known.
        weights: the quadrature weights ``b_i`` of the stages, if the method has them.
        failure: why there is no end of this step, where a smaller one is no remedy; the solve ends with it.
    """

    t0: Time
    t1: Time
    dt: Time
    y0: Tensor
    y1: Tensor
    field: Any
    error: Tensor | None = None
    stages: tuple[Tensor, ...] = ()
    interpolant: Callable[[Any], Tensor] | None = None
    accepted: Any = True
    slopes: tuple[Tensor, Tensor] | None = None
    tolerance: Any = None
    covered: Any = 1.0
    failure: Result | None = None

    stability_size: ClassVar[float | None] = None
    weights: ClassVar[Sequence[float]] = ()

    def at(self, theta: Any) -> Tensor:
        """The state at ``theta`` in [0, 1]: a number, or in an ensemble a tensor of shape ``(b, 1)``."""
        if self.interpolant is None:
            start, end = self.end_slopes()
            theta = theta.to(self.dt.dtype) if isinstance(self.dt, Tensor) else theta
            return hermite(theta, self.dt, self.y0, self.y1, start, end)
        return self.interpolant(theta)

    def rows(self, index: Tensor) -> Step:
        """In an ensemble, the steps of the trajectories `index`, repetitions allowed."""
        return self.picked((self,), index, lambda tensors, axis=0: tensors[0].index_select(axis, index))

    def among(self, steps: Sequence[Step], which: Tensor, index: Tensor) -> Step:
        """The same out of several steps: the trajectory ``index[i]`` of ``steps[which[i]]``, one of which is `self`."""
        place = which * self.y0.shape[0] + index
        return self.picked(steps, index, lambda tensors, axis=0: torch.cat(tensors, axis).index_select(axis, place))

    def picked(self, steps: Sequence[Step], index: Tensor, pick: Callable[..., Tensor]) -> Step:
        """Some trajectories, which ``pick(tensors, axis)`` takes from the tensors of all steps.

        A method whose steps have an interpolant of their own says here how to take it.
        """
        if self.interpolant is not None:
            raise NotImplementedError(f"{type(self).__name__} must define picked to be used in an ensemble")
        slopes = [step.slopes for step in steps if step.slopes is not None]
        return replace(
            self,
            **{name: pick([getattr(step, name) for step in steps]) for name in ("t0", "t1", "dt", "y0", "y1")},
            field=self.field.take(index),
            error=None,
            stages=(),
            slopes=tuple(map(pick, map(list, zip(*slopes, strict=True)))) if len(slopes) == len(steps) else None,
        )

    @property
    def size(self) -> Any:
        """The size that counts, positive: up to where an event cut the step; in an ensemble ``(b,)``."""
        size = self.dt * self.covered
        return size[:, 0].abs() if isinstance(size, Tensor) else abs(size)

    def at_exactly(self, theta: Tensor) -> Tensor:
        """In an ensemble, the states at ``theta``, ``(b, 1)``, without a rounding where that is the step's end."""
        return torch.where(theta == 1.0, self.y1, self.at(theta))

    def prepare(self) -> None:
        """Evaluate what the interpolant needs, once and while `f` is what it was."""
        if self.interpolant is None:
            self.end_slopes()

    def stiffness_pair(self) -> tuple[Tensor, Tensor]:
        """Two differences of stages at the same time: of their derivatives, and of their inputs."""
        raise ValueError(f"{type(self).__name__} has no two stages at the same time")

    def release(self) -> None:
        """Give back the memory of the stages: from now on only times, states and the error estimate are valid."""

    def many(self, thetas: list[float]) -> Tensor:
        """The states at several positions of a step with one step size, stacked."""
        return torch.stack([self.at(theta) for theta in thetas])

    def end_slopes(self) -> tuple[Tensor, Tensor]:
        """The derivatives at both ends, evaluated when first needed."""
        if self.slopes is None:
            # Not at t1: at a jump of the right-hand side the step ends a rounding before it.
            end = self.field.derivative(self.t0 + self.dt, self.y1)
            self.slopes = (self.field.derivative(self.t0, self.y0), end)
        return self.slopes


class Method:
    """A numerical scheme: a frozen dataclass of coefficients and options, without state.

    A method of one's own derives from this and gives two verbs::

        init(problem, t, y) -> carry                    what the first step needs
        step(problem, t, y, dt, carry) -> (Step, carry) one trial step

    ``problem.derivative(t, y)`` evaluates the right-hand side, ``problem.linearised(t, y)`` also its
    derivatives. The carry is a pytree of tensors (or ``None``) handed from each accepted step to the
    next; in an ensemble its tensors have the trajectories on axis 0. A rejected step is tried again
    from the carry it started with.

    Attributes:
        order: order of the solution.
        error_order: local order of the error estimate, ``error = O(dt**error_order)``; ``None`` for
            a method without one, which takes fixed steps only.
        interpolant_order: order of the interpolant between the ends of a step; 3 for the cubic Hermite polynomial.
        source: where it was published.
        kind: the family, for listings.
        splits_state: whether the state must be a pair (q, p).
        needs_split: whether it treats the linear part of a `kutta.SplitODEProblem` apart, and needs one.
        ensembles: whether the trajectories of an ensemble may each have a step size of their own.
        carries_slope: whether the carry is ``f(t, y)`` itself (or ``None``, when not yet known).
        steps_alike: whether all its steps are of one class.
        estimates_stiffness: whether its steps have a `Step.stiffness_pair`.
        tabulated: whether a step is all in its `tableau`, so that an engine may take it without calling `step`.
        linear_solves: linear systems that a trial step solves, with the Jacobian of the right-hand side.
    """

    order: int
    error_order: int | None = None
    interpolant_order: int = 3
    linear_solves: int = 0
    tabulated: ClassVar[bool] = False
    estimates_stiffness: bool = False
    source: str = ""
    kind: ClassVar[str] = "one step"
    carries_slope: ClassVar[bool] = False
    splits_state: ClassVar[bool] = False
    needs_split: ClassVar[bool] = False
    ensembles: ClassVar[bool] = True
    steps_alike: ClassVar[bool] = True

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if {"init", "step", "resume"} & vars(cls).keys() and "tabulated" not in vars(cls):
            cls.tabulated = False  # it does something of its own

    def check(self, layout: Any) -> None:
        """Refuse a state that this method cannot advance."""

    def init(self, problem: Field, t: Time, y: Tensor) -> Any:
        """The carry at the start of a solve or after a jump."""
        return None

    def step(self, problem: Field, t: Time, y: Tensor, dt: Time, carry: Any) -> tuple[Step, Any]:
        """One trial step of size `dt`, and the carry after it."""
        raise NotImplementedError

    def resume(self, step: Step, carry: Any) -> Any:
        """The carry for the next trial, once the watchers have read `step`.

        `carry` is the one after an accepted step, or the one a rejected step started with. A method
        that has meanwhile evaluated a slope there may hand it on.
        """
        return carry


class OfTableau(Method):
    """A method that its table of coefficients tells apart from others of its kind.

    Attributes:
        tableau: the coefficients, with their order and source.
    """

    tableau: Any

    @property
    def order(self) -> int:
        return self.tableau.order

    @property
    def source(self) -> str:
        return self.tableau.source
