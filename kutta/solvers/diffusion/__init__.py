"""Sampling from diffusion and flow models: ``kutta.diffusion``."""

from kutta.solvers.diffusion.adaptive.adaptive_multistep import AdaptiveMultistep
from kutta.solvers.diffusion.automatic import Automatic, default_sampler
from kutta.solvers.diffusion.exponential.multistep import ExponentialMultistep
from kutta.solvers.diffusion.exponential.orders import EulerAtFinal, FinalOrders, LowerOrderFinal
from kutta.solvers.diffusion.exponential.singlestep import Singlestep
from kutta.solvers.diffusion.exponential.starters import CorrectedRamp, GradedStart, Ramp, SinglestepStart, Starter
from kutta.solvers.diffusion.exponential.walk import Walk
from kutta.solvers.diffusion.flow import Flow, probability_flow
from kutta.solvers.diffusion.guidance.cfg import CFG, Guidance, one_call, two_calls
from kutta.solvers.diffusion.guidance.cfg_plus_plus import CFGPlusPlus
from kutta.solvers.diffusion.inversion.inversion import Inversion, invert
from kutta.solvers.diffusion.levels.conversions import convert
from kutta.solvers.diffusion.levels.grids import Beta, Grid, Nodes, Rho, TrainingSteps, UniformLogSNR, UniformTime
from kutta.solvers.diffusion.levels.median_grid import median_grid
from kutta.solvers.diffusion.levels.schedules import EDM, VE, VP, Cosine, Discrete, RectifiedFlow, Schedule
from kutta.solvers.diffusion.mixture import GaussianMixture
from kutta.solvers.diffusion.momentum.exponential_ghvb import ExponentialGHVB
from kutta.solvers.diffusion.momentum.ghvb import GHVB
from kutta.solvers.diffusion.momentum.heavy_ball import AggregatedMomentum, HeavyBall, Momentum, Nesterov
from kutta.solvers.diffusion.momentum.splitting import LTSP
from kutta.solvers.diffusion.momentum.stability import MomentumRule
from kutta.solvers.diffusion.named.adams import PLMS, PNDM
from kutta.solvers.diffusion.named.ddim import DDIM
from kutta.solvers.diffusion.named.deis import DEIS
from kutta.solvers.diffusion.named.dpm_solver import DPMSolver, DPMSolverPP, DPMSolverSinglestep
from kutta.solvers.diffusion.named.edm import AncestralEuler, EDMHeun
from kutta.solvers.diffusion.named.unipc import UniPC
from kutta.solvers.diffusion.plans.plan import Draft, Level, Move, Plan
from kutta.solvers.diffusion.plans.sampler import Sampler
from kutta.solvers.diffusion.solver_schedules.named import named_schedule
from kutta.solvers.diffusion.solver_schedules.search.search import search
from kutta.solvers.diffusion.solver_schedules.solver_schedule import SolverSchedule, SolverStep
from kutta.solvers.diffusion.solver_schedules.taylor import Estimate

__all__ = [
    "CFG",
    "DDIM",
    "DEIS",
    "EDM",
    "GHVB",
    "LTSP",
    "PLMS",
    "PNDM",
    "VE",
    "VP",
    "AdaptiveMultistep",
    "AggregatedMomentum",
    "AncestralEuler",
    "Automatic",
    "Beta",
    "CFGPlusPlus",
    "CorrectedRamp",
    "Cosine",
    "DPMSolver",
    "DPMSolverPP",
    "DPMSolverSinglestep",
    "Discrete",
    "Draft",
    "EDMHeun",
    "Estimate",
    "EulerAtFinal",
    "ExponentialGHVB",
    "ExponentialMultistep",
    "FinalOrders",
    "Flow",
    "GaussianMixture",
    "GradedStart",
    "Grid",
    "Guidance",
    "HeavyBall",
    "Inversion",
    "Level",
    "LowerOrderFinal",
    "Momentum",
    "MomentumRule",
    "Move",
    "Nesterov",
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
    "UniPC",
    "UniformLogSNR",
    "UniformTime",
    "Walk",
    "convert",
    "default_sampler",
    "invert",
    "median_grid",
    "named_schedule",
    "one_call",
    "probability_flow",
    "search",
    "two_calls",
]
