"""The honest tables: how exact networks are, and what they cost beside a solver that is no more exact than they are."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from kutta.durations import seconds
from kutta.surrogate_study.study import METRICS, Outcome, Study
from kutta.text_table import TextTable, in_markdown

NOTE = (
    "Errors are means over {tests} test samples. Times: {problems} new problems as one batch in PyTorch's eager mode, "
    "the median of {rounds} rounds in which all methods took turns, for one problem; beside them the median error over "
    "these problems, against {reference}, on the same grid. As exact: the fastest of {rungs} classical methods whose "
    "median error is no larger, with looser and tighter tolerances, on fewer points, and in float32 and float64. "
    "Networks compute in float32. A network has paid for itself when it has made up for its training and for the "
    "{paid} that its data took to solve. Methods were compared on the CPU ({processor}) with {threads}; networks were "
    "trained on {devices}. {versions}."
)


def errors(study: Study) -> TextTable:
    """How exact the networks are, and what they were made from."""
    sides = any(one.errors["error at the sides"] > 0.0 for one in study.outcomes)
    columns = [name for name in METRICS if sides or name != "error at the sides"]
    rows = [_errors_of(one, columns) for one in study.outcomes]
    name, found = study.baseline
    rows.append((name, "–", "–", *(percent(found[column]) for column in columns)))
    return TextTable("errors", "Errors", ("network", "weights", "training", *columns), rows)


def costs(study: Study) -> TextTable:
    """Time for a problem, beside classical methods."""
    header = ("network", "median error", "time", "as exact", "its time", "speed-up", "pays after")
    rows = [_costs_of(one) for one in study.outcomes]
    row = study.reference
    rows.append(("solver of the data", "–", seconds(row.seconds), row.name, *["–"] * 3))
    return TextTable("costs", "Time for a problem", header, rows, words=("as exact",))


def tables(study: Study) -> tuple[TextTable, TextTable]:
    """Both."""
    return errors(study), costs(study)


def note(study: Study) -> str:
    """How the figures came about."""
    asked, machine = study.settings.comparison, study.machine
    devices = [one.trained.device for one in study.outcomes]
    return NOTE.format(
        tests=len(study.parts.test),
        problems=asked.problems,
        rounds=asked.rounds,
        reference=study.reference.name,
        rungs=len(study.classical),
        paid=seconds(study.parts.paid),
        processor=machine.processor,
        threads=f"{machine.threads} thread{'s' * (machine.threads > 1)}",
        devices=" and ".join(dict.fromkeys("the CPU" if one == "CPU" else one for one in devices)),
        versions=", ".join(f"{name} {number}" for name, number in machine.versions.items()),
    )


def markdown(study: Study) -> str:
    """The tables as a page in Markdown."""
    parts = [f"# {study.settings.title}"]
    for one in tables(study):
        parts += [f"## {one.title}", in_markdown(one)]
    return "\n\n".join([*parts, note(study), ""])


def figures(study: Study) -> dict[str, Any]:
    """The same as plain numbers, which JSON holds; nothing stands for those that are not finite, such as of never."""
    name, found = study.baseline
    return _finite(
        {
            "networks": {one.trained.name: _figures_of(one) for one in study.outcomes},
            "baseline": {"name": name, "errors": dict(found)},
            "classical": [vars(row) for row in study.classical],
            "data_seconds": study.parts.seconds,
            "data_seconds_paid": study.parts.paid,
            "data": study.settings.of_data,
            "comparison": {**asdict(study.settings.comparison), "networks_in": "float32", "device": "CPU"},
            "machine": vars(study.machine),
            "settings": {name: study.settings.of_network(name) for name in study.settings.networks},
        }
    )


def percent(value: float) -> str:
    """A relative error."""
    return f"{100.0 * value:.3g}%"


def problems(count: float) -> str:
    """After how many a network has paid for itself."""
    return "never" if math.isinf(count) else f"{float(f'{count:.2g}'):,.0f}"


def _errors_of(one: Outcome, columns: Sequence[str]) -> tuple[str, ...]:
    weights = f"{one.trained.model.network.parameter_count:,}"
    return (one.trained.name, weights, seconds(one.trained.seconds), *(percent(one.errors[name]) for name in columns))


def _costs_of(one: Outcome) -> tuple[str, ...]:
    mine = (one.trained.name, percent(one.row.error), seconds(one.row.seconds))
    theirs = (one.classical.name, seconds(one.classical.seconds))
    return (*mine, *theirs, f"{one.speedup:.2g}", problems(one.pays_after))


def _figures_of(one: Outcome) -> dict[str, Any]:
    return {
        "kind": one.trained.kind,
        "parameters": one.trained.model.network.parameter_count,
        "errors": dict(one.errors),
        "training_seconds": one.trained.seconds,
        "training_device": one.trained.device,
        "curves": {name: list(values) for name, values in one.trained.curves.items()},
        "on_new_problems": vars(one.row),
        "classical": vars(one.classical),
        "speedup": one.speedup,
        "pays_after": one.pays_after,
    }


def _finite(values: Any) -> Any:
    """Numbers that are not finite, which JSON has not, as nothing."""
    if isinstance(values, Mapping):
        return {name: _finite(one) for name, one in values.items()}
    if isinstance(values, list):
        return [_finite(one) for one in values]
    return None if isinstance(values, float) and not math.isfinite(values) else values
