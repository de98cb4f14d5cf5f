"""Resumption is exact under whatever the trainer is told, and what is written is whole."""

import os
import shutil

import pytest
import torch
from pytorch_lightning.callbacks import Callback, EarlyStopping
from torch import nn

from kutta.files import replacing
from kutta.training import Batches, Task, fit, load_weights
from tests._killing import one_thread  # noqa: F401
from tests.training._resumable import train
from tests.training.test_fit import killed_at, simple


class Noise(Callback):
    """Draws before the module does."""

    def on_train_batch_start(self, trainer, module, batch, batch_idx):
        with torch.no_grad():
            module.model.readout.bias.add_(1e-3 * torch.randn(2))


OPTIONS = {
    "plain": {},
    "no validation": {"validation": None},
    "accumulation": {"accumulate_grad_batches": 2},
    "clipping": {"gradient_clip_val": 0.1},
    "validation within epochs": {"val_check_interval": 2},
    "validation at times": {"check_val_every_n_epoch": 2},
    "validation after every step": {"val_check_interval": 1},
    "one step an epoch": {"accumulate_grad_batches": 8},
    "early stopping": {"callbacks": [EarlyStopping("validation loss", patience=50)]},
    "stopped early": {"callbacks": [EarlyStopping("validation loss", stopping_threshold=10.0)]},
    "one batch an epoch": {"size": 64},
    "random callback": {"callbacks": [Noise()]},
    "every step": {"every": 1},
    "best": {"best": "validation loss"},
}


@pytest.mark.parametrize("kills", [(5,), (9, 1), (10, 2, 1), (8, 1, 1)], ids=str)
@pytest.mark.parametrize("name", OPTIONS)
def test_killed_under_any_option(name, kills, tmp_path):
    # A loss is called once a batch, and with accumulation a step has two of them.
    weights, figures = train(tmp_path / "undisturbed", steps=20, **OPTIONS[name])
    for kill in kills:
        if name != "stopped early":
            killed_at(kill, tmp_path / "killed", steps=20, **OPTIONS[name])
    found, whole = train(tmp_path / "killed", steps=20, **OPTIONS[name])
    assert torch.equal(found, weights) and whole == figures
    again, same = train(tmp_path / "killed", lambda: pytest.fail("it was finished"), steps=20, **OPTIONS[name])
    assert torch.equal(again, weights) and same == figures


def test_a_run_with_best_moves_to_another_folder(tmp_path):
    weights, _ = train(tmp_path / "whole", steps=24, best="validation loss")
    killed_at(20, tmp_path / "a", steps=24, best="validation loss")
    shutil.move(tmp_path / "a", tmp_path / "b")
    assert torch.equal(train(tmp_path / "b", steps=24, best="validation loss")[0], weights)


def test_declining_to_resume_deletes_what_there_was(tmp_path):
    train(tmp_path, steps=20, best="validation loss")
    killed_at(2, tmp_path, steps=20, resume=False, best="validation loss")
    assert not {"latest.ckpt", "best.safetensors", "weights.safetensors"} & set(os.listdir(tmp_path))
    task, batches = simple(seed=1)
    fit(task, batches, 3, folder=tmp_path, resume=False, progress=False)
    other, _ = simple(seed=1)
    fit(other, batches, 3, progress=False)
    assert torch.equal(task.model.weight, other.model.weight)


def test_best_needs_a_validation(tmp_path):
    with pytest.raises(ValueError, match="steps=3 must reach the end of an epoch, which has 8 batches"):
        train(tmp_path, steps=3, best="validation loss")
    with pytest.raises(ValueError, match="best='loss' is none of the validation figures"):
        task, batches = simple(validate=lambda model, batch: {"error": batch.mean()})
        fit(task, batches, 3, validation=batches, best="loss", progress=False)


def test_best_is_one_figure(tmp_path):
    def validate(model, batch):
        return {"v": model(batch).square().mean(), "w": -batch.mean()}

    task, batches = simple(validate=validate)
    fit(task, batches, 6, validation=batches, folder=tmp_path, best="v", progress=False)
    with pytest.raises(ValueError, match="the run chose by best='v' so far; got best='w'"):
        fit(simple(validate=validate)[0], batches, 6, validation=batches, folder=tmp_path, best="w", progress=False)
    plain = tmp_path / "plain"
    fit(simple(validate=validate)[0], batches, 6, validation=batches, folder=plain, progress=False)
    with pytest.raises(ValueError, match="was made without best"):
        fit(simple(validate=validate)[0], batches, 6, validation=batches, folder=plain, best="v", progress=False)


def test_a_finished_run_leaves_random_numbers_alone(tmp_path):
    task, batches = simple()
    fit(task, batches, 6, folder=tmp_path, progress=False)
    again, _ = simple()
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    fit(again, batches, 6, folder=tmp_path, progress=False)
    again.restore_random()
    assert torch.equal(torch.rand(3), expected)


