"""The surrogate files in examples/ are studies, here with few samples and steps."""

import tomllib
from pathlib import Path

import pytest

from kutta.surrogate_study import study as module
from kutta.surrogate_study.folder import Folder
from kutta.surrogate_study.settings import read, settings_of
from kutta.surrogate_study.study import study

FOLDER = Path(__file__).parents[2] / "examples"
FILES = sorted(FOLDER.glob("*_surrogate.toml"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_examples_are_studied(path, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "ladder", lambda known, problem: {})  # of which other tests are
    assert read(path).title
    content = tomllib.loads(path.read_text())
    content["data"].update(training=8, validation=2, test=2)
    content["data"]["points"] = 32
    content["comparison"] = {"problems": 1, "rounds": 1}
    for network in content["networks"].values():
        network.pop("training", None)
        if network["kind"] == "PODRegression":
            network["modes"] = 4
    content["training"].update(steps=1, batch=2)
    done = study(settings_of(content), Folder(tmp_path))
    assert [one.trained.name for one in done.outcomes] == ["MgNO", "FNO", "DeepONet", "linear"]


def test_there_are_examples():
    assert [path.stem for path in FILES] == ["burgers_surrogate", "darcy_surrogate"]
