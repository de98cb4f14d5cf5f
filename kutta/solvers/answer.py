"""Methods that know solutions as a whole."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kutta.solution import Solution


class Answer:
    """A method that takes no steps of a solver's, such as `kutta.operators.Surrogate`."""

    def answer(self, problem: Any, given: dict[str, Any], solve: Callable[..., Solution]) -> Solution:
        """What `kutta.solve` returns.

        Args:
            problem: as the user wrote it.
            given: the arguments of `kutta.solve` that are not at their defaults.
            solve: `kutta.solve`, for what other methods are asked for.
        """
        raise NotImplementedError
