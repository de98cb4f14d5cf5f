"""Training of operators on data."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer

from kutta.operators.data.fields import Data
from kutta.operators.metrics.errors import relative_l2
from kutta.operators.metrics.sobolev import relative_h1
from kutta.operators.trained_operator import TrainedOperator
from kutta.optional import needed

if TYPE_CHECKING:
    from kutta.training import Figures

# Of predictions, solutions and a grid; a number for each sample.
Metric = Callable[[Tensor, Tensor, Any], Tensor]


def train(
    model: TrainedOperator,
    data: Data,
    steps: int,
    *,
    batch: int = 16,
    validation: Data | None = None,
    loss: Metric = relative_l2,
    lr: float = 1e-3,
    weight_decay: float = 1e-4,
    schedule: Any = None,
    seed: int = 0,
    metrics: Mapping[str, Metric] | None = None,
    best: str | None = None,
    **options: Any,
) -> Figures:
    """Train an operator on pairs of fields, in place (needs the extra ``training``).

    Args:
        model: with the scope and the units of the data, see `TrainedOperator.for_data`.
        data: to learn from.
        steps: of the optimiser, AdamW.
        batch: samples in a step.
        validation: samples to look at after every epoch.
        loss: the mean of this metric over a batch is made small; by default the relative L2 error. For elliptic
            equations the relative H1 error often leads to smaller ones of both kinds.
        lr: the largest learning rate.
        weight_decay: of AdamW.
        schedule: of the learning rate; by default `kutta.training.schedules.one_cycle`.
        seed: of the order of the samples.
        metrics: what is looked at in validation; by default the relative L2 and H1 errors.
        best: the name of one whose lowest value decides which weights are kept; by default those of the last step.
        options: of `kutta.training.fit`: ``folder``, ``every``, ``resume``, ``progress``, ``precision``, ``devices``
            and the like.

    Returns:
        the figures of every epoch.

    Example:
        >>> import torch, kutta as kt
        >>> _ = torch.manual_seed(0)
        >>> data = kt.operators.data.generate(kt.operators.data.darcy(points=16), 40, seed=0)
        >>> training, test = data.split(32, 8)
        >>> model = kt.operators.TrainedOperator.for_data(kt.operators.FNO(1, 1, (8, 8), width=8, layers=2), training)
        >>> figures = kt.operators.train(model, training, 60, batch=8, validation=test, lr=3e-3, progress=False)
        >>> figures["relative_l2"][-1] < 0.5 * figures["relative_l2"][0]
        True
    """
    training = needed("kutta.training", "kutta.operators.train", "training")
    schedules = needed("kutta.training.schedules", "kutta.operators.train", "training")
    looked_at = {"relative_l2": relative_l2, "relative_h1": relative_h1} if metrics is None else dict(metrics)
    task = training.Task(
        model,
        partial(_loss, loss, data.scope.grid),
        optimizer=partial(_adamw, lr=lr, weight_decay=weight_decay),
        schedule=schedules.one_cycle() if schedule is None else schedule,
        validate=partial(_validate, looked_at, data.scope.grid),
    )
    rows = training.Batches((data.inputs, data.outputs), batch, seed)
    seen = None
    if validation is not None:
        seen = training.Batches((validation.inputs, validation.outputs), batch, shuffle=False)
    return training.fit(task, rows, steps, validation=seen, best=best, **options)


@torch.no_grad()
def evaluate(model: nn.Module, data: Data, metrics: Mapping[str, Metric], batch: int = 64) -> dict[str, float]:
    """The mean of some metrics over all samples.

    Args:
        model: a `TrainedOperator`.
        data: that it was not trained on.
        metrics: by name.
        batch: samples at once.
    """
    grid, sums = data.scope.grid, dict.fromkeys(metrics, 0.0)
    for a, target in zip(data.inputs.split(batch), data.outputs.split(batch), strict=True):
        u = model(a, grid)
        for name, metric in metrics.items():
            sums[name] += float(metric(u, target, grid).sum())
    return {name: total / len(data) for name, total in sums.items()}


def _adamw(parameters: Iterable[nn.Parameter], lr: float, weight_decay: float) -> Optimizer:
    return AdamW(parameters, lr=lr, weight_decay=weight_decay)


def _loss(metric: Metric, grid: Any, model: Any, batch: Any, progress: float) -> Tensor:
    a, target = batch
    return metric(model(a, grid), target, grid).mean()


def _validate(metrics: Mapping[str, Metric], grid: Any, model: Any, batch: Any) -> dict[str, Tensor]:
    a, target = batch
    u = model(a, grid)
    return {name: metric(u, target, grid).mean() for name, metric in metrics.items()}