def test_a_schedule_is_for_its_number_of_steps(tmp_path):
    train(tmp_path, steps=12)
    with pytest.raises(ValueError, match=r"made for the 12 steps of the run in .*; got steps=20"):
        train(tmp_path, steps=20)
    prolonged = tmp_path / "prolonged"
    train(prolonged, steps=12, scheduled=False)
    train(prolonged, steps=20, scheduled=False)


@pytest.mark.skipif(not os.path.isdir("/dev/shm"), reason="needs a second file system")
def test_a_copy_that_breaks_off_leaves_the_last_checkpoint(tmp_path, monkeypatch):
    import tempfile

    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        weights, figures = train(tmp_path, steps=12)
        killed_at(7, folder, steps=12)

        def breaks_off(source, target, **options):
            with open(target, "wb") as file:
                file.write(b"half")
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr("shutil.copyfile", breaks_off)
            with pytest.raises(OSError, match="No space left"):
                train(folder, steps=12)
        found, whole = train(folder, steps=12)
        assert torch.equal(found, weights) and whole == figures
        assert not [name for name in os.listdir(folder) if name.startswith(".")]


def test_what_cannot_be_read_back_is_refused_at_once(tmp_path):
    class Odd:
        def state_dict(self):
            return {"odd": Odd()}

        def load_state_dict(self, state):
            pass

    task, batches = simple(keep={"odd": Odd()})
    with pytest.raises(TypeError, match=r"the state_dict of keep\['odd'\] must hold tensors, numbers"):
        fit(task, batches, 3, folder=tmp_path, progress=False)


def test_other_batches_are_refused(tmp_path):
    task, batches = simple()
    fit(task, batches, 4, folder=tmp_path, progress=False)
    with pytest.raises(ValueError, match=r"batches with .*'size': 4.*and these have .*'size': 3"):
        fit(simple()[0], Batches(torch.linspace(-1.0, 1.0, 12)[:, None], 3), 8, folder=tmp_path, progress=False)


def test_names_of_figures_are_told_apart():
    task, batches = simple(validate=lambda model, batch: {"loss": batch.mean()})
    with pytest.raises(ValueError, match="'loss' is the name of a training and of a validation figure"):
        fit(task, batches, 3, validation=batches, progress=False)


def test_one_callback_will_do_and_processes_need_batches_that_divide():
    class Counter(Callback):
        count = 0

        def on_train_batch_end(self, *arguments):
            self.count += 1

    counter = Counter()
    task, batches = simple()
    fit(task, batches, 4, callbacks=counter, progress=False)
    assert counter.count == 4
    several = {"devices": 2, "accelerator": "cpu", "strategy": "ddp_fork", "progress": False}
    with pytest.raises(TypeError, match="several processes need batches that they can divide, Batches; got list"):
        fit(task, [torch.ones(2, 1)], 4, **several)
    with pytest.raises(ValueError, match="best='loss' needs a folder that all processes can read"):
        fit(task, batches, 4, best="loss", validation=batches, **several)
    for option in ({"max_epochs": 2}, {"max_time": "00:00:01:00"}, {"limit_train_batches": 2}):
        with pytest.raises(ValueError, match=f"{next(iter(option))} would end a run or an epoch elsewhere"):
            fit(task, batches, 4, progress=False, **option)
    with pytest.raises(ValueError, match="every must be at least one step; got 0"):
        fit(task, batches, 4, every=0, progress=False)


def test_batches_may_be_dictionaries():
    class Rows:
        def __iter__(self):
            return iter([{"x": torch.ones(2, 1)}, {"x": torch.zeros(3, 1)}])

        def __len__(self):
            return 2

    task = Task(
        nn.Linear(1, 1), lambda model, batch, progress: model(batch["x"]).square().mean(),
        validate=lambda model, batch: {"mean": batch["x"].mean()},
    )  # fmt: skip
    figures = fit(task, Rows(), 2, validation=Rows(), progress=False)
    assert figures["mean"] == pytest.approx([0.4])


def test_files_are_readable_by_others(tmp_path):
    task, batches = simple()
    mask = os.umask(0o022)
    try:
        fit(task, batches, 4, folder=tmp_path, progress=False)
    finally:
        os.umask(mask)
    for name in ("latest.ckpt", "weights.safetensors"):
        assert os.stat(tmp_path / name).st_mode & 0o777 == 0o644
    load_weights(nn.Linear(1, 1), tmp_path / "weights.safetensors")


def test_a_file_is_whole_or_not_there(tmp_path):
    path = tmp_path / "a.txt"
    with replacing(path) as temporary:
        temporary.write_text("one")
        assert not path.exists()
    with pytest.raises(KeyboardInterrupt), replacing(path) as temporary:
        temporary.write_text("half of another")
        raise KeyboardInterrupt
    assert path.read_text() == "one" and os.listdir(tmp_path) == ["a.txt"]
