"""Complex numbers in a right-hand side as pairs of real ones.

PyTorch's compiler fuses operations on real tensors, and hands complex ones over one by one. So a graph with complex
tensors in it becomes one in which each is two real tensors, the parts. A state that is complex is given and returned as
one tensor with the parts on its first axis.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.fx import GraphModule, Interpreter
from torch.fx.experimental.proxy_tensor import make_fx

from kutta.solvers.engines.compiled.complex_pairs import LastAxis, Pair, flat
from kutta.solvers.engines.compiled.complex_rules import ARITHMETIC, RULES

aten = torch.ops.aten


def has_complex(graph: GraphModule) -> bool:
    """Whether some tensor of a graph is complex."""
    values = [node.meta.get("val") for node in graph.graph.nodes]
    return any(isinstance(value, Tensor) and value.is_complex() for value in values)


def in_parts(graph: GraphModule, varying: int) -> GraphModule:
    """The same function of real tensors.

    Args:
        graph: a function of ``varying`` tensors that vary, given as parts where they are complex, and of others, given
            as they are.
        varying: how many these are.
    """
    values = [node.meta["val"] for node in graph.graph.nodes if node.op == "placeholder"]
    interpreter = _InParts(graph)

    def run(*tensors: Tensor) -> Tensor:
        given = []
        for place, (tensor, value) in enumerate(zip(tensors, values, strict=True)):
            if not value.is_complex():
                given.append(tensor)
            elif place < varying:
                given.append(Pair(tensor[0], tensor[1]))
            else:  # copies, which are made once
                given.append(Pair(tensor.real.clone(), tensor.imag.clone()))
        result = interpreter.run(*given)
        return result.stacked() if isinstance(result, Pair) else result

    def example(place: int, value: Tensor) -> Tensor:
        parts = value.is_complex() and place < varying
        shape, dtype = ((2, *value.shape), value.real.dtype) if parts else (value.shape, value.dtype)
        return torch.empty(shape, dtype=dtype) if parts else torch.empty_like(value, device="cpu", dtype=dtype)

    examples = [example(place, value) for place, value in enumerate(values)]
    return make_fx(run, tracing_mode="fake")(*examples)


class _InParts(Interpreter):
    """Runs a graph with `Pair` for complex tensors."""

    def run_node(self, n: Any) -> Any:
        self.value = n.meta.get("val")
        return super().run_node(n)

    def call_function(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        given = [*flat(args), *flat(kwargs.values())]
        if any(isinstance(one, LastAxis) for one in given):
            return _of_last_axis(target, args, kwargs)
        makes = isinstance(self.value, Tensor) and self.value.is_complex()
        if not makes and not any(isinstance(one, Pair | complex) for one in given):
            return super().call_function(target, args, kwargs)
        rule = RULES.get(target)
        if target in ARITHMETIC and makes:
            args = _mapped(self._promoted, args)
        found = NotImplemented if rule is None else rule(*args, **kwargs)
        if found is NotImplemented:
            return _as_it_is(target, args, kwargs)
        return found.each(self._promoted) if makes and isinstance(found, Pair) else found

    def _promoted(self, value: Any) -> Any:
        """Real tensors with the precision of what is computed: whole numbers as such have no halves."""
        return value.to(self.value.dtype.to_real()) if isinstance(value, Tensor) else value


def _mapped(function: Callable[[Any], Any], value: Any) -> Any:
    if isinstance(value, list | tuple):
        return type(value)(_mapped(function, one) for one in value)
    return function(value)


def _as_it_is(target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """An operation without a rule, on complex tensors."""

    def joined(value: Any) -> Any:
        return torch.complex(*value.parts) if isinstance(value, Pair) else value

    found = target(*_mapped(joined, args), **{key: _mapped(joined, value) for key, value in kwargs.items()})

    def parted(value: Any) -> Any:
        return Pair(value.real, value.imag) if isinstance(value, Tensor) and value.is_complex() else value

    return _mapped(parted, found)


def _of_last_axis(target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """An operation on a complex tensor seen as real numbers: most often one of the parts is taken."""
    if target == aten.select.int and isinstance(args[0], LastAxis) and args[1] in (-1, args[0].pair.like.dim()):
        return args[0].pair.parts[args[2]]

    def written(value: Any) -> Any:
        return torch.stack(value.pair.parts, -1) if isinstance(value, LastAxis) else value

    return target(*_mapped(written, args), **{key: _mapped(written, value) for key, value in kwargs.items()})
