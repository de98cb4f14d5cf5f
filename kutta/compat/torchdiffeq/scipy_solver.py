"""SciPy's methods under torchdiffeq's name for them. Nothing is differentiated through them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from scipy.integrate import solve_ivp
from torch import Tensor

from kutta.compat.torchdiffeq.common import warn_about_unused


class ScipyWrapperODESolver:
    """One of the methods of `scipy.integrate.solve_ivp`, ready to integrate.

    Args:
        func: the right-hand side, a function of ``(t, y)``.
        y0: the initial state, one tensor.
        rtol: relative tolerance.
        atol: absolute tolerance.
        min_step: smallest step, for LSODA.
        max_step: largest step.
        solver: the method's name in SciPy.
        norm: accepted; SciPy has its own.
        unused: anything else, which is warned about.
    """

    def __init__(
        self,
        func: Callable[..., Any],
        y0: Tensor,
        rtol: Any,
        atol: Any,
        min_step: float = 0,
        max_step: float = math.inf,
        solver: str = "LSODA",
        norm: Any = None,
        **unused: Any,
    ):
        for name in ("grid_points", "eps"):
            unused.pop(name, None)
        warn_about_unused(self, unused)
        self.func, self.y0, self.rtol, self.atol = func, y0, rtol, atol
        self.options: dict[str, Any] = {"method": solver, "max_step": max_step}
        if solver == "LSODA":
            self.options["min_step"] = min_step

    @classmethod
    def valid_callbacks(cls) -> set[str]:
        """Names of the callbacks that are called: none."""
        return set()

    def integrate(self, t: Tensor) -> Tensor:
        """The states at the times `t`, the first of which is the initial one, ``(T, *y0.shape)``.

        Raises:
            RuntimeError: when SciPy reports a failure.
        """
        if len(t) == 1:
            return self.y0.detach()[None].clone()
        times = t.detach().cpu().to(torch.float64).numpy()
        start = self.y0.detach().cpu().numpy().reshape(-1)
        tolerances = {"rtol": _plain(self.rtol), "atol": _plain(self.atol)}
        span = (times[0], times[-1])
        found = solve_ivp(self._on_arrays, span, start, t_eval=times, **tolerances, **self.options)
        if not found.success:
            raise RuntimeError(f"scipy_solver with solver={self.options['method']!r} failed: {found.message}")
        rows = torch.as_tensor(np.ascontiguousarray(found.y.T))
        return rows.to(self.y0.device, self.y0.dtype).reshape(-1, *self.y0.shape)

    def integrate_until_event(self, *arguments: Any) -> Any:
        """Refused: SciPy's events are not connected."""
        raise NotImplementedError("scipy_solver has no event handling: use 'dopri5' or another of the tensor methods")

    @torch.no_grad()
    def _on_arrays(self, t: float, y: np.ndarray) -> np.ndarray:
        dtype, device = self.y0.dtype, self.y0.device
        time = torch.tensor(t, dtype=self.y0.real.dtype if dtype.is_complex else dtype, device=device)
        state = torch.as_tensor(y).to(device, dtype).reshape(self.y0.shape)
        return self.func(time, state).detach().cpu().numpy().reshape(-1)


def _plain(tolerance: Any) -> Any:
    return tolerance.detach().cpu().numpy() if isinstance(tolerance, Tensor) else tolerance
