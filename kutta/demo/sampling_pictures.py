"""The pictures of the third study: samplers on a mixture in the plane and on a model of digits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor
from torch.nn import functional

from kutta.demo import sampling
from kutta.demo.classifier import CLASSES, SIDE
from kutta.demo.digits_pictures import fading
from kutta.demo.pictures import Picture, Theme, render

# Okabe and Ito's colours without black and yellow, which one theme or the other would hide, and a grey.
COLOURS = ("#8a8f98", "#e69f00", "#56b4e9", "#cc79a7", "#d55e00", "#009e73", "#0f77c0")
MARKS = ("o", "s", "^", "v", "D", "P", "X")
SHOWN = ("DDIM", "UniPC", "GHVB 2.8", "exponential 3")
"""The samplers whose digits are shown."""


def paths(study: sampling.Mixture, theme: Theme) -> Figure:
    """Some samples on their way, by two samplers and exactly."""
    figure = Figure(figsize=(8.2, 4.3))
    for axes, (name, states), colour in zip(
        figure.subplots(1, 2, sharey=True), study.paths.items(), (theme.orange, theme.blue), strict=True
    ):
        axes.scatter(*study.data.T, s=5, color=theme.ink, alpha=0.3, linewidths=0, label="data")
        for sample in range(states.shape[1]):
            axes.plot(*study.exact[:, sample].T, color=theme.ink, linewidth=1.0, alpha=0.7)
            axes.plot(*states[:, sample].T, "o-", color=colour, linewidth=1.2, markersize=3)
        axes.plot([], [], color=theme.ink, linewidth=1.0, label="exact")
        axes.plot([], [], "o-", color=colour, markersize=3, label="sampled")
        axes.set_title(f"{name}, {len(states) - 1} evaluations")
        axes.set_aspect("equal")
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.08), ncols=3, fontsize=9, markerscale=1.5)
    return figure


def errors(study: sampling.Mixture, theme: Theme) -> Figure:
    """Error against evaluations of all samplers."""
    figure = Figure(figsize=(6.6, 5.0))
    axes = figure.subplots()
    for (name, curve), colour, mark in zip(study.curves.items(), COLOURS, MARKS, strict=True):
        axes.plot(curve.evaluations, curve.errors, color=colour, marker=mark, markersize=5.5, linewidth=1.6, label=name)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xticks(ticks := [5, 10, 20, 40, 80], [str(tick) for tick in ticks])
    axes.minorticks_off()
    axes.set_xlabel("evaluations of the model")
    axes.set_ylabel("mean distance from the exact end states")
    axes.legend(loc="lower left", fontsize=9)
    return figure


def samples(study: sampling.Digits, theme: Theme) -> Figure:
    """Digits from the same noise, by some samplers at few evaluations, and exactly."""
    figure = Figure(figsize=(6.6, 9.0))
    count = len(SHOWN)
    panels = figure.subplots(len(sampling.FEW) + 1, 1, gridspec_kw={"height_ratios": [count] * len(sampling.FEW) + [1]})
    for axes, steps in zip(panels[:-1], sampling.FEW, strict=True):
        _rows_of_digits(axes, torch.stack([study.images[name, steps] for name in SHOWN]), SHOWN, theme)
        axes.set_title(f"{steps} evaluations")
    _rows_of_digits(panels[-1], study.exact[None], ["exact"], theme)
    return figure


def digit_paths(study: sampling.Digits, theme: Theme) -> Figure:
    """From noise to digits: a row a time."""
    figure = Figure(figsize=(6.6, 6.3))
    _rows_of_digits(figure.subplots(), study.paths, [f"t = {t:.2f}" for t in study.ts.tolist()], theme)
    return figure


def _rows_of_digits(axes: Any, images: Tensor, names: Sequence[str], theme: Theme) -> None:
    """Images ``(R, 10, 64)`` as rows with names, a gap of one pixel around each."""
    rows, cell = len(images), SIDE + 1
    cells = functional.pad(images.view(rows, CLASSES, SIDE, SIDE), (0, 1, 0, 1), value=-1.0)
    page = cells.permute(0, 2, 1, 3).reshape(rows * cell, CLASSES * cell)[:-1, :-1]
    axes.imshow(page.numpy(), cmap=fading(theme.ink), vmin=-1.0, vmax=1.0)
    axes.set_yticks([cell * row + 0.5 * (SIDE - 1) for row in range(rows)], names)
    axes.set_xticks([])
    axes.tick_params(length=0)
    axes.grid(False)
    axes.spines[:].set_visible(False)


def pictures(study: sampling.Study) -> list[Picture]:
    """The pictures of the third study."""
    mixture, digits = study.mixture, study.digits
    return [
        render(
            "sampling_paths",
            "From noise to data in the plane",
            "Twelve samples on their way from noise to a mixture of seven blobs, by two samplers with ten evaluations "
            "each, over the exact paths.",
            lambda theme: paths(mixture, theme),
        ),
        render(
            "sampling_errors",
            "Error against evaluations",
            f"Mean distance of {mixture.samples} samples from the exact ends of their paths. The adaptive sampler is "
            "run at several tolerances; its evaluations are those of the sample that needs most.",
            lambda theme: errors(mixture, theme),
        ),
        render(
            "sampling_digits",
            "Digits from the same noise",
            "The digits from 0 to 9, by four samplers with 4, 6 and 10 evaluations of the model. In the last row, the "
            "exact ends of their paths.",
            lambda theme: samples(digits, theme),
        ),
        render(
            "sampling_digit_paths",
            "From noise to digits",
            "The same digits by DPM-Solver++ 2M with ten evaluations, after each of its steps.",
            lambda theme: digit_paths(digits, theme),
        ),
    ]
