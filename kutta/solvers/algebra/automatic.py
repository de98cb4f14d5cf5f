"""The method taken when none is named."""

from __future__ import annotations

from kutta.solvers.algebra.direct.cyclic_reduction import CyclicReduction, needs_pivots
from kutta.solvers.algebra.direct.exact_inverse import ExactInverse
from kutta.solvers.algebra.direct.factorised import LU, Cholesky
from kutta.solvers.algebra.krylov.cg import CG
from kutta.solvers.algebra.krylov.gmres import GMRES
from kutta.solvers.algebra.krylov.minres import MINRES
from kutta.solvers.algebra.method import LARGEST_WRITTEN_OUT, LinearMethod
from kutta.solvers.algebra.multigrid.multigrid import Multigrid
from kutta.solvers.algebra.operators.banded import Banded
from kutta.solvers.algebra.operators.dense import Dense
from kutta.solvers.algebra.operators.linear_operator import LinearOperator
from kutta.solvers.algebra.operators.network_operator import NetworkOperator


def default_method(operator: LinearOperator) -> LinearMethod:
    """A sound method for an operator.

    Dense matrices are factorised, by `Cholesky` if they say that they are definite and else by `LU`; banded ones
    reduced by `CyclicReduction`, or factorised by `LU` where that needs pivots and all together are no larger than a
    dense matrix of 4,096 unknowns; an inverse that an operator brings is used. `Multigrid` preconditions those on
    grids, in `CG` or, if they are not known to be definite, in `GMRES`. For all others there is `CG` if they say that
    they are definite, `MINRES` if they say that they are symmetric, and `GMRES`.
    """
    if isinstance(operator, Banded):
        return LU() if _is_written_out(operator) and needs_pivots(operator) else CyclicReduction()
    if isinstance(operator, Dense):
        return Cholesky() if operator.definite else LU()
    if operator.inverse() is not None:
        return ExactInverse()
    if isinstance(operator, NetworkOperator):
        return CG(Multigrid()) if operator.definite else GMRES(Multigrid())
    if operator.definite:
        return CG()
    return MINRES() if operator.symmetric else GMRES()


def _is_written_out(operator: Banded) -> bool:
    """Whether there is room for dense matrices, and elimination may need its rows exchanged."""
    entries = operator.batch.numel() * operator.diagonals.shape[-1] ** 2
    return not operator.definite and entries <= LARGEST_WRITTEN_OUT**2
