"""torchdiffeq's Adams methods on a prescribed grid."""

from __future__ import annotations

import warnings
from typing import Any

import kutta
from kutta.compat.torchdiffeq.fixed_grid import FixedGridODESolver
from kutta.solvers.method import Method

ORDER = 4


class AdamsBashforth(FixedGridODESolver):
    """The explicit Adams method, of order four unless `max_order` says otherwise.

    Args:
        arguments: those of `FixedGridODESolver`.
        max_order: the order.
        max_iters: accepted; no iteration is needed.
        implicit: accepted; the class says which it is.
        options: those of `FixedGridODESolver`.
    """

    def __init__(
        self,
        *arguments: Any,
        max_order: int = ORDER,
        max_iters: int = 4,
        implicit: bool = True,
        **options: Any,
    ):
        super().__init__(*arguments, **options)
        self.order = int(max_order)

    def method(self) -> Method:
        """kutta's method for one step."""
        return kutta.AdamsBashforth(self.order)


class AdamsBashforthMoulton(AdamsBashforth):
    """The implicit Adams method as predictor and corrector, of order four unless `max_order` says otherwise."""

    def method(self) -> Method:
        """kutta's method for one step."""
        return kutta.AdamsBashforthMoulton(self.order)
