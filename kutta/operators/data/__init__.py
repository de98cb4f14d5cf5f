"""Data for neural operators: random fields and problems, solved by the library itself."""

from kutta.operators.data.decisions import DecisionProcess, decision_process, decision_processes
from kutta.operators.data.diesel_engine import DieselEngine, driving
from kutta.operators.data.diffusion_reaction import DiffusionReaction, diffusion_reaction
from kutta.operators.data.families import burgers, darcy, diffusion_sorption, navier_stokes
from kutta.operators.data.family import Family
from kutta.operators.data.fields import Data
from kutta.operators.data.forced import Forced, antiderivative, nonlinear_decay, pendulum
from kutta.operators.data.gaussian_fields import GaussianField, two_phase
from kutta.operators.data.generate import generate
from kutta.operators.data.on_disk import read, write
from kutta.operators.data.pores import PoreNetwork, pore_network, pore_networks
from kutta.operators.data.random_fields import SampledFunctions, random_functions

__all__ = [
    "Data",
    "DecisionProcess",
    "DieselEngine",
    "DiffusionReaction",
    "Family",
    "Forced",
    "GaussianField",
    "PoreNetwork",
    "SampledFunctions",
    "antiderivative",
    "burgers",
    "darcy",
    "decision_process",
    "decision_processes",
    "diffusion_reaction",
    "diffusion_sorption",
    "driving",
    "generate",
    "navier_stokes",
    "nonlinear_decay",
    "pendulum",
    "pore_network",
    "pore_networks",
    "random_functions",
    "read",
    "two_phase",
    "write",
]
