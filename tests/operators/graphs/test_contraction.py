"""The contraction on a graph: its fixed points by all methods, and how many iterations there may be."""

import math

import pytest
import torch

import kutta as kt
from kutta.operators.graphs.contraction import NOT_EXPANDING, Contraction, steps_until
from tests._helpers import F64, difference, gradient, relative_error

# A self loop (0), two edges from 1 to 2, a node without edges (4) and one that nothing leaves (3).
EDGES = torch.tensor([[0, 0, 1, 1, 1, 2, 2], [0, 1, 2, 2, 0, 0, 3]])
METHODS = [kt.GMRES(), kt.BiCGSTAB(), kt.LU(), kt.Picard(), kt.Anderson()]


def drawn(heads=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    weights = torch.rand(heads, EDGES.shape[1], dtype=F64, generator=generator)
    return weights, torch.randn(heads, 5, dtype=F64, generator=generator)


def dense(weights, gamma, count):
    """``gamma A`` written out, as the equation has it."""
    matrix = torch.zeros(len(weights), count, count, dtype=F64)
    for number, (j, i) in enumerate(EDGES.T.tolist()):
        matrix[:, i, j] += gamma * weights[:, number].clamp(0.0, 1.0) / int((EDGES[0] == j).sum())
    return matrix


def random_network(n=200, density=0.05, seed=0):
    """As many directed edges as the density says, with weights from 0 to 1, and a bias."""
    generator = torch.Generator().manual_seed(seed)
    edges = (torch.rand(n, n, generator=generator) < density).nonzero().mT.contiguous()
    weights = torch.rand(1, edges.shape[1], dtype=F64, generator=generator)
    return edges, weights, torch.randn(1, n, dtype=F64, generator=generator)


@pytest.mark.parametrize("method", METHODS, ids=lambda method: type(method).__name__)
@pytest.mark.parametrize("gamma", [0.5, 0.99])
def test_every_method_finds_the_direct_solution(method, gamma):
    weights, bias = drawn()
    direct = torch.linalg.solve(torch.eye(5, dtype=F64) - dense(weights, gamma, 5), bias[..., None])[..., 0]
    found = Contraction(EDGES, weights, bias, gamma).fixed_point(method, 1e-13).y1
    torch.testing.assert_close(found, direct, rtol=1e-11, atol=1e-11)


def test_weights_count_as_numbers_from_0_to_1():
    _, bias = drawn()
    wild = torch.tensor([[-7.0, 3.0, 0.5, 1.0, 0.0, 40.0, -0.1]], dtype=F64).expand(3, -1)
    operator = Contraction(EDGES, wild, bias, 0.7).operator
    torch.testing.assert_close(operator.dense(bias), dense(wild, 0.7, 5), rtol=1e-15, atol=1e-15)
    torch.testing.assert_close(operator.transposed().dense(bias), dense(wild, 0.7, 5).mT, rtol=1e-15, atol=1e-15)
    assert float(operator.dense(bias).sum(1).max()) <= 0.7 * (1.0 + 1e-15)


@pytest.mark.parametrize("activation", NOT_EXPANDING)
def test_every_iteration_comes_closer_by_gamma_in_the_1_norm(activation):
    edges, weights, bias = random_network()
    contraction = Contraction(edges, torch.ones_like(weights), bias, 0.9, activation)
    first, second = torch.randn(2, 50, 1, 200, dtype=F64, generator=torch.Generator().manual_seed(3))
    before, after = (
        (one - two).abs().sum(-1) for one, two in ((first, second), map(contraction.image, (first, second)))
    )
    assert float((after / before).max()) <= 0.9 * (1.0 + 1e-14)


def picard(contraction, tolerance, rate):
    """The iterations until a step is shorter than the tolerance, for steps that become shorter by the rate."""
    bias = contraction.bias
    # Picard's estimate of what is left is step / (1 - rate), as a root mean square.
    left = tolerance / (1.0 - rate) / math.sqrt(bias.shape[1])
    problem = kt.FixedPointProblem(contraction.image, torch.zeros_like(bias), batched=True)
    sol = kt.solve(problem, kt.Picard(), rtol=0.0, atol=left, max_steps=5000)
    return int(sol.stats.steps[0])


@pytest.mark.parametrize(("gamma", "expected"), [(0.5, 12), (0.9, 19), (0.99, 22)])
def test_random_weights_need_few_iterations(gamma, expected):
    """Their mean is one half, so that the rate is gamma / 2 rather than gamma."""
    edges, weights, bias = random_network(seed=1)
    count = picard(Contraction(edges, weights, bias, gamma), 1e-6, 0.5 * gamma)
    assert abs(count - expected) <= 1
    assert count <= steps_until(1e-6 / float(bias.norm()), gamma)


@pytest.mark.parametrize("gamma", [0.5, 0.9, 0.99])
def test_weights_of_1_need_as_many_iterations_as_there_may_be(gamma):
    """Of a positive bias nothing cancels, and every iteration takes gamma times the sum: the bound is reached."""
    edges, weights, bias = random_network()
    bias = bias.abs()
    count = picard(Contraction(edges, torch.ones_like(weights), bias, gamma), 1e-6, gamma)
    bound = steps_until(1e-6 / float(bias.norm()), gamma)
    # The last vector has another shape than the bias, so that its 2-norm is not the same part of its 1-norm.
    slack = math.log(2.0) / -math.log(gamma)
    assert bound - slack <= count <= steps_until(1e-6 / float(bias.sum()), gamma)


def test_the_bounds_of_the_iterations():
    assert [steps_until(1e-6 / 13.4, gamma) for gamma in (0.5, 0.9, 0.99)] == [24, 156, 1633]


@pytest.mark.parametrize("method", [kt.GMRES(), kt.Picard(), kt.LU()], ids=lambda method: type(method).__name__)
def test_gradients_are_those_of_finite_differences(method):
    weights, bias = drawn()
    weights = 0.1 + 0.8 * weights  # where clipping has derivatives
    by = torch.randn(3, 5, dtype=F64, generator=torch.Generator().manual_seed(5))

    def loss(both):
        contraction = Contraction(EDGES, both[:, :7], both[:, 7:], 0.9)
        return (by * contraction.fixed_point(method, 1e-13).y1.square()).sum()

    both = torch.cat([weights, bias], 1)
    assert relative_error(gradient(loss, both), difference(loss, both, 1e-4)) < 1e-9


@pytest.mark.parametrize("activation", ["relu", "sin", "tanh"])
def test_gradients_through_activations(activation):
    weights, bias = drawn()
    weights = 0.1 + 0.8 * weights

    def loss(both):
        contraction = Contraction(EDGES, both[:, :7], both[:, 7:], 0.9, activation)
        return contraction.fixed_point(kt.Picard(), 1e-13).y1.square().sum()

    both = torch.cat([weights, bias], 1)
    assert relative_error(gradient(loss, both), difference(loss, both, 1e-4)) < 1e-9


def test_gradients_of_large_graphs_need_no_matrix():
    """Beyond 256 nodes derivatives of iterated fixed points are iterations, too, and agree with those of the system."""
    edges, weights, bias = random_network(n=400, density=0.02)
    by = torch.randn(bias.shape, dtype=F64, generator=torch.Generator().manual_seed(5))

    def slope(method):
        return gradient(lambda w: (by * Contraction(edges, w, bias, 0.9).fixed_point(method, 1e-12).y1).sum(), weights)

    assert relative_error(slope(kt.Picard()), slope(kt.GMRES())) < 1e-9


def test_heads_end_on_their_own():
    """One with weights of zero, whose solution is its bias, beside one that takes its time."""
    edges, weights, bias = random_network()
    both = Contraction(edges, torch.cat([0.0 * weights, 0.0 * weights + 1.0]), bias.abs().expand(2, -1), 0.99)
    for method in (kt.Picard(), kt.GMRES()):
        sol = both.fixed_point(method, 1e-8)
        assert int(sol.stats.steps[0]) <= 2 < int(sol.stats.steps[1])
        torch.testing.assert_close(sol.y1[0], bias[0].abs(), rtol=1e-12, atol=0.0)


def test_without_edges_the_fixed_point_is_what_the_activation_makes_of_the_bias():
    _, bias = drawn()
    edges, none = torch.zeros(2, 0, dtype=torch.int64), torch.zeros(3, 0, dtype=F64)
    for method in METHODS:
        torch.testing.assert_close(Contraction(edges, none, bias, 0.9).fixed_point(method, 1e-12).y1, bias)
    found = Contraction(edges, none, bias, 0.9, "tanh").fixed_point(kt.Picard(), 1e-12).y1
    torch.testing.assert_close(found, torch.tanh(bias))


def test_a_bias_of_zero_has_the_fixed_point_zero():
    weights, bias = drawn()
    for method in METHODS:
        assert not Contraction(EDGES, weights, 0.0 * bias, 0.9).fixed_point(method, 1e-12).y1.any()
