"""Sampling from diffusion and flow models: ``kutta.diffusion``."""

from kutta.solvers.diffusion.cfg_plus_plus import CFGPlusPlus
from kutta.solvers.diffusion.conversions import convert
from kutta.solvers.diffusion.dpm_solver import DPMSolver, DPMSolverPP, DPMSolverSinglestep
from kutta.solvers.diffusion.final_orders import EulerAtFinal, FinalOrders, LowerOrderFinal
from kutta.solvers.diffusion.flow import probability_flow
from kutta.solvers.diffusion.grids import Beta, Grid, Nodes, Rho, TrainingSteps, UniformLogSNR, UniformTime
from kutta.solvers.diffusion.guidance import CFG, Guidance, one_call, two_calls
from kutta.solvers.diffusion.inversion import Inversion, invert
from kutta.solvers.diffusion.median_grid import median_grid
from kutta.solvers.diffusion.mixture import GaussianMixture
from kutta.solvers.diffusion.multistep import ExponentialMultistep
from kutta.solvers.diffusion.plan import Draft, Level, Move, Plan
from kutta.solvers.diffusion.sampler import Sampler
from kutta.solvers.diffusion.schedules import EDM, VE, VP, Cosine, Discrete, RectifiedFlow, Schedule
from kutta.solvers.diffusion.singlestep import Singlestep
from kutta.solvers.diffusion.starters import CorrectedRamp, GradedStart, Ramp, SinglestepStart, Starter

__all__ = [
    "CFG",
    "EDM",
    "VE",
    "VP",
    "Beta",
    "CFGPlusPlus",
    "CorrectedRamp",
    "Cosine",
    "DPMSolver",
    "DPMSolverPP",
    "DPMSolverSinglestep",
    "Discrete",
    "Draft",
    "EulerAtFinal",
    "ExponentialMultistep",
    "FinalOrders",
    "GaussianMixture",
    "GradedStart",
    "Grid",
    "Guidance",
    "Inversion",
    "Level",
    "LowerOrderFinal",
    "Move",
    "Nodes",
    "Plan",
    "Ramp",
    "RectifiedFlow",
    "Rho",
    "Sampler",
    "Schedule",
    "Singlestep",
    "SinglestepStart",
    "Starter",
    "TrainingSteps",
    "UniformLogSNR",
    "UniformTime",
    "convert",
    "invert",
    "median_grid",
    "one_call",
    "probability_flow",
    "two_calls",
]
