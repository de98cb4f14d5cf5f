"""A task tells its loss how far it is, and refuses what it cannot train or keep."""

from typing import Any

import pytest
import pytorch_lightning as lightning
import torch
from pytorch_lightning.callbacks import Callback, EarlyStopping
from pytorch_lightning.loggers import CSVLogger, Logger
from torch import nn

from kutta.training import Batches, Task, fit

X = torch.linspace(-1.0, 1.0, 8)[:, None]


def square(model, batch, progress):
    return model(batch).square().mean()


def test_the_loss_is_told_the_progress():
    seen = []

    def loss(model, batch, progress):
        seen.append(progress)
        return square(model, batch, progress), {"twice": 2.0 * progress}

    history = fit(Task(nn.Linear(1, 1), loss), Batches(X, 4), 10, progress=False)
    assert seen == pytest.approx([step / 10 for step in range(10)])
    assert history["twice"] == pytest.approx([0.1 + 0.4 * epoch for epoch in range(5)])
    assert set(history) == {"loss", "twice"} and len(history) == 2


def test_optimizer_and_schedule_are_the_users():
    model = nn.Linear(1, 1, bias=False)
    task = Task(
        model,
        square,
        optimizer=lambda parameters: torch.optim.SGD(parameters, lr=1.0),
        schedule=lambda optimizer, steps: torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, steps),
    )
    weight, mean = model.weight.item(), X.square().mean().item()
    fit(task, Batches(X, 8), 2, progress=False)
    assert model.weight.item() == pytest.approx(weight * (1.0 - 2.0 * mean) * (1.0 - 1.0 * mean), rel=1e-5)


def test_validation_is_weighted_by_rows():
    def validate(model, batch):
        return {"mean": batch.mean()}

    rows = torch.arange(5.0)[:, None]
    task = Task(nn.Linear(1, 1), square, validate=validate)
    history = fit(task, Batches(X, 8), 2, validation=Batches(rows, 3, shuffle=False), progress=False)
    assert history["mean"] == pytest.approx([2.0, 2.0])


def test_what_cannot_be_kept_is_named():
    with pytest.raises(TypeError, match=r"keep\['rate'\] must be a torch.Generator or have state_dict.*got float"):
        Task(nn.Linear(1, 1), square, keep={"rate": 0.1})


@pytest.mark.parametrize("wrong, said", [(torch.ones(2), r"a tensor of shape \(2,\)"), (1.0, "float")])
def test_a_loss_that_is_no_scalar_is_refused(wrong, said):
    with pytest.raises(ValueError, match=f"loss must return a scalar tensor.*got {said}"):
        fit(Task(nn.Linear(1, 1), lambda *_: wrong), Batches(X, 8), 1, progress=False)


def test_validation_needs_a_function():
    with pytest.raises(ValueError, match="no validate"):
        fit(Task(nn.Linear(1, 1), square), Batches(X, 8), 1, validation=Batches(X, 8), progress=False)


class Notes(Logger):
    """Keeps in memory what is logged."""

    name, version = "notes", 0

    def __init__(self):
        self.rows = []

    def log_metrics(self, metrics, step=None):
        self.rows.append((step, metrics))

    def log_hyperparams(self, *arguments):
        pass


@pytest.mark.parametrize(
    "options, logged",
    [
        ({"log_every_n_steps": 1}, [0, 1, 2, 3, 4, 5, 6]),
        ({"log_every_n_steps": 3}, [2, 5]),
        ({"log_every_n_steps": 2, "accumulate_grad_batches": 2}, [1, 3, 5]),
        ({"log_every_n_steps": 0}, []),
    ],
)
def test_figures_are_logged_when_due(options, logged):
    losses = []

    def loss(model, batch, progress):
        losses.append(square(model, batch, progress))
        return losses[-1], {"twice": 2.0 * progress}

    notes = Notes()
    fit(Task(nn.Linear(1, 1), loss), Batches(X, 2), 7, logger=notes, progress=False, **options)
    last = options.get("accumulate_grad_batches", 1)  # the batch of a step whose figures are logged
    assert [step for step, _ in notes.rows] == logged
    for step, metrics in notes.rows:
        expected = {"loss": losses[last * (step + 1) - 1].item(), "twice": 2.0 * step / 7}
        assert metrics == pytest.approx({**expected, "epoch": last * step // 4})


def test_callbacks_see_the_figures_of_their_step():
    class Seen(Callback):
        def __init__(self):
            self.figures = []

        def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
            self.figures.append((trainer.callback_metrics["loss"], trainer.callback_metrics["at"]))

    def loss(model, batch, progress):
        return square(model, batch, progress), {"at": progress}

    seen, stopped = Seen(), EarlyStopping("at", patience=0)  # which does not fall
    figures = fit(Task(nn.Linear(1, 1), loss), Batches(X, 4), 10, callbacks=[seen, stopped], progress=False)
    assert [float(at) for _, at in seen.figures] == pytest.approx([0.0, 0.1, 0.2, 0.3])
    assert figures["loss"][0] == pytest.approx(float(seen.figures[0][0] + seen.figures[1][0]) / 2.0)


@pytest.mark.filterwarnings("ignore:You defined a `validation_step`")
@pytest.mark.filterwarnings("ignore:.*LeafSpec.* is deprecated")
def test_a_trainer_of_ones_own_logs_as_well(tmp_path):
    task = Task(nn.Linear(1, 1), square)
    settings: dict[str, Any] = {
        "enable_progress_bar": False,
        "enable_checkpointing": False,
        "enable_model_summary": False,
    }
    logger = CSVLogger(tmp_path, name="", version="")
    trainer = lightning.Trainer(max_steps=4, log_every_n_steps=2, logger=logger, **settings)
    trainer.fit(task, Batches(X, 4))
    assert (tmp_path / "metrics.csv").read_text().splitlines()[0].split(",") == ["epoch", "loss", "step"]
    assert len((tmp_path / "metrics.csv").read_text().splitlines()) == 3


def test_a_figure_that_is_no_number_is_refused():
    def loss(model, batch, progress):
        return square(model, batch, progress), {"rows": batch[:, 0]}

    with pytest.raises(ValueError, match=r"figure 'rows' must be a number or a scalar tensor; got a tensor of shape"):
        fit(Task(nn.Linear(1, 1), loss), Batches(X, 8), 1, progress=False)
