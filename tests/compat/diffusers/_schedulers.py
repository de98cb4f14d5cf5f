"""One scheduler of each kind, and models to run them with."""

import json

import torch

import kutta as kt
from kutta.compat import diffusers as faces
from kutta.compat.diffusers.configuration import configured

F64 = torch.float64
STEPS = 8
BETAS = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012}
TIMES = [999.0, 860.0, 720.0, 580.0, 440.0, 300.0, 160.0, 60.0, 0.0]


def searched():
    """The record of a solver schedule of second order."""
    steps = tuple(
        kt.diffusion.SolverStep(t, estimates=(kt.diffusion.Estimate(nodes=1),) if index else ())
        for index, t in enumerate(TIMES[1:])
    )
    return json.loads(kt.SolverSchedule(TIMES[0], steps).to_json())


class HeunScheduler(faces.PlanScheduler):
    """A scheduler of one's own, with two evaluations a step."""

    order = 2

    @configured
    def __init__(self, s_churn: float = 0.0):
        self.method = kt.EDMHeun(s_churn=s_churn)


class AncestralScheduler(faces.PlanScheduler):
    """Another one, with noise."""

    @configured
    def __init__(self):
        self.method = kt.AncestralEuler()


KINDS = {
    "GHVB": (faces.GHVBScheduler, {}),
    "GHVB, variable": (faces.GHVBScheduler, {"solver_order": 4, "damping": 0.8, "coefficients": "variable"}),
    "heavy ball": (faces.HeavyBallDPMSolverScheduler, {}),
    "exponential": (faces.ExponentialMultistepScheduler, {"solver_order": 3}),
    "exponential, corrected": (
        faces.ExponentialMultistepScheduler,
        {"starter": "corrected_ramp", "corrector": True, "lower_order_final": False},
    ),
    "exponential, started": (faces.ExponentialMultistepScheduler, {"solver_order": 3, "starter": "singlestep"}),
    "searched": (faces.SearchedScheduler, {"solver_schedule": searched()}),
    "adaptive": (faces.AdaptiveScheduler, {"calibrated_times": TIMES}),
    "Heun": (HeunScheduler, {}),
}
# Those that can begin anywhere, and whose times are those of the options.
FREE = ("GHVB", "GHVB, variable", "heavy ball", "exponential", "exponential, corrected", "Heun")


def make(kind, **options):
    """A scheduler of a kind that ends at the first training step, unless told otherwise."""
    made, own = KINDS[kind]
    return made(**{**BETAS, "final_sigmas_type": "sigma_min", **own, **options})


def loop(scheduler, model, x, begin=0, **options):
    """The last state of a run."""
    for t in scheduler.timesteps[begin:]:
        x = scheduler.step(model(x, t), t, x, **options).prev_sample
    return x


def wave(x, t):
    """A model that knows nothing."""
    return torch.tanh(0.7 * x) + 0.2 * torch.sin(3.0 * x)


def normal(*shape, seed=0, dtype=F64):
    """Standard normal numbers."""
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))
