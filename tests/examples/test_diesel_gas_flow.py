"""The diesel study, at its small size: errors of chains, and of the band around them."""

import importlib.util
import sys
from pathlib import Path

import pytest
import torch

import kutta as kt

PATH = Path(kt.__file__).parents[1] / "examples" / "diesel_gas_flow.py"


@pytest.fixture(scope="module")
def study():
    spec = importlib.util.spec_from_file_location("diesel_gas_flow", PATH)
    module = importlib.util.module_from_spec(spec)
    sys.modules["diesel_gas_flow"] = module  # where its dataclasses look for their annotations
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_errors_of_chains_stay_small(study, tmp_path, capsys):
    found = study.main(["--quick", "--out", str(tmp_path)])
    assert (tmp_path / "diesel_gas_flow.png").stat().st_size > 10_000
    assert "intake pressure" in capsys.readouterr().out
    assert found.errors.mean() < 0.06 and found.errors[:, :4].max() < 0.12
    # The edge of the band is at least as far away as its middle, and noise of 2 % changes little.
    assert (found.edges >= found.errors - 1e-6).all()
    assert (found.noisy.mean(0) < found.errors.mean(0) + 0.02).all()
    # The slope of log error over log windows is the power that errors grow with.
    logs = [torch.arange(1, len(found.growth) + 1).log(), found.growth.log()]
    across, up = (values - values.mean() for values in logs)
    assert (across * up).sum() / across.square().sum() < 0.9


def test_networks_see_and_say_physical_units(study):
    controls, states = 1e3 + 50.0 * torch.randn(5, 21, 4), 1e5 + 2e4 * torch.randn(5, 21, 7)
    model = study.ensemble(study.Drives(controls, states), 2)
    found = model(controls, states[:, 0])
    assert found.shape == (2, 5, 21, 7)
    torch.testing.assert_close(found[0, :, 0], states[:, 0])
    assert 0.5e5 < found.mean() < 1.5e5
