"""Networks in the place of a solver, and the part of the report on them."""

import dataclasses

import pytest

import kutta as kt
from kutta.demo import surrogates, surrogates_report
from kutta.surrogate_study.settings import read, settings_of
from tests.demo.conftest import SMALL_NETWORKS


@pytest.mark.parametrize("path", [surrogates.FULL, surrogates.QUICK], ids=["full", "quick"])
def test_the_settings_are_of_three_networks(path):
    settings = read(path)
    assert list(settings.networks) == ["MgNO", "FNO", "DeepONet"] and settings.samples.family == "darcy"


def test_what_is_there_from_an_earlier_run_is_made_anew(tmp_path):
    content = {**SMALL_NETWORKS, "training": {"steps": 2}, "comparison": {"problems": 1, "rounds": 1}}
    surrogates.study(tmp_path, 0, settings_of(content))
    found = surrogates.study(tmp_path, 1, settings_of(content))
    assert found.settings.seed == 1 and found.parts.training.manifest["seed"] == 1
    model = kt.operators.load(tmp_path / "FNO.safetensors")
    assert model.card["metrics"] == dict(found.outcomes[0].errors)


def test_the_section_says_what_was_measured(networks):
    section = surrogates_report.section(networks)
    best = min(networks.outcomes, key=lambda one: one.errors["relative L2"])
    words = " ".join(section.text)
    assert f"The most exact network, {best.trained.name}" in words and best.classical.name in words
    assert [one.name for one in section.tables] == ["surrogates-errors", "surrogates-costs"]
    assert len(section.pictures) == 3


def test_it_says_whether_a_network_pays(networks):
    one = networks.outcomes[0]
    never = dataclasses.replace(one, pays_after=float("inf"))
    soon = dataclasses.replace(one, pays_after=1234.0)
    assert surrogates_report._beside(never).endswith("it never pays.")
    assert surrogates_report._beside(soon).endswith("it pays after 1,200 problems.")


@pytest.mark.parametrize(
    ("speedup", "words"),
    [(0.13, "no network is faster than a solver that is as exact."), (3.0, "gains most, a factor of 3 at an error of")],
)
def test_a_network_gains_only_if_it_is_faster(speedup, words, networks):
    outcomes = [
        dataclasses.replace(one, classical=dataclasses.replace(one.classical, seconds=speedup * one.row.seconds))
        for one in networks.outcomes
    ]
    said = surrogates_report.verdict(dataclasses.replace(networks, outcomes=outcomes))
    assert words in said and ("gains" in said) == (speedup > 1.0)


def test_the_materials_are_those_of_the_data(networks):
    scope = dataclasses.replace(networks.parts.test.scope, lowest=(5.0,), highest=(7.0,))
    parts = dataclasses.replace(networks.parts, test=dataclasses.replace(networks.parts.test, scope=scope))
    words = surrogates_report.section(dataclasses.replace(networks, parts=parts)).text[0]
    assert "is 7 in one and 5 in the other" in words and "three" not in words
