"""Tables: what follows from numbers and names alone, is computed once, and is a constant of compiled graphs."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import torch
from torch import Tensor

Arguments = ParamSpec("Arguments")
Made = TypeVar("Made")


def table(make: Callable[Arguments, Made]) -> Callable[Arguments, Made]:
    """Remember what a function makes of hashable arguments, also under `torch.compile`.

    The compiler would read the function anew, and compute its result in every call of the graph, or fail where the
    function is none of tensors.

    Args:
        make: the function. It returns a tensor, or what holds none, and that must not be changed.

    Example:
        >>> import torch
        >>> @table
        ... def triangle(count):
        ...     return torch.ones(count, count).tril()
        >>> triangle(3) is triangle(3)
        True
    """
    remembered: dict[Any, Made] = {}

    def constant(*args: Any) -> tuple[Made]:
        if args not in remembered:
            # A tensor of inference mode would be of no use for training later on, nor would one of a tracer's without
            # values, as torch.export has.
            with torch.inference_mode(False):
                made = make(*args)  # type: ignore[call-arg]
            if isinstance(made, Tensor) and type(made) is not Tensor:
                return (made,)
            remembered[args] = made
        # In a tuple, as the compiler has one name for all tensors that a function returns, and takes it once.
        return (remembered[args],)

    # That is torch.compiler.assume_constant_result, which would load the compiler for those who compile nothing.
    constant._dynamo_marked_constant = True  # type: ignore[attr-defined]

    @wraps(make)
    def looked_up(*args: Any) -> Made:
        return constant(*map(_number, args))[0]

    return looked_up  # type: ignore[return-value]


def _number(value: Any) -> Any:
    """A count as a number where the compiler has a symbol for it, which fixes it in the graph."""
    return len(range(value)) if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else value
