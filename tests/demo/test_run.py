import pytest
import torch

from kutta.demo import digits, digits_flow, hard_constraints, hare_lynx, report, run, sampling, surrogates
from kutta.demo.classifier import Settings
from kutta.surrogate_study.settings import read


@pytest.fixture
def ready(hares, images, samples, networks, constrained, content, monkeypatch):
    """Studies that are there already."""
    calls = {}
    monkeypatch.setattr(hare_lynx, "study", lambda *given, **named: calls.update(hares=(given, named)) or hares)
    monkeypatch.setattr(digits, "study", lambda *given, **named: calls.update(images=(given, named)) or images)
    monkeypatch.setattr(sampling, "study", lambda *given, **named: calls.update(samples=(given, named)) or samples)
    monkeypatch.setattr(surrogates, "study", lambda *given, **named: calls.update(networks=(given, named)) or networks)
    monkeypatch.setattr(
        hard_constraints, "study", lambda *given, **named: calls.update(constrained=(given, named)) or constrained
    )
    monkeypatch.setattr(report, "content_of", lambda *given: content)
    return calls


def test_the_demo_writes_the_report_and_prints_fit_accuracy_evaluations_and_time(ready, images, tmp_path, capsys):
    path = run.run(tmp_path / "out", seed=3, progress=False)
    printed = capsys.readouterr().out
    assert path == tmp_path / "out" / "report.html" and path.is_file()
    assert printed.replace("\n", "").endswith(str(path))
    for text in ("alpha", "published", "log variance explained", "evaluations", "test accuracy", "time", "speed-up"):
        assert text in printed
    assert "JointExperts" in printed
    for model in images.models:
        assert model.name in printed and f"{model.outcome.accuracy:.1%}" in printed
        assert f" {model.outcome.function_evaluations} " in printed
    assert ready["hares"][0] == (3,) and ready["images"][0] == ready["samples"][0] == (3, None)
    assert ready["constrained"] == ((3, None), {"progress": False})


def test_the_model_of_digits_is_saved_and_its_distances_are_printed(ready, samples, tmp_path, capsys):
    run.run(tmp_path, progress=False)
    loaded = digits_flow.load(tmp_path / run.MODEL)
    x, t, digits = digits_flow.noise_for(3), torch.ones(3), torch.arange(3)
    assert torch.equal(loaded(x, t, digits), samples.digits.model(x, t, digits))
    printed = capsys.readouterr().out
    assert "Fréchet" in printed and f" {samples.digits.scores['UniPC', 6].distance:.2f} " in printed


def test_quick_takes_fewer_draws_and_epochs(ready, tmp_path):
    run.run(tmp_path, quick=True, progress=False)
    assert ready["hares"][1]["draws"] < 500
    assert ready["images"][0][1].epochs < Settings().epochs
    assert ready["samples"][0][1].steps < digits_flow.Settings().steps
    assert ready["samples"][1]["samples"] < 1000
    assert ready["constrained"][0][1].steps < hard_constraints.Settings().steps
    assert ready["networks"][0][2].samples.training < read(surrogates.FULL).samples.training


def test_the_networks_have_a_folder_beside_the_report(ready, tmp_path):
    run.run(tmp_path, seed=3, progress=False)
    assert ready["networks"][0] == (tmp_path / run.SURROGATES, 3, None)
