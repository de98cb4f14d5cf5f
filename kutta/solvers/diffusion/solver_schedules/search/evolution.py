"""Evolution of solver schedules, assisted by a network that ranks them and by polish.

The archive begins with samplers that have names, on several grids. In every generation

1. a network learns from the archive to rank schedules;
2. many children are bred from the best, and those that it ranks highest are judged;
3. the best of structures that have not been polished are, where the error has gradients.

At the end the best of all is polished for longer.

Source: Liu et al., A unified sampling framework for solver searching of diffusion probabilistic models, 2024, for the
evolution; the polish is an addition.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import monotonic

import numpy as np

from kutta.solvers.diffusion.levels.grids import Beta, Grid, Rho, UniformLogSNR, UniformTime
from kutta.solvers.diffusion.solver_schedules.named import NAMED, named_schedule
from kutta.solvers.diffusion.solver_schedules.search.archive import Archive
from kutta.solvers.diffusion.solver_schedules.search.breeding import Breeder
from kutta.solvers.diffusion.solver_schedules.search.polish import polished
from kutta.solvers.diffusion.solver_schedules.search.ranker import Ranker
from kutta.solvers.diffusion.solver_schedules.search.teacher import Axis, Teacher
from kutta.solvers.diffusion.solver_schedules.solver_schedule import SMALLEST_GAP, SolverSchedule

PARENTS = 15
Error = Callable[[SolverSchedule], float]


def seeds(axis: Axis, evaluations: int) -> list[SolverSchedule]:
    """Samplers with names on several grids."""
    grids: list[Grid] = [UniformTime(), UniformTime(power=2.0), Beta()]
    if axis.even_in_log_snr:
        grids = [UniformLogSNR(), Rho(3.0), Rho(5.0), Rho(7.0), *grids]
    found: dict[SolverSchedule, None] = {}
    for grid in grids:
        times = grid.times(axis.schedule, evaluations, axis.start, axis.end)
        if float(axis.schedule.log_snr(times).diff().min()) < SMALLEST_GAP:
            continue
        for name in NAMED:
            for order in (2, 3):
                found[named_schedule(name, times, axis.schedule, order)] = None
    return list(found)


class Clock:
    """Says when time is over.

    Args:
        seconds: until then; ``None`` for never.
    """

    def __init__(self, seconds: float | None):
        self.end = math.inf if seconds is None else monotonic() + seconds

    @property
    def over(self) -> bool:
        """Whether it is."""
        return monotonic() > self.end


@dataclass(frozen=True)
class Evolution:
    """A search under way.

    Attributes:
        error: says how good a schedule is.
        breeder: makes new ones.
        archive: those judged so far.
        seed: of the random choices.
        clock: after which nothing is begun.
    """

    error: Error
    breeder: Breeder
    archive: Archive
    seed: int
    clock: Clock

    def judge(self, found: Sequence[SolverSchedule]) -> None:
        """Note the errors of schedules: of the first one at least, so that there is something to return."""
        for one in found:
            self.archive.errors[one] = float(self.error(one))
            if self.clock.over:
                return

    def breed(self, children: int, judged: int) -> None:
        """Breed, and judge the children that are ranked highest."""
        # Numbers of each generation's own, so that a search that is taken up again draws the same ones.
        numbers = np.random.default_rng([self.seed, self.archive.generation])
        bred = self._children(children, numbers)
        if len(bred) > judged:
            known = self.archive.best(len(self.archive.errors))
            errors = [self.archive.errors[one] for one in known]
            bred = Ranker(self.breeder.axis, known, errors, int(numbers.integers(2**31))).best(bred, judged)
        self.judge(bred)

    def _children(self, count: int, numbers: np.random.Generator) -> list[SolverSchedule]:
        """Children that have not been judged; fewer than asked for where there are hardly any."""
        parents = self.archive.best(PARENTS)
        bred: dict[SolverSchedule, None] = {}
        for _ in range(3 * count):
            child = self.breeder.child(parents, numbers)
            if child not in self.archive.errors:
                bred[child] = None
            if len(bred) == count:
                break
        return list(bred)

    def polish(self, teacher: Teacher, count: int, steps: int) -> None:
        """Polish the best."""
        for one in self.archive.unpolished(count):
            if self.clock.over:
                return
            better = polished(one, teacher, steps)
            self.archive.errors[better] = teacher(better)
            self.archive.polished |= {one, better}

    def finish(self, teacher: Teacher, steps: int) -> None:
        """Polish the best of all once more, for longer."""
        if not self.clock.over:
            better = polished(self.archive.best(1)[0], teacher, steps)
            self.archive.errors[better] = teacher(better)
