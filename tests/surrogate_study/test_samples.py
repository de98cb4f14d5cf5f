"""Data that are made once."""

import tomllib

import pytest
import torch

from kutta.operators.data import generate
from kutta.problem_files.section import ProblemFileError
from kutta.surrogate_study import samples as module
from kutta.surrogate_study.folder import Folder
from kutta.surrogate_study.samples import samples
from kutta.surrogate_study.settings import settings_of
from tests.problem_files._files import changed
from tests.surrogate_study._files import BURGERS, DARCY

SETTINGS = settings_of(tomllib.loads(DARCY))


def test_parts_are_of_the_counts_that_were_asked_for(tmp_path):
    parts = samples(settings_of(tomllib.loads(BURGERS)), Folder(tmp_path), progress=False)
    assert [len(one) for one in (parts.training, parts.validation, parts.test)] == [12, 4, 4]  # of two steps each
    assert parts.seconds > 0.0 and parts.paid == pytest.approx(0.8 * parts.seconds)
    assert torch.equal(parts.test.outputs[0], parts.test.inputs[1])  # trajectories stay together


def test_they_are_those_of_the_seed(tmp_path):
    parts = samples(SETTINGS, Folder(tmp_path), progress=False)
    expected = generate(SETTINGS.samples.made(), 20, seed=3)
    assert torch.equal(torch.cat([parts.training.outputs, parts.validation.outputs]), expected.outputs[:16])


def test_they_are_made_once(tmp_path, monkeypatch):
    first = samples(SETTINGS, Folder(tmp_path), progress=False)
    monkeypatch.setattr(module, "generate", None)
    again = samples(SETTINGS, Folder(tmp_path), progress=False)
    assert torch.equal(first.test.inputs, again.test.inputs) and first.seconds == again.seconds
    assert again.training.manifest == first.training.manifest and again.training.scope.grid.shape == (8, 8)


@pytest.mark.parametrize(("key", "value"), [("seed", 4), ("data.training", 13), ("data.high", 20.0)])
def test_those_of_other_settings_are_refused(key, value, tmp_path):
    samples(SETTINGS, Folder(tmp_path), progress=False)
    other = settings_of(changed(DARCY, key, value))
    with pytest.raises(
        ProblemFileError, match=f"data.h5 was made with other settings .*{key.split('.')[-1]}.*--restart"
    ):
        samples(other, Folder(tmp_path), progress=False)


def test_the_training_may_change(tmp_path):
    samples(SETTINGS, Folder(tmp_path), progress=False)
    samples(settings_of(changed(DARCY, "training.steps", 100)), Folder(tmp_path), progress=False)


def test_a_file_that_is_damaged_is_refused(tmp_path):
    Folder(tmp_path).data.write_bytes(b"nonsense")
    with pytest.raises((ValueError, OSError), match=r"data\.h5"):
        samples(SETTINGS, Folder(tmp_path), progress=False)


def test_what_is_interrupted_leaves_nothing(tmp_path, monkeypatch):
    def stopped(*given, **named):
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "write", stopped)
    with pytest.raises(KeyboardInterrupt):
        samples(SETTINGS, Folder(tmp_path), progress=False)
    assert list(tmp_path.iterdir()) == []
