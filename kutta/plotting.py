"""A picture of a solve: the solution, and what its steps were like."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch.utils import _pytree as pytree

if TYPE_CHECKING:
    from torch import Tensor

    from kutta.history import History
    from kutta.solution import Solution

# More curves than this cannot be told apart.
CURVES = 10


def plot(solution: Solution) -> Any:
    """Draw a solution and, if there is one, the history of its steps; see `Solution.plot`."""
    try:
        import matplotlib.pyplot as plt
    except ImportError as missing:
        raise ImportError('plot() needs matplotlib: pip install "kutta[plots]"') from missing
    if solution.space is not None and solution.stats.history is None:
        from kutta.pde.pictures.drawing import plot as plot_fields

        return plot_fields(solution)
    history = solution.stats.history
    panels = 1 if history is None else 4
    figure, axes = plt.subplots(
        panels, 1, sharex=True, figsize=(8, 2 + 2 * panels), squeeze=False, layout="constrained"
    )
    ts, curves = _curves(solution)
    axes[0, 0].plot(ts, curves)
    axes[0, 0].set(ylabel="y", title=_title(solution, curves.shape[1]))
    if history is not None:
        _draw_history(axes[1:, 0], history)
    axes[-1, 0].set_xlabel("t")
    for axis in axes[:, 0]:
        axis.grid(alpha=0.3)
    return figure


def _curves(solution: Solution) -> tuple[Tensor, Tensor]:
    """Times and some entries of the states, ``(T,)`` or ``(T, n)``, and ``(T, n)``."""
    ts, ys = solution.ts, solution.ys
    if solution.interpolant is not None and solution.t1.dim() == 0:
        dense: Any = solution.interpolant
        ts = torch.linspace(dense.t0, dense.t1, 401, dtype=torch.float64)
        ys = solution(ts)
    if len(ts) < 2:
        raise ValueError('there is one time only: solve with save_at="steps", save_at times, or dense=True to plot')
    leaves = [leaf.detach().cpu() for leaf in pytree.tree_leaves(ys)]
    if ts.dim() == 2:  # times of its own for each trajectory: the first entry of each
        curves = leaves[0].reshape(*ts.shape, -1)[:, :, 0]
    else:
        curves = torch.cat([leaf.reshape(len(ts), -1) for leaf in leaves], dim=1)
    curves = curves.real if curves.is_complex() else curves
    return ts.detach().cpu()[..., :CURVES] if ts.dim() == 2 else ts.detach().cpu(), curves[:, :CURVES]


def _title(solution: Solution, curves: int) -> str:
    stats = solution.stats
    if torch.is_tensor(stats.steps):
        return f"{len(stats.steps)} trajectories, {curves} curves shown"
    return f"{stats.accepted} steps, {stats.rejected} rejected, {stats.function_evaluations} evaluations"


def _draw_history(axes: Any, history: History) -> None:
    """Step sizes, error ratios and pressure, a step a line from its start to its end."""
    t, h, error, pressure = (x.detach().cpu() for x in (history.t, history.h, history.error, history.pressure))
    shown = (slice(None),) if t.dim() == 1 else (slice(None), slice(CURVES))
    for axis, values, label in zip(
        axes, (h, error, pressure), ("step size h", "error ratio q", "h S / σ"), strict=True
    ):
        axis.plot(t[shown], values[shown], drawstyle="steps-post")
        axis.set(yscale="log", ylabel=label)
    axes[1].axhline(1.0, color="grey", linewidth=1, linestyle="--")
    axes[2].axhline(1.0, color="grey", linewidth=1, linestyle="--")
    axes[2].set_title(history.message.split(":")[0], fontsize="medium")
