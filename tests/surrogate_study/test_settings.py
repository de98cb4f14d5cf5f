"""What surrogate files may say, and what is refused by the name of its key."""

import tomllib

import pytest

from kutta.problem_files.section import ProblemFileError
from kutta.surrogate_study.settings import Training, read, settings_of
from tests.problem_files._files import changed
from tests.surrogate_study._files import BURGERS, DARCY


def test_what_a_file_says():
    settings = settings_of(tomllib.loads(DARCY))
    assert (settings.title, settings.seed, settings.comparison.rounds) == ("small", 3, 1)
    assert settings.samples.arguments == {"points": 8} and settings.samples.count == 20
    assert list(settings.networks) == ["mgno", "linear"]
    assert settings.networks["mgno"].arguments == {"width": 3, "layers": 1, "sweeps": (1, 2)}
    assert settings.training["mgno"] == Training(steps=6, batch=4, lr=5e-3, loss="relative_h1")


def test_a_network_may_overrule_the_training_of_all():
    settings = settings_of(tomllib.loads(BURGERS))
    assert settings.training["fno"] == Training(steps=4, batch=6)
    assert settings.training["deeponet"] == Training(steps=4, batch=6, lr=1e-2, loss="vrmse")
    assert settings.networks["fno"].change and not settings.networks["deeponet"].change


def test_without_a_title_it_is_the_name_of_the_file(tmp_path):
    (tmp_path / "rods.toml").write_text(BURGERS)
    assert read(tmp_path / "rods.toml").title == "rods"


def test_settings_are_as_json_has_them():
    settings = settings_of(tomllib.loads(DARCY))
    assert settings.of_network("mgno")["network"]["arguments"]["sweeps"] == [1, 2]
    assert settings.of_network("mgno")["data"] == settings.of_data
    other = settings_of(changed(DARCY, "comparison.rounds", 9))
    assert other.of_network("mgno") == settings.of_network("mgno")  # what is trained does not depend on it
    for key, value in (("training.every", 7), ("training.accelerator", "cpu")):
        assert settings_of(changed(DARCY, key, value)).of_network("mgno") == settings.of_network("mgno")


