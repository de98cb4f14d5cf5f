"""What an adjoint is: a way to go along a leg so that gradients can come back."""

from __future__ import annotations

from typing import ClassVar

from kutta.solvers.adjoints.inputs import Input
from kutta.solvers.march import Course, Leg


class Adjoint:
    """How gradients pass through a solve.

    Attributes:
        tapes: whether the forward pass runs on the tape.
        sees_steps: whether penalties on the steps are differentiated.
        ensembles: whether ensembles can be differentiated.
    """

    tapes: ClassVar[bool] = False
    sees_steps: ClassVar[bool] = True
    ensembles: ClassVar[bool] = True

    def go(self, leg: Leg, inputs: Input) -> Course:
        """Go along a leg.

        Args:
            leg: what to do.
            inputs: the tensors that the right-hand side depends on; empty when nothing is
                differentiated.
        """
        raise NotImplementedError
