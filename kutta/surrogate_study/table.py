"""The honest tables: how exact networks are, and what they cost beside a solver that is no more exact than they are."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from kutta.durations import seconds
from kutta.surrogate_study.study import METRICS, Outcome, Study

NOTE = (
    "Errors are means over {tests} test samples. Times: {problems} new problems as one batch in PyTorch's eager mode, "
    "the median of {rounds} rounds in which all methods took turns, for one problem; and the median error, against "
    "{reference}, on the same grid. As exact: the fastest of {rungs} classical methods whose error is no larger, with "
    "looser and tighter tolerances and on fewer points. A network has paid for itself when it has made up for its "
    "training and for the {paid} that its data took to solve."
)

# Columns of words, not of numbers.
WORDS = ("network", "as exact")


@dataclass(frozen=True)
class Shown:
    """A table of text.

    Attributes:
        title: its caption.
        header: names of the columns.
        rows: the first cell of each names the row.
    """

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]


def errors(study: Study) -> Shown:
    """How exact the networks are, and what they were made from."""
    sides = any(one.errors["error at the sides"] > 0.0 for one in study.outcomes)
    columns = [name for name in METRICS if sides or name != "error at the sides"]
    rows = [_errors_of(one, columns) for one in study.outcomes]
    name, found = study.baseline
    rows.append((name, "–", "–", *(percent(found[column]) for column in columns)))
    return Shown("Errors", ("network", "weights", "training", *columns), rows)


def costs(study: Study) -> Shown:
    """Time for a problem, beside classical methods."""
    header = ("network", "error", "time", "as exact", "its time", "speed-up", "pays after")
    rows = [_costs_of(one) for one in study.outcomes]
    row = study.reference
    rows.append(("solver of the data", "–", seconds(row.seconds), row.name, *["–"] * 3))
    return Shown("Time for a problem", header, rows)


def tables(study: Study) -> tuple[Shown, Shown]:
    """Both."""
    return errors(study), costs(study)


def note(study: Study) -> str:
    """How the figures came about."""
    asked = study.settings.comparison
    return NOTE.format(
        tests=len(study.parts.test),
        problems=asked.problems,
        rounds=asked.rounds,
        reference=study.reference.name,
        rungs=len(study.classical),
        paid=seconds(study.parts.paid),
    )


def markdown(study: Study) -> str:
    """The tables as a page in Markdown."""
    parts = [f"# {study.settings.title}"]
    for one in tables(study):
        lines = [one.header, ["---" if name in WORDS else "---:" for name in one.header], *one.rows]
        parts += [f"## {one.title}", "\n".join(f"| {' | '.join(line)} |" for line in lines)]
    return "\n\n".join([*parts, note(study), ""])


def figures(study: Study) -> dict[str, Any]:
    """The same as plain numbers, which JSON holds."""
    name, found = study.baseline
    return {
        "networks": {one.trained.name: _figures_of(one) for one in study.outcomes},
        "baseline": {"name": name, "errors": dict(found)},
        "classical": [vars(row) for row in study.classical],
        "data_seconds": study.parts.seconds,
        "data_seconds_paid": study.parts.paid,
        "settings": {name: study.settings.of_network(name) for name in study.settings.networks},
    }


def percent(value: float) -> str:
    """A relative error."""
    return f"{100.0 * value:.3g}%"


def problems(count: float) -> str:
    """After how many a network has paid for itself."""
    return "never" if math.isinf(count) else f"{float(f'{count:.2g}'):,.0f}"


def _errors_of(one: Outcome, columns: Sequence[str]) -> tuple[str, ...]:
    network = one.trained.model.network
    weights = f"{sum(weight.numel() for weight in network.parameters()):,}"
    return (one.trained.name, weights, seconds(one.trained.seconds), *(percent(one.errors[name]) for name in columns))


def _costs_of(one: Outcome) -> tuple[str, ...]:
    mine = (one.trained.name, percent(one.row.error), seconds(one.row.seconds))
    theirs = (one.classical.name, seconds(one.classical.seconds))
    return (*mine, *theirs, f"{one.speedup:.2g}", problems(one.pays_after))


def _figures_of(one: Outcome) -> dict[str, Any]:
    return {
        "kind": one.trained.kind,
        "errors": dict(one.errors),
        "training_seconds": one.trained.seconds,
        "curves": {name: list(values) for name, values in one.trained.curves.items()},
        "on_new_problems": vars(one.row),
        "classical": vars(one.classical),
        "speedup": one.speedup,
        "pays_after": None if math.isinf(one.pays_after) else one.pays_after,
    }
