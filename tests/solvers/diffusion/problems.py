"""The two problems that samplers are measured on: T1, smooth and small; T2, under strong guidance.

Both have an exact teacher, so that the error of a sample is a distance to where the probability flow leads.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from torch import Tensor

import kutta as kt

F64 = torch.float64


@dataclass(frozen=True)
class Case:
    """A problem and the states to which its flow leads.

    Attributes:
        problem: what is sampled.
        reference: the end states, to ten digits and more.
        teacher: whose model it is.
    """

    problem: kt.DiffusionProblem
    reference: Tensor
    teacher: kt.diffusion.GaussianMixture

    def solve(self, sampler, steps, **options):
        """The end states of a sampler."""
        return kt.solve(self.problem, sampler, steps=steps, **options).y1

    def error(self, x):
        """The mean absolute deviation of end states."""
        return float((x - self.reference).abs().mean())

    def rms(self, x):
        """The root mean square deviation of end states."""
        return float((x - self.reference).square().mean().sqrt())

    def exact(self, times):
        """The states of the flow at given times, ``(T, B, d)``: exact starts for methods with a history."""
        return kt.solve(self.problem, kt.Vern9(), rtol=1e-12, atol=1e-12, save_at=times).ys

    def errors(self, sampler, steps, **options):
        """The errors of a sampler with several numbers of steps."""
        return [self.error(self.solve(sampler, count, **options)) for count in steps]


def orders(errors):
    """``log2`` of the ratios of errors, each made with twice the steps of the one before."""
    errors = torch.tensor(errors, dtype=F64)
    return torch.log2(errors[:-1] / errors[1:]).tolist()


def reference(problem, tolerance=1e-12):
    """The end states of the probability flow."""
    return kt.solve(problem, kt.Vern9(), rtol=tolerance, atol=tolerance).y1


def normal(numbers, *shape):
    """Standard normal numbers."""
    return torch.from_numpy(numbers.standard_normal(shape))


@cache
def t1(prediction="epsilon"):
    """Three blobs in the plane, noise from 5 to 0.05, 16 starts."""
    teacher = kt.diffusion.GaussianMixture([0.2, 0.3, 0.5], [[-2.0, 0.5], [1.0, 1.5], [1.5, -1.0]], [0.25, 0.09, 0.16])
    schedule = kt.diffusion.EDM(start=5.0, end=0.05)
    x = 5.0 * normal(np.random.default_rng(0), 16, 2)
    problem = kt.DiffusionProblem(teacher.model(schedule, prediction), schedule, x, prediction=prediction)
    return Case(problem, reference(problem), teacher)


def stable_diffusion_betas():
    """The variances of the schedule of the latent models, linear in the square root."""
    return torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=F64) ** 2


def t2_grid(count):
    """``count`` times of the model from 999 to 1, and 0 at the end."""
    return torch.cat([torch.linspace(999.0, 1.0, count, dtype=F64), torch.zeros(1, dtype=F64)])


@cache
def t2(weight=7.5, prediction="epsilon"):
    """Eight blobs in 16 dimensions, guided towards the first two of them, 256 starts."""
    numbers = np.random.default_rng(1)
    means = normal(numbers, 8, 16)
    teacher = kt.diffusion.GaussianMixture(torch.ones(8), means, 0.05 * torch.ones(8))
    schedule = kt.diffusion.Discrete(stable_diffusion_betas())
    problem = kt.DiffusionProblem(
        teacher.model(schedule, prediction),
        schedule,
        normal(numbers, 256, 16),
        prediction=prediction,
        condition=torch.arange(8) < 2,
        guidance=kt.diffusion.CFG(weight),
    )
    return Case(problem, reference(problem, 1e-10), teacher)


def magnitude(case, x):
    """How much of the samples lies beyond three deviations of the data: ``mean sum_i |x_i / sd| [|x_i / sd| > 3]``."""
    teacher = case.teacher
    square = (teacher.weights[:, None] * (teacher.means**2 + teacher.variances)).sum(0).mean()
    scaled = (x / square.sqrt()).abs()
    return float((scaled * (scaled > 3.0)).sum(-1).mean())
