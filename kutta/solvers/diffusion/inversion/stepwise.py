"""Step by step from data to noise: for samplers whose steps start from one state and know nothing of others.

A step leads from ``z`` at one node to ``y = G(z)`` at the next. Its inverse is the fixed point of

    z = z + (alpha_z / alpha_y) (y - G(z))

which for DDIM, in states ``x / alpha``, is ``z = y + (kappa_z - kappa_y) e(z)``, and under CFG++ takes the noise of the
free prediction away and puts the guided one back. Evaluating once, at ``y``, is the usual naive inversion, whose error
is of first order; iterating makes it exact.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from kutta.solvers.diffusion.guidance.denoiser import Denoiser
from kutta.solvers.diffusion.inversion.fixed_point import fixed_point
from kutta.solvers.diffusion.inversion.found import Found, Iteration
from kutta.solvers.diffusion.plans.plan import Level, Move, Plan
from kutta.solvers.diffusion.plans.sums import weighted_sum


def is_stepwise(plan: Plan) -> bool:
    """Whether each node's state comes from that of the node before it alone, in one move."""
    return all(move.used <= {number} for number, move in enumerate(plan.moves))


def step_by_step(plan: Plan, evaluate: Denoiser, x: Tensor, iteration: Iteration) -> Found:
    """Invert the last move, then the one before it, up to the noise."""
    states, residuals, counts = [x], [], []
    for number in reversed(range(len(plan.moves))):
        here, ratio = plan.levels[number], plan.levels[number].alpha / plan.levels[number + 1].alpha
        residual = _of_step(plan.moves[number], here, evaluate, states[-1], ratio)
        z, size, count = fixed_point(residual, ratio * states[-1], *iteration)
        states.append(z)
        residuals.append(size)
        counts.append(count)
    return Found(states, residuals, counts, converged=max(residuals) <= iteration.tolerance)


def _of_step(move: Move, here: Level, evaluate: Denoiser, y: Tensor, ratio: float) -> Callable[[Tensor], Tensor]:
    def residual(z: Tensor) -> Tensor:
        predicted = evaluate(z, here, move.predictions)
        terms = move.terms(lambda _: z, lambda kind, _: predicted[kind])
        return ratio * (y - weighted_sum(terms, z))

    return residual
