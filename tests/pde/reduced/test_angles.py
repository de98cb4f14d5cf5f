"""Angles of states and principal angles of families."""

import math

import pytest
import torch
from scipy.linalg import subspace_angles

import kutta as kt
from tests._helpers import F64
from tests.pde.reduced._fronts import fronts, waves


def test_angles_of_known_states():
    u = torch.tensor([[1.0, 0.0], [math.cos(0.3), math.sin(0.3)], [0.0, -2.0]], dtype=F64)
    found = kt.pde.angles(u)
    assert found[0, 1] == pytest.approx(math.sin(0.3)) and found[0, 2] == 1.0
    assert found[1, 2] == pytest.approx(math.cos(0.3)) and found.diagonal().tolist() == [0.0] * 3


def test_the_angle_is_what_one_state_does_not_hold_of_another():
    u = fronts(6)
    found = kt.pde.angles(u)
    for i in range(6):
        torch.testing.assert_close(found[:, i], kt.pde.POD(u[i : i + 1]).error(u), rtol=1e-7, atol=1e-7)


def test_factors_change_nothing():
    u, factors = fronts(10), torch.linspace(-3.0, 4.0, 10, dtype=F64)[:, None]
    torch.testing.assert_close(kt.pde.angles(factors * u), kt.pde.angles(u), rtol=1e-7, atol=1e-7)


def test_weights():
    w = 0.2 + torch.rand(72, dtype=F64, generator=torch.Generator().manual_seed(0))
    u = waves(count=7)
    scaled = u * w.sqrt().reshape(9, 8)
    found = kt.pde.angles(u, w.reshape(9, 8))
    torch.testing.assert_close(found, kt.pde.angles(scaled), rtol=1e-7, atol=1e-7)


def test_principal_angles_of_families():
    families = [waves(seed=seed, count=size, modes=size) for seed, size in enumerate((2, 3, 3, 4))]
    found = kt.pde.angles(families)
    for i, one in enumerate(families):
        for j, other in enumerate(families[:i]):
            angles = subspace_angles(one.flatten(1).T.numpy(), other.flatten(1).T.numpy())
            assert float(found[i, j]) == pytest.approx(math.sqrt((torch.tensor(angles).sin() ** 2).sum()), rel=1e-9)
    # A family of one state is that state.
    u = fronts(4)
    torch.testing.assert_close(kt.pde.angles(list(u[:, None])), kt.pde.angles(u), rtol=0, atol=0)


def test_no_family_is_refused():
    with pytest.raises(ValueError, match="at least one family"):
        kt.pde.angles([])
    with pytest.raises(ValueError, match="must not all be zero"):
        kt.pde.angles(torch.zeros(2, 3))
