"""The engine at rest, what goes through it, and its drives."""

import pytest
import torch

import kutta as kt
from kutta.operators.data.diesel_engine import RANGES

F64 = torch.float64
ENGINE = kt.operators.data.DieselEngine()
CORNERS = torch.cartesian_prod(*(torch.tensor(pair, dtype=F64) for pair in RANGES))


@pytest.fixture(scope="module")
def rest():
    return ENGINE.steady(CORNERS)


def test_at_rest_what_comes_in_goes_out(rest):
    w = ENGINE.flows(rest, CORNERS)
    assert ((w.compressor + w.egr - w.engine_in) / w.engine_in).abs().max() < 1e-8
    assert ((w.engine_in + w.fuel - w.turbine - w.egr) / w.engine_in).abs().max() < 1e-8
    assert ((w.compressor + w.fuel - w.turbine) / w.engine_in).abs().max() < 1e-8
    assert ((w.driving - w.driven) / w.driven).abs().max() < 1e-6
    torch.testing.assert_close(rest[:, 5:], CORNERS[:, [2, 2, 3]], rtol=1e-9, atol=1e-9)


def test_at_rest_oxygen_that_is_missing_has_burnt(rest):
    w = ENGINE.flows(rest, CORNERS)
    left = ENGINE.ambient_oxygen * w.compressor - ENGINE.oxygen_to_fuel * w.fuel
    torch.testing.assert_close(w.turbine * rest[:, 3], left, rtol=1e-7, atol=1e-9)


def test_fuel_and_closed_vanes_raise_the_pressure():
    inputs = torch.tensor([[1300.0, 100.0, 0.1, 0.6], [1300.0, 150.0, 0.1, 0.6], [1300.0, 100.0, 0.1, 0.4]], dtype=F64)
    p_im = ENGINE.steady(inputs)[:, 0]
    assert p_im[1] > 1.05 * p_im[0] and p_im[2] > 1.05 * p_im[0]


def test_the_valve_overshoots_and_settles():
    inputs = torch.tensor([[1300.0, 100.0, 0.5, 0.6]], dtype=F64).repeat(21, 1)[None]
    start = ENGINE.steady(torch.tensor([[1300.0, 100.0, 0.1, 0.6]], dtype=F64))
    state = ENGINE.simulate(inputs, start, step=0.05)[0]
    k = ENGINE.egr_overshoot
    valve = k * state[:, 5] - (k - 1.0) * state[:, 6]
    t = 0.05 * torch.arange(21, dtype=F64)
    first, second = (0.5 - 0.4 * torch.exp(-t / tau) for tau in ENGINE.egr_times)
    torch.testing.assert_close(valve, k * first - (k - 1.0) * second, rtol=1e-5, atol=1e-6)
    assert valve.max() > 0.55


def test_inputs_act_later_by_their_delays():
    inputs = torch.arange(20.0).reshape(1, 5, 4)
    acting = ENGINE.delayed(inputs)
    torch.testing.assert_close(acting[..., :2], inputs[..., :2])
    torch.testing.assert_close(acting[:, 1:, 2:], inputs[:, :-1, 2:])
    torch.testing.assert_close(acting[:, 0], inputs[:, 0])


def test_drives_stay_in_their_ranges_and_fill_them():
    drives = kt.operators.data.driving(200, 41, generator=torch.Generator().manual_seed(0))
    assert drives.shape == (200, 41, 4)
    for column, (low, high) in zip(drives.unbind(-1), RANGES, strict=True):
        assert low <= column.min() < low + 0.01 * (high - low)
        assert high - 0.01 * (high - low) < column.max() <= high
        assert column.mean().item() == pytest.approx(0.5 * (low + high), rel=0.05)


def test_residual_gas_grows_with_the_pressure_behind_the_cylinders():
    state = torch.tensor([[2e5, p, 0.2, 0.1, 9e3, 0.0, 0.0, 0.5] for p in (2e5, 3e5)], dtype=F64)
    residual = ENGINE.residual_gas(state)
    assert residual[0].item() == pytest.approx(1.0 / ENGINE.compression)
    assert residual[1].item() == pytest.approx(1.5**0.75 / ENGINE.compression)
