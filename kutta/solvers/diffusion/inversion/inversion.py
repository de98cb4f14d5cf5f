"""Inversion: from a sample back to the noise of which a sampler would have made it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from kutta.problems import DiffusionProblem
from kutta.solution import Result, Solution, SolveError, Stats
from kutta.solvers.diffusion.checking import checked
from kutta.solvers.diffusion.guidance.denoiser import Denoiser
from kutta.solvers.diffusion.inversion.found import Found, Iteration
from kutta.solvers.diffusion.inversion.stepwise import is_stepwise, step_by_step
from kutta.solvers.diffusion.inversion.whole import whole_way
from kutta.solvers.diffusion.named.ddim import DDIM
from kutta.solvers.diffusion.numbers import is_positive
from kutta.solvers.diffusion.plans.plan import Plan
from kutta.solvers.diffusion.plans.sampler import Sampler
from kutta.solvers.diffusion.solving import planned


@dataclass(frozen=True)
class Inversion(Solution):
    """A `Solution` that leads from the data to the noise.

    Attributes:
        residuals: the largest of a sample, relative to its state, in the root mean square over its entries. Where the
            steps were inverted one by one, that of each before its last change, from the data on, ``(steps,)``;
            elsewhere that of the noise before its last change, and the distance from the given samples to those that
            the sampler makes of this noise, ``(2,)``.
        iterations: of each step; elsewhere one number.
    """

    residuals: Tensor = field(default_factory=lambda: torch.zeros(0))
    iterations: tuple[int, ...] = ()


def invert(
    problem: DiffusionProblem,
    method: Sampler | None = None,
    *,
    steps: int | None = None,
    grid: Any = None,
    memory: int = 3,
    tolerance: float | None = None,
    max_iterations: int = 50,
    save_at: str | None = None,
    throw: bool = True,
) -> Inversion:
    """The noise from which a sampler makes given samples.

    The steps of `DDIM`, and of others that start from one state and evaluate the model there, are inverted one by one:
    ``z = z + (alpha_z / alpha_y) (y - G(z))`` has the exact step `G` from the state `z` to the known ``y`` after it.
    All other samplers, multistep and singlestep methods of higher order, are inverted over the whole way: with their
    samples ``G(z)`` of a noise `z`, and the probability flow `P` from data to noise,
    ``z = z + P(x) - P(G(z))``, an iteration of some five evaluations a step. There is no backpropagation.

    `DDIM` converged with every number of steps tried. The others converge where they are near the flow. Measured on
    mixtures over the whole span, with 20 steps and more all found the noise again but `ExponentialMultistep` of order 4
    on a variance-preserving schedule, which needed 30, and DPM-Solver++(2M) under `CFGPlusPlus`, which needed 40. With
    10 steps and weak guidance most did, but not `UniPC` and corrected `ExponentialMultistep` of order 3 and more on a
    variance-preserving schedule; under strong guidance `EDMHeun` and ``PLMS(2)`` did. With few steps several noises may
    lead to one sample, and it may be another one that is found. An inversion that does not converge fails with
    `Result.NOT_CONVERGED`: take more steps, or a shorter ``t_span``.

    Args:
        problem: as for `kutta.solve`, but with the samples for `x`: the states at the last time. Guidance is that of
            the sampler; `CFGPlusPlus` inverts best.
        method: a sampler without noise; `DDIM` by default.
        steps: of the sampler, 20 by default.
        grid: where it stops, as for `kutta.solve`. At both ends there must be data and noise.
        memory: of Anderson's acceleration; 0 for Picard's iteration.
        tolerance: of the residual relative to the state; by default 100 roundings of float32 or float64, one of a
            half-precision `x`. An iteration over the whole way has converged if the samples are met up to the root of
            it, too.
        max_iterations: of each step, or of the whole way, at most. An iteration that makes no progress ends earlier.
            With 1, for DDIM the naive inversion, what comes of it is taken as it is.
        save_at: ``"steps"`` for the states at all nodes, from the data on; by default the noise only.
        throw: raise `SolveError` where the iteration does not converge or the noise is not finite; otherwise the
            `Inversion` says so in ``result``.

    Returns:
        the `Inversion`, a `Solution` whose ``y1`` is the noise.

    Raises:
        TypeError, ValueError: for arguments that do not fit, before the first step.
        SolveError: when an iteration does not converge, or a state becomes infinite or NaN.

    Source: Song, Meng and Ermon, Denoising diffusion implicit models, 2021; as a fixed point, Li et al., Source prompt
    disentangled inversion, 2024; over the whole way, Stetter, The defect correction principle and discretization
    methods, 1978.

    Example:
        >>> import torch, kutta as kt
        >>> teacher = kt.diffusion.GaussianMixture([0.5, 0.5], [[-2.0, 0.0], [2.0, 0.0]], [0.1, 0.1])
        >>> schedule = kt.diffusion.EDM(start=5.0, end=0.05)
        >>> noise = 5.0 * torch.randn(8, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
        >>> problem = kt.DiffusionProblem(teacher.model(schedule), schedule, noise)
        >>> samples = kt.solve(problem, kt.DDIM(), steps=20).y1
        >>> problem = kt.DiffusionProblem(teacher.model(schedule), schedule, samples)
        >>> back = kt.diffusion.invert(problem, kt.DDIM(), steps=20)
        >>> bool((back.y1 - noise).abs().max() < 1e-8)
        True
    """
    problem, method = checked(problem), DDIM() if method is None else method
    if not isinstance(method, Sampler):
        raise TypeError(f"method must be a sampler such as kutta.DDIM(); got {method!r}")
    if save_at not in (None, "steps"):
        raise ValueError(f'save_at must be None or "steps"; got {save_at!r}')
    for name, value, least in (("memory", memory, 0), ("max_iterations", max_iterations, 1)):
        if not isinstance(value, int) or value < least:
            raise ValueError(f"{name} must be a whole number of at least {least}; got {value!r}")
    if tolerance is not None and not is_positive(tolerance):
        raise ValueError(f"tolerance must be positive; got {tolerance!r}")
    plan = planned(problem, method, steps, grid)
    _refuse(plan, method)
    evaluate = Denoiser(problem)
    x = evaluate.start
    if tolerance is None:
        tolerance = max(100 * torch.finfo(x.dtype).eps, torch.finfo(problem.x.dtype).eps)
    iteration = Iteration(memory, tolerance, max_iterations)
    with torch.no_grad():
        found = (step_by_step if is_stepwise(plan) else whole_way)(plan, evaluate, x, iteration)
    # A single iteration is not meant to converge.
    result = Result.SUCCESS if found.converged or max_iterations == 1 else Result.NOT_CONVERGED
    return _solution(plan, found, evaluate, result, save_at is not None, throw)


def _refuse(plan: Plan, method: Sampler) -> None:
    if plan.stochastic:
        raise ValueError(f"{method!r} adds noise, so that nothing leads back; invert a sampler without")
    first, last = plan.first, plan.levels[plan.outputs[-1]]
    if first.alpha == 0.0 or last.sigma == 0.0:
        raise ValueError(
            "inversion needs both data and noise at both ends, and no clean last step; at "
            f"t = {first.t:.6g} and {last.t:.6g} alpha and sigma are ({first.alpha:.4g}, {first.sigma:.4g}) and "
            f"({last.alpha:.4g}, {last.sigma:.4g}): give t_span"
        )


def _solution(plan: Plan, found: Found, evaluate: Denoiser, result: Result, every: bool, throw: bool) -> Inversion:
    times = [plan.levels[one].t for one in plan.outputs[::-1]]
    chosen = slice(None) if every else slice(-1, None)
    ys = torch.stack(found.states[chosen]).to(evaluate.problem.x.dtype)
    result = result if bool(torch.isfinite(ys[-1]).all()) else Result.NON_FINITE
    ts, steps = torch.tensor(times[chosen], dtype=torch.float64), len(times) - 1
    inversion = Inversion(
        ts=ts,
        ys=ys,
        y1=ys[-1],
        t1=ts[-1],
        stats=Stats(steps, steps, 0, evaluate.evaluations),
        result=result,
        residuals=torch.tensor(found.residuals, dtype=torch.float64),
        iterations=tuple(found.iterations),
    )
    if result.failed and throw:
        raise SolveError(result, times[-1], times[-1] - times[-2], solution=inversion)
    return inversion
