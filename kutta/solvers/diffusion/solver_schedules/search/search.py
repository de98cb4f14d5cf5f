"""The public call of the search: check the arguments, evolve, hand over the best."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from kutta.problems import DiffusionProblem
from kutta.solvers.diffusion.levels.schedules import Schedule
from kutta.solvers.diffusion.solver_schedules.search.archive import Archive
from kutta.solvers.diffusion.solver_schedules.search.breeding import Breeder
from kutta.solvers.diffusion.solver_schedules.search.evolution import Clock, Error, Evolution, seeds
from kutta.solvers.diffusion.solver_schedules.search.teacher import Axis, Teacher, alone
from kutta.solvers.diffusion.solver_schedules.solver_schedule import SolverSchedule

LONGER = 8  # the last polish, than the others


def search(
    target: DiffusionProblem | Sequence[DiffusionProblem] | Error,
    evaluations: int = 5,
    *,
    references: Sequence[Any] | None = None,
    reference_steps: int = 200,
    schedule: Schedule | None = None,
    generations: int = 8,
    children: int = 200,
    judged: int = 30,
    polish: int = 3,
    polish_steps: int = 150,
    seed: int = 0,
    seconds: float | None = None,
    path: str | os.PathLike[str] | None = None,
    progress: bool = False,
) -> SolverSchedule:
    """The solver schedule with the smallest error that a search finds.

    The error of a schedule is the mean absolute deviation of its end states from `references`, averaged over the
    problems; or what a function of one's own says of it. Samplers with names on several grids are where the search
    begins; see `kutta.solvers.diffusion.solver_schedules.search.evolution` for how it goes on.

    Args:
        target: a problem or several, which share a noise schedule and ``t_span``: of a `GaussianMixture`, or of the
            model that is to be sampled from, with a batch of starts. Or a function that takes a `SolverSchedule` and
            returns its error; then nothing is polished, for which gradients are needed.
        evaluations: of the model, that the schedule has: 1 or more.
        references: the true end states, one tensor for each problem; by default those of the exponential multistep
            method of order 3 with `reference_steps` steps.
        reference_steps: see there.
        schedule: the noise schedule, for a function as the target.
        generations: how many; 0 for the best of the named samplers.
        children: bred in each of them.
        judged: how many of these are judged; the network chooses which.
        polish: how many schedules are polished in each of them; 0 for evolution alone.
        polish_steps: steps of Adam for each; the best of all has eight times as many at the end.
        seed: of all random choices. The same one leads to the same schedule, unless time or an interrupt ends the
            search.
        seconds: begin nothing more after that time.
        path: a file that keeps what has been judged after every generation. A search whose file is there goes on
            from it, to the same end. Its best and its worst schedule are judged again, and a file whose errors are
            those of other problems or references is refused. A function must give the same errors again, up to 1e-3.
        progress: show a progress bar (needs tqdm).

    Returns:
        the best of all schedules judged. Ctrl-C ends the search with the best so far, and a warning.

    Raises:
        TypeError, ValueError: for arguments that do not fit. Among them are guidance that belongs to steps of a given
            size, such as `CFGPlusPlus`, as what many steps lead to is not what few aim at; a beginning without data
            where the model predicts noise; and the file of another search.

    Example:
        >>> import torch, kutta as kt
        >>> teacher = kt.diffusion.GaussianMixture([0.5, 0.5], [[-1.0, 0.0], [1.0, 0.0]], [0.1, 0.1])
        >>> noise = kt.diffusion.EDM(start=5.0, end=0.05)
        >>> x = 5.0 * torch.randn(32, 2, generator=torch.Generator().manual_seed(0))
        >>> problem = kt.DiffusionProblem(teacher.model(noise), noise, x)
        >>> found = kt.diffusion.search(problem, evaluations=4, generations=1, children=20, judged=5, polish_steps=5)
        >>> kt.solve(problem, found).stats.function_evaluations
        4
    """
    counts = {"evaluations": evaluations, "children": children, "judged": judged, "polish_steps": polish_steps}
    _check_counts(counts, at_least=1)
    _check_counts({"generations": generations, "polish": polish, "seed": seed}, at_least=0)
    error, axis = _target(target, references, reference_steps, schedule)
    settings = {**counts, "polish": polish, "seed": seed, "axis": repr(axis)}
    archive = Archive() if path is None else Archive.load(path, settings)
    _check_same_errors(archive, error, path)
    evolution = Evolution(error, Breeder(axis, evaluations), archive, seed, Clock(seconds))
    with _until_interrupted(archive), _bar(progress, generations) as shown:
        if not archive.errors:
            evolution.judge(seeds(axis, evaluations))
        _best(archive)
        while archive.generation < generations and not evolution.clock.over:
            evolution.breed(children, judged)
            if isinstance(error, Teacher):
                evolution.polish(error, polish, polish_steps)
            archive.generation += 1
            if path is not None and not evolution.clock.over:
                archive.save(path, settings)
            shown(archive)
        if isinstance(error, Teacher) and generations and polish:
            evolution.finish(error, LONGER * polish_steps)
    return _best(archive)


def _check_same_errors(archive: Archive, error: Error, path: Any) -> None:
    """Refuse errors that were those of other problems: of the best schedule and the worst, as judged again."""
    known = archive.best(len(archive.errors))
    for one in dict.fromkeys((*known[:1], *known[-1:])):
        noted, found = archive.errors[one], float(error(one))
        # Other devices and thread counts add up in another order.
        if not math.isclose(noted, found, rel_tol=1e-3, abs_tol=1e-6):
            raise ValueError(
                f"path must be the file of a search for the same problems, references and reference_steps; {path} has "
                f"a schedule with the error {noted:.6g}, which is {found:.6g} here: choose another path, or remove the "
                "file"
            )


def _check_counts(counts: Mapping[str, Any], at_least: int) -> None:
    for name, value in counts.items():
        if not isinstance(value, int) or isinstance(value, bool) or value < at_least:
            raise ValueError(f"{name} must be a whole number from {at_least} on; got {value!r}")


def _target(target: Any, references: Any, reference_steps: int, schedule: Any) -> tuple[Any, Axis]:
    """What says how good a schedule is, and the axis of the times."""
    if callable(target):
        if not isinstance(schedule, Schedule):
            raise TypeError(f"schedule must be the noise schedule, since the target is a function; got {schedule!r}")
        if references is not None:
            raise ValueError("references are compared with a problem's end states; the target is a function")
        return target, Axis(schedule, schedule.start, schedule.end)
    if not isinstance(target, DiffusionProblem | Sequence) or not all(
        isinstance(one, DiffusionProblem) for one in alone(target)
    ):
        raise TypeError(
            "target must be a DiffusionProblem, a sequence of them, or a function that returns the error of a "
            f"SolverSchedule; got {target!r:.80}"
        )
    if schedule is not None:
        raise ValueError("schedule is for a function as the target; a problem has its own: leave it out")
    _check_counts({"reference_steps": reference_steps}, at_least=1)
    teacher = Teacher.of(alone(target), references, reference_steps)
    return teacher, teacher.axis


def _best(archive: Archive) -> SolverSchedule:
    best = archive.best(1)
    if not best:
        raise ValueError("none of the named samplers has a finite error, so there is nothing to begin with")
    return best[0]


@contextmanager
def _until_interrupted(archive: Archive) -> Iterator[None]:
    """Ctrl-C ends what is done within, once there is something to return."""
    try:
        yield
    except KeyboardInterrupt:
        if not archive.best(1):
            raise
        warnings.warn(
            f"the search was interrupted in generation {archive.generation + 1}; this is the best of "
            f"{len(archive.errors)} schedules",
            stacklevel=3,
        )


@contextmanager
def _bar(shown: bool, generations: int) -> Iterator[Callable[[Archive], None]]:
    """A function to call after every generation; draws a bar with the smallest error if `shown`."""
    if not shown:
        yield lambda archive: None
        return
    try:
        from tqdm.auto import tqdm
    except ImportError as missing:
        raise ImportError('progress=True needs tqdm: pip install "kutta[progress]"') from missing
    with tqdm(total=generations, desc="search", unit="generation") as bar:

        def finished(archive: Archive) -> None:
            bar.update(archive.generation - bar.n)
            best = archive.errors[_best(archive)]
            bar.set_postfix(error=f"{best:.4g}", judged=len(archive.errors))

        yield finished
