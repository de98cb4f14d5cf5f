"""What an adjoint is: a way to go along a leg so that gradients can come back."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from kutta.solvers.adjoints.inputs import Inputs
from kutta.solvers.adjoints.replay import Chain, State
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

    def go(self, leg: Leg, inputs: Inputs) -> Course:
        """Go along a leg.

        Args:
            leg: what to do.
            inputs: the tensors that the right-hand side depends on; empty when nothing is
                differentiated.
        """
        raise NotImplementedError

    @property
    def block(self) -> int:
        """For ensembles: how many trials make a segment of the chain that is gone through again."""
        return 1

    def through(self, chain: Chain, start: State, inputs: Inputs) -> tuple[State, list[Tensor]]:
        """For ensembles: the end and the outputs of a chain, as differentiable functions."""
        raise NotImplementedError
