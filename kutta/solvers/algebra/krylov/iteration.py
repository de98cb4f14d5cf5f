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
from kutta.solvers.algebra.method import LARGEST_RESIDUAL, Goal, Outcome, Watch

_RUNNING = -2


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
        guess: where to begin, flat; by default at zero, where a right-hand side of zeros has its solution.
        goal: when to end.
        floor: norms below which there is nothing to do, ``(*batch, 1)``, or nothing.
        watch: called after every iteration, or nothing.
    """
    target = torch.maximum(goal.rtol * norm(system.b), goal.atol / system.unit)
    target = target if floor is None else torch.maximum(target, floor / system.unit)
    # Relative to a right-hand side of zeros no other residual than zero is small.
    x = torch.zeros_like(system.b) if guess is None else torch.where(norm(system.b) == 0.0, 0.0, guess / system.unit)
    residual = system.b if guess is None else system.residual(x)
    size = norm(residual)
    codes = torch.where(size <= target, int(Result.SUCCESS), _RUNNING)
    codes = torch.where(torch.isfinite(size), codes, int(Result.NON_FINITE))
    progress = _Progress(goal.max_steps, target, torch.zeros_like(codes), watch)
    while read((codes == _RUNNING).any().reshape(1))[0]:
        recurrence = begin(system, x, residual)
        ended = _follow(recurrence, codes, progress)
        found = recurrence.solution()
        left = system.residual(found)
        before, size = size, norm(left)
        # Where a system has no solution, iterates may grow without bound: what was there before is better.
        better = size <= before
        x, residual = torch.where(better, found, x), torch.where(better, left, residual)
        size = torch.where(better | ~torch.isfinite(size), size, before)
        codes = _judged(codes, ended, before, size, target, norm(system.b))
    x, size = x * system.unit, size * system.unit
    return Outcome(system.shaped(x), size[..., 0], progress.iterations[..., 0], codes[..., 0])


class _Progress:
    """How far the batch has come.

    Attributes:
        target: norms of residuals to reach.
        iterations: of each sample.
        left: how many there may still be.
        watch: called with the part of the way that is done, or nothing.
    """

    def __init__(self, max_steps: int, target: Tensor, iterations: Tensor, watch: Watch | None):
        self.left, self.target, self.iterations, self.watch = max_steps, target, iterations, watch
        self.first = 1.0

    def look(self, going: Tensor, ending: Tensor, size: Tensor) -> tuple[bool, bool]:
        """Whether some sample goes on, and whether some ends: the one read of an iteration."""
        facts = [going.any(), ending.any()]
        if self.watch is not None:
            facts.append(torch.where(going, size / self.target, 1.0).max())
        some_go, some_end, *farthest = read(torch.stack(facts))
        if self.watch is not None:
            self.first = max(self.first, *farthest)
            self.watch(1.0 - math.log(*farthest) / math.log(self.first) if self.first > 1.0 else 1.0)
        return bool(some_go), bool(some_end)


def _follow(recurrence: Recurrence, codes: Tensor, progress: _Progress) -> Tensor:
    """Take steps until each sample has ended in the eyes of the recurrence; how it ended."""
    running, steps, more = codes == _RUNNING, 0, True
    while more and progress.left:
        recurrence.advance(running)
        steps, progress.left = steps + 1, progress.left - 1
        size = recurrence.norm
        going = running & (size > progress.target) & (size < math.inf) & ~recurrence.broken
        ending = running & ~going
        more, some_end = progress.look(going, ending, size)
        if some_end:
            codes = torch.where(ending, _ending(recurrence, progress.target), codes)
            progress.iterations = progress.iterations + steps * ending
            running = going
    progress.iterations = progress.iterations + steps * running
    return torch.where(running, int(Result.MAX_STEPS), codes)


def _ending(recurrence: Recurrence, target: Tensor) -> Tensor:
    """How samples end that do not go on."""
    finite = torch.isfinite(recurrence.norm)
    failure = torch.where(finite, recurrence.failure, int(Result.NON_FINITE))
    return torch.where(recurrence.norm <= target, int(Result.SUCCESS), failure)


def _judged(codes: Tensor, ended: Tensor, before: Tensor, size: Tensor, target: Tensor, right: Tensor) -> Tensor:
    """How the samples that were running have ended by their true residuals; or that they go on.

    Args:
        codes: as they were when the recurrence began.
        ended: how the recurrence ended.
        before: norms of the residuals when it began.
        size: of what is left.
        target: of what may be left.
        right: of the right-hand side.
    """
    claimed, out_of_steps = ended == int(Result.SUCCESS), ended == int(Result.MAX_STEPS)
    again = (size < 0.5 * before) & (claimed | (ended == int(Result.BREAKDOWN)))
    # What a recurrence takes for small, or stumbles over, where it is small, is rounding.
    rounding = torch.finfo(size.dtype).eps ** 0.5
    rounded = (claimed & (size <= LARGEST_RESIDUAL * right)) | (~out_of_steps & (size <= rounding * right))
    verdict = torch.where(claimed, int(Result.SINGULAR), ended)
    verdict = torch.where(rounded, int(Result.STAGNATION), verdict)
    verdict = torch.where(again, _RUNNING, verdict)
    verdict = torch.where(size <= target, int(Result.SUCCESS), verdict)
    verdict = torch.where(torch.isfinite(size), verdict, int(Result.NON_FINITE))
    return torch.where(codes == _RUNNING, verdict, codes)
