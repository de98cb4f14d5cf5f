"""The whole way at once: for samplers whose steps remember others, or go through stages.

Backwards, the steps of a multistep method amplify what is not known yet: the predictions at noisier states. So its
steps are not inverted one by one; what is sought is the noise ``z`` from which all of them, ``G``, lead to the data
``x``. With an approximate inverse ``P`` of ``G``, it is the fixed point of

    z = z + P(x) - P(G(z)),

which converges the faster, the less the derivative of ``P G`` differs from one: the defect correction of Stetter, The
defect correction principle and discretization methods, 1978. As any sampler follows the probability flow up to its
error, ``P`` is that flow, followed from the data to the noise by Heun's method in ``kappa = sigma / alpha`` with twice
the steps. Two evaluations for each of its steps, and those of the sampler, are the cost of an iteration.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from kutta.solvers.diffusion.guidance.denoiser import Denoiser
from kutta.solvers.diffusion.inversion.fixed_point import fixed_point, relative
from kutta.solvers.diffusion.inversion.found import Found, Iteration
from kutta.solvers.diffusion.levels.grids import Nodes
from kutta.solvers.diffusion.levels.schedules import Schedule, as_float64
from kutta.solvers.diffusion.named.edm import EDMHeun
from kutta.solvers.diffusion.plans.noise import Noise
from kutta.solvers.diffusion.plans.plan import Plan
from kutta.solvers.diffusion.plans.states import states


def whole_way(plan: Plan, evaluate: Denoiser, x: Tensor, iteration: Iteration) -> Found:
    """Find the noise of all moves together.

    The residuals are that of the noise, and how far from the data the sampler leads from it. The latter tells the
    noise from a state that is no solution but that ``P`` does not tell from one.
    """
    upward = _upward(plan, evaluate.problem.schedule)
    guess = _last(upward, evaluate, x)
    z, size, count = fixed_point(lambda z: guess - _last(upward, evaluate, _last(plan, evaluate, z)), guess, *iteration)
    down = [z, *states(plan, evaluate, z, Noise())]
    missed = float(relative(x - down[-1], x).max())
    # Where the flow spreads, a small error of the noise is a larger one of the data; another solution lies far away.
    converged = size <= iteration.tolerance and missed <= math.sqrt(iteration.tolerance)
    return Found([x, *(down[one] for one in plan.outputs[-2::-1])], [size, missed], [count], converged)


def _upward(plan: Plan, schedule: Schedule) -> Plan:
    """The flow from the data to the noise, through all nodes and halfway between them in ``log(alpha / sigma)``."""
    t = as_float64([plan.levels[one].t for one in plan.outputs[::-1]])
    log_snr = schedule.log_snr(t)
    between = schedule.time(0.5 * (log_snr[:-1] + log_snr[1:]))
    t = torch.cat([torch.stack([t[:-1], between], 1).flatten(), t[-1:]])
    return EDMHeun().plan(Nodes.at(schedule, t)).fixed()


def _last(plan: Plan, evaluate: Denoiser, x: Tensor) -> Tensor:
    *_, last = states(plan, evaluate, x, Noise())
    return last
