"""The pictures of a study: fields, spectra of the errors, training, and error against time.

Ink and grid are those of matplotlib's settings, so that pages in several colours can have the same pictures.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from matplotlib import rcParams
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter
from torch import Tensor

from kutta.operators.metrics import energy_spectrum
from kutta.pde.pictures.drawing import draw_plane, panel_size, scale
from kutta.surrogate_study.study import Outcome, Study
from kutta.surrogate_study.table import percent

# Okabe and Ito's colours that show on white and on black.
COLOURS = ("#0f77c0", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#56b4e9", "#8a8f98")

# Waves with less than this part of the energy are rounding errors.
_DEEPEST = 1e-12

# The sample that is shown, and its fields.
_SAMPLE, _CHANNEL = 0, 0


def fields(study: Study) -> Figure:
    """A test sample: what goes in, the solution, what each network makes of it, and how far that is off."""
    return _planes(study) if study.parts.test.scope.grid.dim == 2 else _lines(study)


def _planes(study: Study) -> Figure:
    """Above the input and the predictions, below the solution and the errors."""
    data, grid = study.parts.test, study.parts.test.scope.grid
    given, target = _values(data.inputs), _values(data.outputs)
    predicted = [_values(one.predicted) for one in study.outcomes]
    columns, (width, height) = 1 + len(predicted), panel_size(grid)
    figure = Figure(figsize=(0.9 * width * columns + 1.6, 2.0 * height), layout="constrained")
    axes = figure.subplots(2, columns, squeeze=False)
    off = [u - target for u in predicted]
    of_values, of_errors = scale(target), _about_zero(np.stack(off))
    _panel(figure, axes[0, 0], given, grid, scale(given), f"input: {data.scope.channels[_CHANNEL]}", bar=True)
    _panel(figure, axes[1, 0], target, grid, of_values, "solution")
    for column, (one, u, error) in enumerate(zip(study.outcomes, predicted, off, strict=True), 1):
        last = column == columns - 1
        _panel(figure, axes[0, column], u, grid, of_values, one.trained.name, bar=last)
        size = float(np.linalg.norm(error) / np.linalg.norm(target))
        _panel(figure, axes[1, column], error, grid, of_errors, f"error, {percent(size)}", bar=last)
    return figure


def _panel(
    figure: Figure, axis: Any, values: np.ndarray, grid: Any, colours: dict[str, Any], title: str, bar: bool = False
) -> None:
    picture = draw_plane(axis, values, grid, (0, 1), colours)
    axis.set(title=title, xlabel="", ylabel="", xticks=[], yticks=[])
    axis.grid(False)
    if bar:
        figure.colorbar(picture, ax=axis, pad=0.02, shrink=0.9).outline.set_linewidth(0.6)


def _about_zero(values: np.ndarray) -> dict[str, Any]:
    largest = float(np.abs(values).max()) or 1.0
    return {"cmap": "RdBu_r", "vmin": -largest, "vmax": largest}


def _lines(study: Study) -> Figure:
    data = study.parts.test
    x, target = data.scope.grid.axis_points(0).numpy(), _values(data.outputs)
    figure = Figure(figsize=(9.0, 3.6), layout="constrained")
    values, off = figure.subplots(1, 2)
    values.plot(x, _values(data.inputs), color=_ink(), linewidth=1.0, linestyle=":", label="input")
    values.plot(x, target, color=_ink(), linewidth=2.2, alpha=0.8, label="solution")
    for one, colour in _coloured(study):
        u = _values(one.predicted)
        values.plot(x, u, color=colour, linewidth=1.4, linestyle="--", label=one.trained.name)
        off.plot(x, u - target, color=colour, linewidth=1.4)
    values.set(xlabel="x", title=f"{data.scope.components[_CHANNEL]} of a test sample")
    off.set(xlabel="x", title="prediction less solution")
    figure.legend(loc="outside lower center", ncols=2 + len(study.outcomes))
    return _framed(figure)


def spectra(study: Study) -> Figure:
    """The energy of the errors by wave number, and that of the solution."""
    data = study.parts.test
    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    axis = figure.subplots()
    _spectrum(axis, study, data.outputs, color=_ink(), linewidth=2.0, alpha=0.8, label="solution")
    for one, colour in _coloured(study):
        error = one.predicted - data.outputs
        _spectrum(axis, study, error, color=colour, linewidth=1.6, label=f"error of {one.trained.name}")
    axis.set(yscale="log", xlabel="wave number, periods along the box", ylabel="energy, mean over test samples")
    top = axis.dataLim.y1
    axis.set_ylim(max(axis.dataLim.y0, _DEEPEST * top) / 2.0, 2.0 * top)
    axis.legend(loc="upper right")
    return _framed(figure)


def _spectrum(axis: Any, study: Study, u: Tensor, **line: Any) -> None:
    grid = study.parts.test.scope.grid
    energy = energy_spectrum(u.double(), grid).mean(0)[: min(grid.shape) // 2 + 1]
    axis.plot(np.arange(len(energy)), energy.clamp(min=1e-300).numpy(), **line)


def training(study: Study) -> Figure:
    """The errors of validation over the wall time of training."""
    figure = Figure(figsize=(8.4, 3.6), layout="constrained")
    names = {"relative_l2": "relative L2 error", "relative_h1": "relative H1 error"}
    for axis, (name, label) in zip(figure.subplots(1, 2), names.items(), strict=True):
        for one, colour in _coloured(study):
            if values := one.trained.curves.get(name):
                times = one.trained.seconds * np.arange(1, len(values) + 1) / len(values)
                axis.plot(times, values, color=colour, linewidth=1.6, label=one.trained.name)
        axis.set(yscale="log", xlabel="seconds of training", title=f"{label}, validation")
        _plain_numbers(axis.yaxis)
    handles = figure.axes[0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower center", ncols=max(len(handles[0]), 1))
    return _framed(figure)


def costs(study: Study) -> Figure:
    """Error against time of the networks and of all classical methods that they were compared with."""
    figure = Figure(figsize=(7.6, 4.2), layout="constrained")
    axis = figure.subplots()
    rungs = study.classical[:-1]  # the last one has no error, as it is what errors are measured against
    axis.plot([1e3 * row.seconds for row in rungs], [row.error for row in rungs], "o", color=_ink(), alpha=0.35,
              markersize=4, label="classical methods")  # fmt: skip
    best = list(_frontier(study))
    axis.step([1e3 * row.seconds for row in best], [row.error for row in best], where="post", color=_ink(),
              linewidth=1.2, label="the best of them")  # fmt: skip
    for one, colour in _coloured(study):
        axis.plot(1e3 * one.row.seconds, one.row.error, "D", color=colour, markersize=8, label=one.trained.name)
    axis.set(xscale="log", yscale="log", xlabel="milliseconds for a problem", ylabel="relative L2 error")
    _plain_numbers(axis.xaxis)
    figure.legend(loc="outside right upper")
    return _framed(figure)


def _frontier(study: Study) -> Iterator[Any]:
    """Classical methods than which none is faster and more exact."""
    least = np.inf
    for row in sorted(study.classical[:-1], key=lambda row: row.seconds):
        if row.error < least:
            least = row.error
            yield row


PICTURES: dict[str, Callable[[Study], Figure]] = {
    "fields": fields,
    "spectra": spectra,
    "training": training,
    "costs": costs,
}


def _values(u: Tensor) -> np.ndarray:
    return u[_SAMPLE, _CHANNEL].double().numpy()


def _coloured(study: Study) -> Iterator[tuple[Outcome, str]]:
    """Each network with its colour."""
    for place, one in enumerate(study.outcomes):
        yield one, COLOURS[place % len(COLOURS)]


def _ink() -> str:
    return rcParams["text.color"]


def _plain_numbers(axis: Any) -> None:
    """Numbers along a logarithmic axis as they are: 0.1, 0.2, 0.5, 1."""
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axis.set_minor_formatter(NullFormatter())


def _framed(figure: Figure) -> Figure:
    for axis in figure.axes:
        axis.grid(visible=True, alpha=0.25)
        axis.spines[["top", "right"]].set_visible(False)
    return figure
