"""Pictures of fields: over space and time in one dimension, at some times in two, slices in three.

Colours go from low to high where the values have one sign, and away from zero to both sides where they have two. All
panels of an unknown share their scale.
"""

from __future__ import annotations

from dataclasses import dataclass
from textwrap import fill
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from kutta.pde.grids.grid import AXES, Grid

if TYPE_CHECKING:
    from kutta.solution import Solution

STYLE: dict[Any, Any] = {
    "axes.edgecolor": "#8c959f",
    "axes.labelcolor": "#24292f",
    "axes.linewidth": 0.8,
    "axes.titlesize": 10,
    "figure.titlesize": 11,
    "font.size": 9,
    "image.interpolation": "nearest",
    "legend.frameon": False,
    "text.color": "#24292f",
    "xtick.color": "#57606a",
    "ytick.color": "#57606a",
}

# Lines or panels of more times than these are too many to tell apart.
LINES, PANELS, ROWS = 6, 4, 3

# Letters of a title to an inch.
TITLE = 12

# Of two signs, if the lesser side has this part of the greater one.
_TWO_SIGNS = 0.05


@dataclass(frozen=True)
class Shown:
    """What there is to draw.

    Attributes:
        names: of the unknowns.
        values: real, ``(unknown, time, *grid.shape)``.
        times: ``(time,)``, or ``None`` of a steady solution.
        grid: the places.
        title: what was solved.
    """

    names: tuple[str, ...]
    values: np.ndarray
    times: np.ndarray | None
    grid: Grid
    title: str

    def some_times(self, most: int) -> list[int]:
        """A few of the times, from the first to the last, about equally far apart."""
        count = self.values.shape[1]
        if self.times is None or count <= most:
            return list(range(count))
        wanted = np.linspace(self.times[0], self.times[-1], most)
        return sorted({int(np.abs(self.times - time).argmin()) for time in wanted})

    def at(self, place: int) -> str:
        """The time in words; nothing of a steady solution."""
        return "" if self.times is None else f"t = {self.times[place]:.4g}"


def shown(solution: Solution) -> Shown:
    """The fields of a solution; of a batch the first one, of complex values their real part and their size."""
    from kutta.labelled import array, leading_dimensions

    space = solution.space
    several, evolves = len(space.components) > 1, bool(leading_dimensions(solution))
    ys: Tensor = solution.ys
    for _ in range(ys.dim() - 1 - several - space.grid.dim):
        ys = ys[:, 0]
    ys, names = ys.transpose(0, 1) if several else ys.unsqueeze(0), space.components
    if ys.is_complex():
        ys = torch.stack([ys.real, ys.abs()], 1).flatten(0, 1)
        names = tuple(shown for name in names for shown in (f"Re {name}", f"|{name}|"))
    if not bool(torch.isfinite(ys).any()):
        raise ValueError("there is nothing to draw: all values are NaN or infinite")
    times = array(solution.ts) if evolves else None
    return Shown(names, array(ys).astype(np.float64), times, space.grid, space.settings.get("equation", space.equation))


def plot(solution: Solution) -> Any:
    """Draw the fields of a solution; see `Solution.plot`."""
    import matplotlib.pyplot as plt

    what = shown(solution)
    draw = {1: _draw_lines, 2: _draw_planes, 3: _draw_slices}[what.grid.dim]
    with plt.rc_context(STYLE):
        figure = draw(what, plt)
        figure.suptitle(fill(what.title, int(TITLE * figure.get_figwidth())))
    return figure


# ------------------------------------------------------------------------------------------------------------- layouts


def _draw_lines(what: Shown, plt: Any) -> Any:
    """A row for each unknown: its values over space and time, and lines at some times."""
    over_time = what.values.shape[1] > 1
    rows, columns = len(what.names), 1 + over_time
    figure, axes = plt.subplots(
        rows, columns, figsize=(5.0 * columns, 0.7 + 3.0 * rows), squeeze=False, sharex=True, layout="constrained"
    )
    for row, name in enumerate(what.names):
        values = what.values[row]
        if over_time:
            x, colours = what.grid.axis_points(0).numpy(), scale(values)
            picture = axes[row, 0].pcolormesh(x, what.times, values, shading="nearest", rasterized=True, **colours)
            axes[row, 0].set_ylabel("t", rotation=0, ha="right", va="center")
            draw_bar(figure, picture, axes[row, 0], name)
        _draw_profiles(axes[row, -1], what, row, plt)
    for axis in axes[-1]:
        axis.set(xlabel="x")
    return figure


def _draw_profiles(axis: Any, what: Shown, row: int, plt: Any) -> None:
    places = what.some_times(LINES)
    colours = plt.get_cmap("viridis")(np.linspace(0.0, 0.88, len(places)))
    for place, colour in zip(places, colours, strict=True):
        axis.plot(
            what.grid.axis_points(0), what.values[row, place], color=colour, linewidth=1.6, label=what.at(place) or None
        )
    frame(axis, what.names[row])
    if what.times is not None:
        axis.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), handlelength=1.2)


