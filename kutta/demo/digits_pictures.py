"""The pictures of the second study, which show the plain and the penalised model beside each other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from matplotlib.colors import LinearSegmentedColormap, to_rgba
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from kutta.demo import digits
from kutta.demo.classifier import CLASSES, SIDE
from kutta.demo.pictures import Picture, Theme, render

CLASS_COLOURS = (
    "#4e79a7", "#f28e2b", "#e15759", "#4aa8a0", "#59a14f", "#c9a90c", "#b07aa1", "#ff8fa3", "#9c755f", "#8a8f98"
)  # fmt: skip


def coloured(study: digits.Study, theme: Theme) -> Iterator[tuple[digits.Trained, str]]:
    """Each model with its colour."""
    return zip(study.models, (theme.orange, theme.blue), strict=True)


def training(study: digits.Study, theme: Theme) -> Figure:
    """Cost of a solve, validation error and validation loss of each epoch, for both models."""
    figure = Figure(figsize=(8.2, 3.1))
    figure.set_layout_engine("constrained", w_pad=0.12)
    cost, error, loss = figure.subplots(1, 3)
    for model, colour in coloured(study, theme):
        history = model.history
        _over_epochs(cost, model, history["evaluations"], colour)
        _over_epochs(error, model, [100.0 * (1.0 - share) for share in history["validation accuracy"]], colour)
        _over_epochs(loss, model, history["validation loss"], colour)
    cost.set_ylabel("function evaluations a solve")
    cost.set_ylim(bottom=0.0)
    error.set_ylabel("validation error (%)")
    error.set_yscale("symlog", linthresh=10.0)
    error.set_ylim(bottom=0.0)
    error.set_yticks([0, 5, 10, 50, 100], ["0", "5", "10", "50", "100"])
    loss.set_ylabel("validation cross-entropy")
    loss.set_yscale("log")
    figure.legend(*cost.get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure


def _over_epochs(axes: Any, model: digits.Trained, values: list[float], colour: str) -> None:
    axes.plot(range(1, len(values) + 1), values, color=colour, label=model.name)
    axes.plot(model.kept + 1, values[model.kept], "o", color=colour, markersize=6)
    axes.set_xlabel("epoch")


def flow(study: digits.Study, theme: Theme) -> Figure:
    """The test images in the plane that separates the classes at the end, at three times, for both models."""
    figure = Figure(figsize=(6.6, 5.4))
    grid = figure.subplots(2, 3)
    for row, model in zip(grid, study.models, strict=True):
        ts, points, labels = model.flow.ts, model.flow.points, model.flow.labels
        for axes, frame in zip(row, (0, len(ts) // 2, len(ts) - 1), strict=True):
            for digit in range(CLASSES):
                x, y = points[frame, labels == digit].T
                axes.scatter(x, y, s=7, color=CLASS_COLOURS[digit], linewidths=0, alpha=0.8)
            axes.set_title(f"t = {float(ts[frame]):.1f}")
        row[0].set_ylabel(f"{model.name}\nsecond discriminant")
    for axes in grid[-1]:
        axes.set_xlabel("first discriminant")
    figure.align_ylabels(grid[:, 0])
    figure.legend(*_swatches(), loc="outside lower center", ncols=10, handletextpad=0.2, columnspacing=1.2)
    return figure


def _swatches() -> tuple[list[Line2D], list[str]]:
    """A point and a name for the colour of each digit."""
    points = [Line2D([], [], color=colour, marker="o", linestyle="", markersize=6) for colour in CLASS_COLOURS]
    return points, [str(digit) for digit in range(CLASSES)]


def cost(study: digits.Study, theme: Theme) -> Figure:
    """Step sizes of the solve that classifies the test images, and what it costs at other tolerances."""
    figure = Figure(figsize=(6.6, 5.4))
    sizes, costs = figure.subplots(2, 1)
    costs.axvline(study.settings.tolerance, color=theme.ink, linewidth=0.9, linestyle=(0, (4, 3)))
    for model, colour in coloured(study, theme):
        steps, price = model.outcome.steps, model.outcome.evaluations_at
        sizes.hlines(steps.h, steps.t, steps.t + steps.h, color=colour, linewidth=2.4)
        label = f"{model.name}, {len(steps.h)} steps"
        sizes.plot(steps.t + steps.h / 2, steps.h, "o", color=colour, label=label, clip_on=False)
        costs.plot(list(price), list(price.values()), "o-", color=colour, markersize=5, label=model.name)
    sizes.set_xlabel("time t")
    sizes.set_ylabel("step size h")
    sizes.set_ylim(bottom=0.0)
    costs.set_xscale("log")
    costs.set_xlabel("tolerance of the solve")
    costs.set_ylabel("function evaluations")
    costs.set_ylim(bottom=0.0)
    for axes in (sizes, costs):
        axes.legend(loc="best", fontsize=9)
    return figure


def confusion(study: digits.Study, theme: Theme) -> Figure:
    """How many test images of each digit were taken for which, for both models."""
    figure = Figure(figsize=(6.6, 3.7))
    for axes, model in zip(figure.subplots(1, 2, sharey=True), study.models, strict=True):
        counts = model.outcome.confusion.numpy()
        axes.grid(False)
        axes.imshow(np.sqrt(counts), cmap=fading(theme.blue), vmin=0.0)
        full = counts > counts.max() / 3
        for row, column in np.argwhere(counts):
            colour = theme.paper if full[row, column] else theme.ink
            axes.text(column, row, str(counts[row, column]), ha="center", va="center", fontsize=8, color=colour)
        axes.set_xticks(range(CLASSES))
        axes.set_yticks(range(CLASSES))
        axes.set_xlabel("predicted digit")
        axes.set_title(model.name)
    figure.axes[0].set_ylabel("true digit")
    return figure


def fading(colour: str) -> LinearSegmentedColormap:
    """From transparent to a colour."""
    return LinearSegmentedColormap.from_list("fading", [to_rgba(colour, 0.0), to_rgba(colour, 1.0)])


def mistaken(study: digits.Study) -> list[int]:
    """Rows of the test images that at least one model classified wrongly."""
    both_right = study.plain.outcome.right & study.penalised.outcome.right
    return (~both_right).nonzero().flatten().tolist()


def mistakes(study: digits.Study, theme: Theme, most: int = 10) -> Figure:
    """Test images that at least one model classified wrongly, with both readings."""
    columns, wrong, images = 5, mistaken(study)[:most], study.split.test
    rows = max(1, -(-len(wrong) // columns))
    figure = Figure(figsize=(6.6, 1.6 * rows + 0.2))
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    for axes, row in zip(grid.flat, wrong, strict=False):
        axes.imshow(images.pixels[row].view(SIDE, SIDE).numpy(), cmap=fading(theme.ink), vmin=0, vmax=1)
        plain, penalised = (int(model.outcome.predicted[row]) for model in study.models)
        axes.set_title(f"{int(images.labels[row])} read as {plain} / {penalised}", fontsize=9)
    return figure


def pictures(study: digits.Study) -> list[Picture]:
    """The pictures of the second study."""
    wrong, shown = len(mistaken(study)), 10
    return [
        render(
            "digits_training",
            "Training, side by side",
            "Function evaluations of a training solve (mean over the epoch), share of the validation images classified "
            "wrongly (linear below 10%, logarithmic above), and their cross-entropy. The points mark the epochs that "
            "were kept.",
            lambda theme: training(study, theme),
        ),
        render(
            "digits_flow",
            "The images on their way",
            "The test images as each flow carries them from t = 0 to t = 1, one colour a digit, seen in the plane of "
            "the first two linear discriminants of the training images at t = 1. Each panel has a scale of its own.",
            lambda theme: flow(study, theme),
        ),
        render(
            "digits_cost",
            "Where the evaluations go",
            "Above: the accepted steps of the solve that classifies the test images; the last one ends at t = 1. "
            "Below: what that solve costs at other tolerances; the dashed line marks that of the training.",
            lambda theme: cost(study, theme),
        ),
        render(
            "digits_confusion",
            "Confusion matrices",
            f"Test images of each digit (rows) by predicted digit (columns), {len(study.split.test)} in all.",
            lambda theme: confusion(study, theme),
        ),
        render(
            "digits_mistakes",
            "Mistakes",
            "Test images that at least one model misread, with the readings of the plain / the penalised one: "
            f"{min(wrong, shown)} of {wrong}.",
            lambda theme: mistakes(study, theme, shown),
        ),
    ]
