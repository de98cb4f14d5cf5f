"""A traced function computes what the function computes, and what cannot be traced is named."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from kutta.solvers.engines.tracing.trace import NotTraceable, trace
from tests._helpers import F64

Y = torch.tensor([0.7, -0.4, 1.3], dtype=F64)
P = torch.tensor([[0.5, 1.5, -0.2], [0.1, 0.9, 2.0], [-1.0, 0.3, 0.8]], dtype=F64)
T = torch.tensor(0.3, dtype=F64)


def evaluated(f, *arguments):
    names = "typ"[: len(arguments)]
    traced = trace(f, tuple(names), arguments)
    inputs = {name: one.flatten().tolist() for name, one in zip(names, arguments, strict=True)}
    inputs["captured"] = [value for tensor in traced.captured for value in tensor.flatten().tolist()]
    return torch.tensor(traced.program.evaluate(inputs), dtype=F64).reshape(traced.shapes[0]), traced


def written_in_place(t, y, p):
    dy = torch.empty_like(y)
    dy[0] = y[1] * p[0, 0]
    dy[1:] = -y[:2] + t
    dy[2] += dy[0]
    return dy


FUNCTIONS = {
    "arithmetic": lambda t, y, p: 2 * y - y / 3 + (1 - y) ** 2 * t - 1.5 / (y + 4) + y**-2 + (y + 3) ** 0.5,
    "elementary": lambda t, y, p: y.sin() + y.cos() * y.exp() - (y + 2).log() + y.tanh() + y.atan() + y.sigmoid(),
    "more": lambda t, y, p: y.tan() + y.sinh() + y.cosh() + (y / 2).asin() + y.expm1() + y.abs().log1p() + y.erf(),
    "comparisons": lambda t, y, p: torch.where((y > 0) & (y < 1), y, -y) + torch.where(y.abs() >= t, t, y),
    "choices": lambda t, y, p: y.clamp(-0.1, 0.8) + y.relu() + torch.maximum(y, t) + torch.minimum(y, -t) + y.sign(),
    "rounding": lambda t, y, p: y.floor() + y.ceil() + y.round() + y.trunc() + torch.remainder(y, 0.3) + y.fmod(0.3),
    "products": lambda t, y, p: p @ y + y @ p + (p @ p)[0] + torch.outer(y, y).sum(0) + y.dot(y),
    "einsum": lambda t, y, p: torch.einsum("ij,j,k->i", p, y, y),
    "layers": lambda t, y, p: functional.linear(y, p, y) + functional.softmax(y, 0) + functional.gelu(y),
    "reductions": lambda t, y, p: y * y.sum() + y.mean() + p.prod() + p.amax(1) + p.min() + y.norm() + p.norm(dim=0),
    "views": lambda t, y, p: p.T[1] + p.reshape(-1)[2:5] + y.flip(0) + y.roll(1) + p.diagonal() + p[:, [2, 0, 1]][1],
    "building": lambda t, y, p: torch.cat([y[:1], torch.stack([y[2], t])]) + y.expand(2, 3)[1] + y.cumsum(0),
    "neighbours": lambda t, y, p: functional.pad(y, (1, 1))[2:] - 2 * y + functional.pad(y, (1, 1), value=1.0)[:-2],
    "in place": written_in_place,
    "arguments": lambda t, y, p: torch.rsub(y, p[0], alpha=3) + torch.add(y, p[1], alpha=-2) + p.amax(-1),
    "last axes": lambda t, y, p: p.sum(-1, keepdim=True)[:, 0] + p[..., 1:].mean(-1) + p[:, -2:].sum(1),
    "norms": lambda t, y, p: p.norm(p=3, dim=-1) + p.norm(p=1) + torch.linalg.vector_norm(p, ord=torch.inf, dim=0),
    "pads": lambda t, y, p: functional.pad(p, (1, 2, 0, 1))[:3, 1] + functional.pad(y, (2, 0))[:3],
    "truths": lambda t, y, p: ((y > 0) + (y > 0.5)) * y + torch.stack([y[0] > 0, y[1], t]) + (y > 0).cumsum(0),
    "more truths": lambda t, y, p: torch.cat([y[:1] > 0, y[1:]]) + (~(y > 0)).sum() + ((y > 0) == (y > 1)) * t,
    "periods": lambda t, y, p: torch.remainder(-y, 0.3) + torch.remainder(y, -0.3) + torch.fmod(-y, 0.3),
    "places": lambda t, y, p: p.gather(1, torch.tensor([[0, 2], [1, 1]]))[0, 1] + p[[0, 2], [1, 1]].sum() + y.flip(-1),
    "turns": lambda t, y, p: p.roll((1, 2), (0, 1))[0] + p.flip(1)[2] + torch.where(y > 0, 2, y),
    "activations": lambda t, y, p: functional.softplus(y) + functional.silu(y) + functional.leaky_relu(y, 0.2)
    + functional.elu(y, 0.7) + functional.selu(y) + functional.mish(y),
    "limits": lambda t, y, p: functional.relu6(4 * y) + functional.hardtanh(y) + torch.tensor([1.0, 2.0, 3.0]),
    "masks": lambda t, y, p: y.masked_fill(y > 1, 0.5) + torch.addcmul(y, y, p[0], value=0.5),
    "angles": lambda t, y, p: torch.atan2(y, p[0]) + torch.hypot(y, p[1]),
    "whole numbers": lambda t, y, p: y * torch.arange(3) + torch.zeros(3) + y[torch.tensor([2, 1, 0])],
}  # fmt: skip


@pytest.mark.parametrize("name", FUNCTIONS)
def test_values_are_those_of_the_function(name):
    found, _ = evaluated(FUNCTIONS[name], T, Y, P)
    torch.testing.assert_close(found, FUNCTIONS[name](T, Y, P), rtol=1e-13, atol=1e-13)


@given(st.lists(st.floats(-3.0, 3.0), min_size=3, max_size=3), st.sampled_from(sorted(FUNCTIONS)))
@settings(max_examples=30, deadline=None)
def test_one_trace_serves_for_all_values(values, name):
    if name in ("elementary", "more", "arithmetic"):
        values = [abs(value) / 4 + 0.1 for value in values]
    y = torch.tensor(values, dtype=F64)
    traced = _TRACES.setdefault(name, trace(FUNCTIONS[name], ("t", "y", "p"), (T, Y, P)))
    inputs = {"t": [0.3], "y": values, "p": P.flatten().tolist(), "captured": []}
    inputs["captured"] = [value for tensor in traced.captured for value in tensor.flatten().tolist()]
    found = torch.tensor(traced.program.evaluate(inputs), dtype=F64)
    torch.testing.assert_close(found, FUNCTIONS[name](T, y, P), rtol=1e-12, atol=1e-12)


_TRACES = {}


def test_modules_hand_over_their_parameters():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 3)).double()
    found, traced = evaluated(lambda t, y: net(y), T, Y)
    torch.testing.assert_close(found, net(Y))
    assert sum(one.numel() for one in traced.captured) == sum(one.numel() for one in net.parameters())


def test_new_values_of_captured_tensors_need_no_new_program():
    weight = torch.tensor([1.0, 2.0, 3.0], dtype=F64)
    _, first = evaluated(lambda t, y: weight * y, T, Y)
    weight.mul_(5.0)
    found, second = evaluated(lambda t, y: weight * y, T, Y)
    assert first.program == second.program
    torch.testing.assert_close(found, weight * Y)


def test_states_may_be_pytrees():
    traced = trace(lambda t, y: {"a": y["b"] * t, "b": y["a"].sum()}, ("t", "y"), (T, {"a": Y, "b": Y[0]}))
    found = traced.program.evaluate({"t": [2.0], "y": [1.0, 2.0, 3.0, 5.0]})
    assert found == [10.0, 6.0] and traced.shapes == ((), ())


def if_positive(t, y):
    return y if y[0] > 0 else -y


COUNTER = torch.zeros(2, dtype=torch.int64)


def counting(t, y):
    COUNTER[0] += 1
    return -y * COUNTER[0]


@pytest.mark.parametrize("f, said", [
    (counting, "writes to a tensor from outside"),
    (lambda t, y: torch.round(y, decimals=1), "round does not cover it"),
    (lambda t, y: (y.long() & 1) * y, "no rule for a cast"),
    (lambda t, y: y.half().double(), "no rule for a cast"),
    (lambda t, y: y[y > 0], "PyTorch cannot write it down|does not cover"),
    (if_positive, "control flow depends on values"),
    (lambda t, y: y * float(t), "control flow depends on values"),
    (lambda t, y: y * torch.rand(3), r"draws random numbers \(rand\)"),
    (lambda t, y: functional.dropout(y, 0.5), "draws random numbers"),
    (lambda t, y: y.sort().values, r"no rule for torch.ops.aten.sort"),
    (lambda t, y: torch.ones(200, 200, dtype=F64) @ y.repeat(67)[:200], "more than 5,000 scalar operations"),
])  # fmt: skip
def test_what_cannot_be_traced_is_named(f, said):
    with pytest.raises(NotTraceable, match=said):
        trace(f, ("t", "y"), (T, Y))


def test_writing_to_a_tensor_from_outside_is_refused():
    counter = torch.zeros(1)

    def counting(t, y):
        counter.add_(1.0)
        return -y

    with pytest.raises(NotTraceable, match="writes to a tensor from outside"):
        trace(counting, ("t", "y"), (T, Y))
