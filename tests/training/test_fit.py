"""A killed run that goes on ends like one that was left alone."""

import os
import random
import signal
import time
from functools import partial

import pytest
import torch
from pytorch_lightning.callbacks import ModelCheckpoint
from torch import nn

from kutta.training import Batches, Task, fit, load_weights
from tests._killing import killed_by_the_system, killed_within, one_thread  # noqa: F401
from tests.training._resumable import EVERY, STEPS, train

killed_at = partial(killed_within, train)


@pytest.fixture(scope="module")
def undisturbed(one_thread, tmp_path_factory):  # noqa: F811
    return train(tmp_path_factory.mktemp("undisturbed"))


def test_killed_by_the_system_at_a_random_moment(undisturbed, tmp_path):
    weights, history = undisturbed
    last = random.randint(2 * EVERY, STEPS - 2)
    killed_by_the_system("tests.training._resumable", tmp_path, last)
    found, whole = train(tmp_path)
    print(f"killed in step {last}: largest difference of a weight {float((found - weights).abs().max())}")
    assert torch.equal(found, weights) and whole == history


@pytest.mark.parametrize("step", [1, EVERY, EVERY + 1, 8, 9, 16, 17, STEPS])
def test_killed_anywhere_in_an_epoch(undisturbed, tmp_path, step):
    weights, history = undisturbed
    killed_at(step, tmp_path)
    found, whole = train(tmp_path)
    assert torch.equal(found, weights) and whole == history


@pytest.mark.parametrize("step", [7, 8, 9, 10, 17])
def test_killed_without_validation(tmp_path, step):
    weights, history = train(steps=20, validation=None)
    killed_at(step, tmp_path, steps=20, validation=None)
    found, whole = train(tmp_path, steps=20, validation=None)
    assert torch.equal(found, weights) and whole == history


def test_killed_again_and_again(undisturbed, tmp_path):
    for _ in range(4):
        killed_at(EVERY + 2, tmp_path)
    found, whole = train(tmp_path)
    assert torch.equal(found, undisturbed[0]) and whole == undisturbed[1]


@pytest.mark.parametrize("step", [15, 17, 25])
def test_the_best_epoch_is_kept_over_a_resumption(tmp_path, step):
    weights, history = train(tmp_path / "a", best="validation loss", steps=24)
    worse, _ = train(tmp_path / "b", steps=24)
    killed_at(min(step, 23), tmp_path / "c", best="validation loss", steps=24)
    found, whole = train(tmp_path / "c", best="validation loss", steps=24)
    assert torch.equal(found, weights) and whole == history
    best = history["validation loss"].index(min(history["validation loss"]))
    assert torch.equal(weights, worse) == (best == len(history["validation loss"]) - 1)


def test_a_finished_run_can_be_called_again_and_prolonged(tmp_path):
    train(tmp_path / "a", steps=20)
    again, _ = train(tmp_path / "a", lambda: pytest.fail("it was finished"), steps=20)
    assert torch.equal(again, train(steps=20)[0])
    for steps in (4, 5, 9, 11):
        task, batches = simple()
        history = fit(task, batches, steps, folder=tmp_path / "b", progress=False)
    assert task.model.weight.item() == _trained(11)
    assert len(history["loss"]) == 6  # of 3, 1, 1, 1, 3 and 2 batches


def simple(seed=0, **options):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = nn.Linear(1, 1)
    x = torch.linspace(-1.0, 1.0, 12)[:, None]

    def loss(model, batch, progress):
        return (model(batch) - 2.0 * batch).square().mean()

    def optimizer(parameters):
        return torch.optim.Adam(parameters, lr=0.1)

    return Task(model, loss, optimizer=optimizer, **options), Batches(x, 4)


