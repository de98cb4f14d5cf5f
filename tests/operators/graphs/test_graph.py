"""Graphs: unions, and what is no graph."""

import pytest
import torch

import kutta as kt

EDGES = torch.tensor([[0, 1, 1, 2], [1, 0, 2, 2]])


def graph(**given):
    return kt.operators.Graph(**{"edges": EDGES, "node_features": torch.ones(3, 2), **given})


def test_a_union_counts_on_and_splits_again():
    first, second = (
        graph(edge_features=torch.randn(4, 1)),
        graph(node_features=torch.zeros(5, 2), edge_features=torch.randn(4, 1)),
    )
    union = kt.operators.Graph.union([kt.operators.Graph.union([first, second]), first])
    assert union.sizes == (3, 5, 3)
    assert torch.equal(union.edges, torch.cat([EDGES, EDGES + 3, EDGES + 8], 1))
    assert torch.equal(union.edge_features[4:8], second.edge_features)
    assert [len(part) for part in union.split(union.node_features)] == [3, 5, 3]


def test_it_goes_to_another_dtype_with_the_same_edges():
    double = graph().to(torch.float64)
    assert (double.node_features.dtype, double.edge_features.dtype, double.edges.dtype) == (
        torch.float64,
        torch.float64,
        torch.int64,
    )


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"edges": EDGES.int()}, "edges must be a tensor of the dtype torch.int64; got torch.int32"),
        ({"edges": EDGES.float()}, "got torch.float32: try"),
        ({"edges": [[0], [1]]}, "got list"),
        ({"edges": EDGES.mT}, r"edges must have the shape \(2, E\), where edges begin and end; got \(4, 2\)"),
        ({"edges": torch.tensor([[0, 3], [1, 0]])}, "edges must be between nodes 0 to 2; edge 1 is from 3 to 0"),
        ({"edges": torch.tensor([[0, 1], [-1, 0]])}, "edge 0 is from 0 to -1"),
        ({"node_features": torch.ones(0, 2), "edges": EDGES[:, :0]}, "there is no graph without nodes"),
        (
            {"node_features": torch.ones(3)},
            r"node_features must have the shape \(N, f\), a row for each node; got \(3,\)",
        ),
        ({"node_features": torch.ones(3, 2).long()}, "real floating-point numbers; got torch.int64"),
        ({"node_features": torch.tensor([[0.0], [float("nan")], [1.0]])}, "node_features must be finite; row 1 is not"),
        ({"edge_features": torch.full((4, 1), float("inf"))}, "edge_features must be finite; row 0 is not"),
        ({"edge_features": torch.ones(3, 1)}, r"edge_features must have the shape \(4, g\), a row for each edge"),
        ({"edge_features": torch.ones(4, 1).double()}, "edge_features must have the dtype of node_features"),
        ({"sizes": (2, 2)}, r"sizes must be whole numbers of at least 1 that add up to the 3 nodes; got \(2, 2\)"),
        ({"sizes": (3, 0)}, "at least 1"),
        ({"sizes": (1, 2)}, "edges must not lead from one graph of a union to another; edge 0 does"),
    ],
)
def test_what_is_no_graph_is_refused(given, message):
    with pytest.raises((TypeError, ValueError), match=message):
        graph(**given)


def test_a_union_of_nothing_is_refused():
    with pytest.raises(ValueError, match="graphs must be one or more; got none"):
        kt.operators.Graph.union([])
