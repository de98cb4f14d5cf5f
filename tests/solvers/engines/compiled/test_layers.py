"""Chains of dense layers are found, and as one operation compute what the layers do."""

from itertools import pairwise

import pytest
import torch
from torch import nn
from torch.fx.experimental.proxy_tensor import make_fx

import kutta
from kutta.solvers.engines.compiled.graph import right_hand_side
from kutta.solvers.engines.compiled.layers import with_layers_joined
from kutta.solvers.engines.compiled.rewrite import split, sums_apart
from kutta.solvers.engines.kernel.build import CompilerMissing, compiler
from kutta.state import layout_of

F32, F64 = torch.float32, torch.float64
try:
    compiler()
    HAS_COMPILER = True
except CompilerMissing:
    HAS_COMPILER = False
needs_compiler = pytest.mark.skipif(not HAS_COMPILER, reason="there is no C++ compiler")


def joined(f, y, *inputs):
    """The joined graph, with what comes before the loop and what is in it."""
    t = torch.zeros((), dtype=y.dtype)
    graph = make_fx(f, sums_apart(), tracing_mode="fake")(t, y, *inputs)
    return split(with_layers_joined(graph, varying=2), varying=2)


def calls(graph):
    return [str(node.target) for node in graph.graph.nodes if node.op == "call_function"]


def check(f, y, *inputs):
    """The joined function computes the same; what is left of it in the loop."""
    before, inside = joined(f, y, *inputs)
    t = torch.zeros((), dtype=y.dtype)
    with torch.no_grad():
        tight = {"rtol": 1e-5, "atol": 1e-5} if y.dtype == F32 else {"rtol": 1e-12, "atol": 1e-12}
        torch.testing.assert_close(inside(t, y, *before(*inputs)), f(t, y, *inputs), **tight)
    return calls(inside)


def weights(*sizes, dtype=F64):
    torch.manual_seed(0)
    shapes = [shape for a, b in pairwise(sizes) for shape in ((b, a), (b,))]
    return [torch.randn(shape, dtype=dtype) for shape in shapes]


def perceptron(activation):
    def f(t, y, *inputs):
        *hidden, (weight, bias) = zip(inputs[::2], inputs[1::2], strict=True)
        for w, b in hidden:
            y = activation(nn.functional.linear(y, w, b))
        return nn.functional.linear(y, weight, bias)

    return f


ACTIVATIONS = [
    torch.tanh, torch.relu, torch.sigmoid, torch.sin, nn.functional.silu, nn.functional.gelu, nn.functional.softplus,
    nn.functional.elu, nn.functional.leaky_relu, nn.functional.mish, lambda x: x * torch.sigmoid(2 * x) + 1,
]  # fmt: skip


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("shape", [(7, 5), (2, 3, 5)])
def test_a_network_is_one_operation(activation, shape):
    left = check(perceptron(activation), torch.randn(shape, dtype=F64), *weights(5, 9, 16, 5))
    assert [name for name in left if "view" not in name] == [name for name in left if "layers_" in name]
    assert sum("layers_" in name for name in left) == 1


def test_products_without_biases_and_weights_of_any_strides():
    def f(t, y, a, b):
        return torch.tanh(y @ a) @ b.t() + y

    a, b = torch.randn(8, 4, dtype=F64).t(), torch.randn(4, 16, dtype=F64)[:, ::2]
    left = check(f, torch.randn(6, 4, dtype=F64), a, b)
    assert sum("layers_" in name for name in left) == 1
    assert not any("mm" in name for name in left)


def test_a_layer_used_twice_ends_a_chain():
    def f(t, y, w, b, v, c):
        h = torch.tanh(nn.functional.linear(y, w, b))
        return nn.functional.linear(h, v, c) + h

    left = check(f, torch.randn(6, 4, dtype=F64), *weights(4, 4, 4))
    assert sum("layers_" in name for name in left) == 2


def test_what_depends_on_time_is_left_to_the_compiler():
    def f(t, y, w, b, v, c):
        h = torch.tanh(nn.functional.linear(y, w, b) + t)
        return nn.functional.linear(h * t.cos(), v, c)

    left = check(f, torch.randn(6, 4, dtype=F64), *weights(4, 8, 4))
    assert sum("layers_" in name for name in left) == 2
    assert any("tanh" in name for name in left)


@pytest.mark.parametrize(
    "f",
    [
        lambda t, y, w: y @ (w * t.exp()),  # weights that change
        lambda t, y, w: w @ y,  # the state on the right
        lambda t, y, w: y @ y.t() + w,
    ],
)
def test_other_products_stay(f):
    assert sum("mm" in name for name in check(f, torch.randn(4, 4, dtype=F64), torch.randn(4, 4, dtype=F64)))


