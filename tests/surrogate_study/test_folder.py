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
    "missing": ({"data": HERE["data"]}, r"training is missing there, and \{"),
    "nothing here": ({**HERE, "data": {**HERE["data"], "field": None}}, "data.field is null there, and missing in"),
    "nothing": (None, r"all is null there"),
}


@pytest.mark.parametrize("case", DIFFERENT)
def test_the_first_difference_is_told(case, tmp_path):
    there, reason = DIFFERENT[case]
    with pytest.raises(ProblemFileError, match=rf"made with other settings \({reason}.*--restart"):
        check_same(tmp_path, there, HERE)


def test_the_same_is_the_same(tmp_path):
    check_same(tmp_path, json.loads(json.dumps(HERE)), HERE)


RUN = {"network": {"kind": "FNO"}, "training": {"lr": 1e-3}, "data": {"seed": 0}}


def test_a_run_keeps_its_settings_and_where_it_began(tmp_path):
    run = Folder(tmp_path).run("fno")
    run.begin(RUN, "CPU")
    run.begin(RUN, "another")
    assert run.path == tmp_path / "training" / "fno" and run.settings() == RUN and run.device() == "CPU"
    with pytest.raises(ProblemFileError, match=r"training\.lr"):
        run.begin({**RUN, "training": {"lr": 2.0}}, "CPU")
    assert sorted(one.name for one in run.path.iterdir()) == ["device.json", "settings.json"]


OTHERS = {
    "a folder": lambda path: (path.mkdir(), (path / "notes.txt").write_text("mine")),
    "a file": lambda path: path.write_text("mine"),
    "settings of something else": lambda path: (path.mkdir(), (path / "settings.json").write_text('{"editor": 1}')),
}


@pytest.mark.parametrize("case", OTHERS)
def test_what_others_have_made_is_no_run(case, tmp_path):
    folder = Folder(tmp_path)
    folder.runs.mkdir()
    OTHERS[case](folder.runs / "fno")
    with pytest.raises(ProblemFileError, match=r"fno is no run of kutta train: move it elsewhere"):
        folder.run("fno").begin(RUN, "CPU")
    assert list(folder.all_runs()) == []


def test_an_empty_folder_may_become_a_run(tmp_path):
    folder = Folder(tmp_path)
    (folder.runs / "fno").mkdir(parents=True)
    folder.run("fno").begin(RUN, "CPU")
    assert list(folder.all_runs()) == [folder.run("fno")]
