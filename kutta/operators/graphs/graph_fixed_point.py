"""The convergent graph layer: a fixed point on a graph, of which a network says what it is one of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from kutta.operators.deeponet.perceptron import Perceptron
from kutta.operators.graphs.contraction import NOT_EXPANDING, Contraction, Method, default_method
from kutta.operators.graphs.graph import Graph
from kutta.operators.graphs.message_passing import MessagePassing
from kutta.operators.operator import check_counts
from kutta.solution import Solution
from kutta.solvers.algebra.method import LinearMethod
from kutta.solvers.algebra.nonlinear.method import FixedPointMethod

if TYPE_CHECKING:
    from jaxtyping import Float


class GraphFixedPoint(nn.Module):
    """Values at the nodes of a graph, decoded from fixed points that reach all of it.

        a, b = E(graph)                                 an encoder by message passing: H numbers for each edge and node
        z_h  = s(gamma A_h z_h + b_h)                   for each head h, solved; A_ij = clip(a_ij, 0, 1) / outdegree(j)
        y_i  = D(z_1i, ..., z_Hi)                       at each node

    ``gamma A`` makes the 1-norm smaller by ``gamma`` at least, so that there is one fixed point, whatever the weights,
    and iterations come to it. What is far away is seen by it: by the factor ``gamma`` less with each edge, or more.
    Gradients are those of the implicit rule, which need no memory of iterations.

    Nodes may be numbered in any order. A batch is a union of graphs, `Graph.union`, each of which has the values that
    it has alone, to the tolerance.

    Args:
        node_features: how many a node has.
        edge_features: how many an edge has, 0 or more.
        outputs: values at a node.
        heads: ``H``.
        width: channels of the encoder, and of ``D``.
        layers: of the encoder.
        gamma: between 0 and 1. The nearer to 1, the farther the fixed point sees, and the longer its solve takes.
        activation: the name of ``s``: ``"identity"`` (default), ``"relu"``, ``"sin"`` or ``"tanh"``, which bring no
            two numbers farther apart.
        nonlinearity: the name of the activation in the encoder and the decoder.
        method: how it is solved. With the identity it is a linear system, by default for `GMRES`; one for fixed points,
            `Picard` or `Anderson`, will do as well. With another ``s`` it is for those alone, by default for `Picard`.
        rtol: of the solve, and of that of its gradient; by default 1e-10 in float64 and 1e-6 in others.

    Raises:
        TypeError, ValueError: for arguments that do not fit.

    Source: Park, Choo, Park, Convergent graph solvers, ICLR 2022.

    Example:
        >>> import torch, kutta as kt
        >>> edges = torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]])
        >>> graph = kt.operators.Graph(edges, torch.eye(3), torch.ones(4, 1))
        >>> layer = kt.operators.GraphFixedPoint(3, 1, outputs=2, heads=4, width=8)
        >>> layer(graph).shape, layer.solve(graph).stats.steps.shape
        (torch.Size([3, 2]), torch.Size([4]))
    """

    def __init__(
        self,
        node_features: int,
        edge_features: int,
        outputs: int,
        heads: int = 16,
        width: int = 32,
        layers: int = 3,
        gamma: float = 0.5,
        activation: str = "identity",
        nonlinearity: str = "silu",
        method: Method | None = None,
        rtol: float | None = None,
    ):
        super().__init__()
        check_counts(node_features=node_features, outputs=outputs, heads=heads, width=width, layers=layers)
        if edge_features != 0:
            check_counts(edge_features=edge_features)
        _check_number("gamma", gamma)
        if rtol is not None:
            _check_number("rtol", rtol)
        if activation not in NOT_EXPANDING:
            names = ", ".join(map(repr, NOT_EXPANDING))
            raise ValueError(f"activation must be one of {names}, or there may be no fixed point; got {activation!r}")
        self.node_features, self.edge_features, self.outputs, self.heads = node_features, edge_features, outputs, heads
        self.gamma, self.activation, self.rtol = float(gamma), activation, rtol
        self.method = default_method(activation) if method is None else _checked(method, activation)
        self.encoder = MessagePassing(node_features, edge_features, width, layers, nonlinearity)
        self.of_edges, self.of_nodes = nn.Linear(width, heads), nn.Linear(width, heads)
        # In the middle of where clipping passes gradients on.
        nn.init.constant_(self.of_edges.bias, 0.5)
        self.decoder = Perceptron((heads, width, outputs), nonlinearity)

    def forward(self, graph: Graph) -> Float[Tensor, "n o"]:
        """``y``.

        Raises:
            TypeError, ValueError: for a graph that does not fit.
            SolveError: where weights are not finite.
        """
        return self.decoder(self.solve(graph).y1.mT.to(self._dtype))

    def solve(self, graph: Graph) -> Solution:
        """The fixed points: ``y1`` of shape ``(heads, N)``, in float32 at least, and iterations for each head."""
        contraction = self.contraction(graph)
        default = 1e-10 if self._dtype == torch.float64 else 1e-6
        return contraction.fixed_point(self.method, default if self.rtol is None else self.rtol)

    def contraction(self, graph: Graph) -> Contraction:
        """What the network makes of a graph."""
        self._check(graph)
        x, e = self.encoder(graph)
        exact = torch.promote_types(self._dtype, torch.float32)
        weights, bias = (one.mT.contiguous().to(exact) for one in (self.of_edges(e), self.of_nodes(x)))
        return Contraction(graph.edges, weights, bias, self.gamma, self.activation)

    @property
    def _dtype(self) -> torch.dtype:
        return self.of_nodes.weight.dtype

    def _check(self, graph: Any) -> None:
        if not isinstance(graph, Graph):
            raise TypeError(f"graph must be a kutta.operators.Graph; got {type(graph).__name__}")
        for name in ("node_features", "edge_features"):
            features, count = getattr(graph, name), getattr(self, name)
            if features.shape[1] != count:
                raise ValueError(f"graph must have {count} {name} for this layer; got {features.shape[1]}")
            if features.dtype != self._dtype:
                raise TypeError(f"{name} must have the dtype of the layer, {self._dtype}; got {features.dtype}")


def _checked(method: Any, activation: str) -> Method:
    wanted = (LinearMethod, FixedPointMethod) if activation == "identity" else (FixedPointMethod,)
    if not isinstance(method, wanted):
        which = "kutta.GMRES(), kutta.Picard()" if activation == "identity" else "kutta.Picard()"
        raise TypeError(
            f"method must be such as {which} or kutta.Anderson() with the activation {activation!r}; got {method!r}"
        )
    return method


def _check_number(name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0.0 < value < 1.0:
        raise ValueError(f"{name} must be a number above 0 and below 1; got {value!r}")
