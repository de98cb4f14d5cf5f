"""torchdiffeq's Adams methods on a prescribed grid."""

from __future__ import annotations

from typing import Any

from kutta.compat.torchdiffeq.fixed_grid import FixedGridODESolver
from kutta.solvers import multistep
from kutta.solvers.method import Method

ORDER = 4
MAX_ORDER = 12


class AdamsBashforth(FixedGridODESolver):
    """The explicit Adams method, of order four unless `max_order` says otherwise.

    Args:
        arguments: those of `FixedGridODESolver`.
        max_order: the order; kutta's methods go up to 9, and larger values, up to 12, mean 9.
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
        assert max_order <= MAX_ORDER, f"max_order must be at most {MAX_ORDER}; got {max_order}"
        self.order = min(int(max_order), multistep.HIGHEST_ORDER)

    def method(self) -> Method:
        """Kutta's method for one step."""
        return multistep.AdamsBashforth(self.order)


class AdamsBashforthMoulton(AdamsBashforth):
    """The implicit Adams method as predictor and corrector, of order four unless `max_order` says otherwise."""

    def method(self) -> Method:
        """Kutta's method for one step."""
        return multistep.AdamsBashforthMoulton(self.order)
