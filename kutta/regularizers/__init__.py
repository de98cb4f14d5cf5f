"""Penalties on a solve, read from its accepted steps; their coefficients; and random final times."""

from kutta.regularizers.error_estimate import ErrorEstimate, ErrorEstimateSquared
from kutta.regularizers.integral import Integral
from kutta.regularizers.jacobian_norm import JacobianNorm
from kutta.regularizers.kinetic_energy import KineticEnergy
from kutta.regularizers.local import LocalErrorEstimate, LocalStiffnessEstimate
from kutta.regularizers.over_steps import OverSteps
from kutta.regularizers.regularizer import Regularizer
from kutta.regularizers.schedules import Constant, Exponential, Linear, TargetEvaluations, WarmUp
from kutta.regularizers.steady_state import SteadyState
from kutta.regularizers.steer import Steer
from kutta.regularizers.stiffness_estimate import StiffnessEstimate
from kutta.regularizers.taylor import Taylor

__all__ = [
    "Constant",
    "ErrorEstimate",
    "ErrorEstimateSquared",
    "Exponential",
    "Integral",
    "JacobianNorm",
    "KineticEnergy",
    "Linear",
    "LocalErrorEstimate",
    "LocalStiffnessEstimate",
    "OverSteps",
    "Regularizer",
    "SteadyState",
    "Steer",
    "StiffnessEstimate",
    "TargetEvaluations",
    "Taylor",
    "WarmUp",
]
