"""Linear operators, and what solves with them (`kutta.algebra`)."""

from kutta.solvers.algebra.operators.dense import Dense
from kutta.solvers.algebra.operators.diagonal import Diagonal
from kutta.solvers.algebra.operators.linear_operator import LinearOperator

__all__ = ["Dense", "Diagonal", "LinearOperator"]
