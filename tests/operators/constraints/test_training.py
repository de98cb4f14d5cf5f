"""Training on an equation, without solutions."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

import kutta as kt
from kutta.operators.constraints.training import _placed
from tests._helpers import F64
from tests._torchrun import found_by

FAMILY = kt.operators.data.diffusion_sorption(32, 100.0)


def errors(model):
    problem = FAMILY.draw(8, torch.Generator().manual_seed(1))
    times = torch.linspace(0.0, 100.0, 9, dtype=F64)
    exact = kt.solve(problem, FAMILY.method, save_at=times, **FAMILY.options).ys
    with torch.no_grad():
        u = model.eval()(problem).u
    model.train()
    return float((u - exact).norm() / exact.norm())


def trained(kind, steps, most=12):
    torch.manual_seed(0)
    measure = kt.operators.EstimatedError(1.3e-4, 16)
    net = kt.operators.FNO(4, 1 if kind is kt.operators.SoftConstraint else 6, (8, 8), width=12, layers=2)
    options = {} if kind is kt.operators.SoftConstraint else {"ridge": 1e-3, "max_steps": most}
    if issubclass(kind, kt.operators.MixtureOfExperts) and kind is not kt.operators.ConstrainedBasis:
        options["routing"] = kt.operators.Boxes((1, 2), 0.25)
    model = kind(net, 8, inputs=FAMILY.inputs, measure=measure, ramp=0.0, **options)
    figures = kt.operators.train_on_equation(model, FAMILY, steps, batch=4, lr=3e-3, progress=False)
    return model, figures


def test_errors_fall_and_constraints_are_better_than_penalties():
    kinds = "SoftConstraint", "ConstrainedBasis", "MixtureOfExperts", "JointExperts"
    soft, hard, apart, joint = (errors(trained(getattr(kt.operators, kind), 40)[0]) for kind in kinds)
    assert hard < 0.75 * soft and hard < 0.15 and apart < 0.15 and joint < 0.75 * hard


def test_a_seed_gives_the_same_weights_and_samples_that_are_not_solved_are_counted():
    one, other = (trained(kt.operators.ConstrainedBasis, 3) for _ in range(2))
    pairs = zip(one[0].parameters(), other[0].parameters(), strict=True)
    assert all(torch.equal(*pair) for pair in pairs)
    assert trained(kt.operators.ConstrainedBasis, 1, most=1)[1]["unsolved"] == [1.0]


@pytest.mark.slow
def test_experts_of_two_processes_learn_what_those_of_one_do(tmp_path):
    script = Path(__file__).with_name("_two_processes.py")
    alone, together = found_by(script, tmp_path / "one", 1), found_by(script, tmp_path / "two", 2)
    assert together["loss"] == pytest.approx(alone["loss"], rel=1e-9)
    for mine, other in zip(together["weights"], alone["weights"], strict=True):
        torch.testing.assert_close(torch.tensor(mine, dtype=F64), torch.tensor(other, dtype=F64), rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("devices", [0, "auto", True])
def test_a_number_of_processes_is_asked_for(devices):
    model = kt.operators.SoftConstraint(kt.operators.FNO(4, 1, (4, 4), width=4, layers=1), 4, inputs=FAMILY.inputs)
    with pytest.raises(ValueError, match="devices must be a number of processes"):
        kt.operators.train_on_equation(model, FAMILY, 1, devices=devices, progress=False)


@pytest.mark.parametrize(
    ("device", "given", "wanted"),
    [
        ("cpu", {}, {"accelerator": "cpu"}),
        ("cpu", {"devices": 2}, {"accelerator": "cpu", "devices": 2}),
        ("cuda:1", {}, {"accelerator": "gpu", "devices": [1]}),
        ("cuda:1", {"devices": 2, "strategy": "ddp"}, {"accelerator": "gpu", "devices": 2, "strategy": "ddp"}),
        ("mps", {"every": 3}, {"every": 3}),
    ],
)
def test_it_is_trained_on_the_device_that_it_is_on(device, given, wanted):
    assert _placed(torch.device(device), given) == wanted


def test_what_does_not_fit():
    model = kt.operators.SoftConstraint(kt.operators.FNO(4, 1, (4, 4), width=4, layers=1), 4, inputs=FAMILY.inputs)
    with pytest.raises(TypeError, match="balance is for experts, such as a MixtureOfExperts; got SoftConstraint"):
        kt.operators.train_on_equation(model, FAMILY, 1, balance=0.1, progress=False)
    with pytest.raises(ValueError, match="balance must be a number of at least 0; got 'x'"):
        kt.operators.train_on_equation(model, FAMILY, 1, balance="x", progress=False)
    with pytest.raises(TypeError, match=r"seed must be a whole number; got 1\.5"):
        kt.operators.train_on_equation(model, FAMILY, 1, seed=1.5, progress=False)


def test_as_many_processes_as_have_experts():
    model = kt.operators.MixtureOfExperts(kt.operators.FNO(4, 1, (4, 4)), 4, kt.operators.Boxes((1, 2)))
    model.processes = SimpleNamespace(size=2)
    with pytest.raises(ValueError, match="devices must be 2, the number of processes that have experts; got 1"):
        kt.operators.train_on_equation(model, FAMILY, 1, progress=False)
