"""From the steps that an adaptive sampler chose to a grid for every sampler: plan once, replay ever after."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from kutta.solution import Solution
from kutta.solvers.diffusion.levels.schedules import Schedule, as_float64, check_times


def median_grid(solution: Solution, schedule: Schedule, steps: int | None = None) -> Tensor:
    """The median of the steps that samples took, as times for the ``grid=`` of any sampler.

    The ``log(alpha / sigma)`` of each sample is taken as a function of the fraction of its steps; of these functions,
    the median at equal fractions is the grid. A grid has fixed weights and no errors to look at.

    Args:
        solution: of `kutta.AdaptiveMultistep` on a batch to calibrate with, with ``save_at="steps"``.
        schedule: that of the problem which was solved.
        steps: how many the grid has; by default the median of the samples.

    Returns:
        times, float64, shape ``(steps + 1,)``.

    Raises:
        ValueError: for a solution that does not hold its steps, one that failed, a schedule that is not the
            solution's, or fewer steps than there are ends without data or noise.

    Example:
        >>> import torch, kutta as kt
        >>> teacher = kt.diffusion.GaussianMixture([0.5, 0.5], [[-2.0, 0.0], [2.0, 0.0]], [0.1, 0.1])
        >>> schedule = kt.diffusion.EDM(start=10.0, end=0.01)
        >>> x = 10.0 * torch.randn(64, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        >>> problem = kt.DiffusionProblem(teacher.model(schedule), schedule, x)
        >>> tried = kt.solve(problem, kt.AdaptiveMultistep(3), atol=1e-2, save_at="steps")
        >>> grid = kt.diffusion.median_grid(tried, schedule, steps=12)
        >>> kt.solve(problem, kt.DDIM(), grid=grid).stats.steps
        12
    """
    ts, (first, last) = solution.ts, _ends(solution)
    _check_schedule(solution, schedule)
    # An end without data or noise lies infinitely far: it is a node of its own.
    begins, finishes = (bool(torch.isinf(schedule.log_snr(end))) for end in (first, last))
    if steps is None:
        steps = int(torch.as_tensor(solution.stats.accepted).median())
    if not isinstance(steps, int) or steps <= begins + finishes:
        raise ValueError(f"steps must be a whole number, {1 + begins + finishes} or more here; got {steps!r}")
    paths = [schedule.log_snr(path[torch.isfinite(path)]) for path in ts.T]
    paths = [_resampled(path[torch.isfinite(path)], steps - begins - finishes) for path in paths]
    times = schedule.time(torch.stack(paths).median(0).values)
    return torch.cat([first[None], times[0 if begins else 1 : None if finishes else -1], last[None]])


def _ends(solution: Solution) -> tuple[Tensor, Tensor]:
    ts, t1 = solution.ts, solution.t1
    if ts.dim() != 2:
        raise ValueError(
            'solution must hold the steps of its samples: solve with kutta.AdaptiveMultistep() and save_at="steps"'
        )
    if not bool((t1 == t1[0]).all()):
        raise ValueError(f"solution must have led all samples to one end; got ends from {t1.min():g} to {t1.max():g}")
    return ts[0, 0], t1[0]


def _check_schedule(solution: Solution, schedule: Schedule) -> None:
    """Refuse a schedule with other noise at the times of the steps."""
    known = torch.isfinite(solution.ts)
    times, noted = solution.ts[known], solution.log_snr[known]  # pyright: ignore[reportAttributeAccessIssue]
    check_times(schedule, times)
    if not torch.allclose(schedule.log_snr(times), noted, rtol=1e-6, atol=1e-6):
        raise ValueError(
            f"schedule must be that of the problem which was solved; {schedule!r} has other noise at the times of the "
            "solution"
        )


def _resampled(path: Tensor, steps: int) -> Tensor:
    """A path at equal fractions of its steps."""
    wanted, known = np.linspace(0.0, 1.0, steps + 1), np.linspace(0.0, 1.0, len(path))
    return as_float64(np.interp(wanted, known, path.numpy()))
