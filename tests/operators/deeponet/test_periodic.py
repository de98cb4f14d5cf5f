"""Coordinates as waves."""

import math

import torch

from kutta.operators.deeponet.periodic import PeriodicFeatures


def test_coordinates_with_a_period_become_waves_and_others_stay():
    y = torch.rand(5, 3, dtype=torch.float64)
    found = PeriodicFeatures((None, 2.0, None), waves=2)(y)
    angle = math.pi * y[:, 1]
    waves = [angle.cos(), (2 * angle).cos(), angle.sin(), (2 * angle).sin()]
    torch.testing.assert_close(found, torch.stack([y[:, 0], *waves, y[:, 2]], 1), rtol=1e-13, atol=1e-13)
