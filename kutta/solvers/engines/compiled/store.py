"""The compiled functions of this process, each kept as long as the process lives."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence

import torch
from torch import Tensor

from kutta.solvers.engines.compiled.build import Tensors, native
from kutta.solvers.engines.compiled.graph import NotCompilable

_functions: dict[Hashable, Callable[..., Tensors]] = {}


def compiled(
    key: Hashable, text: str, examples: Sequence[Tensor], make: Callable[[], Callable[..., Tensors]]
) -> Callable[..., Tensors]:
    """The compiled form of ``make()`` for tensors like the examples.

    Args:
        key: what is compiled.
        text: the right-hand side in words.
        examples: tensors as it will be given.
        make: gives the function, when there is no compiled form yet.

    Raises:
        NotCompilable: where PyTorch fails at it.
    """
    like = tuple((tensor.shape, tensor.stride(), tensor.dtype) for tensor in examples)
    full = (key, text, like, torch.get_num_threads())
    function = _functions.get(full)
    if function is None:
        try:
            function = native(make(), examples)
        except Exception as problem:
            raise NotCompilable(f"{type(problem).__name__}: {problem}") from problem
        _functions[full] = function
    return function
