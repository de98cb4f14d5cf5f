"""A multistep method on its way: what it has behind it, and the ways to take a step."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from kutta.solvers.diffusion.exponential.forms import FORMS, Form, combination, log_snr
from kutta.solvers.diffusion.plans.plan import Draft, Level, Terms, Weight


@dataclass
class Walk:
    """A plan being written by steps that use earlier predictions.

    Attributes:
        draft: the plan.
        form: of the steps.
        past: states whose predictions serve the steps to come, oldest first.
    """

    draft: Draft
    form: Form
    past: list[int] = field(default_factory=lambda: [0])

    @property
    def here(self) -> int:
        """The state from which the next step starts."""
        return self.draft.outputs[-1]

    @property
    def node(self) -> int:
        """The node to which the next step leads."""
        return len(self.draft.outputs)

    @property
    def next(self) -> Level:
        """Its level."""
        return self.draft.level(self.node)

    def terms(
        self, start: int, past: Sequence[int], end: Level, form: Form | None = None
    ) -> tuple[Terms, dict[str, Terms], Weight]:
        """A step from a state to a level with predictions at some states, as `Draft.add` takes it."""
        form = form or self.form
        levels = [self.draft.level_of(state) for state in past]
        origin = self.draft.level_of(start)
        kept, weights = combination(form, origin, levels, end)
        return {start: kept}, {form.kind: dict(zip(past, weights, strict=True))}, form.noise(origin, end)

    def averaged(self, start: int, shares: Terms, end: Level) -> tuple[Terms, dict[str, Terms]]:
        """Likewise a step with an average of predictions, which are given with their shares."""
        kept, factor = self.form.step(self.draft.level_of(start), end)
        return {start: kept}, {self.form.kind: {state: factor * share for state, share in shares.items()}}

    def arrive(self, states: Terms, predictions: Mapping[str, Terms], noise: Weight = 0.0) -> None:
        """Go to the next node, where the prediction serves the steps to come."""
        self.past.append(self.draft.arrive(self.node, states, predictions, noise))

    def predict(self, order: int) -> None:
        """Go to the next node by the latest predictions: the explicit rule of an order."""
        self.arrive(*self.terms(self.here, self.past[-order:], self.next))

    def correct(self, order: int) -> None:
        """Predict, then take the same step once more with the prediction at its end: one order more.

        The prediction at the state so found would cost an evaluation; that at the first guess serves the next steps.
        """
        start, past, end = self.here, self.past[-order:], self.next
        guess = self.draft.add(end, *self.terms(start, past, end))
        self.draft.arrive(self.node, *self.terms(start, [*past, guess], end))
        self.past.append(guess)

    def correct_but_the_last(self, order: int) -> None:
        """The same, but no correction at the end of the grid, where it would cost an evaluation."""
        if self.node < self.draft.nodes.steps:
            self.correct(order)
        else:
            self.predict(order)

    def cross(self) -> None:
        """Go to the next node where there is no data before the step or no noise after it: order 1, by the data.

        A prediction where ``log(alpha / sigma)`` is infinite serves no later step.
        """
        form = self.form if self.form.kind == "data" else FORMS["data"]
        self.arrive(*self.terms(self.here, self.past[-1:], self.next, form))
        self.past = [state for state in self.past if math.isfinite(float(log_snr(self.draft.level_of(state)).detach()))]
