"""One bar for a whole run."""

from __future__ import annotations

from typing import Any

from pytorch_lightning.callbacks import ProgressBar
from tqdm.auto import tqdm


class Steps(ProgressBar):
    """Steps done of all steps, with the latest figures.

    Args:
        label: what stands before the bar.
    """

    def __init__(self, label: str):
        super().__init__()
        self.label = label
        self._bar: tqdm | None = None

    def disable(self) -> None:
        """On all processes but the first."""
        self.label = ""

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Show the bar; a resumed run starts where it stood."""
        if self.label:
            self._bar = tqdm(total=trainer.max_steps, initial=trainer.global_step, desc=self.label, unit=" steps")

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """One step more; the figures are read as seldom as the bar is drawn anew."""
        if self._bar is not None and self._bar.update():
            figures = {name: float(figure) for name, figure in outputs["figures"].items()}
            metrics = {**self.get_metrics(trainer, pl_module), **figures}
            self._bar.set_postfix({name: value for name, value in metrics.items() if name != "v_num"})

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        """Leave the bar as it stands."""
        self._close()

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
        """Leave the bar as it stands."""
        self._close()

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None
