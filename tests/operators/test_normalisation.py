"""Units in which networks learn."""

import pytest
import torch

import kutta as kt

SIDES = {
    "periodic": (kt.pde.Periodic(), True),
    "slopes": (kt.pde.Neumann(), True),
    "values": (kt.pde.Dirichlet(), False),
    "one side": (((kt.pde.Neumann(), kt.pde.Dirichlet()), kt.pde.Neumann()), False),
    "mixed": (kt.pde.Robin(1.0, 0.5), False),
    "held at 2": (kt.pde.Dirichlet(2.0), True),
    "a function": (kt.pde.Dirichlet(lambda x, t: x[0]), True),
}


@pytest.mark.parametrize("boundary, shifts", SIDES.values(), ids=SIDES)
def test_outputs_are_shifted_only_where_sides_admit_constants(boundary, shifts):
    grid = kt.pde.Grid((8, 8), boundary=boundary)
    scope = kt.operators.Scope("heat", ("u",), grid, ("u0",), (0.0,), (1.0,))
    data = kt.operators.data.Data(*(2.0 + torch.rand(2, 5, 1, 8, 8)), scope)
    model = kt.operators.TrainedOperator.for_data(kt.operators.MgNO(1, 1, width=2, layers=1, sweeps=(1,)), data)
    squares = model.of_outputs(data.outputs).square().mean()
    assert (model.of_outputs.mean.abs().item() > 1.0) == shifts
    assert model.of_inputs.mean.item() == pytest.approx(2.5, abs=0.1)
    assert squares.item() == pytest.approx(1.0, abs=1e-5)


def test_changes_vanish_at_sides_that_are_held():
    grid = kt.pde.Grid((8, 8), boundary=kt.pde.Dirichlet(2.0))
    scope = kt.operators.Scope("heat", ("u",), grid, ("u0",), (0.0,), (1.0,))
    data = kt.operators.data.Data(*(2.0 + torch.rand(2, 5, 1, 8, 8)), scope)
    network = kt.operators.MgNO(1, 1, width=2, layers=1, sweeps=(1,))
    assert kt.operators.TrainedOperator.for_data(network, data, change=True).of_outputs.mean.item() == 0.0


def test_zero_stays_zero_without_a_shift():
    units = kt.operators.Normalisation.of(5.0 + torch.rand(7, 2, 9), shifts=False)
    zero = torch.zeros(1, 2, 9)
    assert torch.equal(units(zero), zero) and torch.equal(units.inverse(zero), zero)


def test_a_channel_of_zeros_keeps_its_scale():
    units = kt.operators.Normalisation.of(torch.zeros(7, 1, 9), shifts=False)
    assert units.deviation.tolist() == [1.0]


def test_few_sines_hold_fields_that_are_zero_at_sides_only_without_a_shift():
    data = kt.operators.data.generate(kt.operators.data.darcy(points=32), 4, seed=0)
    grid, t1 = data.scope.grid, kt.operators.T1(1, 1, (12, 12), width=2, layers=1)

    def lost(shifts):
        u = kt.operators.Normalisation.of(data.outputs, shifts)(data.outputs)
        return 1.0 - t1.target(u, grid).square().sum() / u.square().sum()

    assert lost(shifts=False) < 1e-4
    assert lost(shifts=True) > 1e-2
