"""A right-hand side, unchanged, as a scalar program.

PyTorch runs the function once on stand-ins and writes down what it does (``make_fx``), with writes in
place turned into new tensors. Each of those operations then becomes scalar operations.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.fx import Node as FxNode
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils import _pytree as pytree

from kutta.solvers.engines.tracing.program import Builder, Program
from kutta.solvers.engines.tracing.symbols import Symbols

# A program of more operations than this is no small system.
LARGEST = 5_000


class NotTraceable(Exception):
    """A function does what a scalar program cannot; the message says what."""


@dataclass(frozen=True)
class Traced:
    """A function as a scalar program.

    Attributes:
        program: its inputs are named as given, and ``"captured"``.
        shapes: of the outputs.
        spec: their structure.
        captured: tensors that the function uses besides its arguments, flat one after the other the
            input ``"captured"``, so that new values need no new program.
        asked: operations before simplification.
    """

    program: Program
    shapes: tuple[tuple[int, ...], ...]
    spec: Any
    captured: tuple[Tensor, ...]
    asked: int


def trace(
    f: Callable[..., Any], names: Sequence[str], arguments: Sequence[Any], builder: Builder | None = None
) -> Traced:
    """Trace ``f(*arguments)``.

    Args:
        f: a function of tensors, whatever its shapes.
        names: of the inputs that the leaves of each argument become, flat one after the other.
        arguments: examples, pytrees; leaves that are no floating-point tensors are constants.
        builder: what writes the program down, an empty one; by default one that simplifies.

    Raises:
        NotTraceable: for control flow that depends on values, writes to tensors from outside, random
            numbers, operations without a rule, and systems that are not small.
    """
    builder = Builder() if builder is None else builder
    symbols, graph, spec = Symbols(builder, _dtype(arguments)), *_graph(f, arguments)
    leaves = [
        (name, leaf) for name, argument in zip(names, arguments, strict=True) for leaf in pytree.tree_leaves(argument)
    ]
    taken = dict.fromkeys((*names, "captured"), 0)

    def inputs(name: str, leaf: Any) -> Any:
        if not (isinstance(leaf, Tensor) and leaf.is_floating_point()):
            return leaf
        first = taken[name]
        taken[name] += leaf.numel()
        nodes = [builder.input(name, first + place) for place in range(leaf.numel())]
        return np.array(nodes, dtype=object).reshape(tuple(leaf.shape))

    known: dict[FxNode, Any] = {}
    outputs: list[np.ndarray] = []
    captured: list[Tensor] = []
    given = iter(leaves)
    for node in graph.graph.nodes:
        if node.op == "placeholder":
            known[node] = inputs(*next(given))
        elif node.op == "get_attr":
            tensor = getattr(graph, node.target)
            known[node] = inputs("captured", tensor)
            if isinstance(known[node], np.ndarray):
                captured.append(tensor)
        elif node.op == "call_function":
            known[node] = _apply(symbols, node, known)
            if builder.asked > LARGEST:
                raise NotTraceable(f"it is more than {LARGEST:,} scalar operations, and not a small system")
        elif node.op == "output":
            outputs = [symbols.real(known[one] if isinstance(one, FxNode) else one) for one in node.args[0]]
    flat = [int(one) for output in outputs for one in output.flat]
    shapes = tuple(tuple(output.shape) for output in outputs)
    return Traced(builder.program(flat), shapes, spec, tuple(captured), builder.asked)


def _dtype(arguments: Sequence[Any]) -> torch.dtype:
    """The widest floating-point type of the arguments."""
    leaves = [leaf for leaf in pytree.tree_leaves(tuple(arguments)) if isinstance(leaf, Tensor)]
    wide = any(leaf.dtype == torch.float64 for leaf in leaves)
    return torch.float64 if wide else torch.float32


def _graph(f: Callable[..., Any], arguments: Sequence[Any]) -> tuple[Any, Any]:
    """What PyTorch writes down, and the structure of the result."""
    leaves, spec_in = pytree.tree_flatten(tuple(arguments))
    # Copies, since make_fx knows tensors by identity, and one may be given twice or be used by f besides.
    leaves = [leaf.clone() if isinstance(leaf, Tensor) else leaf for leaf in leaves]
    specs: list[Any] = []

    def flat(*values: Any) -> list[Any]:
        result, spec = pytree.tree_flatten(f(*pytree.tree_unflatten(values, spec_in)))
        specs.append(spec)
        return result

    function = torch.func.functionalize(flat, remove="mutations_and_views")
    try:
        with torch.no_grad():
            graph = make_fx(function)(*leaves)
    except Exception as problem:
        if "tracing tensor" in str(problem):
            raise NotTraceable(
                "its control flow depends on values (an if, a while, float() or .item() of a tensor): use torch.where"
            ) from problem
        raise NotTraceable(f"PyTorch cannot write it down ({type(problem).__name__}: {problem})") from problem
    return graph, specs[-1]


def _apply(symbols: Symbols, node: FxNode, known: dict[FxNode, Any]) -> Any:
    """The value of one operation of PyTorch."""
    target: Any = node.target
    if not hasattr(target, "_schema"):  # operator.getitem, of operations with several results
        return target(*_values(node.args, known))
    name = target._schema.name.removeprefix("aten::")
    if torch.Tag.nondeterministic_seeded in target.tags:
        raise NotTraceable(f"it draws random numbers ({name})")
    if target._schema.is_mutable and _is_outside(node.args[0]):
        raise NotTraceable("it writes to a tensor from outside")
    arguments, options = _values(node.args, known), _values(node.kwargs, known)
    if not any(isinstance(leaf, np.ndarray) for leaf in pytree.tree_leaves((arguments, options))):
        return _undefined(target(*arguments, **options), name)
    rule = symbols.rules.get(name)
    if rule is None:
        raise NotTraceable(f"there is no rule for torch.ops.aten.{name}")
    try:
        return rule(*arguments, **options)
    except NotImplementedError as problem:
        raise NotTraceable(f"there is no rule for {problem}") from problem
    except (TypeError, ValueError, AttributeError, IndexError, ZeroDivisionError) as problem:
        raise NotTraceable(f"the rule for torch.ops.aten.{name} does not cover it ({problem})") from problem


def _is_outside(node: Any) -> bool:
    """Whether a tensor is an argument or captured, or a view of one."""
    while node.op == "call_function" and hasattr(node.target, "_schema"):
        returns = node.target._schema.returns
        if not (returns and returns[0].alias_info is not None and isinstance(node.args[0], FxNode)):
            return False
        node = node.args[0]
    return node.op in ("get_attr", "placeholder")


def _values(tree: Any, known: dict[FxNode, Any]) -> Any:
    return torch.fx.map_arg(tree, lambda node: known[node])


def _undefined(value: Any, name: str) -> Any:
    """New memory holds anything; as NaN it cannot go unnoticed."""
    return torch.full_like(value, torch.nan) if name.startswith("empty") and value.is_floating_point() else value
