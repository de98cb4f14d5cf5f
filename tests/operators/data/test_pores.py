"""Pore networks: Kirchhoff's and Hagen and Poiseuille's laws, and what they look like as graphs."""

import math

import pytest
import torch

import kutta as kt

data = kt.operators.data
F64 = torch.float64


def network(count=120, seed=0, **given):
    return data.pore_network(count, torch.Generator().manual_seed(seed), **given)


@pytest.mark.parametrize("dim", [2, 3])
def test_what_flows_in_flows_out(dim):
    one = network(dim=dim)
    p = one.pressures()
    flow, scale = one.outflow(p), float(one.conductances.max())
    inside = ~(one.inlet | one.outlet)
    assert float(flow[inside].abs().max()) < 1e-13 * scale
    assert float(flow[one.inlet].sum() + flow[one.outlet].sum()) == pytest.approx(0.0, abs=1e-12 * scale)
    assert bool((p[one.inlet] == 1.0).all() and (p[one.outlet] == 0.0).all())
    assert float(p[inside].min()) > 0.0 and float(p[inside].max()) < 1.0


def test_a_row_of_pores_divides_the_pressure_by_resistances():
    """Three throats one after the other: resistances 1, 2 and 5."""
    row = data.PoreNetwork(
        torch.zeros(4, 2, dtype=F64),
        torch.tensor([[0, 1, 2], [1, 2, 3]]),
        1.0 / torch.tensor([1.0, 2.0, 5.0], dtype=F64),
        torch.tensor([True, False, False, False]),
        torch.tensor([False, False, False, True]),
    )
    torch.testing.assert_close(row.pressures(), torch.tensor([1.0, 7 / 8, 5 / 8, 0.0], dtype=F64), rtol=1e-14, atol=0.0)


def test_conductances_are_those_of_hagen_and_poiseuille():
    one = network(radii=(1e-5, 1e-5), viscosity=2e-3)
    lengths = (one.positions[one.throats[0]] - one.positions[one.throats[1]]).norm(dim=1)
    torch.testing.assert_close(one.conductances * lengths, torch.full_like(lengths, math.pi * 1e-20 / 16e-3))


def test_equal_throats_on_a_lattice_are_a_linear_pressure():
    """Of a triangulated lattice with equal conductances pressures fall by the same amount from column to column."""
    places = torch.cartesian_prod(torch.arange(6), torch.arange(4)).double()
    steps = torch.tensor([[1.0, 0.0], [0.0, 1.0]], dtype=F64)
    pairs = [(i, j) for i in range(24) for j in range(24) if any(torch.equal(places[j] - places[i], s) for s in steps)]
    throats = torch.tensor(pairs).mT
    x = places[:, 0]
    lattice = data.PoreNetwork(places, throats, torch.ones(len(pairs), dtype=F64), x == 0.0, x == 5.0)
    torch.testing.assert_close(lattice.pressures(), 1.0 - x / 5.0, rtol=1e-13, atol=1e-14)


def test_many_are_a_union_and_follow_from_the_seed():
    graph, pressures = data.pore_networks(3, torch.Generator().manual_seed(4), sizes=(20, 30))
    again, same = data.pore_networks(3, torch.Generator().manual_seed(4), sizes=(20, 30))
    assert len(graph.sizes) == 3 and all(20 <= size <= 30 for size in graph.sizes)
    assert pressures.shape == (sum(graph.sizes), 1) and torch.equal(pressures, same)
    assert torch.equal(graph.edges, again.edges)
    there, back = ({tuple(pair) for pair in edges.T.tolist()} for edges in (graph.edges, graph.edges.flip(0)))
    assert there == back


@pytest.mark.parametrize(
    "given", [{"count": 7}, {"dim": 1}, {"radii": (2.0, 1.0)}, {"length": 0.0}, {"viscosity": -1.0}]
)
def test_what_is_no_network_is_refused(given):
    with pytest.raises(ValueError, match="must be"):
        network(**given)
