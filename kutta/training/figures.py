"""The figures of every epoch."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any

import pytorch_lightning as lightning


class Figures(lightning.Callback, Mapping[str, list[float]]):
    """The mean of every training figure over each epoch, and the validation figures at its end.

    They are part of a checkpoint, so that those of a resumed run are whole. An epoch that the end of
    training cuts short counts as one.

    Attributes:
        epochs: a list for each figure, an entry an epoch (or a validation).
        seconds: wall time of the training; in a resumed run, of what led to the checkpoint and of the rest.
    """

    def __init__(self) -> None:
        self.epochs: dict[str, list[float]] = {}
        self._sums: dict[str, Any] = {}
        self._count = 0
        self._before, self._began = 0.0, 0.0

    @property
    def seconds(self) -> float:
        """As above."""
        return self._before + (time.perf_counter() - self._began if self._began else 0.0)

    def __getitem__(self, name: str) -> list[float]:
        return self.epochs[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.epochs)

    def __len__(self) -> int:
        return len(self.epochs)

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Start the clock."""
        self._began = time.perf_counter()

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        """Stop the clock."""
        self._before, self._began = self.seconds, 0.0

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        """The first of all callbacks: whatever the others draw, they draw after the checkpoint's numbers."""
        pl_module.restore_random()

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Add the figures of a batch, without reading them from the device."""
        for name, figure in outputs["figures"].items():
            self._sums[name] = self._sums.get(name, 0.0) + figure
        self._count += 1

    def on_validation_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """Note the validation figures."""
        for name in pl_module.validated:
            if name in self._sums:
                raise ValueError(f"{name!r} is the name of a training and of a validation figure: rename one of them")
            self.epochs.setdefault(name, []).append(float(trainer.callback_metrics[name]))

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """Note the means of the training figures."""
        for name, total in self._sums.items():
            self.epochs.setdefault(name, []).append(float(total) / self._count)
        self._sums, self._count = {}, 0

    def state_dict(self) -> dict[str, Any]:
        """All of it, as plain numbers."""
        sums = {name: float(total) for name, total in self._sums.items()}
        return {"epochs": self.epochs, "sums": sums, "count": self._count, "seconds": self.seconds}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a `state_dict`."""
        self.epochs = {name: list(values) for name, values in state_dict["epochs"].items()}
        self._sums, self._count = dict(state_dict["sums"]), state_dict["count"]
        self._before = state_dict["seconds"]
