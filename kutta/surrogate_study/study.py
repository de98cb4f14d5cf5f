"""A whole study: data, training, and what each network is worth beside classical methods."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from kutta.operators import Surrogate, metrics
from kutta.operators.comparison.compare import Row, break_even, compare, fastest
from kutta.operators.data.fields import Data
from kutta.operators.learning import evaluate
from kutta.surrogate_study.families import FAMILIES, ladder, reference
from kutta.surrogate_study.folder import Folder
from kutta.surrogate_study.machine import Machine
from kutta.surrogate_study.networks import FITTED
from kutta.surrogate_study.samples import Parts, samples
from kutta.surrogate_study.settings import Settings
from kutta.surrogate_study.training import Trained, trained

# Another seed than those of any data.
_PROBLEMS = 2**40

# Some new problems lie beyond the range of the training samples. What a network makes of these is part of its error on
# the family, and no reason to end the comparison, so none is refused.
_MARGIN = 1e6


def error_at_sides(u: Tensor, target: Tensor, grid: Any) -> Tensor:
    """The root mean square error next to the sides, in units of the root mean square of the solution."""
    return metrics.boundary_error(u, target, grid) / metrics.rmse(target, torch.zeros_like(target), grid)


METRICS = {
    "relative L2": metrics.relative_l2,
    "relative H1": metrics.relative_h1,
    "error at the sides": error_at_sides,
}


@dataclass(frozen=True)
class Outcome:
    """What a network achieved.

    Attributes:
        trained: the network.
        errors: means over the test samples, by the names of `METRICS`.
        predicted: fields of the test samples, ``(n, o, *shape)``.
        row: its error and its time on new problems.
        classical: the fastest classical method that is no less exact there.
        pays_after: so many problems; infinite if it is not faster.
    """

    trained: Trained
    errors: Mapping[str, float]
    predicted: Tensor
    row: Row
    classical: Row
    pays_after: float

    @property
    def speedup(self) -> float:
        """The time of the classical method over its own."""
        return self.classical.seconds / self.row.seconds


@dataclass(frozen=True)
class Study:
    """All that was done.

    Attributes:
        settings: what was asked for.
        parts: of the data.
        outcomes: of the networks.
        baseline: the name of the prediction that takes no learning, and its errors.
        classical: other methods, the last of which made the data: errors are measured against it.
        machine: where they were compared.
    """

    settings: Settings
    parts: Parts
    outcomes: Sequence[Outcome]
    baseline: tuple[str, Mapping[str, float]]
    classical: Sequence[Row]
    machine: Machine

    @property
    def reference(self) -> Row:
        """The method that made the data."""
        return self.classical[-1]


def study(settings: Settings, folder: Folder, progress: bool = False) -> Study:
    """Make the data, train the networks, and measure.

    Args:
        settings: of the study.
        folder: for what takes long: data and checkpoints.
        progress: whether to show bars.

    Raises:
        ProblemFileError: for data or runs of other settings, before anything is computed.
    """
    for name, network in settings.networks.items():
        if network.kind not in FITTED:
            folder.run(name).check(settings.of_network(name))
    parts = samples(settings, folder, progress)
    networks = [trained(settings, name, parts, folder, progress) for name in settings.networks]
    family, known = settings.samples.made(), FAMILIES[settings.samples.family]
    seed, asked = _PROBLEMS + settings.seed, settings.comparison
    classical = ladder(known, family.draw(asked.problems, torch.Generator().manual_seed(seed)))
    classical[reference(known, family)] = (family.method, dict(family.options))
    methods = {one.name: Surrogate(one.model, margin=_MARGIN) for one in networks} | classical
    rows = {row.name: row for row in compare(family, methods, asked.problems, asked.rounds, seed, progress)}
    rungs = [rows[name] for name in classical]
    outcomes = [_outcome(one, parts, rows[one.name], rungs) for one in networks]
    return Study(settings, parts, outcomes, _baseline(parts), rungs, Machine.here())


def _outcome(one: Trained, parts: Parts, row: Row, rungs: Sequence[Row]) -> Outcome:
    classical = fastest(rungs, row.error)
    pays_after = break_even(parts.paid + one.seconds, row, classical)
    return Outcome(
        one, evaluate(one.model, parts.test, METRICS), _predicted(one, parts.test), row, classical, pays_after
    )


@torch.no_grad()
def _predicted(one: Trained, data: Data, batch: int = 64) -> Tensor:
    return torch.cat([one.model(a, data.scope.grid) for a in data.inputs.split(batch)])


def _baseline(parts: Parts) -> tuple[str, dict[str, float]]:
    """That nothing changes, or of equations without time, that all solutions are alike."""
    test, scope = parts.test, parts.test.scope
    if scope.step is None:
        name, u = "mean solution", parts.training.outputs.mean(0).expand_as(test.outputs)
    else:
        name, u = "persistence", test.inputs[:, : len(scope.components)]
    return name, {key: float(metric(u, test.outputs, scope.grid).mean()) for key, metric in METRICS.items()}
