"""Sampling from diffusion and flow models: ``kutta.diffusion``."""

from kutta.solvers.diffusion.conversions import convert
from kutta.solvers.diffusion.dpm_solver import DPMSolver, DPMSolverPP, DPMSolverSinglestep
from kutta.solvers.diffusion.flow import probability_flow
from kutta.solvers.diffusion.grids import Beta, Grid, Nodes, Rho, TrainingSteps, UniformLogSNR, UniformTime
from kutta.solvers.diffusion.guidance import CFG, Guidance
from kutta.solvers.diffusion.mixture import GaussianMixture
from kutta.solvers.diffusion.multistep import ExponentialMultistep, euler_at_final, lower_order_final
from kutta.solvers.diffusion.named_schedules import named_schedule
from kutta.solvers.diffusion.plan import Draft, Level, Move, Plan
from kutta.solvers.diffusion.sampler import Sampler
from kutta.solvers.diffusion.schedules import EDM, VE, VP, Cosine, Discrete, RectifiedFlow, Schedule
from kutta.solvers.diffusion.singlestep import Singlestep
from kutta.solvers.diffusion.solver_schedule import SolverSchedule, SolverStep
from kutta.solvers.diffusion.solver_search.search import search
from kutta.solvers.diffusion.starters import CorrectedRamp, GradedStart, Ramp, SinglestepStart, Starter
from kutta.solvers.diffusion.taylor import Estimate

__all__ = [
    "CFG",
    "EDM",
    "VE",
    "VP",
    "Beta",
    "CorrectedRamp",
    "Cosine",
    "DPMSolver",
    "DPMSolverPP",
    "DPMSolverSinglestep",
    "Discrete",
    "Draft",
    "Estimate",
    "ExponentialMultistep",
    "GaussianMixture",
    "GradedStart",
    "Grid",
    "Guidance",
    "Level",
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
    "SolverSchedule",
    "SolverStep",
    "Starter",
    "TrainingSteps",
    "UniformLogSNR",
    "UniformTime",
    "convert",
    "euler_at_final",
    "lower_order_final",
    "named_schedule",
    "probability_flow",
    "search",
]
