"""A training run that can be killed and called again."""

from __future__ import annotations

import copy
import logging
import math
import os
import signal
import tempfile
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytorch_lightning as lightning
import torch
from pytorch_lightning.callbacks import Callback, Checkpoint
from pytorch_lightning.loggers import TensorBoardLogger

from kutta.training.batches import Batches
from kutta.training.checkpoints import Best, Latest
from kutta.training.figures import Figures
from kutta.training.profiling import Unmeasured
from kutta.training.progress import Steps
from kutta.training.task import Task
from kutta.training.weights import load_weights, save_weights

# Warnings of Lightning's about what is meant here, or about itself.
NOT_NEWS = (
    "Checkpoint directory .* exists and is not empty",
    "You defined a `validation_step` but have no `val_dataloader`",
    "The number of training batches .* is smaller than the logging interval",
    ".*LeafSpec.* is deprecated",
)
# What would end a run, or an epoch, elsewhere than it says.
ELSEWHERE = ("max_steps", "max_epochs", "max_time", "limit_train_batches", "overfit_batches", "fast_dev_run")
LATEST, BEST, WEIGHTS = "latest.ckpt", "best.safetensors", "weights.safetensors"


def fit(
    task: Task,
    batches: Any,
    steps: int,
    *,
    validation: Any = None,
    best: str | None = None,
    folder: str | os.PathLike[str] | None = None,
    every: int = 100,
    resume: bool = True,
    progress: bool | str = True,
    **trainer: Any,
) -> Figures:
    """Train for so many steps; with a folder, a killed run called again goes on as if nothing had happened.

    The folder then holds the latest checkpoint, TensorBoard logs, and at the end the weights as
    ``weights.safetensors``. Checkpoints replace one another at once, and are read without unpickling
    code (``weights_only``). A run that has come to its end is not trained again, but can be prolonged by
    more steps.

    Several processes, of one machine or many, each take a part of every batch: start them by
    ``torchrun --nproc-per-node 2 script.py`` and say ``devices=2``, and ``num_nodes=`` for several machines. Losses are
    those of one process to rounding.

    Args:
        task: model, loss and optimiser. Its model is trained in place.
        batches: `Batches`, or any loader; with one that cannot tell where it stands (no ``state_dict``) a
            resumed run sees the data in another order.
        steps: of the optimiser, from the start of the run.
        validation: batches for the validation figures, taken after every epoch.
        best: name of the validation figure whose lowest value decides which weights the model has in the
            end; by default those of the last step.
        folder: where the run lives; by default nowhere, and nothing can be resumed.
        every: steps between checkpoints. One that falls on the end of an epoch is written a step later.
        resume: whether to go on from the checkpoint of the folder, if there is one; otherwise it is deleted.
        progress: whether to show a progress bar, or what to write before it.
        trainer: for Lightning's ``Trainer``: ``precision``, ``accelerator``, ``callbacks``,
            ``gradient_clip_val``, ``accumulate_grad_batches`` and the like.

    Returns:
        the figures of every epoch.

    Raises:
        ValueError: for `best` without `validation` or without any having taken place, a checkpoint beyond
            `steps`, a schedule that was made for another number of steps, or options of the ``Trainer`` that
            end runs or epochs.
        TypeError: for batches other than `Batches` in several processes.

    Example:
        >>> import torch
        >>> from kutta.training import Batches, Task, fit
        >>> x = torch.linspace(-1.0, 1.0, 64)[:, None]
        >>> task = Task(torch.nn.Linear(1, 1), lambda model, batch, progress: (model(batch) - batch).square().mean())
        >>> figures = fit(task, Batches(x, size=16), steps=8, progress=False)
        >>> len(figures["loss"])  # two epochs of four batches
        2
    """
    if best is not None and validation is None:
        raise ValueError(f"best={best!r} chooses by a validation figure, so validation batches must be given")
    if every < 1:
        raise ValueError(f"every must be at least one step; got {every}")
    for name in ELSEWHERE:
        if name in trainer:
            raise ValueError(f"{name} would end a run or an epoch elsewhere than steps and batches say: leave it out")
    task.check_kept()
    with _home(folder) as home, _quietly():
        source = _source(home, resume, steps, task)
        figures, chosen = Figures(), Best(home / BEST, best) if best is not None else None
        bar = [Steps("Training" if progress is True else progress)] if progress else []
        kept = [chosen] if chosen is not None else []
        latest = [Latest(home / LATEST, every)] if folder is not None else []
        callbacks = [figures, *bar, *_listed(trainer.pop("callbacks", None)), *kept, *latest]
        settings: dict[str, Any] = {
            "max_steps": steps,
            "max_epochs": -1,
            "logger": TensorBoardLogger(home, name="", version="") if folder is not None else False,
            "log_every_n_steps": _between_logs(batches),
            "num_sanity_val_steps": 0,
            "enable_model_summary": False,
            "enable_progress_bar": bool(progress),
            "enable_checkpointing": any(isinstance(one, Checkpoint) for one in callbacks),  # of Lightning's own
            "profiler": Unmeasured(),
        }
        loop = lightning.Trainer(**settings | trainer, callbacks=callbacks)
        if loop.world_size > 1:
            _check_divisible(batches, best, folder)
        if source is not None and _is_finished(source, steps):
            _restore(source, task, [figures, *kept])
        else:
            with _interruptible():
                # A copy, so that the same call takes the same order again.
                data = copy.copy(batches) if isinstance(batches, Batches) else batches
                if loop.world_size > 1:
                    data.divided = True
                loop.fit(task, data, validation, ckpt_path=source, weights_only=True)
        if chosen is not None:
            _take_best(chosen, task, steps, batches)
        if folder is not None and loop.is_global_zero:
            save_weights(task.model, home / WEIGHTS)
    return figures


