"""From a right-hand side to a graph of explicit tensors.

PyTorch's Dynamo reads the function once and writes down what it does. Its guards then tell, for each
solve, whether this is still what the function would do: a number in a closure that has changed leads to
another graph. What the function uses besides time and state (arguments, weights, tensors of a closure)
are inputs of the graph, so that their values may change freely.
"""

from __future__ import annotations

import threading
import types
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch._dynamo import config as dynamo_config
from torch._dynamo.exc import FailOnRecompileLimitHit
from torch.fx import GraphModule
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils import _pytree as pytree

from kutta.problems import ODEProblem, SplitODEProblem
from kutta.solvers.engines.compiled.complex_parts import has_complex, in_parts
from kutta.solvers.engines.compiled.layers import with_layers_joined
from kutta.solvers.engines.compiled.rewrite import split, sums_apart, values_alone, with_products_joined
from kutta.state import Layout

# Of functions that share their code, before all are forgotten: grids and numbers that differ make graphs that do.
MOST_GRAPHS = 64


class NotCompilable(Exception):
    """A right-hand side does what a compiled loop cannot; the message says what."""


class Equation(Protocol):
    """What a loop needs of a right-hand side; see `RightHandSide`."""

    @property
    def text(self) -> str: ...
    @property
    def inputs(self) -> tuple[Tensor, ...]: ...
    @property
    def before(self) -> Callable[..., tuple[Tensor, ...]]: ...
    def field(self, kept: Sequence[Tensor]) -> Any: ...
    def values_alone(self) -> Equation: ...


@dataclass(frozen=True)
class RightHandSide:
    """A right-hand side with the tensors that it uses in this solve.

    Attributes:
        before: maps the inputs to what is computed of them once, before the loop.
        inside: maps ``(t, y, *before(*inputs))`` to the derivative, in the layout of the solver. Neither
            writes to anything. Complex states are given as their parts, ``(2, *y.shape)``, and so is what it returns.
        text: both in words; equal texts compute the same.
        inputs: the tensors, as gradients know them.
    """

    before: GraphModule
    inside: GraphModule
    text: str
    inputs: tuple[Tensor, ...]

    @property
    def kept(self) -> int:
        """How many tensors are computed before the loop."""
        return len(self.inside.graph.find_nodes(op="placeholder")) - 2

    def field(self, kept: Sequence[Tensor]) -> Field:
        """The right-hand side as methods see it, given what was computed before the loop."""
        return Field(self.inside, kept)

    def values_alone(self) -> RightHandSide:
        """The same for one who wants no gradients."""
        return replace(self, inside=values_alone(self.inside))


@dataclass(frozen=True)
class Field:
    """A traced right-hand side as methods see it."""

    graph: GraphModule
    kept: Sequence[Tensor]

    def derivative(self, t: Tensor, y: Tensor) -> Tensor:
        """The derivative at ``(t, y)``."""
        return self.graph(t.to(y.dtype), y, *self.kept)


@dataclass
class _Record:
    """What Dynamo found, and the graph made of it when it is first used.

    Attributes:
        found: Dynamo's graph.
        before, inside, text: those of `RightHandSide`.
        order: where the inputs of the right-hand side after time and state lie among those of `found`.
        constants: tensors made by the function itself, the last inputs.
    """

    found: GraphModule
    before: GraphModule | None = None
    inside: GraphModule | None = None
    text: str = ""
    order: tuple[int, ...] = ()
    constants: list[Tensor] = field(default_factory=list)


_Probe = Callable[..., Any]
_probes: weakref.WeakKeyDictionary[Any, _Probe] = weakref.WeakKeyDictionary()
_last = threading.local()


def right_hand_side(problem: ODEProblem | SplitODEProblem, layout: Layout, y: Tensor) -> RightHandSide:
    """What the `f` of a problem does now; raises `NotCompilable`."""
    return traced(problem.f, problem.args, torch.zeros((), dtype=layout.real_dtype), y, layout, y)


def traced(f: Any, args: Any, t: Tensor, y: Tensor, layout: Layout, like: Tensor, owner: Any = None) -> RightHandSide:
    """What a function of time and state does now.

    Args:
        f: called as ``f(t, y, *args)``.
        args: a pytree.
        t: a time; or numbers that go with it.
        y: a state, as the layout has it.
        layout: of states and of what `f` returns.
        like: of the shape and dtype of what it returns.
        owner: the user's function in `f`, where this is not `f`: what differs between users is counted apart.

    Raises:
        NotCompilable: for what Dynamo cannot follow (control flow that depends on values, calls that are
            not PyTorch's), randomness, and writes to tensors.
    """
    y, stands_for = y.detach(), {}

    def stand_in(leaf: Any) -> Any:
        if not isinstance(leaf, Tensor):
            return leaf
        cut = leaf.detach()
        stands_for[id(cut)] = leaf
        return cut

    args = pytree.tree_map(stand_in, args) if args else ()
    try:
        with torch.enable_grad():  # so that Dynamo writes down where f switches it off
            record, tensors = _look(_owner(f if owner is None else owner), f, t, y, args, layout)
        if record.inside is None:
            with torch.no_grad():
                _finish(record, tensors, t, y, like)
    except (NotCompilable, FailOnRecompileLimitHit):
        raise
    except Exception as problem_:
        raise NotCompilable(first_lines(problem_)) from problem_
    assert record.before is not None and record.inside is not None
    inputs = [tensors[place] for place in record.order]
    inputs = [stands_for.get(id(tensor), tensor) for tensor in inputs]
    return RightHandSide(record.before, record.inside, record.text, (*inputs, *record.constants))


