"""The pictures of the third study: samplers on a mixture in the plane and on a model of digits."""

from __future__ import annotations

from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor

from kutta.demo import sampling
from kutta.demo.classifier import CLASSES, SIDE
from kutta.demo.digits_pictures import fading
from kutta.demo.pictures import Picture, Theme, render

# Okabe and Ito's colours without black and yellow, which one theme or the other would hide, and a grey.
COLOURS = ("#8a8f98", "#e69f00", "#56b4e9", "#cc79a7", "#d55e00", "#009e73", "#0f77c0")
MARKS = ("o", "s", "^", "v", "D", "P", "X")


def paths(study: sampling.Mixture, theme: Theme) -> Figure:
    """Some samples on their way, by two samplers and exactly."""
    figure = Figure(figsize=(8.2, 4.3))
    for axes, (name, states), colour in zip(
        figure.subplots(1, 2, sharey=True), study.paths.items(), (theme.orange, theme.blue), strict=True
    ):
        axes.scatter(*study.data.T, s=4, color=theme.faint, linewidths=0, label="data")
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
    """Digits from the same noise, by all samplers at few evaluations, and exactly."""
    names = list(dict.fromkeys(name for name, _ in study.images))
    figure = Figure(figsize=(8.2, 7.6))
    columns = figure.subplots(len(names) + 1, len(sampling.FEW), gridspec_kw={"hspace": 0.05, "wspace": 0.03})
    for column, steps in enumerate(sampling.FEW):
        for row, name in enumerate(names):
            _strip(columns[row, column], study.images[name, steps], theme)
        _strip(columns[-1, column], study.exact, theme)
        columns[0, column].set_title(f"{steps} evaluations")
    for axes, name in zip(columns[:, 0], (*names, "exact"), strict=True):
        axes.set_ylabel(name, rotation=0, ha="right", va="center")
    return figure


def digit_paths(study: sampling.Digits, theme: Theme) -> Figure:
    """From noise to digits: a row a time."""
    figure = Figure(figsize=(6.6, 7.0))
    rows = figure.subplots(len(study.ts), 1, gridspec_kw={"hspace": 0.0})
    for axes, t, images in zip(rows, study.ts.tolist(), study.paths, strict=True):
        _strip(axes, images, theme)
        axes.set_ylabel(f"t = {t:.2f}", rotation=0, ha="right", va="center")
    return figure


def _strip(axes: Any, images: Tensor, theme: Theme) -> None:
    """The ten digits in a line, with a gap between each two."""
    gap = -torch.ones(CLASSES, SIDE, 1)
    line = torch.cat((images.view(CLASSES, SIDE, SIDE), gap), dim=2).permute(1, 0, 2).reshape(SIDE, -1)[:, :-1]
    axes.imshow(line.numpy(), cmap=fading(theme.ink), vmin=-1.0, vmax=1.0)
    axes.set_xticks([])
    axes.set_yticks([])
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
            "The digits from 0 to 9, by each sampler with 4, 6 and 10 evaluations of the model. The last row shows the "
            "exact ends of the paths.",
            lambda theme: samples(digits, theme),
        ),
        render(
            "sampling_digit_paths",
            "From noise to digits",
            "The same digits by DPM-Solver++ 2M with ten evaluations, after each of its steps.",
            lambda theme: digit_paths(digits, theme),
        ),
    ]
