"""When the state of a run is written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pytorch_lightning.callbacks import Checkpoint


class Latest(Checkpoint):
    """Writes the state of a run every so many steps, each time over the last one.

    After the last step of an epoch it waits until the epoch has been closed: what is due at its end,
    validation above all, would not be made up for in a run that goes on from between the two.

    Args:
        path: of the checkpoint.
        every: steps from one to the next.
    """

    def __init__(self, path: Path, every: int):
        self.path, self.every = path, every
        self._written = -1

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Write when due within an epoch."""
        if trainer.global_step % self.every == 0 and not trainer.is_last_batch:
            self._write(trainer)

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        """Write what was due at the end of the epoch before."""
        if trainer.global_step and trainer.global_step % self.every == 0:
            self._write(trainer)

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        """Write the end of the run, which may be prolonged."""
        self._write(trainer)

    def _write(self, trainer: Any) -> None:
        if trainer.global_step != self._written:
            trainer.save_checkpoint(self.path, weights_only=False)
            self._written = trainer.global_step
