"""Linear algebra: operators and methods for `kutta.LinearProblem`: ``kutta.algebra``."""

from kutta.solvers.algebra.automatic import default_method
from kutta.solvers.algebra.direct.cyclic_reduction import CyclicReduction
from kutta.solvers.algebra.direct.exact_inverse import ExactInverse
from kutta.solvers.algebra.direct.factorised import LU, Cholesky
from kutta.solvers.algebra.krylov.bicgstab import BiCGSTAB
from kutta.solvers.algebra.krylov.cg import CG
from kutta.solvers.algebra.krylov.gmres import GMRES
from kutta.solvers.algebra.krylov.minres import MINRES
from kutta.solvers.algebra.method import LinearMethod
from kutta.solvers.algebra.operators.banded import Banded
from kutta.solvers.algebra.operators.block_diagonal import BlockDiagonal
from kutta.solvers.algebra.operators.dense import Dense
from kutta.solvers.algebra.operators.diagonal import Diagonal
from kutta.solvers.algebra.operators.linear_operator import LinearOperator, Shifted, Sum, Transposed
from kutta.solvers.algebra.operators.matrix_free import MatrixFree
from kutta.solvers.algebra.operators.sparse import Sparse
from kutta.solvers.algebra.relaxation.sor import SOR

__all__ = [
    "CG",
    "GMRES",
    "LU",
    "MINRES",
    "SOR",
    "Banded",
    "BiCGSTAB",
    "BlockDiagonal",
    "Cholesky",
    "CyclicReduction",
    "Dense",
    "Diagonal",
    "ExactInverse",
    "LinearMethod",
    "LinearOperator",
    "MatrixFree",
    "Shifted",
    "Sparse",
    "Sum",
    "Transposed",
    "default_method",
]
