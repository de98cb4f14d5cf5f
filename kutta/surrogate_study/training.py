"""Networks of a study, trained; a run that was killed goes on, and one that has ended is only read."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch

from kutta.operators.baselines.pod_regression import PODRegression
from kutta.operators.learning import train
from kutta.operators.trained_operator import TrainedOperator
from kutta.problem_files.section import told
from kutta.surrogate_study.folder import Folder
from kutta.surrogate_study.networks import FITTED
from kutta.surrogate_study.samples import Parts
from kutta.surrogate_study.settings import LOSSES, Settings


@dataclass(frozen=True)
class Trained:
    """A network that has learned.

    Attributes:
        name: of it in the file.
        kind: the name of its class.
        model: with its units and its scope.
        curves: the figures of every epoch, see `kutta.operators.train`; none of what is fitted at once.
        seconds: wall time of its training.
    """

    name: str
    kind: str
    model: TrainedOperator
    curves: Mapping[str, Sequence[float]]
    seconds: float


def trained(settings: Settings, name: str, parts: Parts, folder: Folder, progress: bool) -> Trained:
    """A network of the study.

    Args:
        settings: of the study.
        name: of the network.
        parts: of the data.
        folder: of the study.
        progress: whether to show a bar.

    Raises:
        ProblemFileError: where there is a run of other settings, or what is asked for cannot be trained.
    """
    network = settings.networks[name]
    learn = _fitted if network.kind in FITTED else _in_steps
    with told(f"networks.{name}"):
        operator = network.build(parts.training.scope, settings.seed)
        model = TrainedOperator.for_data(operator, parts.training, network.change)
        curves, seconds = learn(model, settings, name, parts, folder, progress)
        _check_finite(model)
    model.requires_grad_(False).eval()
    return Trained(name, network.kind, model, curves, seconds)


def _check_finite(model: TrainedOperator) -> None:
    if not all(bool(torch.isfinite(one).all()) for one in model.parameters()):
        raise ValueError("training diverged, its weights are not finite: take a smaller lr, and begin with --restart")


def _in_steps(
    model: TrainedOperator, settings: Settings, name: str, parts: Parts, folder: Folder, progress: bool
) -> tuple[Mapping[str, Sequence[float]], float]:
    run, given = folder.run(name, settings.of_network(name)), asdict(settings.training[name])
    loss = LOSSES[given.pop("loss")]
    options: dict[str, Any] = {"folder": run, "seed": settings.seed, "progress": name if progress else False}
    figures = train(model, parts.training, validation=parts.validation, loss=loss, **given, **options)
    return figures, figures.seconds


def _fitted(
    model: TrainedOperator, settings: Settings, name: str, parts: Parts, folder: Folder, progress: bool
) -> tuple[Mapping[str, Sequence[float]], float]:
    """By least squares, which takes less time than to read what was fitted before."""
    network, data = model.network, parts.training
    assert isinstance(network, PODRegression)
    began = time.perf_counter()
    known = data.inputs[:, : network.out_channels] if model.change else 0.0
    network.fit(model.of_inputs(data.inputs), model.of_outputs(data.outputs - known))
    return {}, time.perf_counter() - began
