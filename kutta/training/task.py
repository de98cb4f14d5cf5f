"""What is trained, and how: a model, its loss, its optimiser, and all that a resumed run needs."""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pytorch_lightning as lightning
import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from torch.utils import _pytree as pytree

from kutta.training import randomness
from kutta.training.processes import mean

Loss = Callable[[Any, Any, float], Tensor | tuple[Tensor, Mapping[str, Any]]]


class Task(lightning.LightningModule):
    """A model with its loss and optimiser, for `fit` or for a Lightning ``Trainer`` of your own.

    A checkpoint of it holds, besides weights and optimiser, the states of all random numbers and of
    `keep`. So a run that was killed and goes on from a checkpoint draws the numbers that it would
    have drawn, and ends with the same weights, on a CPU bit for bit.

    Callbacks find the figures of every step in ``trainer.callback_metrics``; loggers, and the bar of a trainer of your
    own, get those of every ``log_every_n_steps``.

    Args:
        model: what is trained.
        loss: ``loss(model, batch, progress)``, where the progress rises from 0 to 1, for schedules. It
            returns the loss, or the loss and further figures to log, a number or scalar tensor each.
        optimizer: makes the optimiser of some parameters; by default Adam at PyTorch's learning rate.
        schedule: ``schedule(optimizer, steps)`` makes a learning rate scheduler, stepped every step.
        validate: ``validate(model, batch)`` returns figures, averaged over the validation batches.
        keep: what else changes in training and must be the same after a resumption: generators that the
            penalties draw from, a `TargetEvaluations`, or anything with ``state_dict`` and
            ``load_state_dict``.

    Raises:
        TypeError: for something in `keep` whose state cannot be saved.

    Example:
        >>> import torch
        >>> from kutta.training import Batches, Task, fit
        >>> def loss(model, batch, progress):
        ...     x, y = batch
        ...     return (model(x) - y).square().mean()
        >>> x = torch.linspace(-1.0, 1.0, 64)[:, None]
        >>> task = Task(torch.nn.Linear(1, 1), loss, optimizer=lambda p: torch.optim.Adam(p, lr=0.1))
        >>> figures = fit(task, Batches((x, 2.0 * x + 1.0), size=16), steps=200, progress=False)
        >>> figures["loss"][-1] < 1e-3
        True
    """

    def __init__(
        self,
        model: nn.Module,
        loss: Loss,
        *,
        optimizer: Callable[[Iterable[nn.Parameter]], Optimizer] = torch.optim.Adam,
        schedule: Callable[[Optimizer, int], LRScheduler] | None = None,
        validate: Callable[[Any, Any], Mapping[str, Any]] | None = None,
        keep: Mapping[str, Any] | None = None,
    ):
        super().__init__()
        self.model, self.loss, self.validate = model, loss, validate
        self.optimizer, self.schedule, self.keep = optimizer, schedule, dict(keep or {})
        for name, source in self.keep.items():
            if not isinstance(source, torch.Generator) and not hasattr(source, "load_state_dict"):
                raise TypeError(
                    f"keep[{name!r}] must be a torch.Generator or have state_dict and load_state_dict; "
                    f"got {type(source).__name__}"
                )
        self.validated: tuple[str, ...] = ()  # names of the validation figures
        self.finished = False
        self._random: Mapping[str, Any] | None = None
        self._seen = 0  # steps whose figures were logged, or need not be

    def __setattr__(self, name: str, value: Any) -> None:
        """Lightning notes some forty times a step which hook it is in, and modules look through their parameters."""
        if name == "_current_fx_name":
            object.__setattr__(self, name, value)
        else:
            super().__setattr__(name, value)

    @property
    def progress(self) -> float:
        """How much of the training is done, from 0 to 1."""
        return self.global_step / max(int(self.trainer.estimated_stepping_batches), 1)

    def configure_optimizers(self) -> Any:
        """For the trainer."""
        optimizer = self.optimizer(self.model.parameters())
        if self.schedule is None:
            return optimizer
        scheduler = self.schedule(optimizer, int(self.trainer.estimated_stepping_batches))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def on_train_start(self) -> None:
        """What a resumed run has behind it was logged."""
        self._seen = self.global_step

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """The random numbers go on where the checkpoint left them, whatever was drawn while loading it."""
        self.restore_random()

    def training_step(self, batch: Any, batch_idx: int) -> dict[str, Any]:
        """The loss of a batch, and its figures."""
        value = self.loss(self.model, batch, self.progress)
        loss, figures = value if isinstance(value, tuple) else (value, {})
        if not isinstance(loss, Tensor) or loss.ndim:
            raise ValueError(f"loss must return a scalar tensor, or one and figures; got {_shape(loss)}")
        scalars = {name: _scalar(name, figure) for name, figure in figures.items()}
        figures = mean({"loss": loss.detach(), **scalars}, loss)
        self.trainer.callback_metrics.update({name: self._tensor(figure) for name, figure in figures.items()})
        return {"loss": loss, "figures": figures}

    def _tensor(self, figure: Tensor | float) -> Tensor:
        """A figure as Lightning's callbacks expect it."""
        return figure if isinstance(figure, Tensor) else torch.tensor(figure, device=self.device)

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Log the figures of a step when that is due.

        ``log_dict`` in every step would cost as much as a step of a small model, and read the device.
        """
        stepped, self._seen = self.global_step > self._seen, self.global_step
        if stepped and self._logs():
            figures = {name: float(figure) for name, figure in outputs["figures"].items()}
            self.trainer.progress_bar_metrics.update(figures)
            for logger in self.trainer.loggers:
                logger.log_metrics({**figures, "epoch": self.current_epoch}, self.global_step - 1)
                logger.save()

    def _logs(self) -> bool:
        """Whether Lightning, too, would log this step."""
        trainer: Any = self.trainer
        every = trainer.log_every_n_steps
        return every > 0 and (self.global_step % every == 0 or trainer.should_stop)

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        """Figures of a validation batch."""
        if self.validate is None:
            raise ValueError("validation batches were given, but the task has no validate(model, batch)")
        rows = next((len(leaf) for leaf in pytree.tree_leaves(batch) if isinstance(leaf, Tensor) and leaf.ndim), 1)
        figures = dict(self.validate(self.model, batch))
        self.validated = tuple(figures)
        self.log_dict(figures, prog_bar=True, batch_size=rows)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the states of the random numbers, and of what is kept."""
        kept = {name: randomness.state_of(source) for name, source in self.keep.items()}
        checkpoint["kutta"] = {
            "random": self._random or randomness.states(),
            "keep": kept,
            "steps": self.trainer.max_steps,
            "finished": self.finished,
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take them back."""
        saved = checkpoint["kutta"]
        if saved["keep"].keys() != self.keep.keys():
            raise ValueError(
                f"the checkpoint keeps {sorted(saved['keep'])} and the task {sorted(self.keep)}: "
                "it belongs to another task; choose another folder, or resume=False"
            )
        for name, source in self.keep.items():
            randomness.restore_to(source, saved["keep"][name])
        self._random = saved["random"]

    def restore_random(self) -> None:
        """Let the random numbers go on where the checkpoint left them, once."""
        if self._random is not None:
            randomness.restore(self._random)
            self._random = None

    def forget_random(self) -> None:
        """Leave the random numbers as they are."""
        self._random = None

    def check_kept(self) -> None:
        """See whether what is kept can be read back from a checkpoint, before hours of training.

        Raises:
            TypeError: naming what cannot.
        """
        for name, source in self.keep.items():
            memory = io.BytesIO()
            try:
                torch.save(randomness.state_of(source), memory)
                memory.seek(0)
                torch.load(memory, weights_only=True)
            except (pickle.PickleError, AttributeError, TypeError) as problem:
                raise TypeError(
                    f"the state_dict of keep[{name!r}] must hold tensors, numbers, strings, lists and dicts only, "
                    "so that no code need be unpickled"
                ) from problem


def _scalar(name: str, figure: Any) -> Tensor | float:
    """A figure off the tape."""
    if not isinstance(figure, Tensor):
        return float(figure)
    if figure.numel() != 1:
        raise ValueError(f"the figure {name!r} must be a number or a scalar tensor; got {_shape(figure)}")
    return figure.detach().reshape(())


def _shape(value: Any) -> str:
    return f"a tensor of shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
