"""Sampling from diffusion and flow models: ``kutta.diffusion``."""

from kutta.solvers.diffusion.cfg_plus_plus import CFGPlusPlus
from kutta.solvers.diffusion.conversions import convert
from kutta.solvers.diffusion.flow import probability_flow
from kutta.solvers.diffusion.grids import Beta, Grid, Nodes, Rho, TrainingSteps, UniformLogSNR, UniformTime
from kutta.solvers.diffusion.guidance import CFG, Guidance, one_call, two_calls
from kutta.solvers.diffusion.median_grid import median_grid
from kutta.solvers.diffusion.mixture import GaussianMixture
from kutta.solvers.diffusion.plan import Draft, Level, Move, Plan
from kutta.solvers.diffusion.sampler import Sampler
from kutta.solvers.diffusion.schedules import EDM, VE, VP, Cosine, Discrete, RectifiedFlow, Schedule

__all__ = [
    "CFG",
    "EDM",
    "VE",
    "VP",
    "Beta",
    "CFGPlusPlus",
    "Cosine",
    "Discrete",
    "Draft",
    "GaussianMixture",
    "Grid",
    "Guidance",
    "Level",
    "Move",
    "Nodes",
    "Plan",
    "RectifiedFlow",
    "Rho",
    "Sampler",
    "Schedule",
    "TrainingSteps",
    "UniformLogSNR",
    "UniformTime",
    "convert",
    "median_grid",
    "one_call",
    "probability_flow",
    "two_calls",
]
