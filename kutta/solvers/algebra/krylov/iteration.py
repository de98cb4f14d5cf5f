"""The loop of all iterations, which ends for each sample when its residual is small enough.

A *recurrence* is a method on its way: it takes steps for the samples that are running and leaves the others as they
are. Its own idea of the residual drifts away from ``b - A x`` by rounding. So once it says that it is done, or cannot
go on, the true residual is looked at, and it begins anew from there as long as that helps.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from kutta.autodiff import read
from kutta.solution import Result
from kutta.solvers.algebra.krylov.system import System, norm
from kutta.solvers.algebra.method import Goal, Outcome, Watch

_RUNNING = -1


class Recurrence:
    """A method on its way, for flat vectors ``(*batch, n)``.

    Attributes:
        failure: what it means when it cannot go on, a code of `Result`, or one a sample.
        norm: of the residual, as far as the recurrence knows, ``(*batch, 1)``.
        broken: samples for which it cannot go on, likewise.
    """

    failure: int | Tensor = int(Result.BREAKDOWN)
    norm: Tensor
    broken: Tensor

    def advance(self, running: Tensor) -> None:
        """One step for the samples that are running."""
        raise NotImplementedError

    def solution(self) -> Tensor:
        """The iterate."""
        raise NotImplementedError


# Makes a recurrence that begins at an iterate with its residual.
Begin = Callable[[System, Tensor, Tensor], Recurrence]


def iterate(
    begin: Begin, system: System, guess: Tensor | None, goal: Goal, floor: Tensor | None, watch: Watch | None
) -> Outcome:
    """Go on until every sample has reached its goal, or cannot.

    Args:
        begin: makes the recurrence.
        system: what is solved, and its right-hand side.
        guess: where to begin, flat; by default at zero.
        goal: when to end.
        floor: norms below which there is nothing to do, ``(*batch, 1)``, or nothing.
        watch: called after every iteration, or nothing.
    """
    target = (goal.rtol * norm(system.b)).clamp_min(goal.atol)
    target = target if floor is None else torch.maximum(target, floor)
    x = torch.zeros_like(system.b) if guess is None else guess
    residual = system.b if guess is None else system.residual(x)
    size = norm(residual)
    codes = torch.where(size <= target, int(Result.SUCCESS), _RUNNING)
    codes = torch.where(torch.isfinite(size), codes, int(Result.NON_FINITE))
    progress = _Progress(goal.max_steps, target, torch.zeros_like(codes), watch)
    while progress.left(codes, size):
        recurrence = begin(system, x, residual)
        ended = _follow(recurrence, codes, progress)
        x = recurrence.solution()
        residual = system.residual(x)
        before, size = size, norm(residual)
        codes = _judged(codes, ended, before, size, target)
    return Outcome(system.shaped(x), size[..., 0], progress.iterations[..., 0], codes[..., 0])


class _Progress:
    """How far the batch has come: the counts, and the one read of an iteration."""

    def __init__(self, max_steps: int, target: Tensor, iterations: Tensor, watch: Watch | None):
        self.max_steps, self.target, self.iterations, self.watch = max_steps, target, iterations, watch
        self.steps, self.first = 0, 1.0

    def left(self, codes: Tensor, size: Tensor) -> bool:
        """Whether some sample is running."""
        ratio = torch.where(codes == _RUNNING, size / self.target.clamp_min(torch.finfo(size.dtype).tiny), 0.0)
        (farthest,) = read(ratio.reshape(-1).amax(0, keepdim=True))
        if self.watch is not None:
            self.first = max(self.first, farthest)
            self.watch(1.0 - math.log(max(farthest, 1.0)) / max(math.log(self.first), 1e-9))
        return farthest > 0.0

    def count(self, running: Tensor) -> None:
        self.steps += 1
        self.iterations = self.iterations + running


def _follow(recurrence: Recurrence, codes: Tensor, progress: _Progress) -> Tensor:
    """Take steps until each sample has ended in the eyes of the recurrence; how it ended."""
    target, first = progress.target, True
    while first or progress.left(codes, recurrence.norm):
        first = False
        if progress.steps >= progress.max_steps:
            return torch.where(codes == _RUNNING, int(Result.MAX_STEPS), codes)
        running = codes == _RUNNING
        recurrence.advance(running)
        progress.count(running)
        codes = torch.where(running & (recurrence.norm <= target), int(Result.SUCCESS), codes)
        codes = torch.where(running & ~torch.isfinite(recurrence.norm), int(Result.NON_FINITE), codes)
        codes = torch.where((codes == _RUNNING) & recurrence.broken, recurrence.failure, codes)
    return codes


def _judged(codes: Tensor, ended: Tensor, before: Tensor, size: Tensor, target: Tensor) -> Tensor:
    """How the samples that were running have ended by their true residuals; or that they go on."""
    asked = codes == _RUNNING
    reached, finite, helped = size <= target, torch.isfinite(size), size < 0.5 * before
    failed = torch.where(ended == int(Result.SUCCESS), int(Result.STAGNATION), ended)
    again = helped & ((failed == int(Result.STAGNATION)) | (failed == int(Result.BREAKDOWN)))
    verdict = torch.where(again, _RUNNING, failed)
    verdict = torch.where(reached, int(Result.SUCCESS), verdict)
    verdict = torch.where(finite, verdict, int(Result.NON_FINITE))
    return torch.where(asked, verdict, codes)
