"""What a graph is like around each edge and each node: messages along the edges, gathered at the nodes."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from kutta.operators.deeponet.perceptron import Perceptron
from kutta.operators.graphs.graph import Graph


class MessagePassing(nn.Module):
    """Layers in which edges see the nodes at their ends, and nodes the edges that end at them.

        e_ij <- e_ij + M(e_ij, x_j, x_i)            for an edge from j to i
        x_i  <- x_i + N(x_i, sum over j of e_ij)

    Before the first layer, features become vectors of the width, each by a perceptron. So after ``L`` layers a vector
    depends on what is up to ``L`` edges away.

    Args:
        node_features: how many a node has.
        edge_features: how many an edge has.
        width: of the vectors.
        layers: how many.
        nonlinearity: the name of the activation of all perceptrons.

    Source: Battaglia and others, Relational inductive biases, deep learning, and graph networks, arXiv 1806.01261.
    """

    def __init__(self, node_features: int, edge_features: int, width: int, layers: int, nonlinearity: str):
        super().__init__()
        self.of_nodes = Perceptron((node_features, width, width), nonlinearity)
        # Edges without features begin as what the nodes at their ends are.
        self.of_edges = Perceptron((edge_features, width, width), nonlinearity) if edge_features else None
        self.width = width
        self.messages = nn.ModuleList(Perceptron((3 * width, width, width), nonlinearity) for _ in range(layers))
        self.updates = nn.ModuleList(Perceptron((2 * width, width, width), nonlinearity) for _ in range(layers))

    def forward(self, graph: Graph) -> tuple[Tensor, Tensor]:
        """The vectors of nodes, ``(N, width)``, and of edges, ``(E, width)``."""
        sources, targets = graph.edges
        x = self.of_nodes(graph.node_features)
        e = x.new_zeros(len(sources), self.width) if self.of_edges is None else self.of_edges(graph.edge_features)
        for message, update in zip(self.messages, self.updates, strict=True):
            e = e + message(torch.cat([e, x.index_select(0, sources), x.index_select(0, targets)], 1))
            x = x + update(torch.cat([x, torch.zeros_like(x).index_add(0, targets, e)], 1))
        return x, e
