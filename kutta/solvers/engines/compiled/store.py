"""The compiled functions of this process, each kept as long as the process lives."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence

import torch
from torch import Tensor

from kutta.solvers.engines.compiled.build import Tensors, native
from kutta.solvers.engines.compiled.graph import NotCompilable, first_lines

# What is computed of the right-hand side's tensors before a loop, and the loop, a function of
# ``(*tensors, *prepared)``.
Parts = tuple[Callable[..., Tensors], Callable[..., Tensors]]

_functions: dict[Hashable, Parts | NotCompilable] = {}


def run_compiled(
    key: Hashable, text: str, tensors: Sequence[Tensor], inputs: Sequence[Tensor], make: Callable[[], Parts]
) -> Tensors:
    """Call a loop on ``(*tensors, *prepare(*inputs))``, compiled for tensors like these.

    Args:
        key: which loop.
        text: the right-hand side in words.
        tensors: what belongs to the solver.
        inputs: what belongs to the right-hand side.
        make: gives the parts, when they have not been compiled yet.

    Raises:
        NotCompilable: where PyTorch fails at it.
    """
    like = tuple((tensor.shape, tensor.stride(), tensor.dtype) for tensor in (*tensors, *inputs))
    full = (key, text, like, torch.get_num_threads())
    with torch.no_grad():
        if full not in _functions:
            _functions[full] = _compiled(tensors, inputs, make)
        parts = _functions[full]
        if isinstance(parts, NotCompilable):
            raise parts
        prepare, loop = parts
        return loop(*tensors, *prepare(*inputs))


def _compiled(tensors: Sequence[Tensor], inputs: Sequence[Tensor], make: Callable[[], Parts]) -> Parts | NotCompilable:
    try:
        prepare, loop = make()
        return prepare, native(loop, (*tensors, *prepare(*inputs)))
    except Exception as problem:
        failure = NotCompilable(first_lines(problem))
        failure.__cause__ = problem
        return failure
