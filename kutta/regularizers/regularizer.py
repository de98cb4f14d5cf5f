"""What a regulariser is: three verbs that fold the accepted steps of a solve into a number."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from kutta.solvers.method import Method, Step


class Regularizer:
    """A quantity accumulated over the accepted steps of a solve.

    Pass instances as ``solve(..., penalties={name: regularizer})`` and read
    ``sol.penalties[name]``, a number that can be differentiated (one a trajectory in an ensemble).
    Step sizes are constants for the gradient. One's own needs no more than the three verbs below;
    the state is a tensor, or a pytree of tensors, in an ensemble with the trajectories on axis 0.

    Example:
        The path length, in one small class.

        >>> import torch, kutta as kt
        >>> class PathLength(kt.regularizers.Regularizer):
        ...     def init(self, y):
        ...         return torch.zeros((), dtype=y.dtype)
        ...     def update(self, length, step):
        ...         return length + torch.linalg.vector_norm(step.y1 - step.y0)
        ...     def value(self, length):
        ...         return length
        >>> line = kt.ODEProblem(lambda t, y: torch.ones_like(y), torch.zeros(4), (0.0, 2.0))
        >>> length = kt.solve(line, penalties={"length": PathLength()}).penalties["length"]
        >>> round(float(length), 4)
        4.0
    """

    def check(self, method: Method, dtype: torch.dtype, rtol: Any) -> None:
        """Refuse a solve whose steps lack what the penalty is made of; called before the first step."""

    def sampler(self, y: Tensor, ensemble: bool) -> Any:
        """What draws steps while the solve runs, for a penalty on drawn steps; ``None`` for all others."""
        return None

    def restricted(self, part: Callable[[Any], Any]) -> Regularizer:
        """The same penalty on ``part(state)`` alone, unless it was told on what; by default it cannot be restricted."""
        return self

    def init(self, y: Tensor) -> Any:
        """The state before the first step; `y` is the initial state in the solver's layout.

        In an ensemble a tensor without axes stands for one of its kind a trajectory.
        """
        raise NotImplementedError

    def update(self, state: Any, step: Step) -> Any:
        """The state after one more accepted step."""
        raise NotImplementedError

    def value(self, state: Any) -> Tensor:
        """The penalty."""
        raise NotImplementedError