def _check_divisible(batches: Any, best: str | None, folder: Any) -> None:
    """Refuse what several processes cannot share."""
    if not isinstance(batches, Batches):
        raise TypeError(f"several processes need batches that they can divide, Batches; got {type(batches).__name__}")
    if best is not None and folder is None:
        raise ValueError(f"best={best!r} needs a folder that all processes can read")


def _source(home: Path, resume: bool, steps: int, task: Task) -> Path | None:
    """The checkpoint to go on from."""
    path = home / LATEST
    if not resume:
        for name in (LATEST, BEST, WEIGHTS):
            (home / name).unlink(missing_ok=True)
    if not path.exists():
        return None
    saved = _read(path)
    done, before = saved["global_step"], saved["kutta"]["steps"]
    if done > steps:
        raise ValueError(
            f"steps counts from the start of the run; got {steps}, but the checkpoint {path} has {done} behind it: "
            "ask for more, choose another folder, or resume=False"
        )
    if before != steps and task.schedule is not None:
        raise ValueError(
            f"the schedule of the learning rate was made for the {before} steps of the run in {home}; "
            f"got steps={steps}: ask for as many, choose another folder, or resume=False"
        )
    return path


def _read(path: Path) -> dict[str, Any]:
    return torch.load(path, weights_only=True, map_location="cpu")


def _is_finished(path: Path, steps: int) -> bool:
    """Whether a run with as many steps has come to its end, by itself or by a callback that stopped it."""
    saved = _read(path)["kutta"]
    return saved["finished"] and saved["steps"] == steps


def _restore(path: Path, task: Task, callbacks: list[Any]) -> None:
    """What a finished run left."""
    saved = _read(path)
    task.load_state_dict(saved["state_dict"])
    task.on_load_checkpoint(saved)
    task.forget_random()
    for callback in callbacks:
        if callback.state_key not in saved["callbacks"]:
            raise ValueError(f"the run in {path.parent} was made without best: choose another folder, or resume=False")
        callback.load_state_dict(saved["callbacks"][callback.state_key])


def _take_best(best: Best, task: Task, steps: int, batches: Any) -> None:
    """Give the model the weights of the best validation."""
    if math.isinf(best.lowest):
        raise ValueError(
            f"best={best.name!r} needs a validation with a finite figure, and there was none: steps={steps} must reach "
            f"the end of an epoch, which has {len(batches)} batches"
        )
    load_weights(task.model, best.path)


def _between_logs(batches: Any) -> int:
    return max(1, min(50, len(batches))) if hasattr(batches, "__len__") else 50


def _listed(callbacks: Any) -> list[Callback]:
    return [callbacks] if isinstance(callbacks, Callback) else list(callbacks or ())


@contextmanager
def _home(folder: str | os.PathLike[str] | None) -> Iterator[Path]:
    """The folder, made when missing; or one that lasts as long as the run."""
    if folder is None:
        with tempfile.TemporaryDirectory() as temporary:
            yield Path(temporary)
    else:
        Path(folder).mkdir(parents=True, exist_ok=True)
        yield Path(folder)


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let Ctrl-C arrive as what it is: Lightning turns it into an exit, and ignores the next one."""
    handler = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SystemExit as stop:
        if isinstance(stop.__context__, KeyboardInterrupt):
            raise KeyboardInterrupt from None
        raise
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, handler)


@contextmanager
def _quietly() -> Iterator[None]:
    """Without Lightning's notices about hardware, and its warnings of what is no news."""
    logger = logging.getLogger("pytorch_lightning.utilities.rank_zero")
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            for message in NOT_NEWS:
                warnings.filterwarnings("ignore", message=message)
            yield
    finally:
        logger.setLevel(level)
