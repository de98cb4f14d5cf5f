"""What operators learn in minutes, with the figures of the specification as bars."""

import pytest
import torch

import kutta as kt

operators = kt.operators
H1 = operators.metrics.relative_h1


def error(network, family, samples, tests, epochs, batch, lr, **options):
    """The mean relative L2 error on problems that were not trained on."""
    data, test = operators.data.generate(family, samples + tests, seed=0).split(samples, tests)
    model = operators.TrainedOperator.for_data(network, data)
    steps = epochs * (samples // batch)
    operators.train(model, data, steps, batch=batch, lr=lr, progress=False, **options)
    return operators.evaluate(model, test, {"l2": operators.metrics.relative_l2})["l2"]


@pytest.mark.slow
def test_fno_learns_burgers():
    torch.manual_seed(0)
    network = operators.FNO(1, 1, (32,), width=32, layers=4)
    assert error(network, operators.data.burgers(128), 800, 200, 60, 20, 2e-3) < 0.008


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_mgno_learns_darcy_better_than_an_fno_that_has_more_weights():
    family = operators.data.darcy(64)
    torch.manual_seed(0)
    cycles = operators.MgNO(1, 1, width=16, layers=3, sweeps=(1, 1, 1, 1, 1, 2))
    torch.manual_seed(0)
    waves = operators.FNO(1, 1, (16, 16), width=16)
    by_cycles = error(cycles, family, 400, 80, 40, 8, 2e-3, loss=H1)
    assert cycles.parameter_count < waves.parameter_count
    assert by_cycles < 0.028
    assert by_cycles < error(waves, family, 400, 80, 40, 8, 2e-3, loss=H1)
