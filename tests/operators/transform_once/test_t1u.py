"""A U-Net between coefficients."""

import pytest
import torch

import kutta as kt

WALLS = kt.pde.Grid((18, 24), boundary=(kt.pde.Neumann(), kt.pde.Dirichlet()))


def t1u(**options):
    torch.manual_seed(0)
    return kt.operators.T1U(1, 1, **({"modes": (5, 7), "width": 4, "scales": 2, "groups": 2} | options)).double()


def test_what_it_predicts_has_kept_waves_alone():
    model, a = t1u(modes=((0, 2, 5), 7)), torch.randn(2, 1, 18, 24, dtype=torch.float64)
    u, c = model(a, WALLS), model.spectrum(a, WALLS)
    torch.testing.assert_close(model.target(u, WALLS), c, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(u.square().sum(), c.square().sum(), rtol=1e-12, atol=0.0)


def test_a_u_net_of_few_coefficients_has_few_scales():
    with pytest.raises(ValueError, match="4 levels need at least 8 points along axis 0; the grid has 5: give fewer sc"):
        t1u(scales=4)(torch.zeros(1, 1, 18, 24, dtype=torch.float64), WALLS)
