"""Random functions: their covariance, and the cubics between nodes."""

import pytest
import torch

import kutta as kt

F64 = torch.float64
data = kt.operators.data


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def test_cubics_are_exact_and_others_of_order_four():
    nodes = torch.linspace(-1.0, 2.0, 31, dtype=F64)
    x = torch.rand(50, dtype=F64, generator=seeded()) * 3.0 - 1.0
    cubic = data.SampledFunctions((nodes**3 - 2.0 * nodes)[None], -1.0, 2.0)
    torch.testing.assert_close(cubic(x)[0], x**3 - 2.0 * x, rtol=1e-12, atol=1e-12)
    found = []
    for count in (31, 61, 121):
        nodes = torch.linspace(-1.0, 2.0, count, dtype=F64)
        sines = data.SampledFunctions(torch.sin(3.0 * nodes)[None], -1.0, 2.0)
        inner = x[(x > -0.8) & (x < 1.8)]
        found.append((sines(inner)[0] - torch.sin(3.0 * inner)).abs().max().item())
    assert found[0] / found[1] > 12.0 and found[1] / found[2] > 12.0


def test_places_are_shared_or_own_and_components_come_last():
    values = torch.randn(4, 9, 2, dtype=F64, generator=seeded())
    functions = data.SampledFunctions(values, 0.0, 1.0)
    x = torch.linspace(0.0, 1.0, 9, dtype=F64)
    torch.testing.assert_close(functions(x), values, rtol=1e-12, atol=1e-12)
    places = torch.rand(4, 3, dtype=F64, generator=seeded())
    for number, found in enumerate(functions(places)):
        torch.testing.assert_close(found, functions(places[number])[number], rtol=1e-13, atol=1e-13)
    torch.testing.assert_close(functions.at(x[3]), values[:, 3], rtol=1e-12, atol=1e-12)


def test_the_covariance_is_that_of_the_formula():
    u = data.random_functions(20_000, 0.3, -1.0, 1.0, nodes=200, generator=seeded())
    x = torch.linspace(-1.0, 1.0, 9, dtype=F64)
    values = u(x)
    exact = torch.exp((x[:, None] - x).square() / (-2.0 * 0.3**2))
    assert (values.mean(0)).abs().max() < 0.03
    assert (values.mT @ values / len(values) - exact).abs().max() < 0.04


def test_the_same_seed_is_the_same_functions():
    first, second, third = (data.random_functions(3, nodes=50, generator=seeded(seed)).values for seed in (1, 1, 2))
    assert torch.equal(first, second) and not torch.equal(first, third)


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match=r"scale must be positive; got 0\.0"):
        data.random_functions(1, 0.0)
    with pytest.raises(ValueError, match="count must be a whole number of at least 1; got 0"):
        data.random_functions(0)
    with pytest.raises(ValueError, match=r"values must be those at 4 nodes or more, .* got \(2, 3\)"):
        data.SampledFunctions(torch.zeros(2, 3), 0.0, 1.0)
    with pytest.raises(ValueError, match=r"left must be less than right; got 1\.0 and 1\.0"):
        data.SampledFunctions(torch.zeros(2, 4), 1.0, 1.0)