REFUSED = {
    "unknown table": ("date", {"family": "darcy"}, r"date has no meaning here; did you mean data\?"),
    "no data": ("data", None, "data is missing"),
    "no networks": ("networks", {}, "networks: expected at least one network"),
    "unknown family": ("data.family", "darci", r"data.family: expected one of .*; did you mean darcy\?"),
    "no samples": ("data.training", 0, "data.training: expected a whole number from 1"),
    "no tests": ("data.test", None, "data.test is missing"),
    "argument of another family": ("data.viscosity", 0.1, "data.viscosity has no meaning here"),
    "text for a number": ("data.low", "3", "data.low: expected a number; got '3'"),
    "field": ("data.field", {"alpha": 2.0}, "data.field cannot be given in a file, only in Python"),
    "no points": ("data.points", 0, "data: "),
    "too many points": ("data.points", 1_000_000, r"data: expected at most \d+ points; got 1000000\^2"),
    "too many samples": ("data.training", 10_000_000, r"data: .* got 10000008 samples with 2 fields on 8 × 8 points"),
    "too many samples of the default grid": (
        "data",
        {"family": "navier_stokes", "training": 1_000_000, "validation": 1, "test": 1},
        r"data: expected at most \d+ values; got 1000002 samples of 10 steps with 2 fields on 64 × 64 points",
    ),
    "negative coefficient": ("data.low", -3.0, "data: "),
    "unknown kind": ("networks.mgno.kind", "MGNO", r"networks.mgno.kind: expected one of .*; did you mean MgNO\?"),
    "no kind": ("networks.mgno.kind", None, "networks.mgno.kind is missing"),
    "misspelt argument": ("networks.mgno.widht", 3, r"networks.mgno.widht has no meaning here; did you mean width\?"),
    "what follows from the data": ("networks.mgno.in_channels", 1, "networks.mgno.in_channels has no meaning here"),
    "text in a list": ("networks.mgno.sweeps", [1, "2"], "networks.mgno.sweeps: expected a list of numbers; got '2'"),
    "refused argument": ("networks.mgno.width", 0, "networks.mgno: width must be a whole number of at least 1"),
    "refused text": ("networks.mgno.nonlinearity", "sine", "networks.mgno: activation must be one of"),
    "too many levels": ("networks.mgno.sweeps", [1] * 6, "networks.mgno: .*sweeps"),
    "change of a coefficient": ("networks.mgno.change", True, "networks.mgno: change needs 'u0' as the first input"),
    "change is a number": ("networks.mgno.change", 1, "networks.mgno.change: expected true or false; got 1"),
    "missing argument": ("networks.fno", {"kind": "FNO"}, "networks.fno.modes is missing"),
    "steps of what is fitted": ("networks.linear.training", {"steps": 3}, "networks.linear.training: a PODRegression"),
    "network that is a number": ("networks.mgno", 3, "networks.mgno: expected a table; got 3"),
    "name for another folder": ("networks", {"../up": {"kind": "UNet"}}, "networks: expected names of letters"),
    "hidden name": ("networks", {".hidden": {"kind": "UNet"}}, "networks: expected names of letters"),
    "no steps": ("training.steps", 0, "training.steps: expected a whole number from 1"),
    "no rate": ("training.lr", 0.0, "training.lr: expected a number above 0"),
    "rate that is no number": ("training.lr", float("nan"), "training.lr: expected a finite number; got nan"),
    "negative decay": (
        "training.weight_decay",
        -1.0,
        "training.weight_decay: expected a number of at least 0; got -1.0",
    ),
    "decay that is false": ("training.weight_decay", False, "training.weight_decay: expected a number; got False"),
    "decay that is empty": ("training.weight_decay", "", "training.weight_decay: expected a number; got ''"),
    "decay that is a list": ("training.weight_decay", [], r"training.weight_decay: expected a number; got \[\]"),
    "unknown loss": ("training.loss", "relative_l1", r"training.loss: expected one of .*; did you mean relative_l2\?"),
    "unknown precision": ("training.precision", "float8", "training.precision: expected one of 32-true"),
    "unknown accelerator": ("training.accelerator", "abacus", "training.accelerator: expected one of auto, cpu, gpu"),
    "several devices": ("training.devices", 2, "training.devices has no meaning here"),
    "overruled by nonsense": ("networks.mgno.training", {"step": 3}, "networks.mgno.training.step has no meaning"),
    "no rounds": ("comparison.rounds", 0, "comparison.rounds: expected a whole number from 1"),
    "negative seed": ("seed", -1, "seed: expected a whole number from 0"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_has_no_meaning_is_refused(case):
    key, value, reason = REFUSED[case]
    with pytest.raises(ProblemFileError, match=reason):
        settings_of(changed(DARCY, key, value))


def test_a_gpu_is_refused_where_there_is_none(monkeypatch):
    content = changed(DARCY, "training.accelerator", "gpu")
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(ProblemFileError, match=r"training\.accelerator: this machine has no GPU"):
        settings_of(content)
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    assert settings_of(content).training["mgno"].accelerator == "gpu"


def test_weights_need_not_decay():
    assert settings_of(changed(DARCY, "training.weight_decay", 0)).training["mgno"].weight_decay == 0.0


FILES = {
    "missing": (None, "cannot be read"),
    "no TOML": ("[data", "is not TOML"),
    "problem file": ("[equation]\ntext = 'laplace(u)'", "rods.toml: data is missing"),
}


@pytest.mark.parametrize("case", FILES)
def test_files_that_are_none(case, tmp_path):
    text, reason = FILES[case]
    path = tmp_path / "rods.toml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ProblemFileError, match=reason):
        read(path)
