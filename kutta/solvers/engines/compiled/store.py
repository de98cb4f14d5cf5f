"""The compiled functions of this process, each kept as long as the process lives."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence

import torch
from torch import Tensor

from kutta.solvers.engines.compiled.build import Tensors, native
from kutta.solvers.engines.compiled.graph import NotCompilable

# What is computed of the right-hand side's tensors before a loop, and the loop, a function of
# ``(*tensors, *prepared)``.
Parts = tuple[Callable[..., Tensors], Callable[..., Tensors]]

_functions: dict[Hashable, Parts] = {}


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
    parts = _functions.get(full)
    with torch.no_grad():
        if parts is None:
            try:
                prepare, loop = make()
                parts = prepare, native(loop, (*tensors, *prepare(*inputs)))
            except Exception as problem:
                raise NotCompilable(f"{type(problem).__name__}: {problem}") from problem
            _functions[full] = parts
        prepare, loop = parts
        return loop(*tensors, *prepare(*inputs))
