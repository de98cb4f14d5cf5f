"""What every accepted step of a solve was like, and what that says of the model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

# Median of h S / sigma from which on stability is what limits the steps.
LIMITED = 0.8


@dataclass(frozen=True)
class History:
    """The accepted steps, from ``solve(..., diagnostics=True)``.

    Shapes are ``(n,)``; in an ensemble ``(n, B)``, padded with NaN where a trajectory took fewer steps.

    Attributes:
        t: starts of the steps.
        h: their sizes, positive.
        error: the error ratio ``q`` of each; NaN for a method without an error estimate.
        stiffness: the rate ``S`` of the fastest mode that each has seen; NaN for a method without an
            estimate of it.
        pressure: ``h S / sigma``, with the size ``sigma`` of the method's stability region: near one where
            stability limits the step, far below where accuracy does.
    """

    t: Tensor
    h: Tensor
    error: Tensor
    stiffness: Tensor
    pressure: Tensor

    @property
    def limited_by_stability(self) -> bool:
        """Whether the median of `pressure` is near one."""
        return bool(torch.nanmedian(self.pressure) > LIMITED)

    @property
    def message(self) -> str:
        """What limits the steps, and what may help."""
        pressure = float(torch.nanmedian(self.pressure)) if self.pressure.numel() else float("nan")
        if pressure != pressure:
            return "this method does not tell whether stability or accuracy limits its steps; Tsit5 and Dopri5 do"
        if self.limited_by_stability:
            return (
                f"this model is limited by stability: the median of h S / sigma is {pressure:.2f}. Looser tolerances "
                "will not help; a method for stiff problems such as Rodas5P will, or in training a StiffnessEstimate "
                "penalty"
            )
        return (
            f"this model is limited by accuracy: the median of h S / sigma is {pressure:.2f}. An ErrorEstimate penalty "
            "in training, a method of higher order or looser tolerances make it cheaper"
        )
