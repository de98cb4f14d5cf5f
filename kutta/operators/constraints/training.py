"""Training of networks that know an equation, on random problems and without solutions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.optim import Adam, Optimizer

from kutta.operators.constraints.mixture_of_experts import MixtureOfExperts
from kutta.operators.constraints.space_time_network import SpaceTimeNetwork
from kutta.operators.data.family import Family
from kutta.operators.operator import check_counts, checked_at_least_zero
from kutta.optional import needed

if TYPE_CHECKING:
    from kutta.training import Figures

# Of the seeds of problems: far from those that tests are drawn with.
_FIRST = 10**6


def train_on_equation(
    model: SpaceTimeNetwork,
    family: Family,
    steps: int,
    *,
    batch: int = 6,
    lr: float = 1e-3,
    schedule: Any = None,
    seed: int = 0,
    constants: bool = True,
    balance: float = 0.0,
    **options: Any,
) -> Figures:
    """Train a network on problems that are drawn anew for every step, in place (needs the extra ``training``).

    It is trained on the device that it is on. The loss is by how much its predictions miss the equation,
    `Prediction.loss`. No problem is solved.

    Args:
        model: such as a `MixtureOfExperts`.
        family: draws the problems.
        steps: of the optimiser, Adam.
        batch: problems in a step, of each process if there are several.
        lr: the largest learning rate.
        schedule: of the learning rate; by default `kutta.training.schedules.one_cycle`.
        seed: of the problems and of the points.
        constants: whether samples whose weights were not found in time count with these as constants, see
            `Prediction.loss_of_all`; else they are left out. They are counted either way, in the figure ``unsolved``.
        balance: what `Prediction.imbalance` is multiplied with, where shares are learned.
        options: of `kutta.training.fit`: ``folder``, ``every``, ``resume``, ``progress``, and under ``torchrun``
            ``devices``, the number of processes. Each draws problems of its own; but experts of several processes are
            given the same ones.

    Returns:
        the figures of every epoch.

    Raises:
        TypeError, ValueError: for another number of processes than has experts, and options that do not fit.

    Example:
        >>> import torch, kutta as kt
        >>> _ = torch.manual_seed(0)
        >>> model = kt.operators.ConstrainedBasis(kt.operators.FNO(1, 4, (4, 4), width=4, layers=1), steps=4)
        >>> family = kt.operators.data.burgers(points=16)
        >>> figures = kt.operators.train_on_equation(model, family, 3, batch=2, progress=False)
        >>> sorted(figures)
        ['loss', 'unsolved']
    """
    training = needed("kutta.training", "kutta.operators.train_on_equation", "training")
    schedules = needed("kutta.training.schedules", "kutta.operators.train_on_equation", "training")
    check_counts(steps=steps, batch=batch)
    if isinstance(seed, bool) or not isinstance(seed, int):
        raise TypeError(f"seed must be a whole number; got {seed!r}")
    if checked_at_least_zero("balance", balance) and not isinstance(model, MixtureOfExperts):
        raise TypeError(f"balance is for experts, such as a MixtureOfExperts; got {type(model).__name__}")
    count, experts = _processes(options), getattr(model, "processes", None)
    if experts is not None and experts.size != count:
        raise ValueError(f"devices must be {experts.size}, the number of processes that have experts; got {count}")
    task = training.Task(
        model,
        partial(_loss, family, batch, constants, balance),
        optimizer=partial(_adam, lr=lr),
        schedule=schedules.one_cycle() if schedule is None else schedule,
    )
    torch.manual_seed(seed)
    options = _placed(_device(model), options)
    seeds = _seeds(steps, seed, count, alike=experts is not None)
    return training.fit(task, training.Batches(seeds, count, shuffle=False), steps, **options)


def _processes(options: Mapping[str, Any]) -> int:
    """How many take part."""
    devices, nodes = options.get("devices", 1), options.get("num_nodes", 1)
    found = len(devices) if isinstance(devices, list | tuple) else devices
    if isinstance(found, bool) or not isinstance(found, int) or found < 1:
        raise ValueError(f"devices must be a number of processes, of at least 1, or a list; got {devices!r}")
    return found * nodes


def _placed(device: torch.device, options: dict[str, Any]) -> dict[str, Any]:
    """The options with the device that a model is on, where they do not name others."""
    if device.type == "cpu":
        return {"accelerator": "cpu", **options}
    if device.type != "cuda":
        return options
    index = torch.cuda.current_device() if device.index is None else device.index
    return {"accelerator": "gpu", "devices": [index], **options}


def _seeds(steps: int, seed: int, count: int, alike: bool) -> Tensor:
    """Of problems, for each step as many as there are processes, which take one each.

    Args:
        steps: of the optimiser.
        seed: of all.
        count: of processes.
        alike: whether all processes have the same problems, since each has a part of the experts.
    """
    if alike:
        return (_FIRST + steps * seed + torch.arange(steps)).repeat_interleave(count)
    return _FIRST + steps * count * seed + torch.arange(steps * count)


def _device(model: nn.Module) -> torch.device:
    return next(model.parameters()).device


def _adam(parameters: Iterable[nn.Parameter], lr: float) -> Optimizer:
    return Adam(parameters, lr=lr)


def _loss(
    family: Family, count: int, constants: bool, balance: float, model: Any, seed: Tensor, progress: float
) -> tuple[Tensor, dict[str, Any]]:
    problem: Any = family.draw(count, torch.Generator().manual_seed(int(seed)))
    predicted = model(replace(problem, u0=problem.u0.to(_device(model))))
    loss = predicted.loss_of_all if constants else predicted.loss
    if balance:
        loss = loss + balance * predicted.imbalance
    return loss, {"unsolved": predicted.unsolved}
