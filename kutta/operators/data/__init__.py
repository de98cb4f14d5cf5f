"""Data that operators learn from, made by the library's own solvers."""

from kutta.operators.data.diesel_engine import DieselEngine, driving
from kutta.operators.data.diffusion_reaction import DiffusionReaction, diffusion_reaction
from kutta.operators.data.forced import Forced, antiderivative, nonlinear_decay, pendulum
from kutta.operators.data.random_fields import SampledFunctions, random_functions

__all__ = [
    "DieselEngine",
    "DiffusionReaction",
    "Forced",
    "SampledFunctions",
    "antiderivative",
    "diffusion_reaction",
    "driving",
    "nonlinear_decay",
    "pendulum",
    "random_functions",
]
