"""The whole demo: all studies, the report, and a short table in the terminal."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from kutta.demo import (
    digits,
    digits_flow,
    hard_constraints,
    hard_constraints_report,
    hare_lynx,
    report,
    sampling,
    sampling_report,
    surrogates,
)
from kutta.demo.classifier import Settings
from kutta.surrogate_study.settings import read
from kutta.surrogate_study.table import tables
from kutta.text_table import in_terminal

if TYPE_CHECKING:
    from rich.table import Table

    from kutta.surrogate_study.study import Study as Surrogates

QUICK = Settings(epochs=6)
QUICK_FLOW = digits_flow.Settings(width=128, steps=300, average=0.98)
QUICK_CONSTRAINTS = hard_constraints.Settings(points=32, times=8, steps=30)
MODEL = "digits-flow"
"""The folder of the model of digits, inside that of the report."""
SURROGATES = "darcy-surrogates"
"""The folder of the networks in the place of a solver."""


def run(folder: Path, seed: int = 0, quick: bool = False, progress: bool = True) -> Path:
    """Run all studies, write the report and save the models.

    That of digits is what `kutta sample` takes.

    Args:
        folder: where the report, its pictures and the models go; made when missing.
        seed: of everything random.
        quick: fewer draws, epochs and samples.
        progress: show progress bars.

    Returns:
        the path of the report.
    """
    began = time.perf_counter()
    with digits.one_thread():
        hares = hare_lynx.study(seed, draws=60 if quick else 500, progress=progress)
    images = digits.study(seed, QUICK if quick else None, progress=progress)
    samples = sampling.study(seed, QUICK_FLOW if quick else None, samples=200 if quick else 1000, progress=progress)
    few = read(surrogates.QUICK) if quick else None
    networks = surrogates.study(folder / SURROGATES, seed, few, progress=progress)
    constrained = hard_constraints.study(seed, QUICK_CONSTRAINTS if quick else None, progress=progress)
    content = report.content_of(hares, images, samples, networks, constrained, seed, time.perf_counter() - began)
    path = report.write(content, folder)
    digits_flow.save(samples.digits.model, samples.digits.settings, folder / MODEL)
    _summarise(hares, images, samples, networks, constrained, path)
    return path


def _summarise(
    hares: hare_lynx.Study,
    images: digits.Study,
    samples: sampling.Study,
    networks: Surrogates,
    constrained: hard_constraints.Study,
    path: Path,
) -> None:
    from rich.console import Console

    console = Console()
    console.print()
    console.print(parameter_summary(hares))
    console.print(cost_summary(hares))
    console.print(digits_summary(images))
    console.print(sampling_summary(samples))
    for shown in tables(networks):
        console.print(in_terminal(replace(shown, title=f"Darcy flow by networks: {shown.title.lower()}")))
    console.print(constraints_summary(constrained))
    console.print("Report:", str(path), soft_wrap=True, highlight=False)


def parameter_summary(hares: hare_lynx.Study) -> Table:
    """The four rates beside the published ones, as a rich table."""
    from rich.table import Table

    table = Table("rate", "estimate", "published, with 80% interval", title="Hare and lynx")
    for row, (name, published) in enumerate(hare_lynx.CARPENTER.items()):
        value, error = float(hares.fit.values[row]), float(hares.fit.standard_errors[row])
        places = hare_lynx.decimals(value)
        table.add_row(
            name,
            f"{value:.{places + 1}f} ± {error:.{places + 1}f}",
            f"{published.mean:.{places}f} ({published.low:.{places}f} to {published.high:.{places}f})",
        )
    return table


def cost_summary(hares: hare_lynx.Study) -> Table:
    """Quality, function evaluations and time of fit and forecast, as a rich table."""
    from rich.table import Table

    fit, ahead = hares.fit, hares.ahead
    table = Table("task", "result")
    table.add_column("function\nevaluations", justify="right")
    table.add_column("time", justify="right")
    table.add_row(
        "fit",
        f"log variance explained {fit.explained:.1%}",
        f"{fit.function_evaluations:,}",
        report.seconds(fit.seconds),
    )
    table.add_row(
        f"forecast, {ahead.populations.shape[1]} draws",
        f"record in 90% interval {hares.coverage[0.9]:.0%}",
        f"{ahead.function_evaluations:,}",
        report.seconds(ahead.seconds),
    )
    return table


def digits_summary(images: digits.Study) -> Table:
    """The plain and the penalised classifier beside each other, as a rich table."""
    return in_terminal(replace(report.digits_table(images), title="Handwritten digits"))


def sampling_summary(samples: sampling.Study) -> Table:
    """The Fréchet distances of sampled digits, as a rich table."""
    shown = sampling_report.distance_table(samples.digits)
    return in_terminal(replace(shown, title="Sampled digits, Fréchet distance"))


def constraints_summary(constrained: hard_constraints.Study) -> Table:
    """Networks that know an equation, beside a solver, as a rich table."""
    shown = hard_constraints_report.comparison_table(constrained)
    return in_terminal(replace(shown, title="Diffusion and sorption by networks that know the equation"))
