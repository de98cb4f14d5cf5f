"""Neural operators: networks that map fields to fields, and methods for `kutta.solve` when they are trained."""

from kutta.operators import data, metrics
from kutta.operators.fno import FNO
from kutta.operators.learning import evaluate, train
from kutta.operators.mgno import MgNO
from kutta.operators.normalisation import Normalisation
from kutta.operators.operator import Operator
from kutta.operators.saving import load, save
from kutta.operators.scope import Scope
from kutta.operators.surrogate.calibration import Calibration
from kutta.operators.surrogate.surrogate import Surrogate
from kutta.operators.trained_operator import TrainedOperator

__all__ = [
    "FNO",
    "Calibration",
    "MgNO",
    "Normalisation",
    "Operator",
    "Scope",
    "Surrogate",
    "TrainedOperator",
    "data",
    "evaluate",
    "load",
    "metrics",
    "save",
    "train",
]
