"""A training run that can be killed and called again."""

from __future__ import annotations

import copy
import logging
import os
import signal
import tempfile
import threading
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytorch_lightning as lightning
import torch
from pytorch_lightning.callbacks import Checkpoint, ModelCheckpoint
from pytorch_lightning.loggers import TensorBoardLogger

from kutta.training.checkpoints import Latest
from kutta.training.history import History
from kutta.training.progress import Steps
from kutta.training.task import Task
from kutta.training.weights import save_weights

# Warnings of Lightning's about what is meant here, or about itself.
NOT_NEWS = (
    "Checkpoint directory .* exists and is not empty",
    "You defined a `validation_step` but have no `val_dataloader`",
    ".*LeafSpec.* is deprecated",
)
LATEST, BEST, WEIGHTS = "latest", "best", "weights.safetensors"


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
) -> History:
    """Train for so many steps; with a folder, a killed run called again goes on as if nothing had happened.

    The folder then holds the latest checkpoint, TensorBoard logs, and at the end the weights as
    ``weights.safetensors``. Checkpoints replace one another at once, and are read without unpickling
    code (``weights_only``).

    Args:
        task: model, loss and optimiser. Its model is trained in place.
        batches: `Batches`, or any loader; one that cannot tell where it stands (``state_dict``) resumes at
            the start of an epoch.
        steps: of the optimiser, from the start of the run.
        validation: batches for the validation figures, taken after every epoch.
        best: name of the validation figure whose lowest value decides which epoch's weights the model has
            in the end; by default those of the last step.
        folder: where the run lives; by default nowhere, and nothing can be resumed.
        every: steps between checkpoints.
        resume: whether to go on from the checkpoint of the folder, if there is one.
        progress: whether to show a progress bar, or what to write before it.
        trainer: for Lightning's ``Trainer``: ``precision``, ``devices``, ``num_nodes``, ``callbacks``,
            ``gradient_clip_val`` and the like.

    Returns:
        the figures of every epoch.

    Raises:
        ValueError: for `best` without `validation`, or a checkpoint beyond `steps`.
    """
    if best is not None and validation is None:
        raise ValueError(f"best={best!r} chooses by a validation figure, so validation batches must be given")
    history = History()
    with _home(folder) as home, _quietly():
        latest = home / f"{LATEST}.ckpt"
        source = latest if resume and latest.exists() else None
        if source is not None:
            _check_reach(source, steps)
        settings: dict[str, Any] = {
            "max_steps": steps,
            "max_epochs": -1,
            "logger": TensorBoardLogger(home, name="", version="") if folder is not None else False,
            "log_every_n_steps": max(1, min(50, len(batches))),
            "num_sanity_val_steps": 0,
            "enable_model_summary": False,
            "enable_progress_bar": bool(progress),
        }
        bar = [Steps("Training" if progress is True else progress)] if progress else []
        callbacks = [history, *bar, *_checkpoints(home, every, best), *trainer.pop("callbacks", ())]
        loop = lightning.Trainer(**settings | trainer, callbacks=callbacks)
        began = time.perf_counter()
        # A copy, so that the same call takes the same order again.
        with _interruptible():
            loop.fit(task, copy.copy(batches), validation, ckpt_path=source, weights_only=True)
        history.seconds = time.perf_counter() - began
        if best is not None:
            task.load_state_dict(torch.load(home / f"{BEST}.ckpt", weights_only=True)["state_dict"])
        if folder is not None and loop.is_global_zero:
            save_weights(task.model, home / WEIGHTS)
    return history


def _checkpoints(home: Path, every: int, best: str | None) -> Sequence[Checkpoint]:
    chosen = ModelCheckpoint(
        home, BEST, monitor=best, save_weights_only=True, save_on_train_epoch_end=False, enable_version_counter=False
    )
    return ([] if best is None else [chosen]) + [Latest(home / f"{LATEST}.ckpt", every)]


def _check_reach(path: Path, steps: int) -> None:
    done = torch.load(path, weights_only=True, map_location="cpu")["global_step"]
    if done > steps:
        raise ValueError(
            f"steps counts from the start of the run; got {steps}, but the checkpoint {path} has {done} behind it: "
            "ask for more, choose another folder, or resume=False"
        )


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