def test_large_weights_stay_with_the_library():
    left = check(perceptron(torch.tanh), torch.randn(2, 4, dtype=F32), *weights(4, 600, 600, 4, dtype=F32))
    assert sum("mm" in name for name in left) == 1
    assert sum("layers_" in name for name in left) == 2


def test_what_has_no_rule_is_left_to_the_compiler():
    left = check(perceptron(torch.special.bessel_j0), torch.rand(3, 4, dtype=F64), *weights(4, 4, 4))
    assert any("bessel" in name for name in left)
    assert sum("layers_" in name for name in left) == 2


def test_half_precision_stays():
    f = perceptron(torch.relu)
    _, inside = joined(f, torch.randn(3, 4, dtype=torch.bfloat16), *weights(4, 4, dtype=torch.bfloat16))
    assert not any("layers_" in name for name in calls(inside))


@needs_compiler
@pytest.mark.slow
@pytest.mark.parametrize("dtype", [F32, F64])
def test_compiled_solves_of_networks_and_their_gradients_are_those_of_the_eager_engine(dtype):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(6, 20), nn.GELU(), nn.Linear(20, 40), nn.Tanh(), nn.Linear(40, 6)).to(dtype)
    problem = kutta.ODEProblem(lambda t, y: net(y), torch.randn(3, 7, 6, dtype=dtype), (0.0, 1.0))
    solves = {}
    for engine in (kutta.Eager(), kutta.Compiled()):
        solution = kutta.solve(
            problem, kutta.Tsit5(), engine=engine, controller=kutta.Fixed(0.1), save_at=[0.0, 0.33, 1.0]
        )
        solution.ys.square().sum().backward()
        solves[solution.stats.engine] = [solution.ys.detach(), *(one.grad.clone() for one in net.parameters())]
        net.zero_grad()
    assert set(solves) == {"eager", "compiled"}
    tight = {"rtol": 1e-4, "atol": 1e-5} if dtype == F32 else {"rtol": 1e-11, "atol": 1e-11}
    torch.testing.assert_close(solves["compiled"], solves["eager"], **tight)


@needs_compiler
@pytest.mark.slow
def test_two_threads_find_the_gradients_of_one():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(8, 64), nn.Tanh(), nn.Linear(64, 8)).double()
    problem = kutta.ODEProblem(lambda t, y: net(y), torch.randn(300, 8, dtype=F64), (0.0, 1.0))

    def gradients(engine):
        solution = kutta.solve(problem, kutta.Heun(), engine=engine, controller=kutta.Fixed(0.25))
        return torch.autograd.grad(solution.y1.square().sum(), list(net.parameters()))

    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        found, again = gradients(kutta.Compiled()), gradients(kutta.Compiled())
    finally:
        torch.set_num_threads(before)
    torch.testing.assert_close(found, gradients(kutta.Eager()), rtol=1e-11, atol=1e-11)
    assert all(map(torch.equal, found, again))


def test_a_bias_of_another_precision_is_added_by_the_compiler():
    def f(t, y, w, b):
        return torch.tanh(y @ w + b)

    _, inside = joined(f, torch.randn(6, 4, dtype=F64), torch.randn(4, 4, dtype=F64), torch.randn(4))
    assert any("add" in name for name in calls(inside))
    assert sum("layers_" in name for name in calls(inside)) == 1


def test_a_reshape_between_layers_ends_a_chain():
    def f(t, y, w, v, u):
        return (torch.tanh(y @ w).view(8, 4) @ v).view(4, 6) @ u

    shapes = [(6, 8), (4, 3), (6, 6)]
    left = check(f, torch.randn(4, 6, dtype=F64), *(torch.randn(shape, dtype=F64) for shape in shapes))
    assert sum("layers_" in name for name in left) == 3


@pytest.mark.parametrize(
    "f",
    [
        lambda t, y, w: torch.where(y @ w > 0, y, -y),
        lambda t, y, w: (y @ w > 0) * 2.0,
        lambda t, y, w: nn.functional.logsigmoid(y @ w),
        lambda t, y, w: torch.relu(y @ w).sqrt(),
        lambda t, y, w: torch.relu(y @ w) ** 0.5,
    ],
    ids=["mask", "mask as a factor", "several results", "steep", "steep power"],
)
def test_what_cannot_end_a_chain_is_left_to_the_compiler(f):
    left = check(f, torch.randn(5, 4, dtype=F64), torch.randn(4, 4, dtype=F64))
    assert sum("layers_" in name for name in left) == 1
    assert len([name for name in left if "view" not in name]) > 1


def test_the_text_of_a_graph_knows_strides():
    y, w = torch.randn(5, 4, dtype=F64), torch.randn(4, 4, dtype=F64)
    problems = [
        kutta.ODEProblem(lambda t, y, w: y @ w, y, (0.0, 1.0), args=(one,)) for one in (w, w.t().contiguous().t())
    ]
    texts = {right_hand_side(one, layout_of(y, False), y).text for one in problems}
    assert len(texts) == 2
