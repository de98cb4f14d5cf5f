"""Neural operators: networks that map fields to fields, and methods for `kutta.solve` when they are trained."""

from kutta.operators import metrics
from kutta.operators.fno import FNO
from kutta.operators.mgno import MgNO
from kutta.operators.operator import Operator

__all__ = ["FNO", "MgNO", "Operator", "metrics"]
