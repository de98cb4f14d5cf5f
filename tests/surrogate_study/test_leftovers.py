"""What is taken away of an earlier study, and what stays."""

import json

import pytest

from kutta.operators.data import generate, write
from kutta.problem_files.section import ProblemFileError
from kutta.surrogate_study.folder import Folder
from kutta.surrogate_study.leftovers import forget, forget_others
from kutta.surrogate_study.samples import samples
from kutta.surrogate_study.settings import settings_of
from tests.problem_files._files import changed
from tests.surrogate_study._files import DARCY

SETTINGS = settings_of(changed(DARCY, "networks.fno", {"kind": "FNO", "modes": [4, 4], "width": 4}))


@pytest.fixture
def folder(tmp_path):
    """What a study leaves, without its training, and files of somebody else's."""
    there = Folder(tmp_path)
    samples(SETTINGS, there, progress=False)
    for name in ("mgno", "fno"):
        there.run(name).begin(SETTINGS.of_network(name), "CPU")
    for name in ("mgno", "fno", "linear", "copy"):
        there.weights(name).write_text(name)
    (there.runs / "cats").mkdir()
    (there.runs / "cats" / "settings.json").write_text("{}")
    there.figures.write_text(json.dumps({"settings": {name: SETTINGS.of_network(name) for name in SETTINGS.networks}}))
    return there


def left(folder):
    """Runs and networks."""
    return {one.name for one in folder.runs.iterdir()}, {one.stem for one in folder.path.glob("*.safetensors")}


def test_what_is_of_the_same_settings_stays(folder):
    forget_others(folder, SETTINGS)
    assert folder.data.exists() and left(folder) == ({"mgno", "fno", "cats"}, {"mgno", "fno", "linear", "copy"})


def test_of_other_settings_only_what_differs_goes(folder):
    forget_others(folder, settings_of(changed(DARCY, "networks.mgno.width", 4)))  # without fno, too
    assert folder.data.exists() and left(folder) == ({"cats"}, {"linear", "copy"})


def test_with_other_data_all_goes(folder):
    forget_others(folder, settings_of(changed(DARCY, "seed", 9)))
    assert not folder.data.exists() and left(folder) == ({"cats"}, {"copy"})


def test_runs_that_diverged_go(folder):
    folder.run("mgno").note_divergence()
    forget_others(folder, SETTINGS)
    assert left(folder)[0] == {"fno", "cats"}


def test_all_of_a_study_goes_and_nothing_else(folder):
    forget(folder)
    forget(folder)
    assert not folder.data.exists() and left(folder) == ({"cats"}, {"copy"})


def test_tables_name_no_files_elsewhere(folder):
    outside = folder.path.parent / "outside.safetensors"
    outside.write_text("mine")
    folder.figures.write_text(json.dumps({"settings": {"../outside": {}, str(outside)[:-12]: {}}}))
    forget(folder)
    assert outside.exists() and left(folder)[1] == {"mgno", "fno", "linear", "copy"}


@pytest.mark.parametrize("kind", ["text", "data without settings"])
def test_data_of_others_are_refused_before_anything_goes(kind, folder):
    folder.data.unlink()
    if kind == "text":
        folder.data.write_text("mine")
    else:
        write(generate(SETTINGS.samples.made(), 2), folder.data)
    before = folder.data.read_bytes()
    for clear in (forget, lambda one: forget_others(one, settings_of(changed(DARCY, "seed", 9)))):
        with pytest.raises(ProblemFileError, match=r"data\.h5 holds no data of kutta train, or is damaged: move it"):
            clear(folder)
    assert folder.data.read_bytes() == before and left(folder)[0] == {"mgno", "fno", "cats"}


def test_links_are_not_followed(folder, tmp_path_factory):
    elsewhere = Folder(tmp_path_factory.mktemp("elsewhere"))
    elsewhere.run("mgno").begin(SETTINGS.of_network("mgno"), "CPU")
    (folder.runs / "link").symlink_to(elsewhere.run("mgno").path, target_is_directory=True)
    forget(folder)
    assert elsewhere.run("mgno").settings() is not None
