"""Neural operators: networks that map fields to fields, and methods for `kutta.solve` when they are trained."""

from kutta.operators import data
from kutta.operators.deeponet import DeepONet, FieldDeepONet, PODDeepONet, SequenceDeepONet
from kutta.operators.ensemble import Band, Ensemble
from kutta.operators.fno import FNO
from kutta.operators.mgno import MgNO
from kutta.operators.operator import Operator

__all__ = [
    "FNO",
    "Band",
    "DeepONet",
    "Ensemble",
    "FieldDeepONet",
    "MgNO",
    "Operator",
    "PODDeepONet",
    "SequenceDeepONet",
    "data",
]
