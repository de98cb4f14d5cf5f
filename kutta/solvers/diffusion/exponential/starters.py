"""How a multistep method begins, while it has fewer predictions behind it than its order wants.

A first step of order 1 has an error of second order in its size; after it no method, however high its order, is of
more than second order as a whole, and with steps that grow smaller towards the data this shows. A starter takes the
steps at the beginning so that it does not. A model whose data have almost vanished at the start (``alpha`` close to
0) makes the first step almost exact by itself, and then the usual ramp loses little.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from kutta.solvers.diffusion.exponential.forms import log_snr
from kutta.solvers.diffusion.exponential.singlestep import HIGHEST_SINGLE, single_step
from kutta.solvers.diffusion.exponential.walk import Walk
from kutta.solvers.exponential.phi import HIGHEST

Step = Callable[[Walk, int], None]  # of an order


class Starter:
    """What a multistep method does in its first steps. One of one's own derives from this and gives `step`.

    Attributes:
        highest: the largest order of a method that may begin with it.
    """

    highest: int = HIGHEST

    def step(self, walk: Walk, order: int, usual: Step) -> None:
        """Go to the next node; there are too few predictions for the order.

        Args:
            walk: on its way.
            order: of the method.
            usual: the step of the method.
        """
        raise NotImplementedError


@dataclass(frozen=True)
class Ramp(Starter):
    """Orders 1, 2, 3 ... as far as the predictions go: no evaluation more, and order 2 as a whole, whatever follows."""

    def step(self, walk: Walk, order: int, usual: Step) -> None:
        usual(walk, len(walk.past))


RAMP = Ramp()


@dataclass(frozen=True)
class CorrectedRamp(Starter):
    """Each step of the ramp with a correction, which adds an order: no evaluation more, and it suffices for order 4.

    The first step leaves an error of third order, but one so small that methods of orders 3 and 4 show their own order
    at any number of steps in use. One of order 5 would not.

    Source: Zhao et al., UniPC, 2023.
    """

    highest = 4

    def step(self, walk: Walk, order: int, usual: Step) -> None:
        walk.correct(len(walk.past))


@dataclass(frozen=True)
class SinglestepStart(Starter):
    """Single steps of the order of the method: ``order - 1`` evaluations more in each, for order 4 four.

    A method of order 5 begins with steps of order 4, which is enough for it.
    """

    highest = HIGHEST_SINGLE + 1

    def step(self, walk: Walk, order: int, usual: Step) -> None:
        single_step(walk, min(order, HIGHEST_SINGLE))


@dataclass(frozen=True)
class GradedStart(Starter):
    """The first step in pieces that double in size, of increasing orders.

    The first piece is so small, ``h^(order / 2)`` for a step of size ``h``, that order 1 suffices there. A step of
    `m` pieces takes ``m - 1`` evaluations more. It is for many steps: with few, the step after it is longer than the
    pieces before it reach back, and a polynomial of high order through them overshoots.
    """

    def step(self, walk: Walk, order: int, usual: Step) -> None:
        start, end = log_snr(walk.draft.level_of(walk.here)), log_snr(walk.next)
        halvings = _halvings(float((end - start).detach()), order)
        state = walk.here
        for power in range(halvings, 0, -1):
            level = walk.draft.between(walk.draft.nodes.schedule.time(start + 0.5**power * (end - start)))
            state = walk.draft.add(level, *walk.terms(state, walk.past[-order:], level))
            walk.past.append(state)
        walk.arrive(*walk.terms(state, walk.past[-order:], walk.next))


def _halvings(h: float, order: int) -> int:
    """How often a step is halved for its first piece; at least so often that enough predictions come of it."""
    return max(order - 2, math.ceil((0.5 * order - 1.0) * math.log2(1.0 / h)))