def test_the_folder_has_weights_and_logs(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    task, batches = simple()
    fit(task, batches, 20, folder=tmp_path, progress=False, log_every_n_steps=2)
    fresh = nn.Linear(1, 1)
    load_weights(fresh, tmp_path / "weights.safetensors")
    assert torch.equal(fresh.weight, task.model.weight)
    events = EventAccumulator(str(tmp_path)).Reload()
    assert len(events.Scalars("loss")) == 10 and events.Scalars("loss")[0].value > events.Scalars("loss")[-1].value
    saved = torch.load(tmp_path / "latest.ckpt", weights_only=True)
    assert saved["global_step"] == 20


def test_without_a_folder_nothing_is_left(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    task, batches = simple()
    fit(task, batches, 5, progress=False)
    assert os.listdir(tmp_path) == []


def test_without_a_folder_nothing_is_saved_but_by_callbacks_of_ones_own(tmp_path, monkeypatch):
    task, batches = simple()
    with monkeypatch.context() as patch:
        patch.setattr("pytorch_lightning.Trainer.save_checkpoint", lambda *_, **__: pytest.fail("nobody can resume it"))
        fit(task, batches, 5, every=1, progress=False)
    own = ModelCheckpoint(tmp_path, monitor="loss", every_n_train_steps=1)
    fit(task, batches, 5, callbacks=own, progress=False)
    assert own.best_model_score is not None and len(os.listdir(tmp_path)) == 1


def test_a_resumed_run_logs_every_step_once(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    options = {"steps": 12, "log_every_n_steps": 1, "every": 1, "accumulate_grad_batches": 2}
    killed_at(12, tmp_path, **options)  # between two steps, with a checkpoint of the first
    train(tmp_path, **options)
    steps = [event.step for event in EventAccumulator(str(tmp_path)).Reload().Scalars("loss")]
    assert steps == list(range(12))


def test_the_same_call_takes_the_same_batches():
    (first, batches), (second, _) = simple(), simple()
    histories = [fit(task, batches, 10, progress=False) for task in (first, second)]
    assert torch.equal(first.model.weight, second.model.weight) and histories[0]["loss"] == histories[1]["loss"]


def test_resume_can_be_declined(tmp_path):
    for _ in range(2):
        task, batches = simple()
        fit(task, batches, 5, folder=tmp_path, resume=False, progress=False)
        assert task.model.weight.item() == pytest.approx(_trained(5))


def _trained(steps):
    task, batches = simple()
    fit(task, batches, steps, progress=False)
    return task.model.weight.item()


def test_progress_is_shown_and_counts_on(tmp_path, capsys):
    task, batches = simple()
    fit(task, batches, 5, folder=tmp_path, progress="Lines")
    assert "Lines: 100%" in (shown := capsys.readouterr().err) and "5/5" in shown
    task, batches = simple()
    fit(task, batches, 9, folder=tmp_path, progress="Lines")
    assert "0/9" not in (shown := capsys.readouterr().err) and "9/9" in shown


def test_progress_tells_the_latest_figures(capsys):
    def loss(model, batch, progress):
        time.sleep(0.15)  # the bar is drawn anew ten times a second
        return model(batch).square().mean(), {"done": progress}

    fit(Task(nn.Linear(1, 1), loss), simple()[1], 3)
    shown = capsys.readouterr().err
    assert "done=0.333" in shown and "loss=" in shown


@pytest.fixture
def heeding_interrupts():
    """As in the foreground: shells let what they start in the background ignore interrupts."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_an_interrupt_is_an_interrupt(heeding_interrupts, tmp_path):
    handler = signal.getsignal(signal.SIGINT)

    def loss(model, batch, progress):
        if progress > 0.5:
            signal.raise_signal(signal.SIGINT)
        return model(batch).square().mean()

    task, batches = Task(nn.Linear(1, 1), loss), simple()[1]
    with pytest.raises(KeyboardInterrupt):
        fit(task, batches, 10, folder=tmp_path, every=2, progress=False)
    assert signal.getsignal(signal.SIGINT) is handler
    assert (tmp_path / "latest.ckpt").exists()


def test_what_cannot_be_done_is_said(tmp_path):
    task, batches = simple()
    with pytest.raises(ValueError, match="validation batches must be given"):
        fit(task, batches, 5, best="loss", progress=False)
    fit(task, batches, 5, folder=tmp_path, progress=False)
    with pytest.raises(ValueError, match=r"got 3, but the checkpoint .* has 5 behind it"):
        fit(simple()[0], batches, 3, folder=tmp_path, progress=False)
    other, _ = simple(keep={"generator": torch.Generator()})
    with pytest.raises(ValueError, match="belongs to another task"):
        fit(other, batches, 9, folder=tmp_path, progress=False)


def test_a_full_disk_leaves_the_last_checkpoint(tmp_path, monkeypatch):
    task, batches = simple()
    fit(task, batches, 4, folder=tmp_path, progress=False)
    before = (tmp_path / "latest.ckpt").read_bytes()

    def full(*arguments, **options):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("torch.save", full)
        with pytest.raises(OSError, match="No space left"):
            fit(simple()[0], batches, 8, folder=tmp_path, every=1, progress=False)
    assert (tmp_path / "latest.ckpt").read_bytes() == before
    resumed, _ = simple()
    fit(resumed, batches, 8, folder=tmp_path, progress=False)
    assert resumed.model.weight.item() == pytest.approx(_trained(8), abs=0.0)
