"""Networks that are trained once, and go on where they were killed."""

import tomllib

import pytest
import torch

from kutta.operators import learning
from kutta.operators.metrics import relative_l2
from kutta.problem_files.section import ProblemFileError
from kutta.surrogate_study.folder import Folder
from kutta.surrogate_study.samples import samples
from kutta.surrogate_study.settings import settings_of
from kutta.surrogate_study.training import trained
from tests.problem_files._files import changed
from tests.surrogate_study._files import BURGERS, DARCY

SETTINGS = settings_of(changed(DARCY, "training.every", 1))


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    return samples(SETTINGS, Folder(tmp_path_factory.mktemp("data")), progress=False)


def weights(one):
    return torch.cat([weight.flatten() for weight in one.model.parameters()])


class Killed(BaseException):
    """What a kill looks like from within."""


def killed_after(steps):
    """A loss that does not survive so many steps."""
    calls = []

    def loss(u, target, grid):
        calls.append(1)
        if len(calls) > steps:
            raise Killed
        return relative_l2(u, target, grid)

    return loss, calls


def test_a_run_that_was_killed_goes_on_to_the_same_end(parts, tmp_path, monkeypatch):
    settings = settings_of(changed(DARCY, "training.every", 1))
    losses = "kutta.surrogate_study.training.LOSSES"
    whole, calls_of_whole = killed_after(1000)
    monkeypatch.setattr(losses, {"relative_h1": whole})
    straight = trained(settings, "mgno", parts, Folder(tmp_path / "straight"), progress=False)
    first, _ = killed_after(4)
    monkeypatch.setattr(losses, {"relative_h1": first})
    with pytest.raises(Killed):
        trained(settings, "mgno", parts, Folder(tmp_path / "killed"), progress=False)
    rest, calls = killed_after(1000)
    monkeypatch.setattr(losses, {"relative_h1": rest})
    resumed = trained(settings, "mgno", parts, Folder(tmp_path / "killed"), progress=False)
    assert len(calls_of_whole) == 6 and 0 < len(calls) < 6
    assert torch.equal(weights(resumed), weights(straight))
    assert resumed.curves["relative_l2"] == straight.curves["relative_l2"]


def test_what_has_ended_is_not_trained_again(parts, tmp_path, monkeypatch):
    first = trained(SETTINGS, "mgno", parts, Folder(tmp_path), progress=False)
    monkeypatch.setattr(learning, "_loss", lambda *given: pytest.fail("this has been trained before"))
    again = trained(SETTINGS, "mgno", parts, Folder(tmp_path), progress=False)
    assert torch.equal(weights(first), weights(again)) and again.seconds == first.seconds
    assert dict(again.curves) == dict(first.curves) and len(first.curves["relative_h1"]) == 2


def test_a_run_of_other_settings_is_refused_and_stays(parts, tmp_path):
    first = trained(SETTINGS, "mgno", parts, Folder(tmp_path), progress=False)
    other = settings_of(changed(DARCY, "networks.mgno.width", 4))
    with pytest.raises(
        ProblemFileError, match=r"mgno was made with other settings \(network.arguments.width is 3 there"
    ):
        trained(other, "mgno", parts, Folder(tmp_path), progress=False)
    again = trained(SETTINGS, "mgno", parts, Folder(tmp_path), progress=False)
    assert torch.equal(weights(first), weights(again))


def test_what_is_fitted_leaves_no_run_and_is_the_linear_map(parts, tmp_path):
    one = trained(SETTINGS, "linear", parts, Folder(tmp_path), progress=False)
    assert list(tmp_path.iterdir()) == [] and one.curves == {} and one.seconds > 0.0 and one.device == "CPU"
    u = one.model(parts.training.inputs, parts.training.scope.grid)
    flat = (u - parts.training.outputs).flatten(1)
    assert float(flat.mean(0).abs().max()) < 1e-3 * float(parts.training.outputs.abs().max())  # least squares


def test_changes_are_fitted_as_changes(tmp_path):
    text = BURGERS + '\n[networks.linear]\nkind = "PODRegression"\nmodes = 8\nchange = true\n'
    settings = settings_of(tomllib.loads(text))
    parts = samples(settings, Folder(tmp_path), progress=False)
    one = trained(settings, "linear", parts, Folder(tmp_path), progress=False)
    data = parts.training
    error = relative_l2(one.model(data.inputs, data.scope.grid), data.outputs, data.scope.grid).mean()
    nothing = relative_l2(data.inputs, data.outputs, data.scope.grid).mean()
    assert one.model.change and error < 0.5 * nothing


def test_more_modes_than_samples_name_the_network(parts, tmp_path):
    settings = settings_of(changed(DARCY, "networks.linear.modes", 40))
    with pytest.raises(ProblemFileError, match=r"networks\.linear: "):
        trained(settings, "linear", parts, Folder(tmp_path), progress=False)


def test_training_that_diverges_is_told(parts, tmp_path):
    settings = settings_of(changed(DARCY, "training.lr", 1e30))
    with pytest.raises(ProblemFileError, match=r"networks\.mgno: training diverged"):
        trained(settings, "mgno", parts, Folder(tmp_path), progress=False)
    assert Folder(tmp_path).run("mgno").diverged()


@pytest.mark.parametrize("error", [TypeError, ValueError])
def test_a_failure_of_training_is_not_the_fault_of_the_file(error, parts, tmp_path, monkeypatch):
    def broken(*given):
        raise error("within")

    monkeypatch.setattr("kutta.surrogate_study.training.LOSSES", {"relative_h1": broken})
    with pytest.raises(error, match="within") as caught:
        trained(SETTINGS, "mgno", parts, Folder(tmp_path), progress=False)
    assert not isinstance(caught.value, ProblemFileError)


def test_modes_that_are_not_finite_are_told(parts, tmp_path, monkeypatch):
    def fitted(self, a, u):
        self.out_modes.fill_(float("nan"))
        return self

    monkeypatch.setattr("kutta.operators.PODRegression.fit", fitted)
    with pytest.raises(ProblemFileError, match=r"networks\.linear: its weights are not finite"):
        trained(SETTINGS, "linear", parts, Folder(tmp_path), progress=False)


def test_mixed_precision_keeps_the_weights_single(parts, tmp_path):
    settings = settings_of(changed(DARCY, "training.precision", "bf16-mixed"))
    one = trained(settings, "mgno", parts, Folder(tmp_path), progress=False)
    u = one.model(parts.test.inputs, parts.test.scope.grid)
    assert u.dtype == weights(one).dtype == torch.float32 and bool(torch.isfinite(u).all())


def test_it_learns(parts, tmp_path):
    settings = settings_of(changed(DARCY, "training.steps", 60))
    one = trained(settings, "mgno", parts, Folder(tmp_path), progress=False)
    assert one.curves["relative_h1"][-1] < 0.7 * one.curves["relative_h1"][0]
    assert not one.model.training and not any(weight.requires_grad for weight in one.model.parameters())
