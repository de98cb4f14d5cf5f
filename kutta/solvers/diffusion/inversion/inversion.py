"""Inversion: from a sample back to the noise of which a sampler would have made it.

A step of a sampler leads from ``z`` at one node to ``y = G(z)`` at the next. Its inverse is the fixed point of

    z = z + (alpha_z / alpha_y) (y - G(z))

which for DDIM, in states ``x / alpha``, is ``z = y + (kappa_z - kappa_y) e(z)``, and under CFG++ takes the noise of the
free prediction away and puts the guided one back. Evaluating once, at ``y``, is the usual naive inversion, whose error
is of first order; iterating makes it exact.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from kutta.problems import DiffusionProblem
from kutta.solution import Result, Solution, SolveError, Stats
from kutta.solvers.diffusion.checking import checked
from kutta.solvers.diffusion.inversion.fixed_point import fixed_point
from kutta.solvers.diffusion.named.ddim import DDIM
from kutta.solvers.diffusion.plans.denoiser import Denoiser
from kutta.solvers.diffusion.plans.plan import Move, Plan
from kutta.solvers.diffusion.plans.sampler import Sampler
from kutta.solvers.diffusion.plans.states import kinds_by_state
from kutta.solvers.diffusion.plans.sums import weighted_sum
from kutta.solvers.diffusion.solving import planned


@dataclass(frozen=True)
class Inversion(Solution):
    """A `Solution` that leads from the data to the noise.

    Attributes:
        residuals: of each step, from the data on, the largest residual of a sample relative to its state, before the
            last change; ``(steps,)``. The last one is at least the change of the noise in the last sweep, where there
            are several.
        iterations: of each step, over all sweeps.
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

    Each step of the sampler is inverted by a fixed-point iteration on the exact step, without backpropagation. Where
    steps use earlier predictions, as those of multistep methods do, the whole way is swept again with the predictions
    of the last sweep until the noise does not change any more. An iteration that does not converge, as steps are too
    large for the model, is told by ``residuals``.

    Args:
        problem: as for `kutta.solve`, but with the samples for `x`: the states at the last time. Guidance is that of
            the sampler; `CFGPlusPlus` inverts best.
        method: a sampler without noise; `DDIM` by default.
        steps: of the sampler, 20 by default.
        grid: where it stops, as for `kutta.solve`. At both ends there must be data and noise.
        memory: of Anderson's acceleration; 0 for Picard's iteration.
        tolerance: of the residual relative to the state; by default 100 roundings of the dtype of the loop.
        max_iterations: evaluations of a step in a sweep, and sweeps, at most; 1 is the naive inversion.
        save_at: ``"steps"`` for the states at all nodes, from the data on; by default the noise only.
        throw: raise `SolveError` where the noise is not finite.

    Returns:
        the `Inversion`, a `Solution` whose ``y1`` is the noise.

    Raises:
        TypeError, ValueError: for arguments that do not fit, before the first step.
        SolveError: when a state becomes infinite or NaN.

    Source: Song, Meng and Ermon, Denoising diffusion implicit models, 2021; as a fixed point, Li et al., Source prompt
    disentangled inversion, 2024.

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
    if tolerance is not None and not tolerance > 0:
        raise ValueError(f"tolerance must be positive; got {tolerance!r}")
    plan = planned(problem, method, steps, grid)
    _refuse(plan, method)
    x = problem.x.to(torch.promote_types(problem.x.dtype, torch.float32))
    tolerance = 100 * torch.finfo(x.dtype).eps if tolerance is None else tolerance
    with torch.no_grad():
        way = Way(plan, Denoiser(problem, x.dtype), x, memory, tolerance, max_iterations)
        way.go()
    return _solution(problem, way, save_at is not None, throw)


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


