"""A step of a method that treats the linear part apart."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from kutta.solvers.method import Step


@dataclass
class SplitStep(Step):
    """A step whose remainders at both ends are known, so that its slopes there cost no evaluation of `f`.

    Attributes:
        remainders: ``f`` at both ends, without the linear part.
    """

    remainders: tuple[Tensor, Tensor] | None = None

    def end_slopes(self) -> tuple[Tensor, Tensor]:
        if self.slopes is None and self.remainders is not None:
            first, last = self.remainders
            self.slopes = (self.field.linear.apply(self.y0) + first, self.field.linear.apply(self.y1) + last)
        return super().end_slopes()

    def release(self) -> None:
        self.stages, self.slopes, self.remainders = (), None, None
