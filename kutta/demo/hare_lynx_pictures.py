"""The pictures of the first study: forecast, phase portrait, and estimates beside the published ones."""

from __future__ import annotations

from typing import Any

from matplotlib.figure import Figure
from torch import Tensor

from kutta.demo import hare_lynx
from kutta.demo.pictures import Picture, Theme, render


def forecast(study: hare_lynx.Study, theme: Theme) -> Figure:
    """Record, fitted curve and prediction intervals of both species over the years."""
    figure = Figure(figsize=(6.4, 5.2))
    upper, lower = figure.subplots(2, 1, sharex=True)
    for axes, species, name, colour in ((upper, 0, "hares", theme.blue), (lower, 1, "lynx", theme.orange)):
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
        axes.plot(orbit[:, 0], orbit[:, 1], color=theme.teal, alpha=0.10, linewidth=0.8)
    fitted = hare_lynx.solve_record(study.fit.p, study.ahead.years[cycle]).ys
    axes.plot(fitted[:, 0], fitted[:, 1], color=theme.teal, linewidth=2.0, label="fitted orbit")
    pelts = study.record.pelts
    axes.plot(pelts[:, 0], pelts[:, 1], "o-", color=theme.ink, linewidth=0.7, markersize=4, label="record")
    alpha, beta, gamma, delta = study.fit.values[:4].tolist()
    axes.plot(gamma / delta, alpha / beta, "x", color=theme.teal, markersize=8, label="equilibrium (γ/δ, α/β)")
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
        for shift, (mean, *ends), colour, mark in ((-0.13, ours, theme.teal, "o"), (0.13, theirs, theme.orange, "s")):
            axes.plot(ends, [row + shift] * 2, color=colour, linewidth=2.2, solid_capstyle="butt")
            axes.plot(mean, row + shift, mark, color=colour, markersize=7)
    axes.plot([], [], "o-", color=theme.teal, label="this fit")
    axes.plot([], [], "s-", color=theme.orange, label="published")
    axes.set_yticks(range(len(hare_lynx.CARPENTER)), [hare_lynx.SYMBOLS[name] for name in hare_lynx.CARPENTER], size=13)
    axes.set_ylim(len(hare_lynx.CARPENTER) - 0.4, -1.0)
    axes.grid(False, axis="y")
    axes.set_xlabel("value / published mean")
    axes.legend(loc="upper right", ncols=2, fontsize=9)
    return figure


def pictures(study: hare_lynx.Study) -> list[Picture]:
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
