"""Whether systems were solved, and the error that names the first that was not."""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import Tensor

from kutta.autodiff import is_mapped, read
from kutta.solution import Result, Solution, SystemSolveError

Error = TypeVar("Error", bound=SystemSolveError)


def some_failed(codes: Tensor) -> bool:
    """Whether some system of a batch was not solved: the one read after the iterations."""
    (worst,) = read(codes.reshape(-1).amax(0, keepdim=True))
    return worst >= int(Result.MAX_STEPS)


def error_of(
    kind: type[Error],
    codes: Tensor,
    iterations: Tensor,
    residuals: Tensor,
    batched: bool,
    solution: Solution | None,
    way: str | None = None,
) -> Error:
    """The error for the first system of a batch that failed; under ``vmap`` for the worst of each figure.

    Args:
        kind: of the error.
        codes: of `Result`, of each system.
        iterations: likewise.
        residuals: likewise, their norms.
        batched: whether systems are counted.
        solution: what there is.
        way: the pass that leads to the systems, in words, if it is a derivative.
    """
    codes, iterations, residuals = (one.reshape(-1) for one in (codes, iterations, residuals))
    if is_mapped(codes):
        worst, steps, residual = (read(one.amax(0, keepdim=True))[0] for one in (codes, iterations, residuals))
        return kind(Result(worst), steps, residual, solution=solution, way=way)
    failed = torch.nonzero(codes >= int(Result.MAX_STEPS))[:, 0].tolist()
    first = failed[0]
    of_first = Result(int(codes[first])), int(iterations[first]), float(residuals[first])
    return kind(*of_first, first if batched else None, len(failed), solution, way)
