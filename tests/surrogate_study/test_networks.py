"""Operators by name, for the fields of some data."""

import pytest
import torch

import kutta as kt
from kutta.operators.operator import Operator
from kutta.operators.scope import read_inputs, scope_of
from kutta.surrogate_study.networks import KINDS, Network, check_suits

ARGUMENTS = {
    "CNO": {"width": 2, "scales": 2, "blocks": 1, "bottleneck": 1},
    "FNO": {"modes": (4,), "width": 4, "layers": 1},
    "FactorisedFNO": {"modes": (4,), "width": 4, "layers": 1},
    "FieldDeepONet": {"terms": 4},
    "MgNO": {"width": 2, "layers": 1, "sweeps": (1, 1)},
    "PODRegression": {"modes": 3},
    "T1": {"modes": (8,), "width": 4, "layers": 1},
    "T1U": {"modes": (8,), "width": 8, "scales": 2},
    "UNet": {"width": 8, "scales": 2},
}


def fields(family):
    problem = family.draw(2, torch.Generator().manual_seed(0))
    a = read_inputs(problem, family.inputs).float()
    return scope_of(problem, family.inputs, a, family.times), a


@pytest.mark.parametrize("family", ["darcy", "burgers"])
@pytest.mark.parametrize("kind", KINDS)
def test_all_kinds_are_built_for_the_data(kind, family):
    scope, a = fields(kt.operators.data.darcy(16) if family == "darcy" else kt.operators.data.burgers(16))
    arguments = dict(ARGUMENTS[kind])
    if "modes" in arguments and kind != "PODRegression":
        arguments["modes"] = arguments["modes"] * scope.grid.dim
    network = Network(kind, arguments)
    check_suits(network, scope, a)
    operator = network.build(scope, 0)
    if kind == "PODRegression":
        operator.fit(a.repeat(2, *[1] * (a.dim() - 1)) + torch.randn(4, *a.shape[1:]), torch.randn(4, *a.shape[1:]))
    assert operator(a, scope.grid).shape == a.shape


def test_all_operators_of_fields_are_known():
    places = {name for name in kt.operators.__all__ if isinstance(getattr(kt.operators, name), type)}
    known = {name for name in places if issubclass(getattr(kt.operators, name), Operator)}
    assert known - set(KINDS) == {"Operator", "Ensemble", "NeuralStagger", "Persistence"} & known


def test_weights_depend_on_the_seed_and_nothing_else():
    scope, _ = fields(kt.operators.data.burgers(16))
    network = Network("FNO", ARGUMENTS["FNO"])
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    first, again, other = (network.build(scope, seed) for seed in (0, 0, 1))
    assert torch.equal(torch.random.get_rng_state(), before)
    pairs = list(zip(first.parameters(), again.parameters(), other.parameters(), strict=True))
    assert all(torch.equal(one, two) for one, two, _ in pairs)
    assert not all(torch.equal(one, three) for one, _, three in pairs)


def test_trunks_know_what_is_periodic():
    scope, _ = fields(kt.operators.data.burgers(16))
    operator = Network("FieldDeepONet", {"terms": 4}).build(scope, 0)
    places = torch.tensor([[0.0, 1.0]])
    left, right = operator.at(torch.randn(1, 1, 16), scope.grid, places)[0, 0]
    torch.testing.assert_close(left, right)
    assert Network("FieldDeepONet", {}).build(fields(kt.operators.data.darcy(8))[0], 0).periods == (None, None)


def test_fields_of_other_dimensions_are_refused():
    scope, a = fields(kt.operators.data.burgers(16))
    with pytest.raises(ValueError, match="FNO was made for grids of 2 dimensions; got one of 1"):
        check_suits(Network("FNO", {"modes": (4, 4)}), scope, a)
