"""What a folder holds, and whether it was made with the same settings."""

import json

import pytest

from kutta.problem_files.section import ProblemFileError
from kutta.surrogate_study.folder import Folder, check_same

HERE = {"data": {"points": 32, "seed": 0}, "training": {"lr": 1e-3}}

DIFFERENT = {
    "a number": ({"data": {"points": 64, "seed": 0}, "training": {"lr": 1e-3}}, r"data.points is 64 there, and 32 in"),
    "another one": (
        {"data": HERE["data"], "training": {"lr": 0.1}},
        r"training.lr is 0.1 there, and 0.001 in the file",
    ),
    "missing": ({"data": HERE["data"]}, r"training is null there"),
    "nothing": (None, r"all is null there"),
}


@pytest.mark.parametrize("case", DIFFERENT)
def test_the_first_difference_is_told(case, tmp_path):
    there, reason = DIFFERENT[case]
    with pytest.raises(ProblemFileError, match=rf"made with other settings \({reason}.*--restart"):
        check_same(tmp_path, there, HERE)


def test_the_same_is_the_same(tmp_path):
    check_same(tmp_path, json.loads(json.dumps(HERE)), HERE)


def test_a_run_keeps_its_settings(tmp_path):
    folder = Folder(tmp_path)
    run = folder.run("fno", HERE)
    assert folder.run("fno", HERE) == run == tmp_path / "training" / "fno"
    with pytest.raises(ProblemFileError, match=r"training\.lr"):
        folder.run("fno", {**HERE, "training": {"lr": 2.0}})
    assert json.loads((run / "settings.json").read_text()) == HERE
    assert sorted(one.name for one in run.iterdir()) == ["settings.json"]


def test_what_is_forgotten_is_gone_and_nothing_else(tmp_path):
    folder = Folder(tmp_path)
    folder.run("fno", HERE)
    folder.data.write_text("")
    (tmp_path / "notes.txt").write_text("mine")
    folder.forget()
    folder.forget()
    assert [one.name for one in tmp_path.iterdir()] == ["notes.txt"]
