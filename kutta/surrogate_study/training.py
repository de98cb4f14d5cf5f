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
from kutta.problem_files.section import ProblemFileError, told
from kutta.surrogate_study.folder import Folder
from kutta.surrogate_study.machine import training_device
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
        device: that it was trained on.
    """

    name: str
    kind: str
    model: TrainedOperator
    curves: Mapping[str, Sequence[float]]
    seconds: float
    device: str


def trained(settings: Settings, name: str, parts: Parts, folder: Folder, progress: bool) -> Trained:
    """A network of the study.

    Args:
        settings: of the study.
        name: of the network.
        parts: of the data.
        folder: of the study.
        progress: whether to show a bar.

    Raises:
        ProblemFileError: where there is a run of other settings, or what is asked for cannot be built, or diverges.
    """
    network = settings.networks[name]
    with told(f"networks.{name}"):
        operator = network.build(parts.training.scope, settings.seed)
        model = TrainedOperator.for_data(operator, parts.training, network.change)
    learned = (
        _fitted(model, name, parts)
        if network.kind in FITTED
        else _in_steps(model, name, settings, parts, folder, progress)
    )
    model.requires_grad_(False).eval()
    return Trained(name, network.kind, model, **learned)


def _in_steps(
    model: TrainedOperator, name: str, settings: Settings, parts: Parts, folder: Folder, progress: bool
) -> dict[str, Any]:
    """By descent, in a run of the folder; a failure here need not be the file's fault, and goes its own way."""
    run, given = folder.run(name), asdict(settings.training[name])
    run.begin(settings.of_network(name), training_device(given["accelerator"]))
    loss = LOSSES[given.pop("loss")]
    options: dict[str, Any] = {"folder": run.path, "seed": settings.seed, "progress": name if progress else False}
    figures = train(model, parts.training, validation=parts.validation, loss=loss, **given, **options)
    if not _is_finite(model):
        run.note_divergence()
        raise ProblemFileError(
            f"networks.{name}: training diverged, its weights are not finite: take a smaller lr, and --restart, which "
            "takes away this run"
        )
    return {"curves": figures, "seconds": figures.seconds, "device": run.device()}


def _fitted(model: TrainedOperator, name: str, parts: Parts) -> dict[str, Any]:
    """By least squares, which takes less time than to read what was fitted before."""
    network, data = model.network, parts.training
    assert isinstance(network, PODRegression)
    began = time.perf_counter()
    known = data.inputs[:, : network.out_channels] if model.change else 0.0
    with told(f"networks.{name}"):
        network.fit(model.of_inputs(data.inputs), model.of_outputs(data.outputs - known))
        if not _is_finite(model):
            raise ValueError("its weights are not finite: take fewer modes, or a ridge")
    return {"curves": {}, "seconds": time.perf_counter() - began, "device": "CPU"}


def _is_finite(model: TrainedOperator) -> bool:
    """Whether all that it knows is, also what is no weight of descent, such as modes."""
    return all(bool(torch.isfinite(one).all()) for one in model.state_dict().values())