def _look(owner: Any, f: Any, t: Tensor, y: Tensor, args: Any, layout: Layout) -> tuple[_Record, tuple[Tensor, ...]]:
    probe = _probes.get(owner)
    if probe is None:
        probe = _probes[owner] = _new_probe()
    _last.found = None
    # Hooks may come later, and must be seen.
    with dynamo_config.patch(skip_nnmodule_hook_guards=False, recompile_limit=MOST_GRAPHS):
        try:
            probe(f, t, y, args, layout)
        except FailOnRecompileLimitHit:  # too many different numbers: forget them
            probe = _probes[owner] = _new_probe()
            probe(f, t, y, args, layout)
    if _last.found is None:
        raise NotCompilable("PyTorch's compiler is switched off")
    return _last.found


def _owner(f: Any) -> Any:
    """What lives as long as the code of a function: guards tell apart whatever shares it.

    A function whose first argument has been filled in is taken for a method of that.
    """
    if isinstance(f, partial) and f.args:
        return type(f.args[0])
    if isinstance(f, nn.Module):
        return type(f)
    f = getattr(f, "__func__", f)
    return getattr(f, "__code__", type(f))


def _evaluate(f: Any, t: Tensor, y: Tensor, args: Any, layout: Layout) -> Tensor:
    return layout.ravel(f(t, layout.unravel(y), *args)).clone()


def _new_probe() -> _Probe:
    """A function that leaves what `_evaluate` would do in `_last.found`, without doing it."""

    def backend(graph: GraphModule, examples: Any) -> Callable[..., Any]:
        record = _Record(graph)

        def instead(*tensors: Tensor) -> tuple[Tensor]:
            _last.found = (record, tensors)
            return (tensors[0],)

        return instead

    # Code of its own, since Dynamo counts and searches the graphs of one code object together.
    function = types.FunctionType(_evaluate.__code__.replace(), globals())
    return torch.compile(function, backend=backend, fullgraph=True, dynamic=False)


def _finish(record: _Record, tensors: tuple[Any, ...], t: Tensor, y: Tensor, like: Tensor) -> None:
    """Turn Dynamo's graph into PyTorch's elementary operations on ``(t, y, *inputs)``, in two parts."""
    if not all(isinstance(tensor, Tensor) for tensor in tensors):
        raise NotCompilable("it uses numbers that change from call to call")
    if any(node.target is torch._C._set_grad_enabled for node in record.found.graph.nodes):
        raise NotCompilable("it switches gradients on or off")
    at_time, at_state = ([place for place, one in enumerate(tensors) if one is own] for own in (t, y))
    record.order = tuple(place for place in range(len(tensors)) if place not in (*at_time, *at_state))

    def ordered(t: Tensor, y: Tensor, *inputs: Tensor) -> Tensor:
        values = dict.fromkeys(at_time, t) | dict.fromkeys(at_state, y)
        values |= dict(zip(record.order, inputs, strict=True))
        return record.found(*(values[place] for place in range(len(tensors))))[0]

    functional = torch.func.functionalize(ordered, remove="mutations")
    inputs = [tensors[place].detach() for place in record.order]
    graph = make_fx(functional, sums_apart(), tracing_mode="fake")(t, y, *inputs)
    _drop_changes_of_shape(graph)
    _check(graph, like.shape, like.dtype)
    record.constants = _lift_constants(graph)
    record.text = graph.print_readable(print_output=False, include_stride=True)
    if has_complex(graph):
        graph = in_parts(with_products_joined(graph, varying=2), varying=2)
    record.before, record.inside = split(with_layers_joined(graph, varying=2), varying=2)


def _drop_changes_of_shape(graph: GraphModule) -> None:
    """PyTorch's product of a vector and a matrix ends with a change of its own result's shape in place."""
    for node in graph.graph.find_nodes(op="call_function", target=torch.ops.aten.squeeze_.dim):
        node.target = torch.ops.aten.squeeze.dim
        node.args[0].replace_all_uses_with(node, delete_user_cb=lambda user, node=node: user is not node)


def _check(graph: GraphModule, shape: torch.Size, dtype: torch.dtype) -> None:
    for node in graph.graph.nodes:
        target = node.target
        if not isinstance(target, torch._ops.OpOverload):
            continue
        if torch.Tag.nondeterministic_seeded in target.tags:
            raise NotCompilable(f"it draws random numbers ({target})")
        if target._schema.is_mutable:
            raise NotCompilable(f"it writes to a tensor in place ({target})")
        if node.op == "output":
            break
    (result,) = (node.args[0] for node in graph.graph.nodes if node.op == "output")
    slope = result.meta["val"]
    if slope.shape != shape or slope.dtype != dtype:
        raise NotCompilable(f"it returns shape {tuple(slope.shape)}, {slope.dtype} for {tuple(shape)}, {dtype}")


def _lift_constants(graph: GraphModule) -> list[Tensor]:
    """Make tensors that the graph holds its last inputs, so that its text says all about it."""
    constants: list[Tensor] = []
    last = [node for node in graph.graph.nodes if node.op == "placeholder"][-1]
    for node in graph.graph.find_nodes(op="get_attr"):
        value = getattr(graph, node.target)
        if not isinstance(value, Tensor):
            continue
        with graph.graph.inserting_after(last):
            last = graph.graph.placeholder(f"constant_{len(constants)}")
        last.meta = dict(node.meta)
        node.replace_all_uses_with(last)
        graph.graph.erase_node(node)
        constants.append(value)
    graph.recompile()
    return constants


def first_lines(problem: Exception) -> str:
    """The kind of an exception and the beginning of its message."""
    lines = [line.strip() for line in str(problem).splitlines() if line.strip()]
    return f"{type(problem).__name__}: {' '.join(lines[:2])}"
