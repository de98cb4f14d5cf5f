"""The penalties of one solve: those folded over its steps, and those of steps drawn at random."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from kutta.regularizers.regularizer import Regularizer


class Penalties:
    """What both engines do with ``penalties=``.

    Attributes:
        folded: the regularisers that read every accepted step, in order.
        samplers: what draws steps for the others, by name.
    """

    def __init__(self, penalties: dict[str, Regularizer], y0: Tensor, ensemble: bool):
        self.penalties: dict[str, Any] = penalties
        samplers = {name: one.sampler(y0, ensemble) for name, one in penalties.items()}
        self.samplers = {name: sampler for name, sampler in samplers.items() if sampler is not None}
        self.folded = tuple(one for name, one in penalties.items() if name not in self.samplers)

    def values(self, states: tuple[Any, ...], draws: dict[str, Any], *about: Any) -> dict[str, Tensor]:
        """All penalties in the user's order.

        Args:
            states: of `folded`.
            draws: what each sampler drew; ``None`` of a solve without a step.
            about: the field, the method and the tolerance, to take the drawn steps with.
        """
        left = iter(states)
        return {
            name: one.penalty(draws[name], *about) if name in draws else one.value(next(left))
            for name, one in self.penalties.items()
        }
