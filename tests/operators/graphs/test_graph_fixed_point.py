"""The graph layer: symmetries, batches, derivatives, training, and what it refuses."""

import pytest
import torch

import kutta as kt
from tests._helpers import F64

data = kt.operators.data


def random_graph(nodes=30, edges=90, dtype=F64, seed=0):
    generator = torch.Generator().manual_seed(seed)
    ends = torch.randint(nodes, (2, edges), generator=generator)
    node_features = torch.randn(nodes, 3, dtype=dtype, generator=generator)
    return kt.operators.Graph(ends, node_features, torch.randn(edges, 2, dtype=dtype, generator=generator))


def layer(seed=0, **given):
    torch.manual_seed(seed)
    return kt.operators.GraphFixedPoint(3, 2, 2, heads=4, width=8, layers=2, **given).double()


@pytest.mark.parametrize("activation", ["identity", "tanh"])
def test_nodes_and_edges_may_come_in_any_order(activation):
    graph, model = random_graph(), layer(activation=activation)
    nodes, edges = torch.randperm(30), torch.randperm(90)
    place = torch.empty_like(nodes)
    place[nodes] = torch.arange(30)
    other = kt.operators.Graph(place[graph.edges[:, edges]], graph.node_features[nodes], graph.edge_features[edges])
    torch.testing.assert_close(model(other), model(graph)[nodes], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("method", [None, kt.Picard(), kt.Anderson()])
def test_a_union_is_its_graphs_one_by_one(method):
    model = layer(method=method, gamma=0.9, rtol=1e-12)
    graphs = [random_graph(nodes, edges, seed=nodes) for nodes, edges in ((1, 2), (7, 0), (40, 200), (300, 900))]
    together = model(kt.operators.Graph.union(graphs))
    torch.testing.assert_close(together, torch.cat([model(one) for one in graphs]), rtol=1e-9, atol=1e-9)


def test_the_fixed_point_sees_farther_than_the_encoder():
    """A path of 12 nodes, one layer: the last node hears of the first one, by a power of gamma."""
    path = torch.arange(11)
    edges = torch.stack([path, path + 1])
    torch.manual_seed(0)
    model = kt.operators.GraphFixedPoint(1, 0, 1, heads=4, width=8, layers=1).double()
    torch.nn.init.constant_(model.of_edges.weight, 0.0)
    torch.nn.init.constant_(model.of_edges.bias, 1.0)
    first = torch.zeros(12, 1, dtype=F64)
    first[0] = 1.0
    heads = [model.solve(kt.operators.Graph(edges, one)).y1 for one in (first, 0.0 * first)]
    change = (heads[0] - heads[1])[:, 2:]
    torch.testing.assert_close(change[:, 1:] / change[:, :-1], torch.full((4, 9), 0.5, dtype=F64), rtol=1e-6, atol=0.0)


@pytest.mark.parametrize("given", [{}, {"method": kt.Picard()}, {"activation": "tanh"}])
def test_the_gradient_of_all_weights(given):
    """Along a random direction, against central differences."""
    graph, model = random_graph(), layer(gamma=0.9, rtol=1e-13, **given)
    weights = list(model.parameters())
    slopes = torch.autograd.grad(model(graph).square().sum(), weights)
    generator = torch.Generator().manual_seed(1)
    directions = [torch.randn(one.shape, dtype=F64, generator=generator) for one in weights]

    def at(step):
        with torch.no_grad():
            moved = {name: one + step * d for (name, one), d in zip(model.named_parameters(), directions, strict=True)}
            return torch.func.functional_call(model, moved, (graph,)).square().sum()

    step = 1e-6
    wanted = (8 * (at(step) - at(-step)) - (at(2 * step) - at(-2 * step))) / (12 * step)
    found = sum((one * d).sum() for one, d in zip(slopes, directions, strict=True))
    torch.testing.assert_close(found, wanted, rtol=1e-7, atol=0.0)


def test_gradients_in_float32_are_those_in_float64():
    graph, model = random_graph(), layer(gamma=0.9)

    def slopes(graph, model):
        return torch.cat(
            [one.flatten() for one in torch.autograd.grad(model(graph).square().sum(), list(model.parameters()))]
        )

    exact = slopes(graph, model)
    single = slopes(graph.to(torch.float32), model.float()).double()
    assert float((single - exact).norm() / exact.norm()) < 2e-5


@torch.no_grad()
def test_narrow_dtypes_are_solved_in_float32():
    graph, model = random_graph(), layer(gamma=0.9)
    exact = model(graph)
    single = graph.to(torch.float32)
    model = model.float()
    with torch.autocast("cpu", torch.bfloat16):
        mixed = model(single)
    narrow = model.bfloat16()(graph.to(torch.bfloat16))
    assert narrow.dtype == torch.bfloat16
    for one in (mixed, narrow):
        assert float((one - exact).norm() / exact.norm()) < 0.05


def test_loops_lonely_nodes_and_no_edges_are_graphs():
    model = layer()
    features = torch.randn(3, 3, dtype=F64)
    for edges in (torch.zeros(2, 0, dtype=torch.int64), torch.tensor([[0, 0, 1], [0, 0, 1]])):
        out = model(kt.operators.Graph(edges, features, torch.ones(edges.shape[1], 2, dtype=F64)))
        out.sum().backward()
        assert out.shape == (3, 2) and bool(torch.isfinite(out).all())
        assert all(one.grad is None or bool(torch.isfinite(one.grad).all()) for one in model.parameters())


def test_weights_that_are_not_finite_are_told():
    model = layer()
    torch.nn.init.constant_(model.of_nodes.bias, float("nan"))
    with pytest.raises(kt.SolveError, match="NON_FINITE"):
        model(random_graph())


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"gamma": 1.0}, "gamma must be a number above 0 and below 1; got 1.0"),
        ({"gamma": 0.0}, "gamma must be"),
        ({"gamma": -0.5}, "gamma must be"),
        ({"gamma": float("nan")}, "gamma must be"),
        ({"gamma": True}, "gamma must be"),
        ({"rtol": 0.0}, "rtol must be"),
        ({"activation": "gelu"}, "or there may be no fixed point; got 'gelu'"),
        ({"activation": "tanh", "method": kt.GMRES()}, "with the activation 'tanh'; got GMRES"),
        ({"method": kt.Newton()}, "method must be such as"),
        ({"method": "picard"}, "method must be such as"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(given, message):
    with pytest.raises((TypeError, ValueError), match=message):
        layer(**given)


@pytest.mark.parametrize("counts", [(0, 1, 1), (1, -1, 1), (1, 1, 0), (1, 1.5, 1)])
def test_counts_are_whole_numbers(counts):
    with pytest.raises(ValueError, match="must be a whole number of at least 1"):
        kt.operators.GraphFixedPoint(*counts)


def test_graphs_that_do_not_fit_are_refused():
    model = layer()
    with pytest.raises(TypeError, match=r"graph must be a kutta.operators.Graph; got Tensor"):
        model(torch.ones(3, 3))
    with pytest.raises(TypeError, match="node_features must have the dtype of the layer"):
        model(random_graph(dtype=torch.float32))
    with pytest.raises(ValueError, match="graph must have 2 edge_features for this layer; got 0"):
        model(kt.operators.Graph(torch.tensor([[0], [1]]), torch.ones(2, 3, dtype=F64)))


def errors(model, graph, values):
    """Relative to how far values are from their mean, one for each graph."""
    with torch.no_grad():
        parts = zip(graph.split(model(graph)), graph.split(values), strict=True)
        return torch.stack([(one - two).norm() / (two - two.mean()).norm() for one, two in parts])


def trained(source, counts, steps, batch, **given):
    torch.manual_seed(0)
    model = kt.operators.GraphFixedPoint(*counts, 1, **given)
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    generator = torch.Generator().manual_seed(1)
    for _ in range(steps):
        graph, values = source(batch, generator)
        optimizer.zero_grad()
        (model(graph) - values).square().mean().backward()
        optimizer.step()
    return model


def small_networks(count, generator):
    return data.pore_networks(count, generator, sizes=(20, 40))


def test_it_learns_pressures_in_seconds():
    model = trained(small_networks, (2, 1), 40, 8, heads=8, width=16, layers=2)
    graph, values = small_networks(16, torch.Generator().manual_seed(9))
    assert float(errors(model, graph, values).mean()) < 0.6  # of a constant: 1


@pytest.mark.slow
def test_it_learns_pressures_of_new_networks():
    model = trained(data.pore_networks, (2, 1), 250, 16)
    graph, values = data.pore_networks(64, torch.Generator().manual_seed(9))
    assert float(errors(model, graph, values).mean()) < 0.45
