"""What is done to a right-hand side changes nothing but roundings."""

import torch
from torch.fx.experimental.proxy_tensor import make_fx

from kutta.solvers.engines.compiled.rewrite import rules, split, tanh, values_alone, with_products_joined


def test_the_tangent_is_within_seven_units_in_the_last_place():
    x = torch.cat([torch.linspace(-12, 12, 2_000_001), torch.logspace(-30, 1, 200_001)])
    exact = torch.tanh(x.double())
    unit = torch.finfo(torch.float32).eps * torch.exp2(torch.floor(torch.log2(exact.abs())))
    error = (tanh(x).double() - exact).abs() / unit
    assert error[exact != 0].max() < 7.0
    assert tanh(x).abs().max() <= 1.0
    special = tanh(torch.tensor([0.0, torch.inf, -torch.inf, torch.nan]))
    assert special[:3].tolist() == [0.0, 1.0, -1.0]
    assert special[3].isnan()


def test_wide_numbers_keep_the_exact_tangent():
    assert tanh(torch.ones(2, dtype=torch.float64)) is NotImplemented


def test_what_depends_on_weights_alone_leaves_the_loop():
    def f(t, y, weight, bias, scale):
        return torch.tanh(torch.nn.functional.linear(y, weight, bias)) @ weight.t().t() * torch.exp(scale) + bias.sum()

    inputs = torch.randn(3, 3), torch.randn(3), torch.randn(())
    t, y = torch.zeros(()), torch.randn(5, 3)
    graph = make_fx(f, rules(), tracing_mode="fake")(t, y, *inputs)
    before, inside = split(graph, varying=2)
    kept = before(*inputs)
    torch.testing.assert_close(inside(t, y, *kept), f(t, y, *inputs))
    left = {str(node.target) for node in inside.graph.nodes}
    assert not any(name in target for target in left for name in ("permute", "aten.t.", "exp", "sum", "neg"))
    assert all(one.is_contiguous() for one in kept)


def test_what_would_grow_stays_in_the_loop():
    graph = make_fx(lambda t, y, a: y + a.expand(1000, 3), rules(), tracing_mode="fake")(
        torch.zeros(()), torch.zeros(1000, 3), torch.ones(3)
    )
    before, _ = split(graph, varying=2)
    assert sum(one.numel() for one in before(torch.ones(3))) == 3


def test_values_alone_need_nothing_detached():
    def f(t, y, a):
        return y.detach() * (a * 2.0).detach() + y

    inputs = torch.zeros(()), torch.ones(3), torch.full((3,), 3.0)
    graph = make_fx(f, tracing_mode="fake")(*inputs)
    bare = values_alone(graph)
    assert not any("detach" in str(node.target) for node in bare.graph.nodes)
    torch.testing.assert_close(bare(*inputs), f(*inputs))
    assert any("detach" in str(node.target) for node in split(graph, varying=2)[1].graph.nodes)


def test_factors_that_stay_are_joined_before_the_loop():
    def f(t, y, mask, symbol, column):
        masked = mask * y
        return mask * (y * symbol) + symbol * (2.0 * y) + column * (symbol * y.exp()) + symbol * masked * masked.sum()

    inputs = torch.randn(3, 4), torch.randn(3, 4), torch.randn(3, 1)
    t, y = torch.zeros(()), torch.randn(3, 4)
    graph = make_fx(f, rules(), tracing_mode="fake")(t, y, *inputs)
    joined = with_products_joined(graph, varying=2)
    before, inside = split(joined, varying=2)
    torch.testing.assert_close(inside(t, y, *before(*inputs)), f(t, y, *inputs))
    products = [
        len(one.graph.find_nodes(op="call_function", target=torch.ops.aten.mul.Tensor))
        for one in (split(graph, varying=2)[1], inside)
    ]
    assert products == [9, 8]  # neither numbers, nor tensors that would grow, nor what is used twice
