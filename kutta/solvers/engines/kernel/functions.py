"""A scalar program as a C++ function of blocks of lanes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from kutta.solvers.engines.tracing.program import Node, Program

# Operations from which on a right-hand side is long.
LONG = 300

_INFIX = {"add": "+", "sub": "-", "mul": "*", "div": "/", "lt": "<", "le": "<=", "gt": ">", "ge": ">=", "eq": "==",
          "ne": "!=", "and": "&", "or": "|"}  # fmt: skip


@dataclass(frozen=True)
class Layout:
    """Where the inputs of a program lie.

    Attributes:
        size: entries of the state, without sensitivities.
        own: number of parameters that a trajectory has for itself.
        places: for every parameter whether it is its own, and where.
        captured: where the captured numbers begin among the shared ones.
    """

    size: int
    own: int
    places: tuple[tuple[bool, int], ...]
    captured: int


def function(name: str, program: Program, layout: Layout, outputs: Mapping[str, int]) -> str:
    """A function ``void name(t, y, own, shared, *outputs)``.

    Args:
        name: of the function.
        program: what it computes.
        layout: where its inputs lie.
        outputs: names of arrays, with how many outputs of the program each takes, in order.
    """
    lines = [f"  const {_kind(node)} v{i} = {_expression(node, layout)};" for i, node in enumerate(program.nodes)]
    targets = [f"{array}[{place}]" for array, count in outputs.items() for place in range(count)]
    lines += [f"  {target} = v{node};" for target, node in zip(targets, program.outputs, strict=True)]
    # A long one is compiled once, and not into every stage.
    kind = "FUNCTION" if program.cost <= LONG else "ONCE"
    arrays = ", ".join(f"V *{array}" for array in outputs)
    head = f"{kind} void {name}(V t, const V *y, const V *own, const real *shared, {arrays}) {{"
    return "\n".join([head, *lines, "}"])


def _kind(node: Node) -> str:
    truth = node.operation in ("lt", "le", "gt", "ge", "eq", "ne", "and", "or", "not") or isinstance(node.value, bool)
    return "M" if truth else "V"


def _expression(node: Node, layout: Layout) -> str:
    arguments = [f"v{one}" for one in node.arguments]
    if isinstance(node.value, bool):
        return f"splat(0) {'==' if node.value else '!='} splat(0)"
    if node.operation == "const":
        return _splat(node.value)
    if node.operation == "input":
        name, place = node.value
        return _input(name, place, layout)
    if node.operation in _INFIX:
        return f" {_INFIX[node.operation]} ".join(arguments)
    if node.operation == "neg":
        return f"-{arguments[0]}"
    if node.operation == "not":
        return f"~{arguments[0]}"
    name = {"where": "sel"}.get(node.operation, f"v_{node.operation}")
    return f"{name}({', '.join(arguments)})"


def _input(name: str, place: int, layout: Layout) -> str:
    if name == "t":
        return "t"
    if name == "y":
        return f"y[{place}]"
    if name == "captured":
        return f"splat(shared[{layout.captured + place}])"
    own, where = layout.places[place]
    return f"own[{where}]" if own else f"splat(shared[{where}])"


def _splat(value: float) -> str:
    if value != value:
        return "splat(NAN)"
    if value in (float("inf"), float("-inf")):
        return "splat(INFINITY)" if value > 0 else "splat(-INFINITY)"
    return f"splat(real({value!r}))"
