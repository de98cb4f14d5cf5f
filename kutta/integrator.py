"""A solve in the user's own hands: one accepted step at a time."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.utils import _pytree as pytree

from kutta.autodiff import as_float
from kutta.memory import keep_freed_memory
from kutta.problems import ODEProblem, SplitODEProblem
from kutta.solution import Result, SolveError, Stats
from kutta.solve import prepare
from kutta.solvers.controllers import Controller
from kutta.solvers.field import field_of
from kutta.solvers.method import Method, Step
from kutta.solvers.stepper import Counts, Stepper
from kutta.solvers.tolerance import Tolerance
from kutta.state import as_state


class Integrator:
    """Drives a method step by step; can be set back, stopped and resumed.

    The state is on the tape in gradient mode, as with `Direct`; under ``torch.no_grad()`` it is not.

    Args:
        problem: an `ODEProblem` or a `SplitODEProblem`.
        method: by default `Tsit5`.
        rtol, atol, controller, dt0, max_steps: as for `kutta.solve`.

    Attributes:
        t: current time.
        y: current state, as the user wrote it.
        dt: size of the next trial step.
        done: whether the final time is reached.
        stats: what it has cost so far.

    Example:
        >>> import torch, kutta as kt
        >>> problem = kt.ODEProblem(lambda t, y: -y, torch.ones(1, dtype=torch.float64), (0.0, 1.0))
        >>> integrator = kt.Integrator(problem, kt.Tsit5(), rtol=1e-6)
        >>> while not integrator.done:
        ...     step = integrator.step()
        >>> integrator.t, round(float(integrator.y), 5)
        (1.0, 0.36788)
    """

    def __init__(
        self,
        problem: ODEProblem | SplitODEProblem,
        method: Method | None = None,
        *,
        rtol: Any = 1e-5,
        atol: Any = 1e-7,
        controller: Controller | None = None,
        dt0: float | None = None,
        max_steps: int = 100_000,
    ):
        if not isinstance(problem, ODEProblem | SplitODEProblem):
            raise TypeError(
                f"Integrator drives an ODEProblem; got {type(problem).__name__}: an ensemble is stepped by "
                "an ODEProblem whose state has a batch axis, a PDEProblem by problem.as_ode()"
            )
        keep_freed_memory()
        problem, layout, options = prepare(
            problem, method, rtol=rtol, atol=atol, controller=controller, dt0=dt0, max_steps=max_steps
        )
        self._layout, self._field = layout, field_of(problem, layout)
        t0, t1 = (as_float(t) for t in problem.t_span)
        self._t0 = t0
        tolerance = Tolerance(rtol, atol, options.controller.norm, layout)
        self._stepper = Stepper(
            self._field,
            options.method,
            options.controller,
            tolerance,
            (t0, t1),
            layout.ravel(problem.y0),
            options.dt0,
            max_steps,
        )

    @property
    def t(self) -> float:
        """Current time."""
        return self._stepper.t

    @property
    def y(self) -> Any:
        """Current state."""
        return self._layout.unravel(self._stepper.y)

    @property
    def dt(self) -> float:
        """Size of the next trial step, positive whatever the direction of time."""
        return self._stepper.h

    @property
    def done(self) -> bool:
        """Whether the final time is reached."""
        return self._stepper.t == self._stepper.t1

    @property
    def stats(self) -> Stats:
        """What it has cost so far."""
        counts, field = self._stepper.counts, self._field
        solves = counts.steps * self._stepper.method.linear_solves
        return Stats(counts.steps, counts.accepted, counts.rejected, field.evaluations, field.jacobians, solves)

    def step(self) -> Step:
        """Take one accepted step.

        Returns:
            the step, with ``t0, t1, y0, y1, error, stages`` in the solver's layout and ``at(theta)``
            for states within it.

        Raises:
            StopIteration: when the final time has been reached.
            SolveError: when the step cannot be taken.
        """
        stepper = self._stepper
        if self.done:
            raise StopIteration(f"the final time {stepper.t1} has been reached: reinit() starts again")
        step = stepper.advance()
        if step is None:
            failure, stepper.result = stepper.result, Result.SUCCESS
            raise SolveError(failure, stepper.t, stepper.h)
        if step.t1 not in stepper.stops.jumps:
            stepper.carry = stepper.method.resume(step, stepper.carry)
        return step

    def reinit(self, t: float | None = None, y: Any = None, dt: float | None = None) -> None:
        """Go on from another time or state, for example after a change made by hand.

        Args:
            t: the new time; by default the present one.
            y: the new state, of the structure of ``y0``; by default the present one.
            dt: size of the next trial step; by default as it was.
        """
        state = self._stepper.y if y is None else self._layout.ravel(as_state(y, "y"))
        if state.shape != self._stepper.y.shape or state.dtype != self._layout.dtype:
            raise ValueError(
                f"y must be like y0, of shape {tuple(self._stepper.y.shape)} and {self._layout.dtype}; "
                f"got {tuple(state.shape)} and {state.dtype}"
            )
        t = self.t if t is None else float(t)
        stops = self._stepper.stops
        if not stops.direction * self._t0 <= stops.direction * t <= stops.direction * self._stepper.t1:
            raise ValueError(f"t must lie between {self._t0:.9g} and {self._stepper.t1:.9g}; got {t:.9g}")
        self._stepper.restart(t, state)
        if dt is not None:
            self._stepper.h = abs(float(dt))

    def state_dict(self) -> dict[str, Any]:
        """Everything needed to resume: plain numbers and tensors, fit for ``torch.save`` or safetensors."""
        stepper = self._stepper
        leaves, spec = pytree.tree_flatten(stepper.carry)
        return {
            "t": stepper.t,
            "y": stepper.y.detach().clone(),
            "h": stepper.h,
            "earlier": list(stepper.earlier),
            "after_rejection": stepper.after_rejection,
            "carry": [leaf.detach().clone() if isinstance(leaf, Tensor) else leaf for leaf in leaves],
            "carry_structure": pytree.treespec_dumps(spec),
            "accepted": stepper.counts.accepted,
            "rejected": stepper.counts.rejected,
            "evaluations": self._field.evaluations,
            "jacobians": self._field.jacobians,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Resume where `state_dict` was taken: the steps that follow are the same to the last bit."""
        stepper = self._stepper
        missing = self.state_dict().keys() - state.keys()
        if missing:
            raise ValueError(f"the state lacks {sorted(missing)}; it must come from Integrator.state_dict()")
        if state["y"].shape != stepper.y.shape or state["y"].dtype != stepper.y.dtype:
            raise ValueError(
                f"the state belongs to another problem: y has shape {tuple(state['y'].shape)} and {state['y'].dtype}, "
                f"expected {tuple(stepper.y.shape)} and {stepper.y.dtype}"
            )
        stepper.t, stepper.y, stepper.h = float(state["t"]), state["y"].clone(), float(state["h"])
        stepper.size = stepper.y.abs()
        stepper.earlier, stepper.after_rejection = tuple(state["earlier"]), bool(state["after_rejection"])
        stepper.counts = Counts(int(state["accepted"]), int(state["rejected"]))
        stepper.result = Result.SUCCESS
        leaves = [leaf.clone() if isinstance(leaf, Tensor) else leaf for leaf in state["carry"]]
        stepper.carry = pytree.tree_unflatten(leaves, pytree.treespec_loads(state["carry_structure"]))
        self._field.evaluations, self._field.jacobians = int(state["evaluations"]), int(state["jacobians"])
