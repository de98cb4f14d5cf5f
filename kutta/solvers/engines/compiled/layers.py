"""Dense layers one after the other as one operation of the loop, in C++ of our own.

A small network, such as those of neural differential equations, is done in the time that calling a matrix
product for each layer, and waiting for it, takes. So chains ``after(x w + b)`` are looked for, where the
weights stay as they are during the loop and `after` works entry by entry, and each becomes one call:
a few rows at a time go through all of its layers. `after` is traced and printed as for the kernel engine.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.fx import Graph, GraphModule, Node

from kutta.solvers.engines.compiled.layers_operation import operation
from kutta.solvers.engines.compiled.layers_source import WIDTH, Dense
from kutta.solvers.engines.compiled.rewrite import fixed_nodes, simplified
from kutta.solvers.engines.tracing.program import Program
from kutta.solvers.engines.tracing.trace import NotTraceable, trace

aten = torch.ops.aten
# Weights that fit the nearer caches; beyond, a library's product pays, which splits them.
MOST_BYTES, MOST_COLUMNS = 1 << 18, 1024
# Operations on every entry of a layer that are looked at.
MOST_OPERATIONS = 64
# Operations with infinite slopes at places where others have slope zero.
_STEEP = [
    "sqrt",
    "rsqrt",
    "reciprocal",
    "div",
    "pow",
    "log",
    "log2",
    "log10",
    "log1p",
    "asin",
    "acos",
    "acosh",
    "atanh",
    "hypot",
    "atan2",
    "logit",
]
_VIEWS = (aten.view.default, aten._unsafe_view.default, aten.reshape.default)


@dataclass(frozen=True)
class _Layer:
    """One layer as found in a graph.

    Attributes:
        product: the matrix product.
        bias: what is added to each row of it.
        start: the sum.
        after: what is done to it entry by entry, in order.
        result: the last of these, or the sum.
    """

    product: Node
    bias: Node | None
    start: Node
    after: tuple[Node, ...]
    result: Node

    @property
    def weight(self) -> Node:
        return self.product.args[1]  # type: ignore[return-value]


def with_layers_joined(graph: GraphModule, varying: int) -> GraphModule:
    """The same function with chains of dense layers as one operation each.

    Args:
        graph: a right-hand side, with fake tensors for its values.
        varying: the number of inputs that vary in the loop.
    """
    graph = simplified(graph)
    fixed, done = fixed_nodes(graph, varying), set()
    for node in list(graph.graph.nodes):
        if node in done or not _is_product(node, fixed):
            continue
        chain = list(_chain(node, fixed))
        done.update(layer.product for layer in chain)
        _join(graph.graph, chain)
    graph.graph.eliminate_dead_code()
    graph.recompile()
    return graph


def _is_product(node: Node, fixed: set[Node]) -> bool:
    if node.target != aten.mm.default or node.args[1] not in fixed or node in fixed:
        return False
    weight: Tensor = node.args[1].meta["val"]  # type: ignore[union-attr]
    if weight.dtype not in (torch.float32, torch.float64) or weight.device.type != "cpu":
        return False
    small = weight.numel() * weight.element_size() <= MOST_BYTES and weight.shape[1] <= MOST_COLUMNS
    return small and weight.numel() > 0


def _chain(first: Node, fixed: set[Node]) -> Iterator[_Layer]:
    """The layers from a product on, as long as each is all that the next one is about."""
    node, room = first, MOST_BYTES
    while True:
        weight = node.args[1].meta["val"]  # type: ignore[union-attr]
        room -= weight.numel() * weight.element_size()
        if room < 0:
            return
        layer = _layer(node, fixed)
        yield layer
        users, result = list(layer.result.users), layer.result.meta["val"]
        if result.shape != layer.product.meta["val"].shape:
            return
        if len(users) != 1 or not _is_product(users[0], fixed) or users[0].args[0] is not layer.result:
            return
        node = users[0]


def _layer(product: Node, fixed: set[Node]) -> _Layer:
    bias, start = _with_bias(product, fixed)
    known, result, node = [start], start, start.next
    while node.op != "root" and len(known) < MOST_OPERATIONS:
        if _is_entrywise(node, known):
            known.append(node)
            if _only_within(known[:-1], known) and node.meta["val"].dtype == start.meta["val"].dtype:
                result = node
        node = node.next
    after = tuple(known[1 : known.index(result) + 1])
    if _entry_by_entry(start, after) is None:
        after, result = (), start
    return _Layer(product, bias, start, after, result)


def _only_within(nodes: Sequence[Node], known: Sequence[Node]) -> bool:
    return all(user in known for one in nodes for user in one.users)


def _with_bias(product: Node, fixed: set[Node]) -> tuple[Node | None, Node]:
    """A vector that stays as it is and is all that is done to a product, and the sum: ``product - (-bias)``."""
    users = list(product.users)
    if len(users) == 1 and users[0].target in (aten.sub.Tensor, aten.add.Tensor) and not users[0].kwargs:
        (user,) = users
        left, right = user.args
        other = right if left is product else left
        if isinstance(other, Node) and other in fixed and _goes_with(other.meta["val"], product.meta["val"]):
            if user.target == aten.add.Tensor:
                return other, user
            if left is product and other.target == aten.neg.default:
                return other.args[0], user  # type: ignore[return-value]
    return None, product


def _goes_with(bias: Tensor, product: Tensor) -> bool:
    return bias.shape == product.shape[1:] and bias.dtype == product.dtype


def _is_entrywise(node: Node, known: Sequence[Node]) -> bool:
    """Whether a node computes each entry from the same one of what is known."""
    sources = node.all_input_nodes
    if node.op != "call_function" or not sources or any(one not in known for one in sources):
        return False
    if node.target in _VIEWS:
        return True
    value, dtype = node.meta["val"], known[0].meta["val"].dtype
    if torch.Tag.pointwise not in getattr(node.target, "tags", ()) or not isinstance(value, Tensor):
        return False
    if _is_steep(node) and sources != [known[0]]:
        return False
    return all(one.meta["val"].shape == value.shape for one in sources) and value.dtype in (dtype, torch.bool)


def _is_steep(node: Node) -> bool:
    """Whether the slope may be infinite: after a slope of zero, as of ``relu``, the product of the two has no value."""
    return str(node.target).split(".")[1] in _STEEP


def _entry_by_entry(start: Node, after: Sequence[Node]) -> Program | None:
    """What is done to one entry; nothing where there are operations without a rule."""
    graph, known = Graph(), {}
    known[start] = result = graph.placeholder("x")
    for node in after:
        source: Any = node.args[0]
        known[node] = result = known[source] if node.target in _VIEWS else graph.node_copy(node, known.__getitem__)
    graph.output(result)
    try:
        return trace(GraphModule({}, graph), ["y"], [torch.zeros((), dtype=start.meta["val"].dtype)]).program
    except NotTraceable:
        return None


def _join(graph: Graph, chain: list[_Layer]) -> None:
    """Put one operation in the place of a chain."""
    last = chain[-1].result
    tensors: list[Node] = [chain[0].product.args[0]]  # type: ignore[list-item]
    layers = []
    with graph.inserting_before(last.next):
        for layer in chain:
            inputs, columns = layer.weight.meta["val"].shape
            program = _entry_by_entry(layer.start, layer.after)
            assert program is not None
            layers.append(Dense(inputs, columns, layer.bias is not None, program))
            tensors.append(_padded(graph, layer.weight))
            if layer.bias is not None:
                tensors.append(_padded(graph, layer.bias))
        joined = _called(graph, operation(tuple(layers), chain[0].weight.meta["val"].dtype), tensors)
        shape = list(last.meta["val"].shape)
        replacement = _called(graph, aten.view.default, [joined, shape])
    last.replace_all_uses_with(replacement)


def _padded(graph: Graph, node: Node) -> Node:
    """A tensor row after row, each filled up with zeros to a whole number of blocks."""
    value = node.meta["val"]
    missing = -value.shape[-1] % (WIDTH // value.element_size())
    if missing:
        return _called(graph, aten.constant_pad_nd.default, [node, [0, missing]])
    if value.is_contiguous():
        return node
    return _called(graph, aten.clone.default, [node], memory_format=torch.contiguous_format)


def _called(graph: Graph, target: Any, arguments: list[Any], **options: Any) -> Node:
    node = graph.call_function(target, tuple(arguments), options)
    values = [one.meta["val"] if isinstance(one, Node) else one for one in arguments]
    node.meta["val"] = target(*values, **options)
    return node
