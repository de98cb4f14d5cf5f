"""Data for neural operators: random fields and problems, solved by the library itself."""

from kutta.operators.data.families import burgers, darcy, navier_stokes
from kutta.operators.data.family import Family
from kutta.operators.data.fields import Data
from kutta.operators.data.gaussian_fields import GaussianField, two_phase
from kutta.operators.data.generate import generate

__all__ = ["Data", "Family", "GaussianField", "burgers", "darcy", "generate", "navier_stokes", "two_phase"]
