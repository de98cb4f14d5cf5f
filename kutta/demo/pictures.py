"""The pictures of the demo, each in a light and a dark theme."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import matplotlib
import numpy as np
from matplotlib.colors import LinearSegmentedColormap, to_rgba
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from torch import Tensor

from kutta.demo import digits, hare_lynx


@dataclass(frozen=True)
class Theme:
    """Colours of a picture. Backgrounds stay transparent in SVG."""

    name: str
    ink: str
    faint: str
    paper: str
    hare: str
    lynx: str
    accent: str


LIGHT = Theme("light", "#24292f", "#d0d7de", "#ffffff", "#2b6cb0", "#c2541b", "#0f766e")
DARK = Theme("dark", "#d8dee4", "#3d444d", "#161b22", "#6cb6ff", "#f0985f", "#4fd1c5")
CLASS_COLOURS = (
    "#4e79a7", "#f28e2b", "#e15759", "#4aa8a0", "#59a14f", "#c9a90c", "#b07aa1", "#ff8fa3", "#9c755f", "#8a8f98"
)  # fmt: skip


@dataclass(frozen=True)
class Picture:
    """A rendered picture.

    Attributes:
        name: stem of its file name.
        title: what it shows, for the heading.
        caption: how to read it.
        light: SVG for a light page.
        dark: SVG for a dark page.
        png: PNG on white.
    """

    name: str
    title: str
    caption: str
    light: bytes
    dark: bytes
    png: bytes


def style(theme: Theme) -> Any:
    """Matplotlib settings of a theme."""
    return {
        "axes.edgecolor": theme.faint,
        "axes.facecolor": "none",
        "axes.grid": True,
        "axes.labelcolor": theme.ink,
        "axes.spines.right": False,
        "axes.spines.top": False,
        "axes.titlecolor": theme.ink,
        "axes.titlesize": 11,
        "figure.constrained_layout.use": True,
        "figure.facecolor": theme.paper,
        "font.family": "DejaVu Sans",
        "font.size": 10,
        "grid.color": theme.faint,
        "grid.linewidth": 0.6,
        "legend.frameon": False,
        "legend.labelcolor": theme.ink,
        "svg.fonttype": "path",
        "svg.hashsalt": "kutta",
        "text.color": theme.ink,
        "xtick.color": theme.ink,
        "ytick.color": theme.ink,
    }


def render(name: str, title: str, caption: str, draw: Callable[[Theme], Figure]) -> Picture:
    """The picture that `draw` makes, in both themes."""

    def saved(theme: Theme, kind: str) -> bytes:
        with matplotlib.rc_context(style(theme)):
            buffer = io.BytesIO()
            metadata = {"Date": None} if kind == "svg" else {}
            draw(theme).savefig(buffer, format=kind, dpi=160, transparent=kind == "svg", metadata=metadata)
            return buffer.getvalue()

    return Picture(name, title, caption, saved(LIGHT, "svg"), saved(DARK, "svg"), saved(LIGHT, "png"))


def forecast(study: hare_lynx.Study, theme: Theme) -> Figure:
    """Record, fitted curve and prediction intervals of both species over the years."""
    figure = Figure(figsize=(6.4, 5.2))
    upper, lower = figure.subplots(2, 1, sharex=True)
    for axes, species, name, colour in ((upper, 0, "hares", theme.hare), (lower, 1, "lynx", theme.lynx)):
        _fan(axes, study, species, colour)
        _record(axes, study, species, theme)
        axes.set_ylabel(f"{name}\n(1000 pelts a year)")
        axes.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=4, fontsize=9, handlelength=1.6)
    figure.align_ylabels()
    lower.set_xlabel("year")
    lower.set_xlim(float(study.ahead.years[0]) - 0.5, float(study.ahead.years[-1]) + 0.5)
    return figure


def _fan(axes: Any, study: hare_lynx.Study, species: int, colour: str) -> None:
    years, samples = study.ahead.years, study.ahead.observations[:, :, species]
    for level, opacity in ((0.9, 0.16), (0.5, 0.30)):
        low, high = hare_lynx.interval(_smoothed(samples), level)
        axes.fill_between(years, low, high, color=colour, alpha=opacity, linewidth=0, label=f"{level:.0%} interval")
    median = study.ahead.populations[:, :, species].median(dim=1).values
    axes.plot(years, median, color=colour, linewidth=1.8, label="median")


def _smoothed(samples: Tensor) -> Tensor:
    """Sorted draws averaged over neighbouring output times, against the noise of finite draws."""
    ordered = samples.sort(dim=1).values.log()
    padded = ordered[[0, 0, *range(len(ordered)), -1, -1]]
    return padded.unfold(0, 5, 1).mean(-1).exp()


def _record(axes: Any, study: hare_lynx.Study, species: int, theme: Theme) -> None:
    pelts = study.record.pelts[:, species]
    axes.plot(study.record.years, pelts, "o", color=theme.ink, markersize=4, label="record", zorder=3)
    last = float(study.record.years[-1])
    axes.axvline(last + 0.5, color=theme.ink, linewidth=0.9, linestyle=(0, (4, 3)))
    top = 1.65 * float(pelts.max())
    axes.set_ylim(0.0, top)
    axes.text(last + 1.0, 0.90 * top, "forecast", fontsize=9)


def phase(study: hare_lynx.Study, theme: Theme) -> Figure:
    """Orbits of drawn parameters, the fitted orbit and the record in the plane of both species."""
    figure = Figure(figsize=(5.0, 4.4))
    axes = figure.subplots()
    cycle = study.ahead.years <= study.record.years[-1]
    for orbit in study.ahead.populations[cycle][::2, :60].unbind(1):
        axes.plot(orbit[:, 0], orbit[:, 1], color=theme.accent, alpha=0.10, linewidth=0.8)
    fitted = hare_lynx.solve_record(study.fit.p, study.ahead.years[cycle]).ys
    axes.plot(fitted[:, 0], fitted[:, 1], color=theme.accent, linewidth=2.0, label="fitted orbit")
    pelts = study.record.pelts
    axes.plot(pelts[:, 0], pelts[:, 1], "o-", color=theme.ink, linewidth=0.7, markersize=4, label="record")
    alpha, beta, gamma, delta = study.fit.values[:4].tolist()
    axes.plot(gamma / delta, alpha / beta, "x", color=theme.accent, markersize=8, label="equilibrium (γ/δ, α/β)")
    axes.set_xlim(0, 1.15 * float(pelts[:, 0].max()))
    axes.set_ylim(0, 1.30 * float(pelts[:, 1].max()))
    axes.set_xlabel("hares (1000 pelts a year)")
    axes.set_ylabel("lynx (1000 pelts a year)")
    axes.legend(loc="upper right", fontsize=8.5)
    return figure


def comparison(study: hare_lynx.Study, theme: Theme) -> Figure:
    """Estimates and published means with 80% intervals, relative to the published mean."""
    figure = Figure(figsize=(5.0, 4.4))
    axes = figure.subplots()
    low, high = study.fit.interval80
    for row, published in enumerate(hare_lynx.CARPENTER.values()):
        ours = [float(one[row]) / published.mean for one in (study.fit.values, low, high)]
        theirs = [one / published.mean for one in (published.mean, published.low, published.high)]
        for shift, (mean, *ends), colour, mark in ((-0.13, ours, theme.accent, "o"), (0.13, theirs, theme.lynx, "s")):
            axes.plot(ends, [row + shift] * 2, color=colour, linewidth=2.2, solid_capstyle="butt")
            axes.plot(mean, row + shift, mark, color=colour, markersize=7)
    axes.plot([], [], "o-", color=theme.accent, label="this fit")
    axes.plot([], [], "s-", color=theme.lynx, label="published")
    axes.set_yticks(range(len(hare_lynx.CARPENTER)), [hare_lynx.SYMBOLS[name] for name in hare_lynx.CARPENTER], size=13)
    axes.set_ylim(len(hare_lynx.CARPENTER) - 0.4, -1.0)
    axes.grid(False, axis="y")
    axes.set_xlabel("value / published mean")
    axes.legend(loc="upper right", ncols=2, fontsize=9)
    return figure


def training(study: digits.Study, theme: Theme) -> Figure:
    """Loss and validation error of each epoch."""
    history = study.history
    figure = Figure(figsize=(5.0, 3.8))
    upper, lower = figure.subplots(2, 1, sharex=True)
    epochs = range(1, len(history.loss) + 1)
    upper.semilogy(epochs, history.loss, color=theme.hare, label="training, distorted")
    upper.semilogy(epochs, history.validation_loss, color=theme.lynx, label="validation")
    upper.plot(history.kept + 1, history.validation_loss[history.kept], "o", color=theme.ink, label="kept")
    upper.set_ylabel("loss\n(cross-entropy)")
    upper.legend(loc="upper right", fontsize=8.5)
    lower.plot(epochs, [100.0 * (1.0 - value) for value in history.accuracy], color=theme.lynx)
    lower.plot(history.kept + 1, 100.0 * (1.0 - history.accuracy[history.kept]), "o", color=theme.ink)
    lower.set_yscale("symlog", linthresh=10.0)
    lower.set_ylim(bottom=0.0)
    lower.set_yticks([0, 5, 10, 50, 100], ["0", "5", "10", "50", "100"])
    lower.set_ylabel("validation\nerror (%)")
    lower.set_xlabel("epoch")
    return figure


def evaluations(study: digits.Study, theme: Theme) -> Figure:
    """Mean number of function evaluations of a training solve in each epoch."""
    history = study.history
    figure = Figure(figsize=(5.0, 3.8))
    axes = figure.subplots()
    axes.plot(range(1, len(history.evaluations) + 1), history.evaluations, color=theme.accent)
    axes.set_ylim(0.0, 1.2 * max(history.evaluations))
    axes.set_xlabel("epoch")
    axes.set_ylabel("function evaluations a solve")
    return figure


def flow(study: digits.Study, theme: Theme) -> Figure:
    """The test images in the plane that separates the classes at the end, at three times."""
    ts, points, labels = study.flow.ts, study.flow.points, study.flow.labels
    figure = Figure(figsize=(6.6, 3.2))
    frames = (0, len(ts) // 2, len(ts) - 1)
    for axes, frame in zip(figure.subplots(1, 3, sharex=True, sharey=True), frames, strict=True):
        for digit in range(digits.CLASSES):
            x, y = points[frame, labels == digit].T
            axes.scatter(x, y, s=7, color=CLASS_COLOURS[digit], linewidths=0, alpha=0.8)
        axes.set_title(f"t = {float(ts[frame]):.1f}")
        axes.set_xlabel("first discriminant")
    figure.axes[0].set_ylabel("second discriminant")
    figure.legend(*_swatches(), loc="outside lower center", ncols=10, handletextpad=0.2, columnspacing=1.2)
    return figure


def _swatches() -> tuple[list[Line2D], list[str]]:
    """A point and a name for the colour of each digit."""
    points = [Line2D([], [], color=colour, marker="o", linestyle="", markersize=6) for colour in CLASS_COLOURS]
    return points, [str(digit) for digit in range(digits.CLASSES)]


def confusion(study: digits.Study, theme: Theme) -> Figure:
    """How many test images of each digit were taken for which."""
    counts = study.outcome.confusion.numpy()
    figure = Figure(figsize=(5.0, 4.6))
    axes = figure.subplots()
    axes.grid(False)
    axes.imshow(np.sqrt(counts), cmap=_fading(theme.hare), vmin=0.0)
    full = counts > counts.max() / 3
    for row, column in np.argwhere(counts):
        colour = theme.paper if full[row, column] else theme.ink
        axes.text(column, row, str(counts[row, column]), ha="center", va="center", fontsize=9, color=colour)
    axes.set_xticks(range(digits.CLASSES))
    axes.set_yticks(range(digits.CLASSES))
    axes.set_xlabel("predicted digit")
    axes.set_ylabel("true digit")
    return figure


def _fading(colour: str) -> LinearSegmentedColormap:
    """From transparent to a colour."""
    return LinearSegmentedColormap.from_list("fading", [to_rgba(colour, 0.0), to_rgba(colour, 1.0)])


def mistakes(study: digits.Study, theme: Theme, most: int = 8) -> Figure:
    """Test images that were classified wrongly."""
    outcome = study.outcome
    wrong = (outcome.predicted != outcome.images.labels).nonzero().flatten()[:most]
    columns = 4
    figure = Figure(figsize=(5.4, 1.6 * max(1, -(-len(wrong) // columns)) + 0.2))
    grid = figure.subplots(max(1, -(-len(wrong) // columns)), columns, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    for axes, row in zip(grid.flat, wrong.tolist(), strict=False):
        axes.imshow(
            outcome.images.pixels[row].view(digits.SIDE, digits.SIDE).numpy(), cmap=_fading(theme.ink), vmin=0, vmax=1
        )
        axes.set_title(f"{int(outcome.images.labels[row])} read as {int(outcome.predicted[row])}", fontsize=9)
    return figure


def hare_lynx_pictures(study: hare_lynx.Study) -> list[Picture]:
    """The pictures of the first study."""
    draws = study.ahead.populations.shape[1]
    return [
        render(
            "hare_lynx_forecast",
            "Record, fit and forecast",
            f"Points: the record. Line: median population of {draws} parameter draws. Bands: central 50% and 90% "
            "prediction intervals, parameter uncertainty and observation noise together.",
            lambda theme: forecast(study, theme),
        ),
        render(
            "hare_lynx_phase",
            "Phase portrait",
            "The fitted orbit over the years of the record, orbits of 60 parameter draws behind it, and the record.",
            lambda theme: phase(study, theme),
        ),
        render(
            "hare_lynx_comparison",
            "Against the published estimates",
            "Estimates with 80% intervals: maximum likelihood here, posterior mean in Carpenter's case study.",
            lambda theme: comparison(study, theme),
        ),
    ]


def digits_pictures(study: digits.Study) -> list[Picture]:
    """The pictures of the second study."""
    wrong = int((study.outcome.predicted != study.outcome.images.labels).sum())
    return [
        render(
            "digits_flow",
            "The images on their way",
            "The test images as the flow carries them from t = 0 to t = 1, one colour a digit, seen in the plane of "
            "the first two linear discriminants of the training images at t = 1.",
            lambda theme: flow(study, theme),
        ),
        render(
            "digits_training",
            "Training",
            "Loss of the distorted training images and of the validation images, and the share of the latter that was "
            "classified wrongly (linear below 10%, logarithmic above). The point marks the epoch that was kept.",
            lambda theme: training(study, theme),
        ),
        render(
            "digits_evaluations",
            "Cost of a solve",
            "Function evaluations of a training solve, mean over the epoch.",
            lambda theme: evaluations(study, theme),
        ),
        render(
            "digits_confusion",
            "Confusion matrix",
            f"Test images of each digit (rows) by predicted digit (columns), {len(study.outcome.images)} in all.",
            lambda theme: confusion(study, theme),
        ),
        render(
            "digits_mistakes",
            "Mistakes",
            f"Test images that were read wrongly: {min(wrong, 8)} of {wrong}.",
            lambda theme: mistakes(study, theme),
        ),
    ]
