"""The pictures of hard constraints: fields with what they are off by, seams, and errors beside what residuals say."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from torch import Tensor

from kutta.demo import hard_constraints
from kutta.demo.pictures import Picture, Theme, render
from kutta.pde.pictures.drawing import scale

# The test that is shown, and the part of the time after which its profile is.
_TEST, _WHEN = 0, 0.25

# The part of the values that colours tell apart.
_SHOWN = 0.97

# A grey that shows on dark colours and on light ones.
_ON_COLOURS = "#8a8f98"


def fields(study: hard_constraints.Study, theme: Theme) -> Figure:
    """The solution and the predictions; how far these are off; their residuals, and what these stand for."""
    shown = {"solution": study.solution, **{one.name: one.predicted for one in study.networks}}
    exact = _of_test(study.solution.u)
    figure = Figure(figsize=(10.4, 8.2))
    axes = figure.subplots(4, len(shown), sharex=True, squeeze=False)
    off = [_of_test(one.predicted.u) - exact for one in study.networks]
    values = np.stack([_of_test(one.u) for one in shown.values()])
    _row(figure, axes[0], values, "u", study, scale(values))
    _row(figure, axes[1, 1:], off, "off by", study, _about_zero(off))
    for line, name in ((axes[2], "residual"), (axes[3], "estimated error")):
        found = [_of_test(getattr(one, name.split()[-1])) for one in shown.values()]
        _row(figure, line, found, name, study, _about_zero(found))
    _start(axes[1, 0], study, theme)
    for axis, name in zip(axes[0], shown, strict=True):
        axis.set_title(name)
    for axis in axes[-1]:
        axis.set(xlabel="x", xticks=[0.0, 0.5, 1.0])
    for axis in axes[[0, 2, 3], 0]:
        axis.set(ylabel="t", yticks=[0.0, hard_constraints.END])
    for axis in axes[:, -1]:
        _faces(axis, study, _ON_COLOURS)
    return figure


def _row(
    figure: Figure,
    axes: Any,
    values: Any,
    label: str,
    study: hard_constraints.Study,
    colours: dict[str, Any],
) -> None:
    """Fields over x and t, with a bar for all of them."""
    beyond = max(float(np.abs(one).max()) for one in values) > 1.001 * colours["vmax"]
    shown = [_field(axis, one, study, colours) for axis, one in zip(axes, values, strict=True)]
    extend = "both" if beyond else "neither"
    bar = figure.colorbar(shown[0], ax=list(axes), pad=0.01, label=label, aspect=14, extend=extend)
    bar.outline.set_linewidth(0.6)


def _field(axis: Any, u: np.ndarray, study: hard_constraints.Study, colours: dict[str, Any]) -> Any:
    """Over x and t, from the first time of which there is something."""
    end = hard_constraints.END
    box = (0.0, 1.0, end * (1.0 - len(u) / (study.settings.times + 1)), end)
    axis.grid(False)
    shown = axis.imshow(u, origin="lower", extent=box, aspect="auto", interpolation="nearest", **colours)
    axis.set(ylim=(0.0, end), yticks=[])
    return shown


def _start(axis: Any, study: hard_constraints.Study, theme: Theme) -> None:
    """What networks are given."""
    axis.plot(_places(study), _of_test(study.solution.u)[0], color=theme.ink, linewidth=1.4)
    axis.set(ylabel="u at t = 0", ylim=(0.0, None))


def _faces(axis: Any, study: hard_constraints.Study, colour: str) -> None:
    for place in study.faces:
        axis.axvline(place, color=colour, linewidth=0.7, linestyle=(0, (4, 3)))


def seams(study: hard_constraints.Study, theme: Theme) -> Figure:
    """A profile with the faces of the boxes, what it is off by with experts together and apart, and their shares."""
    figure = Figure(figsize=(6.4, 6.2))
    upper, middle, lower = figure.subplots(3, 1, sharex=True, height_ratios=(3, 3, 1))
    joint, x = study.networks[-1], _places(study)
    shares = joint.predicted.shares
    assert shares is not None
    place = round(_WHEN * study.settings.times)
    exact = _of_test(study.solution.u)[place]
    upper.plot(x, exact, color=theme.ink, linewidth=2.4, alpha=0.6, label="solution")
    kinds = ((study.apart, "apart, boxes that meet", theme.orange), (joint, "together, boxes that overlap", theme.blue))
    for one, label, colour in kinds:
        u = _of_test(one.predicted.u)[place]
        for beginning, end in _boxes(study, one is study.apart):
            upper.plot(x[beginning:end], u[beginning:end], color=colour, linewidth=1.4, label=label)
            middle.plot(x[beginning:end], (u - exact)[beginning:end], color=colour, linewidth=1.6)
            label = None
    lower.plot(x, shares[0, :, place].T, color=theme.blue, linewidth=1.2)
    for axis, label in ((upper, f"u at t = {_WHEN * hard_constraints.END:g}"), (middle, "off by"), (lower, "shares")):
        axis.set_ylabel(label)
        axis.grid(False, axis="x")
        axis.margins(x=0)
        _faces(axis, study, theme.ink)
    figure.align_ylabels()
    lower.set_xlabel("x")
    upper.legend(loc="upper right")
    return figure


def _boxes(study: hard_constraints.Study, cut: bool) -> Iterator[tuple[int, int]]:
    """Where lines begin and end: at faces, or nowhere."""
    points = study.settings.points
    edges = [0, *(round(points * one) for one in study.faces), points] if cut else [0, points]
    yield from pairwise(edges)


def estimates(study: hard_constraints.Study, theme: Theme) -> Figure:
    """The error of each test beside the size of its estimate."""
    figure = Figure(figsize=(5.0, 4.4))
    axis = figure.subplots()
    ends = []
    for one, mark, colour in zip(study.networks, "os^", (theme.orange, theme.teal, theme.blue), strict=True):
        off = (one.predicted.u - study.solution.u)[1:].square().mean((0, 2)).sqrt()
        axis.plot(one.predicted.sizes, off, mark, color=colour, markersize=5, label=one.name)
        ends += [*one.predicted.sizes.tolist(), *off.tolist()]
    edge = (0.7 * min(ends), 1.4 * max(ends))
    axis.plot(edge, edge, color=theme.ink, linewidth=0.9, linestyle=(0, (4, 3)))
    limit = float(study.solution.sizes.mean())
    axis.axvline(limit, color=theme.ink, linewidth=0.9, linestyle=":", label="the solution itself")
    axis.set(xscale="log", yscale="log", xlabel="estimated from the residual", ylabel="off by, root mean square")
    axis.legend(loc="lower right", fontsize=8.5)
    return figure


def _of_test(u: Tensor) -> np.ndarray:
    return u[:, _TEST].numpy()


def _places(study: hard_constraints.Study) -> np.ndarray:
    return study.problem.grid.axis_points(0).numpy()


def _about_zero(values: Sequence[np.ndarray]) -> dict[str, Any]:
    """Colours to both sides of zero; the few values far beyond the others, next to walls, have the last of them."""
    largest = float(np.quantile(np.abs(np.stack(values)), _SHOWN)) or 1.0
    return {"cmap": "RdBu_r", "vmin": -largest, "vmax": largest}


def pictures(study: hard_constraints.Study) -> list[Picture]:
    """The pictures of the study."""
    return [
        render(
            "hard_constraints_fields",
            "A problem that no network has seen",
            "Concentrations over space and time; what each prediction is off by; its residual; and the error that "
            "this stands for, which takes no solution. A residual is rough and says little of the error, its "
            f"estimate much. The solution has one, too: that of differences between {study.settings.times + 1} times. "
            "Dashed: faces of boxes.",
            lambda theme: fields(study, theme),
        ),
        render(
            "hard_constraints_seams",
            "Seams",
            "The basis of the same network with weights for each box, found together in boxes that overlap, and one "
            "by one in boxes that meet at the dashed faces. The shares are those of the experts that overlap.",
            lambda theme: seams(study, theme),
        ),
        render(
            "hard_constraints_estimates",
            "What residuals say of errors",
            f"{study.settings.tests} problems: how far each prediction is off, beside what its residual stands for, "
            "which takes no solution. On the dashed line both agree. Left of the dotted one a residual is smaller than "
            "that of the solution, and says no more.",
            lambda theme: estimates(study, theme),
        ),
    ]