class Way:
    """The way up, step by step, with what is known of all states of the plan.

    Args:
        plan: of the sampler.
        evaluate: the model.
        x: the samples.
        memory, tolerance, most: of the iteration; see `fixed_point`.
    """

    def __init__(self, plan: Plan, evaluate: Denoiser, x: Tensor, memory: int, tolerance: float, most: int):
        self.plan, self.evaluate, self.kinds = plan, evaluate, kinds_by_state(plan)
        self.memory, self.tolerance, self.most = memory, tolerance, most
        self.states: dict[int, Tensor] = {plan.outputs[-1]: x}
        self.predictions: dict[int, dict[str, Tensor]] = {}
        self.residuals, self.iterations = [0.0] * (len(plan.outputs) - 1), [0] * (len(plan.outputs) - 1)

    def go(self) -> None:
        """Sweep up until nothing changes; once, where no step uses what came before its node."""
        self._sweep()
        if all(state >= here for here, _, moves in self._steps() for move in moves for state in move.used):
            return
        change = 0.0
        for _ in range(self.most - 1):
            before = self.states[0]
            self._sweep()
            change = float((self.states[0] - before).abs().max() / before.abs().max())
            if change <= self.tolerance:
                break
        self.residuals[-1] = max(self.residuals[-1], change)

    def _steps(self) -> list[tuple[int, int, tuple[Move, ...]]]:
        """The states of each step's nodes, and the moves between them, from the data on."""
        pairs = zip(self.plan.outputs[:-1], self.plan.outputs[1:], strict=True)
        return [(here, there, self.plan.moves[here:there]) for here, there in pairs][::-1]

    def _sweep(self) -> None:
        for number, (here, there, moves) in enumerate(self._steps()):
            y, ratio = self.states[there], self.plan.levels[here].alpha / self.plan.levels[there].alpha
            guess = self.states[here] if here in self.states else ratio * y

            def residual(z: Tensor, here=here, moves=moves, y=y, ratio=ratio) -> Tensor:
                return ratio * (y - self._step(here, moves, z))

            z, self.residuals[number], count = fixed_point(residual, guess, self.memory, self.tolerance, self.most)
            self.iterations[number] += count
            self.states[here] = z

    def _step(self, here: int, moves: tuple[Move, ...], z: Tensor) -> Tensor:
        """The state at the next node. What it comes through is kept for the steps after it."""
        fresh: dict[int, Tensor] = {here: z}
        predicted: dict[int, dict[str, Tensor]] = {}

        def prediction(kind: str, state: int) -> Tensor:
            if state < here and state in self.predictions:
                return self.predictions[state][kind]
            # Before the first sweep has been there, the state at hand stands for the noisier ones.
            state = max(state, here)
            if state not in predicted or kind not in predicted[state]:
                kinds = dict.fromkeys((*self.kinds.get(state, ()), kind))
                predicted[state] = self.evaluate(fresh[state], self.plan.levels[state], kinds)
            return predicted[state][kind]

        def known(state: int) -> Tensor:
            if state >= here:
                return fresh[state]
            if state in self.states:
                return self.states[state]
            return self.plan.levels[state].alpha / self.plan.levels[here].alpha * z

        for number, move in enumerate(moves, here + 1):
            fresh[number] = weighted_sum(move.terms(known, prediction), z)
        *_, last = fresh
        self.states.update({number: state for number, state in fresh.items() if here < number < last})
        self.predictions.update(predicted)
        return fresh[last]


def _solution(problem: DiffusionProblem, way: Way, every: bool, throw: bool) -> Inversion:
    outputs = way.plan.outputs[::-1] if every else way.plan.outputs[:1]
    ts = torch.tensor([way.plan.levels[one].t for one in outputs], dtype=torch.float64)
    ys = torch.stack([way.states[one] for one in outputs]).to(problem.x.dtype)
    finite, steps = bool(torch.isfinite(ys[-1]).all()), len(way.iterations)
    found = Inversion(
        ts=ts,
        ys=ys,
        y1=ys[-1],
        t1=ts[-1],
        stats=Stats(steps, steps, 0, way.evaluate.evaluations),
        result=Result.SUCCESS if finite else Result.NON_FINITE,
        residuals=torch.tensor(way.residuals, dtype=torch.float64),
        iterations=tuple(way.iterations),
    )
    if not finite and throw:
        t1, t0 = (way.plan.levels[one].t for one in way.plan.outputs[:2])
        raise SolveError(Result.NON_FINITE, t1, t1 - t0, solution=found)
    return found
