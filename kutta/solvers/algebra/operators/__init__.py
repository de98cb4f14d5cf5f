"""Linear operators on states."""

from kutta.solvers.algebra.operators.conversion import operator_for
from kutta.solvers.algebra.operators.dense import Dense
from kutta.solvers.algebra.operators.diagonal import Diagonal
from kutta.solvers.algebra.operators.operator import LinearOperator

__all__ = ["Dense", "Diagonal", "LinearOperator", "operator_for"]
