"""Linear regression on proper orthogonal modes."""

import pytest
import torch

import kutta as kt

GRID = kt.pde.Grid((8, 9))


def samples(count=40, rank=5):
    """Fields of few modes, and a linear map of them with a constant."""
    g = torch.Generator().manual_seed(0)
    before = torch.randn(count, rank, dtype=torch.float64, generator=g)
    modes = torch.randn(rank, 2 * 72, dtype=torch.float64, generator=g)
    images = torch.randn(rank, 3 * 72, dtype=torch.float64, generator=g)
    a, u = 1.0 + before @ modes, 2.0 + before @ images
    return a.reshape(count, 2, 8, 9), u.reshape(count, 3, 8, 9)


def test_linear_maps_of_few_modes_are_found_exactly():
    a, u = samples()
    model = kt.operators.PODRegression(2, 3, (8, 9), modes=5).double().fit(a[:30], u[:30])
    torch.testing.assert_close(model(a[30:], GRID), u[30:], rtol=1e-10, atol=1e-10)


def test_nothing_linear_in_these_modes_is_better():
    """The residual is orthogonal to all coefficients."""
    a, u = samples()
    u = u + 0.1 * a.repeat(1, 2, 1, 1)[:, :3].square()
    model = kt.operators.PODRegression(2, 3, (8, 9), modes=4).double().fit(a, u)
    residual = (model(a, GRID) - u).flatten(1) @ model.out_modes.flatten(1).mT
    coefficients = (a - model.in_mean).flatten(1) @ model.in_modes.flatten(1).mT
    assert (residual.mT @ coefficients).abs().max() < 1e-9 * u.square().sum()


def test_a_ridge_makes_weights_smaller():
    a, u = samples()
    norms = [
        kt.operators.PODRegression(2, 3, (8, 9), 5, ridge).double().fit(a, u).weight.norm() for ridge in (0, 1, 10)
    ]
    assert norms[0] > norms[1] > norms[2] > 0.0


def test_what_was_fitted_can_be_stored():
    a, u = samples()
    model = kt.operators.PODRegression(2, 3, (8, 9), modes=5).double().fit(a, u)
    again = kt.operators.PODRegression(**model.settings).double()
    with pytest.raises(ValueError, match=r"call fit\(a, u\) first"):
        again(a, GRID)
    again.load_state_dict(model.state_dict())
    torch.testing.assert_close(again(a, GRID), model(a, GRID), rtol=0.0, atol=0.0)


def test_what_does_not_fit_is_refused():
    a, u = samples()
    model = kt.operators.PODRegression(2, 3, (8, 9), modes=5).double()
    with pytest.raises(ValueError, match=r"a must have the shape \(40, 2, 8, 9\); got \(40, 1, 8, 9\)"):
        model.fit(a[:, :1], u)
    with pytest.raises(ValueError, match=r"a must have the shape \(30, 2, 8, 9\); got \(40, 2, 8, 9\)"):
        model.fit(a, u[:30])
    with pytest.raises(ValueError, match="modes must be a whole number from 1 to 5, which is what the snapshots span"):
        kt.operators.PODRegression(2, 3, (8, 9), modes=6).double().fit(a, u)
    other = torch.zeros(1, 2, 9, 8, dtype=torch.float64)
    with pytest.raises(ValueError, match=r"grid must have the shape \(8, 9\) of the modes; got \(9, 8\)"):
        model.fit(a, u)(other, kt.pde.Grid((9, 8)))
    with pytest.raises(ValueError, match="ridge must not be negative"):
        kt.operators.PODRegression(2, 3, (8, 9), ridge=-1.0)
