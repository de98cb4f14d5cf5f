"""What a right-hand side becomes: a graph whose inputs are all that may change."""

from functools import partial

import pytest
import torch
from torch import nn

import kutta as kt
from kutta.solvers.engines.compiled.graph import MOST_GRAPHS, NotCompilable, right_hand_side
from kutta.state import layout_of


def graph_of(f, y=None, args=()):
    y = torch.linspace(0.0, 1.0, 3) if y is None else y
    layout = layout_of(y, ensemble=False)
    return right_hand_side(kt.ODEProblem(f, y, (0.0, 1.0), args), layout, layout.ravel(y))


def value(found, t, y):
    return found.inside(torch.tensor(t), y, *found.before(*found.inputs))


def test_arguments_weights_and_captured_tensors_are_inputs():
    net, shift, rate = nn.Linear(3, 3), torch.tensor([1.0, 2.0, 3.0], requires_grad=True), torch.tensor(0.5)
    found = graph_of(lambda t, y, a: net(y) * a["rate"] + shift * t, args=({"rate": rate},))
    y = torch.randn(3)
    torch.testing.assert_close(value(found, 2.0, y), net(y) * rate + shift * 2.0)
    assert {id(one) for one in found.inputs} == {id(one) for one in (*net.parameters(), shift, rate)}


def test_new_values_give_the_same_graph_and_new_numbers_another():
    def family(rate, weight):
        return lambda t, y: -rate * y * weight

    first = graph_of(family(1.0, torch.tensor(2.0)))
    assert graph_of(family(1.0, torch.tensor(7.0))).text == first.text
    second = graph_of(family(3.0, torch.tensor(2.0)))
    assert second.text != first.text
    for rate in range(MOST_GRAPHS + 2):
        found = graph_of(family(float(rate), torch.tensor(2.0)))
        torch.testing.assert_close(value(found, 0.0, torch.ones(3)), torch.full((3,), -2.0 * rate))
    assert graph_of(family(1.0, torch.tensor(2.0))).text == first.text


def test_graphs_of_many_grids_are_kept():
    """Those of one kind of equation share its code."""

    def found(count):
        return graph_of(partial(times, torch.arange(float(count))), torch.ones(count))

    def times(weights, t, y):
        return weights * y

    first = [found(count).inside for count in range(1, 21)]
    assert all(found(count).inside is one for count, one in enumerate(first, 1))


def test_an_attribute_or_a_global_that_changes_is_noticed():
    class Field:
        rate = 1.0

        def __call__(self, t, y):
            return -self.rate * y

    f = Field()
    before = graph_of(f)
    f.rate = 2.0
    torch.testing.assert_close(value(graph_of(f), 0.0, torch.ones(3)), torch.full((3,), -2.0))
    torch.testing.assert_close(value(before, 0.0, torch.ones(3)), -torch.ones(3))


def test_a_tensor_made_inside_is_an_input_too():
    found = graph_of(lambda t, y: y * torch.tensor([1.0, 2.0, 3.0]))
    torch.testing.assert_close(value(found, 0.0, torch.ones(3)), torch.tensor([1.0, 2.0, 3.0]))
    assert len(found.inputs) == 1


def test_a_tree_is_laid_out_in_one_tensor():
    y = {"q": torch.ones(2), "p": torch.zeros(2, 2)}
    found = graph_of(lambda t, y: {"q": y["p"].sum(0), "p": -y["q"] * torch.ones(2, 1)}, y)
    layout = layout_of(y, ensemble=False)
    torch.testing.assert_close(value(found, 0.0, layout.ravel(y)), torch.tensor([0.0, 0.0, -1.0, -1.0, -1.0, -1.0])[
        layout.ravel({"q": torch.tensor([0, 1]), "p": torch.tensor([[2, 3], [4, 5]])}).argsort()
    ])  # fmt: skip


def test_the_state_itself_may_come_back():
    torch.testing.assert_close(value(graph_of(lambda t, y: y), 0.0, torch.ones(3)), torch.ones(3))


def test_what_is_detached_stays_so():
    found, y = graph_of(lambda t, y: y.detach() * y), torch.ones(3, requires_grad=True)
    (slope,) = torch.autograd.grad(value(found, 0.0, y).sum(), y)
    torch.testing.assert_close(slope, torch.ones(3))


def test_transposed_weights_and_writes_to_new_tensors_are_fine():
    weight = torch.randn(3, 3)

    def f(t, y):
        out = torch.zeros_like(y)
        out[0] = y[1]
        return out + y @ weight.T

    y = torch.randn(3)
    torch.testing.assert_close(value(graph_of(f), 0.0, y), f(0.0, y))


def half_constant(t, y):
    with torch.no_grad():
        factor = y * 2.0
    return factor * y


def branch(t, y):
    return y if float(y.sum()) > 0 else -y


class Running(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.zeros(3))

    def forward(self, t, y):
        self.mean.mul_(0.9).add_(y)
        return -self.mean


@pytest.mark.parametrize(
    ("f", "why"),
    [
        (branch, "sum|item|branch|data-dependent"),
        (lambda t, y: y + torch.rand_like(y), "random"),
        (lambda t, y: y.mul_(2.0), "in place"),
        (Running(), "in place"),
        (half_constant, "gradients"),
        (lambda t, y: y[:2], "shape"),
        (lambda t, y: y.double(), "float64"),
        (lambda t, y: torch.from_numpy(y.numpy().copy()).numpy(), "."),
        (lambda t, y: 1.0, "."),
    ],
    ids=["branch", "random", "in place", "buffer", "no_grad", "shape", "dtype", "array", "number"],
)
def test_what_cannot_be_compiled_is_named(f, why):
    with pytest.raises(NotCompilable, match=why):
        graph_of(f)


def test_a_hook_that_comes_later_is_noticed():
    net = nn.Linear(3, 3)

    def f(t, y):
        return net(y)

    y = torch.randn(3)
    graph_of(f)
    hook = net.register_forward_hook(lambda module, inputs, output: 100.0 * output)
    torch.testing.assert_close(value(graph_of(f), 0.0, y), net(y))
    hook.remove()
    torch.testing.assert_close(value(graph_of(f), 0.0, y), net(y))


def test_a_compiler_that_is_switched_off():
    graph_of(lambda t, y: -2.0 * y)
    with torch.compiler.set_stance("force_eager"), pytest.raises(NotCompilable, match="switched off"):
        graph_of(lambda t, y: 3.0 * y.sin())
