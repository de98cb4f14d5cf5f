"""The loop of all methods for nonlinear equations: each problem of a batch goes on until it is solved, or cannot be.

Problems that have ended keep their values to the last bit, whatever the others still do.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from kutta.autodiff import read
from kutta.solution import Result
from kutta.solvers.algebra.method import Watch
from kutta.solvers.tolerance import Tolerance

_RUNNING = -100

# By which steps are taken to become shorter at least, in estimates of what is left.
LARGEST_RATE = 0.9999


class Found(NamedTuple):
    """What came of a batch of problems.

    Attributes:
        x: the unknowns, ``(B, n)``.
        size: how far from solved they are in the norm of the method, ``(B,)``: of equations and of gradients.
        iterations: ``(B,)``.
        codes: of `kutta.Result`, ``(B,)``.
    """

    x: Tensor
    size: Tensor
    iterations: Tensor
    codes: Tensor


class Iteration:
    """A method on its way.

    Attributes:
        x: the unknowns, ``(B, n)``.
        size: norms of what is made zero, ``(B,)``.
        error: what `x` is estimated to be off by, in units of what is tolerated, ``(B,)``: at most 1 where it is found.
        broken: problems for which it cannot go on, ``(B,)``.
        failure: what that means, codes of `kutta.Result`, ``(B,)``.
    """

    size: Tensor
    error: Tensor

    def __init__(self, x: Tensor):
        self.x = x
        self.broken = torch.zeros(x.shape[0], dtype=torch.bool, device=x.device)
        self.failure = torch.full(x.shape[:1], int(Result.NOT_CONVERGED), device=x.device)

    def breaks(self, where: Tensor, why: Tensor | int) -> None:
        """Say that some problems cannot go on."""
        self.broken, self.failure = self.broken | where, torch.where(where, why, self.failure)

    def advance(self, running: Tensor) -> None:
        """One iteration for the problems that are running, ``(B,)``; the others stay as they are."""
        raise NotImplementedError


def iterate(iteration: Iteration, max_steps: int, watch: Watch | None = None) -> Found:
    """Go on until each problem has ended.

    Args:
        iteration: at its beginning.
        max_steps: after which a problem is given up.
        watch: called after every iteration, or nothing.
    """
    codes = _judged(iteration)
    counts, steps = torch.zeros_like(codes), 0
    progress = _Progress(watch)
    while progress.goes_on(codes, iteration.error) and steps < max_steps:
        running = codes == _RUNNING
        iteration.advance(running)
        steps, counts = steps + 1, counts + running
        codes = torch.where(running, _judged(iteration), codes)
    codes = torch.where(codes == _RUNNING, int(Result.MAX_STEPS), codes)
    return Found(iteration.x, iteration.size, counts, codes)


def _judged(iteration: Iteration) -> Tensor:
    """How each problem has ended, or that it is running."""
    codes = torch.where(iteration.broken, iteration.failure, _RUNNING)
    codes = torch.where(iteration.error <= 1.0, int(Result.SUCCESS), codes)
    return torch.where(torch.isfinite(iteration.size), codes, int(Result.NON_FINITE))


class _Progress:
    """Whether there is something left to do, and how much: the one read of an iteration."""

    def __init__(self, watch: Watch | None):
        self.watch, self.first = watch, 1.0

    def goes_on(self, codes: Tensor, error: Tensor) -> bool:
        """Whether some problem is running."""
        running = codes == _RUNNING
        if self.watch is None:
            return bool(read(running.any().reshape(1))[0])
        farthest = torch.where(running & torch.isfinite(error), error, 1.0).amax()
        some, left = read(torch.stack([running.any().to(error.dtype), farthest]))
        self.first = max(self.first, left)
        self.watch(1.0 - math.log(left) / math.log(self.first) if self.first > 1.0 else 0.0)
        return bool(some)


def distance(tolerance: Tolerance, d: Tensor, x: Tensor) -> Tensor:
    """How long a step is from a state, in units of what is tolerated, ``(B,)``."""
    size = x.abs()
    return tolerance.ratio(d, size, size)


def chosen(where: Tensor, new: Tensor, old: Tensor) -> Tensor:
    """`new` for some problems of a batch, `old` for the others."""
    return torch.where(where.reshape(-1, *[1] * (new.dim() - 1)), new, old)
