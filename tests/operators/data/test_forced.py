"""Equations that a function drives, against solutions that are known."""

import math

import pytest
import torch

import kutta as kt

F64 = torch.float64
data = kt.operators.data


def sampled(function, end=1.0):
    nodes = torch.linspace(0.0, end, 1001, dtype=F64)
    return data.SampledFunctions(torch.as_tensor(function(nodes))[None], 0.0, end)


AT = torch.linspace(0.0, 1.0, 37, dtype=F64)


def test_the_antiderivative():
    found = data.antiderivative().solve(sampled(lambda t: torch.sin(2 * math.pi * t)))(AT)[0, :, 0]
    torch.testing.assert_close(found, (1.0 - torch.cos(2 * math.pi * AT)) / (2 * math.pi), rtol=1e-7, atol=1e-8)


def test_the_nonlinear_decay():
    """``s' = 1 - s^2`` has the solution ``tanh t``."""
    found = data.nonlinear_decay().solve(sampled(torch.ones_like))(AT)[0, :, 0]
    torch.testing.assert_close(found, torch.tanh(AT), rtol=1e-7, atol=1e-8)


def test_a_pendulum_that_is_pushed_so_that_its_path_is_known():
    """For ``s_1 = sin^2 t`` the push is ``2 cos 2t + sin(sin^2 t)``."""
    push = sampled(lambda t: 2.0 * torch.cos(2.0 * t) + 3.0 * torch.sin(torch.sin(t) ** 2), end=3.0)
    found = data.pendulum(3.0, gravity=3.0).solve(push)(3.0 * AT)[0]
    exact = torch.stack([torch.sin(3.0 * AT) ** 2, torch.sin(6.0 * AT)], -1)
    torch.testing.assert_close(found, exact, rtol=1e-6, atol=1e-7)


def test_functions_on_another_interval_are_refused():
    with pytest.raises(ValueError, match="u must be given from 0 to 3; got 0 to 1"):
        data.pendulum(3.0).solve(sampled(torch.ones_like))
