"""When the state of a run is written."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from pytorch_lightning.callbacks import Checkpoint

from kutta.files import replacing
from kutta.training.weights import save_weights


class Latest(Checkpoint):
    """Writes the state of a run every so many steps, each time over the last one, and at the end.

    It writes within an epoch only, and not where a validation comes next: a run that went on from such a
    place would not make up for what was due there. What was due then is written a step later. Where a whole
    epoch has no place for it, because it is a single step, say, it is written between two epochs.

    Args:
        path: of the checkpoint.
        every: steps from one to the next.
    """

    def __init__(self, path: Path, every: int):
        self.path, self.every = path, every
        self._written = self._seen = 0
        self._waited = False

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """What there is now need not be written again."""
        self._written = self._seen = trainer.global_step
        pl_module.finished = False

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Write when due, right after a step of the optimiser: gradients that are being gathered are not kept."""
        stepped, self._seen = trainer.global_step > self._seen, trainer.global_step
        if stepped and self._is_due(trainer) and not trainer.is_last_batch and not _validates_next(trainer, batch_idx):
            self._write(trainer)

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        """Write what has been due for a whole epoch."""
        if self._waited and self._is_due(trainer):
            self._write(trainer)
        self._waited = self._is_due(trainer)

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        """Write the end of the run, which may be prolonged."""
        pl_module.finished = trainer.global_step >= trainer.max_steps or trainer.should_stop
        if trainer.global_step > 0:
            self._write(trainer)

    def _is_due(self, trainer: Any) -> bool:
        return trainer.global_step // self.every > self._written // self.every

    def _write(self, trainer: Any) -> None:
        if trainer.is_global_zero:
            with replacing(self.path) as temporary:
                trainer.save_checkpoint(temporary, weights_only=False)
        else:  # which takes part, and writes nothing
            trainer.save_checkpoint(self.path, weights_only=False)
        self._written = trainer.global_step


def _validates_next(trainer: Any, batch_idx: int) -> bool:
    """Whether validation follows this batch within the epoch."""
    interval = trainer.val_check_batch
    if not trainer.val_dataloaders or interval is None or math.isinf(interval):
        return False
    counted_over_epochs = trainer.check_val_every_n_epoch is None
    done = trainer.fit_loop.total_batch_idx if counted_over_epochs else batch_idx
    return (done + 1) % interval == 0


class Best(Checkpoint):
    """Keeps the weights of the model after the validation with the lowest figure.

    Args:
        path: of the weights.
        name: of the figure.

    Attributes:
        lowest: the figure then; infinite before.
    """

    def __init__(self, path: Path, name: str):
        self.path, self.name, self.lowest = path, name, math.inf

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        """Write the weights if they are the best so far."""
        if self.name not in pl_module.validated:
            raise ValueError(f"best={self.name!r} is none of the validation figures: {sorted(pl_module.validated)}")
        figure = float(trainer.callback_metrics[self.name])
        if figure < self.lowest:
            self.lowest = figure
            if trainer.is_global_zero:
                save_weights(pl_module.model, self.path)
            trainer.strategy.barrier()  # others read it

    def state_dict(self) -> dict[str, Any]:
        """The lowest figure, and what it is of."""
        return {"lowest": self.lowest, "name": self.name}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a `state_dict`.

        Raises:
            ValueError: for the state of another figure.
        """
        if state_dict["name"] != self.name:
            raise ValueError(
                f"the run chose by best={state_dict['name']!r} so far; got best={self.name!r}: "
                "choose another folder, or resume=False"
            )
        self.lowest = state_dict["lowest"]
