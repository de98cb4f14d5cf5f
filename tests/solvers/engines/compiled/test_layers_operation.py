"""Joined layers are differentiated as the layers are."""

import pytest
import torch
from torch import nn
from torch.fx.experimental.proxy_tensor import make_fx

from kutta.solvers.engines.compiled.layers_operation import operation
from kutta.solvers.engines.compiled.layers_source import Dense, filled_up
from kutta.solvers.engines.tracing.trace import trace

F64 = torch.float64
ACTIVATIONS = [
    torch.tanh, torch.sigmoid, torch.sin, nn.functional.relu, nn.functional.silu, nn.functional.gelu,
    nn.functional.softplus, nn.functional.elu, nn.functional.selu, nn.functional.leaky_relu, nn.functional.mish,
    nn.functional.hardtanh, nn.functional.relu6, lambda x: x.clamp(-1.0, 1.0), lambda x: x * 3.0 + 1.0,
    lambda x: x * 1.0,
]  # fmt: skip


def program(activation, dtype):
    return trace(activation, ["y"], [torch.zeros((), dtype=dtype)]).program


def tensors(*shapes):
    torch.manual_seed(0)
    return [torch.randn(shape, dtype=F64, requires_grad=True) for shape in shapes]


def filled(tensor):
    return nn.functional.pad(tensor, (0, filled_up(tensor.shape[-1], tensor.dtype) - tensor.shape[-1]))


def two_layers(activation, last=lambda x: x * 1.0):
    """A network of two layers, of which one has a bias, as an operation and plainly."""
    layers = (
        Dense(5, 7, bias=True, after=program(activation, F64)),
        Dense(7, 3, bias=False, after=program(last, F64)),
    )
    joined = operation(layers, F64)

    def native(x, w, b, v):
        return joined(x, filled(w), filled(b), filled(v))

    def plain(x, w, b, v):
        return last(activation(x @ w + b) @ v)

    return native, plain


SHAPES = (4, 5), (5, 7), (7,), (7, 3)


@pytest.mark.parametrize("last", [lambda x: x * 1.0, torch.tanh])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_gradients_are_those_of_the_layers(activation, last):
    native, plain = two_layers(activation, last)
    given = tensors(*SHAPES)
    out = torch.randn(4, 3, dtype=F64)
    found, expected = (torch.autograd.grad(f(*given), given, out) for f in (native, plain))
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


def test_gradients_are_those_of_finite_differences():
    native, _ = two_layers(torch.tanh)
    assert torch.autograd.gradcheck(native, tensors(*SHAPES))


@pytest.mark.parametrize("dtype", [torch.float32, F64])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_slopes_far_out_and_at_kinks_are_those_of_pytorch(activation, dtype):
    joined = operation((Dense(1, 1, bias=False, after=program(activation, dtype)),), dtype)
    ends = torch.tensor([0.0, 1.0, 6.0, 20.0, 88.5, 300.0, 1e4], dtype=dtype)
    x = torch.cat([-ends, ends])[:, None].requires_grad_()
    one = filled(torch.ones(1, 1, dtype=dtype))
    found, expected = (torch.autograd.grad(value.sum(), x)[0] for value in (joined(x, one), activation(x)))
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


def test_only_what_wants_a_gradient_gets_one():
    native, plain = two_layers(torch.tanh)
    x, w, b, v = tensors(*SHAPES)
    given = x, w.detach(), b, v.detach()
    found, expected = (torch.autograd.grad(f(*given).sum(), (x, b)) for f in (native, plain))
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    assert not native(x.detach(), w.detach(), b.detach(), v.detach()).requires_grad
    with torch.no_grad():
        assert not native(x, w, b, v).requires_grad


def test_a_tracer_writes_down_one_operation_each_way():
    native, _ = two_layers(torch.tanh)

    def pulled_back(*given):
        given = [one.detach().requires_grad_() for one in given]
        return torch.autograd.grad(native(*given).sum(), given)

    graph = make_fx(pulled_back, tracing_mode="fake")(*tensors(*SHAPES))
    names = [str(node.target) for node in graph.graph.nodes if node.op == "call_function"]
    assert sum("layers_" in name for name in names) == 2
    assert not any("mm" in name or "tanh" in name for name in names)


def test_there_are_no_second_derivatives():
    native, _ = two_layers(torch.tanh)
    given = tensors(*SHAPES)
    (first,) = torch.autograd.grad(native(*given).square().sum(), given[0], create_graph=True)
    with pytest.raises(RuntimeError, match="differentiate twice"):
        first.sum().backward()