def _draw_planes(what: Shown, plt: Any) -> Any:
    """A row for each unknown, a column for each of some times."""
    places = what.some_times(PANELS)
    if len(places) == 1:  # all unknowns beside each other
        columns = [(row, places[0]) for row in range(len(what.names))]
        figure, axes = _panels(plt, 1, len(columns), what.grid)
        for axis, (row, place) in zip(axes[0], columns, strict=True):
            picture = draw_plane(axis, what.values[row, place], what.grid, (0, 1), scale(what.values[row, place]))
            axis.set(title=what.at(place))
            draw_bar(figure, picture, axis, what.names[row])
    else:
        figure, axes = _panels(plt, len(what.names), len(places), what.grid)
        for row, name in enumerate(what.names):
            colours = scale(what.values[row, places])
            for axis, place in zip(axes[row], places, strict=True):
                draw_plane(axis, what.values[row, place], what.grid, (0, 1), colours)
                axis.set(title=what.at(place) if row == 0 else "")
            draw_bar(figure, axes[row, 0].images[0], axes[row], name)
    _label_outside(axes)
    return figure


def _draw_slices(what: Shown, plt: Any) -> Any:
    """Three slices through the middle: of one unknown at some times, of several at the last one."""
    places = what.some_times(ROWS) if len(what.names) == 1 else [what.values.shape[1] - 1]
    rows = [(row, place) for row in range(len(what.names)) for place in places]
    figure, axes = _panels(plt, len(rows), 3, what.grid, "constrained")
    for line, (row, place) in zip(axes, rows, strict=True):
        colours = scale(what.values[row, places])
        for axis, normal in zip(line, (2, 1, 0), strict=True):
            draw_slice(axis, what, row, place, normal, colours)
        line[0].set(title="   ".join(one for one in (what.at(place), line[0].get_title()) if one))
        draw_bar(figure, line[0].images[0], line, what.names[row])
    return figure


def _panels(plt: Any, rows: int, columns: int, grid: Grid, layout: str = "compressed") -> tuple[Any, Any]:
    width, height = panel_size(grid, columns)
    between = 0.1 if layout == "compressed" else 0.45
    size = (0.9 + columns * (width + 0.35), 0.9 + rows * (height + between))
    return plt.subplots(rows, columns, figsize=size, squeeze=False, layout=layout)


def _label_outside(axes: Any) -> None:
    """Numbers at the left and at the bottom only; the panels are of the same plane."""
    for axis in axes.flat:
        axis.label_outer()


# -------------------------------------------------------------------------------------------------------------- pieces


def scale(values: np.ndarray) -> dict[str, Any]:
    """Colour map and limits: about zero where the values have two signs."""
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    largest = max(-low, high)
    if low < 0.0 < high and min(-low, high) > _TWO_SIGNS * largest:
        return {"cmap": "RdBu_r", "vmin": -largest, "vmax": largest}
    if high - low <= 1e-12 * max(abs(low), abs(high)):  # one value; a scale of rounding errors would say nothing
        low, high = low - 0.5 * (abs(low) or 1.0), high + 0.5 * (abs(high) or 1.0)
    return {"cmap": "viridis", "vmin": low, "vmax": high}


def draw_bar(figure: Any, picture: Any, axes: Any, name: str) -> None:
    """A colour bar, with the name of the unknown upright."""
    bar = figure.colorbar(picture, ax=axes, pad=0.02)
    bar.set_label(name, rotation=0, labelpad=10)
    bar.outline.set_linewidth(0.6)


def frame(axis: Any, name: str) -> None:
    """Axes for lines: light, without a lid."""
    axis.set_ylabel(name, rotation=0, ha="right", va="center")
    axis.margins(x=0)
    axis.grid(alpha=0.25)
    axis.spines[["top", "right"]].set_visible(False)


def panel_size(grid: Grid, columns: int = PANELS) -> tuple[float, float]:
    """Width and height in inches of a panel of the first two axes, with lengths in proportion unless one is tiny.

    Args:
        grid: whose axes they are.
        columns: how many panels stand beside each other; where there are few they are larger.
    """
    ratio = grid.length[1] / grid.length[0]  # type: ignore[index]
    ratio = min(max(ratio, 0.25), 4.0)
    side = 2.6 * max(PANELS / columns, 1.0) ** 0.5
    return (side, side * ratio) if ratio <= 1.0 else (side / ratio**0.5, side * ratio**0.5)


def draw_plane(axis: Any, values: np.ndarray, grid: Grid, axes: tuple[int, int], colours: dict[str, Any]) -> Any:
    """A plane of values over two axes of the grid, with the colours of their cells."""
    edges: list[float] = []
    for one in axes:
        points, half = grid.axis_points(one), 0.5 * grid.spacing[one]
        edges += [float(points[0]) - half, float(points[-1]) + half]
    ratio = grid.length[axes[1]] / grid.length[axes[0]]  # type: ignore[index]
    aspect = "equal" if 0.25 <= ratio <= 4.0 else "auto"
    axis.set(xlabel=AXES[axes[0]], ylabel=AXES[axes[1]])
    axis.locator_params(nbins=5)
    return axis.imshow(values.T, origin="lower", extent=edges, aspect=aspect, **colours)


def draw_slice(axis: Any, what: Shown, row: int, place: int, normal: int, colours: dict[str, Any]) -> Any:
    """The slice through the middle of an axis."""
    first, second = (one for one in range(3) if one != normal)
    where = float(what.grid.axis_points(normal)[middle(what.grid, normal)])
    axis.set(title=f"{AXES[normal]} = {where:.3g}")
    return draw_plane(axis, slice_of(what, row, place, normal), what.grid, (first, second), colours)


def slice_of(what: Shown, row: int, place: int, normal: int) -> np.ndarray:
    """The values of that slice."""
    return what.values[row, place].take(middle(what.grid, normal), axis=normal)


def middle(grid: Grid, axis: int) -> int:
    """The point in the middle of an axis."""
    return grid.shape[axis] // 2
