"""States as users write them."""

import math
from collections import OrderedDict, namedtuple

import numpy as np
import pytest
import torch

import kutta as kt
from kutta.state import as_state, layout_of
from tests._helpers import F64, TIGHT, tensor

Point = namedtuple("Point", "q p")
STATES = {
    "a tensor": tensor(1.0, 2.0),
    "a scalar": torch.tensor(1.5, dtype=F64),
    "many axes": torch.arange(24, dtype=F64).view(2, 3, 4),
    "a tuple": (tensor(1.0), tensor(2.0, 3.0)),
    "a list": [tensor(1.0), torch.ones(2, 2, dtype=F64)],
    "a dictionary": {"b": tensor(1.0), "a": torch.tensor(2.0, dtype=F64)},
    "an ordered dictionary": OrderedDict(b=tensor(1.0), a=tensor(2.0)),
    "a named tuple": Point(tensor(1.0), tensor(2.0)),
    "nested": {"x": (tensor(1.0), [tensor(2.0)]), "y": torch.zeros(0, dtype=F64)},
}


def decay(t, y):
    return torch.utils._pytree.tree_map(lambda leaf: -leaf, y)


@pytest.mark.parametrize("name", STATES)
def test_a_state_goes_through_a_layout_and_back(name):
    state = as_state(STATES[name])
    layout = layout_of(state, ensemble=False)
    back = layout.unravel(layout.ravel(state))
    assert torch.utils._pytree.tree_structure(back) == torch.utils._pytree.tree_structure(state)
    for a, b in zip(torch.utils._pytree.tree_leaves(back), torch.utils._pytree.tree_leaves(state), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("name", STATES)
@pytest.mark.parametrize("method", [kt.Tsit5(), kt.Dopri8(), kt.Bosh3(), kt.Rodas5P()], ids=lambda m: type(m).__name__)
def test_a_state_of_any_structure_is_solved(name, method):
    state = STATES[name]
    sol = kt.solve(kt.ODEProblem(decay, state, (0.0, 1.0)), method, save_at=[0.0, 0.5, 1.0], **TIGHT)
    spec = torch.utils._pytree.tree_structure
    assert spec(sol.y1) == spec(state) == spec(sol.ys)
    leaves = torch.utils._pytree.tree_leaves
    for start, end, all_of in zip(leaves(state), leaves(sol.y1), leaves(sol.ys), strict=True):
        assert all_of.shape == (3, *start.shape) and torch.equal(all_of[-1], end)
        assert torch.allclose(end, start * math.exp(-1), atol=1e-9)
        assert torch.allclose(all_of[1], start * math.exp(-0.5), atol=1e-8)


def test_a_pytree_in_an_ensemble():
    state = {"q": torch.ones(3, 2, dtype=F64), "p": torch.ones(3, dtype=F64)}
    family = kt.EnsembleProblem(lambda t, s, r: {"q": -r * s["q"], "p": -s["p"]}, state, (0.0, 1.0), (tensor(1, 2, 3),))
    sol = kt.solve(family, save_at=[0.5, 1.0], **TIGHT)
    assert sol.ys["q"].shape == (2, 3, 2) and sol.ys["p"].shape == (2, 3)
    assert torch.allclose(sol.y1["q"][:, 0], torch.exp(-tensor(1, 2, 3)), atol=1e-9)


@pytest.mark.parametrize("y0", [1.0, [1.0, 2.0], (1, 2), np.ones(2), np.float32(1.0)], ids=repr)
def test_numbers_and_numpy_become_tensors(y0):
    sol = kt.solve(kt.ODEProblem(lambda t, y: -y, y0, (0.0, 1.0)))
    assert isinstance(sol.y1, torch.Tensor) and sol.y1.is_floating_point()


def refused(y0, kind, message, ensemble=False):
    make = kt.EnsembleProblem if ensemble else kt.ODEProblem
    with pytest.raises(kind, match=message):
        kt.solve(make(lambda t, y: y, y0, (0.0, 1.0)))


def test_whole_numbers_are_refused():
    refused(torch.ones(2, dtype=torch.int64), TypeError, "floating-point or complex dtype; got torch.int64")


def test_truth_values_are_refused():
    refused(torch.ones(2, dtype=torch.bool), TypeError, "got torch.bool")


@pytest.mark.parametrize("empty", [(), [], {}, {"a": ()}], ids=repr)
def test_an_empty_tree_is_refused(empty):
    refused(empty, ValueError, "y0 is empty")


def test_a_state_without_entries_is_refused():
    refused(torch.ones(0, dtype=F64), ValueError, "y0 has no entries")


def test_mixed_dtypes_are_refused():
    refused((tensor(1.0), torch.ones(1)), ValueError, "share one dtype.*float32.*float64")


def test_mixed_devices_are_refused():
    refused((tensor(1.0), torch.ones(1, dtype=F64, device="meta")), ValueError, "one device.*meta")


@pytest.mark.parametrize("leaf", ["abc", object(), {1, 2}, None], ids=["string", "object", "set", "None"])
def test_other_leaves_are_refused(leaf):
    refused({"a": tensor(1.0), "b": leaf}, TypeError, "y0 must be a tensor or a pytree of tensors; got a leaf of type")


def test_jax_arrays_are_refused_plainly():
    jnp = pytest.importorskip("jax.numpy")
    refused(jnp.ones(2), NotImplementedError, "JAX arrays")


def test_ensembles_need_a_first_axis():
    refused(torch.tensor(1.0), ValueError, "axis 0 of every tensor", ensemble=True)


def test_ensembles_need_one_size():
    refused((torch.ones(2, 1), torch.ones(3, 1)), ValueError, "axis 0 of every tensor", ensemble=True)


def test_an_ensemble_of_nobody_is_refused():
    refused(torch.ones(0, 2), ValueError, "y0 has no entries", ensemble=True)


def test_a_transposed_state_is_solved():
    y0 = torch.arange(6, dtype=F64).view(2, 3).T
    sol = kt.solve(kt.ODEProblem(lambda t, y: -y, y0, (0.0, 1.0)), **TIGHT)
    assert torch.allclose(sol.y1, y0 * math.exp(-1), atol=1e-9)


def test_an_expanded_state_is_solved():
    y0 = tensor(1.0, 2.0).expand(4, 2)
    assert torch.allclose(kt.solve(kt.ODEProblem(lambda t, y: -y, y0, (0.0, 1.0))).y1, y0 * math.exp(-1), atol=1e-4)


def test_a_conjugate_view_is_solved():
    y0 = torch.tensor([1.0 + 2.0j], dtype=torch.complex128).conj()
    assert torch.allclose(kt.solve(kt.ODEProblem(lambda t, y: -y, y0, (0.0, 1.0)), **TIGHT).y1, y0 * math.exp(-1))
