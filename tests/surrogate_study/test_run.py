"""What `kutta train` writes and says."""

import json

import pytest
from typer.testing import CliRunner

import kutta as kt
from kutta import cli
from tests.surrogate_study._files import DARCY

PAGES = {"data.h5", "training", "fields.png", "spectra.png", "training.png", "costs.png", "table.md", "table.json"}


def invoke(*arguments):
    return CliRunner(env={"COLUMNS": "120"}).invoke(cli.application(), ("train", *map(str, arguments)))


@pytest.fixture
def written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def write(text):
        (tmp_path / "small.toml").write_text(text)
        return tmp_path / "small.toml"

    return write


def test_models_tables_and_pictures_are_written(written, tmp_path):
    result = invoke(written(DARCY), "--out", tmp_path / "out" / "inner")
    assert result.exit_code == 0, result.output
    folder = tmp_path / "out" / "inner"
    assert {one.name for one in folder.iterdir()} == PAGES | {"mgno.safetensors", "linear.safetensors"}
    words = " ".join(result.output.split())
    for part in (
        "small",
        "relative H1",
        "pays after",
        "mean solution",
        "solver of the data",
        "CG, multigrid, rtol 1e-08",
    ):
        assert part in words
    model = kt.operators.load(folder / "mgno.safetensors")
    assert model.card["data"]["settings"]["arguments"] == {"points": 8}
    found = json.loads((folder / "table.json").read_text())
    assert model.card["metrics"] == found["networks"]["mgno"]["errors"]
    for name in ("fields", "spectra", "training", "costs"):
        assert (folder / f"{name}.png").read_bytes().startswith(b"\x89PNG")


def test_called_again_it_trains_nothing_and_says_the_same_errors(written, tmp_path, monkeypatch):
    path = written(DARCY)
    assert invoke(path, "--quiet").exit_code == 0
    before = json.loads((tmp_path / "small" / "table.json").read_text())["networks"]["mgno"]
    for work in ("kutta.operators.learning._loss", "kutta.surrogate_study.samples.generate"):
        monkeypatch.setattr(work, lambda *given, **named: pytest.fail("this has been done before"))
    result = invoke(path, "--quiet")
    assert result.exit_code == 0 and result.output == ""
    after = json.loads((tmp_path / "small" / "table.json").read_text())["networks"]["mgno"]
    assert all(after[key] == before[key] for key in ("errors", "training_seconds", "curves"))


def test_other_settings_are_refused_until_it_begins_anew(written, tmp_path):
    assert invoke(written(DARCY), "--quiet").exit_code == 0
    before = (tmp_path / "small" / "table.json").read_bytes()
    path = written(DARCY.replace("steps = 6", "steps = 3"))
    result = invoke(path, "--quiet")
    assert result.exit_code == 2 and "training.steps is 6 there, and 3 in the file" in result.stderr
    assert (tmp_path / "small" / "table.json").read_bytes() == before
    data = (tmp_path / "small" / "data.h5").stat().st_mtime_ns
    assert invoke(path, "--quiet", "--restart").exit_code == 0
    assert (tmp_path / "small" / "data.h5").stat().st_mtime_ns == data  # which are of the same settings
    found = json.loads((tmp_path / "small" / "table.json").read_text())
    assert found["settings"]["mgno"]["training"]["steps"] == 3


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (DARCY.replace("sweeps", "sweps"), "networks.mgno.sweps has no meaning here; did you mean sweeps?"),
        ("[", "TOML"),
    ],
    ids=["misspelt", "no TOML"],
)
def test_a_wrong_file_writes_nothing(text, reason, written, tmp_path):
    result = invoke(written(text))
    assert result.exit_code == 2 and result.stderr.startswith("Error: ") and reason in result.stderr
    assert [one.name for one in tmp_path.iterdir()] == ["small.toml"]


def test_a_folder_that_cannot_be_written_to(written, tmp_path):
    (tmp_path / "taken").write_text("")
    result = invoke(written(DARCY), "--out", tmp_path / "taken", "--quiet")
    assert result.exit_code == 2 and "cannot be written" in result.stderr and "taken" in result.stderr


def test_tables_that_cannot_be_written_stay_as_before(written, tmp_path, monkeypatch):
    path = written(DARCY)
    assert invoke(path, "--quiet").exit_code == 0
    before = {one.name: one.read_bytes() for one in (tmp_path / "small").iterdir() if one.is_file()}

    def full(*given, **named):
        raise OSError("no space left on device")

    monkeypatch.setattr("pathlib.Path.write_text", full)
    result = invoke(path, "--quiet")
    assert result.exit_code == 2 and "no space left" in result.stderr
    after = {one.name: one.read_bytes() for one in (tmp_path / "small").iterdir() if one.is_file()}
    assert set(after) == set(before)
    assert all(after[name] == before[name] for name in before if name.startswith("table") or name.endswith("png"))


def test_pictures_that_cannot_be_drawn_do_not_cost_the_tables(written, tmp_path, monkeypatch):
    def full(*given, **named):
        raise OSError("no space left on device")

    monkeypatch.setattr("matplotlib.figure.Figure.savefig", full)
    result = invoke(written(DARCY), "--quiet")
    assert result.exit_code == 2 and "no space left" in result.stderr
    there = {one.name for one in (tmp_path / "small").iterdir()}
    assert {"table.md", "table.json", "mgno.safetensors"} <= there and not any(one.endswith("png") for one in there)


def test_runs_are_checked_before_any_is_trained(written, tmp_path):
    run = tmp_path / "small" / "training" / "second"
    run.mkdir(parents=True)
    (run / "notes.txt").write_text("mine")
    text = DARCY + '[networks.second]\nkind = "MgNO"\nwidth = 3\nlayers = 1\nsweeps = [1, 2]\n'
    for options in ((), ("--restart",)):
        result = invoke(written(text), "--quiet", *options)
        assert result.exit_code == 2 and "second is no run of kutta train" in result.stderr.replace("\n", "")
    assert [one.name for one in run.iterdir()] == ["notes.txt"]
    assert not (tmp_path / "small" / "data.h5").exists() and not (run.parent / "mgno").exists()


def test_titles_are_text(written):
    result = invoke(written(DARCY.replace('"small"', '"flow [a] of [/bold] $\\\\frac{1$"')))
    assert result.exit_code == 0, result.output
    assert "flow [a] of [/bold]" in result.output


def test_the_package_that_is_missing_is_named(written, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pytorch_lightning", None)
    result = invoke(written(DARCY))
    assert result.exit_code == 2
    assert 'kutta train needs pytorch-lightning: pip install "kutta[cli,pde,progress,training]"' in result.stderr
