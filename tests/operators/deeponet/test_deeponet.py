"""The deep operator network: exactness, layouts, several outputs, and conditions that hold."""

import math

import pytest
import torch
from torch import nn

import kutta as kt

F64 = torch.float64


def deeponet(**options):
    torch.manual_seed(0)
    settings = {"sensors": 12, "dim": 2, "terms": 5, "branch_widths": (7,), "trunk_widths": (6,)} | options
    return kt.operators.DeepONet(**settings).double()


def inputs(count=4, places=9):
    generator = torch.Generator().manual_seed(1)
    u = torch.randn(count, 12, dtype=F64, generator=generator)
    return u, torch.rand(places, 2, dtype=F64, generator=generator)


def unaligned(model, u, y):
    """All functions at all places, each pair as a row of its own."""
    count, places = len(u), len(y)
    found = model(u.repeat_interleave(places, 0), y.repeat(count, 1)[:, None])
    return found[:, 0].unflatten(0, (count, places))


class Modes(nn.Module):
    """``(1 - cos(k pi y)) / (k pi)`` for ``k = 1..count``: what a series of sines integrates to."""

    def __init__(self, count):
        super().__init__()
        self.numbers = torch.arange(1, count + 1, dtype=F64) * math.pi

    def forward(self, y):
        return (1.0 - torch.cos(y * self.numbers)) / self.numbers


def test_a_series_of_sines_is_integrated_exactly():
    """With the modes for a trunk and a linear branch nothing need be learned."""
    count, sensors = 8, 41
    x, y = torch.linspace(0.0, 1.0, sensors, dtype=F64), torch.linspace(0.0, 1.0, 57, dtype=F64)[:, None]
    sines = torch.sin(math.pi * torch.outer(torch.arange(1, count + 1, dtype=F64), x))
    model = deeponet(sensors=sensors, dim=1, terms=count, branch_widths=())
    model.trunk = Modes(count)
    with torch.no_grad():
        model.branch.layers[0].weight.copy_(2.0 / (sensors - 1) * sines)  # sines are orthogonal at equal distances
    coefficients = torch.randn(30, count, dtype=F64, generator=torch.Generator().manual_seed(0))
    exact = coefficients @ Modes(count)(y).mT
    assert (model(coefficients @ sines, y) - exact).abs().max() < 1e-12 * exact.abs().max()


KINDS = [
    *({"sharing": sharing, "outputs": 3} for sharing in ("none", "trunk", "branch", "split")),
    {"outputs": 1},
    {"stacked": True},
    {"stacked": True, "outputs": 3, "sharing": "branch"},
    {"periods": (1.0, None), "transform": lambda u, y, s: u[:, :1, None] + y[..., :1] * s},
]


@pytest.mark.parametrize("options", KINDS, ids=lambda one: ", ".join(one))
def test_both_layouts_of_places_agree(options):
    model, (u, y) = deeponet(**options), inputs()
    aligned = model(u, y)
    assert aligned.shape == ((4, 9) if model.outputs == 1 else (4, 9, 3))
    torch.testing.assert_close(model(u, y.expand(4, -1, -1)), aligned, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(unaligned(model, u, y), aligned, rtol=1e-12, atol=1e-12)


def test_it_is_the_sum_of_the_formula():
    model, (u, y) = deeponet(), inputs()
    nn.init.constant_(model.bias, 0.25)
    (first, last), (low, high) = model.branch.layers, model.trunk.layers
    b = last(first(u).relu())
    t = high(low(y).relu()).relu()
    torch.testing.assert_close(model(u, y), b @ t.mT + 0.25, rtol=1e-13, atol=1e-13)


def test_outputs_share_what_they_are_said_to_share():
    def counts(sharing):
        model = deeponet(outputs=3, sharing=sharing)
        return [sum(one.numel() for one in net.parameters()) for net in (model.branch, model.trunk)]

    first = {"branch": 12 * 7 + 7, "trunk": 2 * 6 + 6}
    own = {"branch": 7 * 5 + 5, "trunk": 6 * 5 + 5}
    whole = {name: first[name] + own[name] for name in own}
    split = {name: first[name] + 3 * own[name] for name in own}
    assert counts("none") == [3 * whole["branch"], 3 * whole["trunk"]]
    assert counts("split") == [split["branch"], split["trunk"]]
    assert counts("trunk") == [split["branch"], whole["trunk"]]
    assert counts("branch") == [whole["branch"], split["trunk"]]


def test_independent_outputs_are_networks_that_stand_alone():
    model, (u, y) = deeponet(outputs=2, sharing="none"), inputs()
    alone = deeponet()
    for net, whole in ((alone.branch, model.branch), (alone.trunk, model.trunk)):
        of_second = {name.removeprefix("networks.member."): rows[1] for name, rows in whole.state_dict().items()}
        net.load_state_dict(of_second)
    torch.testing.assert_close(alone(u, y), model(u, y)[..., 1], rtol=1e-13, atol=1e-13)


def test_a_stacked_branch_has_one_network_a_term():
    model = deeponet(stacked=True)
    assert sum(one.numel() for one in model.branch.parameters()) == 5 * (12 * 7 + 7 + 7 + 1)


def test_weights_are_glorot_normal_and_biases_zero():
    model = deeponet(sensors=300, branch_widths=(500,))
    layer = model.branch.layers[0]
    assert abs(layer.weight.std().item() / math.sqrt(2.0 / 800) - 1.0) < 0.01
    assert not layer.bias.any() and not model.bias.any()


def test_periods_come_back():
    model, (u, y) = deeponet(periods=(0.5, None), waves=3), inputs()
    shifted = y + torch.tensor([0.5, 0.0], dtype=F64)
    torch.testing.assert_close(model(u, shifted), model(u, y), rtol=1e-12, atol=1e-12)
    assert (model(u, y + torch.tensor([0.0, 0.5], dtype=F64)) - model(u, y)).abs().max() > 1e-2


def test_conditions_hold_exactly():
    """``u_0(y) + phi(y) net`` at the sides, where ``phi`` is zero."""

    def held(u, y, s):
        x = y[..., :1]
        return torch.sin(x) + x * (1.0 - x) * s

    model, (u, y) = deeponet(transform=held), inputs()
    y[:, 0] = (torch.arange(9) % 2).to(F64)
    torch.testing.assert_close(model(u, y), torch.sin(y[:, 0]).expand(4, -1), rtol=0.0, atol=0.0)


def test_what_does_not_fit_is_refused():
    model, (u, y) = deeponet(), inputs()
    with pytest.raises(ValueError, match=r"u must have the shape \(n, 12\) of values at the 12 sensors; got \(4, 11\)"):
        model(u[:, :-1], y)
    for places in (y[:, :1], y[0], y.expand(3, -1, -1)):
        with pytest.raises(ValueError, match=r"y must have the shape \(P, 2\) of places for all functions, or \(4, P"):
            model(u, places)
    with pytest.raises(ValueError, match="sharing must be one of 'none', 'trunk', 'branch', 'split'; got 'both'"):
        deeponet(sharing="both")
    with pytest.raises(ValueError, match=r"periods must have a positive number or None for each of 2"):
        deeponet(periods=(1.0,))
    with pytest.raises(ValueError, match=r"trunk_widths\[0\] must be a whole number of at least 1; got 0"):
        deeponet(trunk_widths=(0,))
