"""What is done to a right-hand side before it is compiled into a loop.

What depends on neither time nor state is moved out of the loop, where transposed weights are also laid
out anew. Biases are added, and hyperbolic tangents taken, by elementary operations, which the compiler
then fuses with their neighbours.
"""

from __future__ import annotations

import copy
import operator
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch._functorch.compile_utils import fx_graph_cse
from torch._inductor.decomposition import select_decomp_table
from torch.fx import Graph, GraphModule, Node

from kutta.solvers.engines.tangent import tanh

aten = torch.ops.aten
# Views that only change the order of axes; a matrix product is faster on a tensor in the new order.
_REORDERING = (aten.t.default, aten.permute.default, aten.transpose.int)


def addmm(bias: Tensor, a: Tensor, b: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """``beta bias + alpha a b`` with the sum apart: as a difference, which Inductor does not join to the product."""
    if beta != 1 or alpha != 1:
        return NotImplemented
    return torch.mm(a, b) - (-bias)


def sums_apart() -> dict[Any, Callable[..., Any]]:
    """How a right-hand side is taken apart before it is differentiated."""
    return {aten.addmm.default: addmm}


def rules() -> dict[Any, Callable[..., Any]]:
    """How all is taken apart at last: Inductor's rules, and ours."""
    return {**select_decomp_table(), **sums_apart(), aten.tanh.default: tanh}


def split(graph: GraphModule, varying: int) -> tuple[GraphModule, GraphModule]:
    """A graph ``(*varying, *fixed) -> results`` as ``before(*fixed) -> kept`` and ``inside(*varying, *kept)``.

    Args:
        graph: without writes to its inputs.
        varying: the number of inputs that vary in the loop.
    """
    graph = simplified(graph)
    nodes, fixed = list(graph.graph.nodes), fixed_nodes(graph, varying)
    inside, kept = {node for node in nodes if node not in fixed}, []
    for node in reversed(nodes):
        if node in fixed and not inside.isdisjoint(node.users):
            if node.op == "placeholder" or _worth_moving(node):
                kept.insert(0, node)
            else:
                inside.add(node)
    return _before(graph, [node for node in nodes if node in fixed], kept), _inside(graph, nodes, varying, kept, inside)


def fixed_nodes(graph: GraphModule, varying: int) -> set[Node]:
    """What depends on the inputs alone that do not vary in the loop."""
    nodes = list(graph.graph.nodes)
    fixed = set([node for node in nodes if node.op == "placeholder"][varying:])
    for node in nodes:
        if _can_move(node) and node.all_input_nodes and fixed.issuperset(node.all_input_nodes):
            fixed.add(node)
    return fixed


def values_alone(graph: GraphModule) -> GraphModule:
    """The same for one who wants no gradients: nothing is detached."""
    return _without(graph, aten.detach.default)


def with_products_joined(graph: GraphModule, varying: int) -> GraphModule:
    """The same with ``a * (b * x)`` as ``(a * b) * x`` where neither `a` nor `b` varies in the loop.

    So a mask and a symbol of a spectral method become one tensor before the loop.
    """
    graph = simplified(graph)
    fixed = fixed_nodes(graph, varying)
    for node in graph.graph.find_nodes(op="call_function", target=aten.mul.Tensor):
        outer, product = _factors(node, fixed)
        if outer is None or product.target != aten.mul.Tensor or len(product.users) > 1:
            continue
        inner, rest = _factors(product, fixed)
        if inner is None or not _alike(outer, inner, node):
            continue
        with graph.graph.inserting_before(node):
            joined = graph.graph.call_function(aten.mul.Tensor, (outer, inner))
        joined.meta["val"] = torch.empty_like(outer.meta["val"])
        fixed.add(joined)
        node.args = (joined, rest)
    graph.graph.eliminate_dead_code()
    graph.recompile()
    return graph


def _factors(product: Node, fixed: set[Node]) -> tuple[Any, Any]:
    """The tensor that does not vary, and the one that does; two times ``None`` for other products."""
    a, b = product.args
    for first, second in ((a, b), (b, a)):
        if first in fixed and isinstance(second, Node) and second not in fixed:
            return first, second
    return None, None


def _alike(*nodes: Node) -> bool:
    """Whether tensors have one shape and one dtype."""
    return len({(node.meta["val"].shape, node.meta["val"].dtype) for node in nodes}) == 1


def _without(graph: GraphModule, *names: Any) -> GraphModule:
    """The same without operations that only give a tensor another name."""
    graph = copy.deepcopy(graph)
    for node in list(graph.graph.nodes):
        if node.target in names:
            node.replace_all_uses_with(node.args[0])
            graph.graph.erase_node(node)
    graph.recompile()
    return graph


def simplified(graph: GraphModule) -> GraphModule:
    """The same without second names of a tensor, transposes of transposes, and what is computed twice."""
    graph = _without(graph, aten.alias.default)
    for node in list(graph.graph.nodes):
        if node.target in _REORDERING and node.args[0].target in _REORDERING:
            inner, outer = _order(node.args[0]), _order(node)
            if [inner[axis] for axis in outer] == list(range(len(outer))):
                node.replace_all_uses_with(node.args[0].args[0])
    simple = GraphModule(graph, fx_graph_cse(graph.graph))
    simple.graph.eliminate_dead_code()
    return simple


def _order(node: Node) -> list[int]:
    """Which axis of the source each axis of a reordered tensor is."""
    axes = torch.arange(node.meta["val"].dim())
    where: Any = torch.empty(*[1] * len(axes)).as_strided([1] * len(axes), axes.tolist())
    return list(node.target(where, *node.args[1:]).stride())  # type: ignore[operator]


def _can_move(node: Node) -> bool:
    return node.op == "call_function" and node.target is not operator.getitem and isinstance(node.meta["val"], Tensor)


def _worth_moving(node: Node) -> bool:
    """Views are made in the loop at no cost, unless they change the order; what is larger than its sources also is.

    What is padded is so for the sake of the loop.
    """
    if node.target in (*_REORDERING, aten.constant_pad_nd.default):
        return True
    own, sources = node.meta["val"], [source.meta["val"] for source in node.all_input_nodes]
    is_view = node.target.is_view  # type: ignore[union-attr]
    return not is_view and own.numel() <= sum(source.numel() for source in sources)


def _before(graph: GraphModule, fixed: list[Node], kept: list[Node]) -> GraphModule:
    new, known = Graph(), {}
    for node in fixed:
        known[node] = new.node_copy(node, known.__getitem__)
    contiguous: Any = {"memory_format": torch.contiguous_format}
    results = [
        new.call_function(aten.clone.default, (known[node],), contiguous) if node.target in _REORDERING else known[node]
        for node in kept
    ]
    new.output(tuple(results))
    new.eliminate_dead_code()
    return GraphModule(graph, new)


def _inside(graph: GraphModule, nodes: list[Node], varying: int, kept: list[Node], inside: set[Node]) -> GraphModule:
    new, known = Graph(), {}
    places = [node for node in nodes if node.op == "placeholder"][:varying]
    for number, node in enumerate([*places, *kept]):
        known[node] = new.placeholder(f"given_{number}")
    for node in nodes:
        if node in inside and node not in known:
            known[node] = new.node_copy(node, known.__getitem__)
    new.eliminate_dead_code()
    return GraphModule(graph, new)
