"""A task tells its loss how far it is, and refuses what it cannot train or keep."""

import pytest
import torch
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
