"""A directed graph with features, or several as one without edges between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from jaxtyping import Float, Int


@dataclass(frozen=True, eq=False)
class Graph:
    """Nodes, directed edges between them, and features of both.

    An edge without direction is two. Loops, several edges between the same nodes, and nodes without edges are allowed.

    Attributes:
        edges: the numbers of the nodes where edges begin, and of those where they end, ``(2, E)``, int64.
        node_features: ``(N, f)``, of a floating-point dtype, finite; at least one node.
        edge_features: ``(E, g)``, of the same dtype; by default none, ``g = 0``.
        sizes: how many nodes belong to each graph, where this is the union of several; by default all to one.

    Raises:
        TypeError, ValueError: for tensors that make no graph.

    Example:
        >>> import torch, kutta as kt
        >>> edges = torch.tensor([[0, 1, 1], [1, 0, 2]])
        >>> graph = kt.operators.Graph(edges, torch.ones(3, 2))
        >>> kt.operators.Graph.union([graph, graph]).edges
        tensor([[0, 1, 1, 3, 4, 4],
                [1, 0, 2, 4, 3, 5]])
    """

    edges: Int[Tensor, "2 e"]
    node_features: Float[Tensor, "n f"]
    edge_features: Float[Tensor, "e g"] = None  # type: ignore[assignment]
    sizes: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        _check_features("node_features", self.node_features, None)
        if not len(self.node_features):
            raise ValueError("node_features must have a row for each node; there is no graph without nodes")
        _check_edges(self.edges, len(self.node_features))
        if self.edge_features is None:
            object.__setattr__(self, "edge_features", self.node_features.new_zeros(self.edges.shape[1], 0))
        _check_features("edge_features", self.edge_features, self.edges.shape[1])
        for name in ("edges", "edge_features"):
            if getattr(self, name).device != self.node_features.device:
                raise ValueError(f"{name} must be on the device of node_features, {self.node_features.device}")
        if self.edge_features.dtype != self.node_features.dtype:
            raise TypeError(
                f"edge_features must have the dtype of node_features, {self.node_features.dtype}; "
                f"got {self.edge_features.dtype}"
            )
        object.__setattr__(self, "sizes", tuple(self.sizes) or (len(self.node_features),))
        _check_sizes(self.sizes, self.edges, len(self.node_features))

    @property
    def sources(self) -> Tensor:
        """Where edges begin, ``(E,)``."""
        return self.edges[0]

    @property
    def targets(self) -> Tensor:
        """Where they end, ``(E,)``."""
        return self.edges[1]

    @classmethod
    def union(cls, graphs: Sequence[Graph]) -> Graph:
        """Several graphs as one, the nodes and the edges of each behind those of the one before."""
        graphs = list(graphs)
        if not graphs:
            raise ValueError("graphs must be one or more; got none")
        before = accumulate((len(one.node_features) for one in graphs[:-1]), initial=0)
        return cls(
            torch.cat([one.edges + first for one, first in zip(graphs, before, strict=True)], 1),
            torch.cat([one.node_features for one in graphs]),
            torch.cat([one.edge_features for one in graphs]),
            tuple(size for one in graphs for size in one.sizes),
        )

    def split(self, values: Tensor) -> tuple[Tensor, ...]:
        """Values at the nodes, ``(N, ...)``, one tensor for each graph of a union."""
        return values.split(self.sizes)

    def to(self, *target: Any) -> Graph:
        """The same with features of another dtype, or all of it on another device."""
        node_features = self.node_features.to(*target)
        edges, edge_features = self.edges.to(node_features.device), self.edge_features.to(*target)
        return replace(self, edges=edges, node_features=node_features, edge_features=edge_features)


def _check_features(name: str, features: Any, rows: int | None) -> None:
    if not isinstance(features, Tensor) or not features.is_floating_point():
        kind = features.dtype if isinstance(features, Tensor) else type(features).__name__
        raise TypeError(f"{name} must be a tensor of real floating-point numbers; got {kind}")
    if features.dim() != 2 or (rows is not None and len(features) != rows):
        wanted = "(N, f), a row for each node" if rows is None else f"({rows}, g), a row for each edge"
        raise ValueError(f"{name} must have the shape {wanted}; got {tuple(features.shape)}")
    finite = torch.isfinite(features).all(1)
    if not bool(finite.all()):
        raise ValueError(f"{name} must be finite; row {int((~finite).nonzero()[0])} is not")


def _check_edges(edges: Any, count: int) -> None:
    if not isinstance(edges, Tensor) or edges.dtype != torch.int64:
        kind = edges.dtype if isinstance(edges, Tensor) else type(edges).__name__
        raise TypeError(f"edges must be a tensor of the dtype torch.int64; got {kind}: try edges.long()")
    if edges.dim() != 2 or edges.shape[0] != 2:
        raise ValueError(f"edges must have the shape (2, E), where edges begin and end; got {tuple(edges.shape)}")
    outside = ((edges < 0) | (edges >= count)).any(0)
    if bool(outside.any()):
        number = int(outside.nonzero()[0])
        raise ValueError(
            f"edges must be between nodes 0 to {count - 1}; edge {number} is from {int(edges[0, number])} "
            f"to {int(edges[1, number])}"
        )


def _check_sizes(sizes: tuple[int, ...], edges: Tensor, count: int) -> None:
    if any(isinstance(size, bool) or not isinstance(size, int) or size < 1 for size in sizes) or sum(sizes) != count:
        raise ValueError(f"sizes must be whole numbers of at least 1 that add up to the {count} nodes; got {sizes}")
    if len(sizes) > 1:
        graph = torch.repeat_interleave(torch.tensor(sizes)).to(edges.device)[edges]
        if bool((graph[0] != graph[1]).any()):
            number = int((graph[0] != graph[1]).nonzero()[0])
            raise ValueError(f"edges must not lead from one graph of a union to another; edge {number} does")
