"""Linear algebra: operators and methods for `kutta.LinearProblem`: ``kutta.algebra``."""

from kutta.solvers.algebra.automatic import default_method
from kutta.solvers.algebra.direct.cyclic_reduction import CyclicReduction
from kutta.solvers.algebra.direct.exact_inverse import ExactInverse
from kutta.solvers.algebra.direct.factorised import LU, Cholesky
from kutta.solvers.algebra.krylov.bicgstab import BiCGSTAB
from kutta.solvers.algebra.krylov.cg import CG
from kutta.solvers.algebra.krylov.gmres import GMRES
from kutta.solvers.algebra.krylov.minres import MINRES
from kutta.solvers.algebra.method import Goal, LinearMethod
from kutta.solvers.algebra.multigrid.multigrid import Multigrid
from kutta.solvers.algebra.multigrid.smoothers.chebyshev import Chebyshev
from kutta.solvers.algebra.multigrid.smoothers.damped_jacobi import DampedJacobi
from kutta.solvers.algebra.multigrid.smoothers.lines import Lines
from kutta.solvers.algebra.multigrid.smoothers.red_black import RedBlack
from kutta.solvers.algebra.multigrid.smoothers.smoother import Smoother
from kutta.solvers.algebra.nonlinear.bands import Bands
from kutta.solvers.algebra.nonlinear.block_chain import BlockChain
from kutta.solvers.algebra.operators.banded import Banded
from kutta.solvers.algebra.operators.block_diagonal import BlockDiagonal
from kutta.solvers.algebra.operators.dense import Dense
from kutta.solvers.algebra.operators.diagonal import Diagonal
from kutta.solvers.algebra.operators.linear_operator import LinearOperator, Shifted, Sum, Transposed
from kutta.solvers.algebra.operators.matrix_free import MatrixFree
from kutta.solvers.algebra.operators.sparse import Sparse
from kutta.solvers.algebra.relaxation.sketch import Sketch
from kutta.solvers.algebra.relaxation.sor import SOR
from kutta.solvers.algebra.tuning.binned import Binned
from kutta.solvers.algebra.tuning.chebyshev_bandit import ChebyshevBandit
from kutta.solvers.algebra.tuning.strategy import Play, Strategy
from kutta.solvers.algebra.tuning.tsallis_inf import TsallisINF
from kutta.solvers.algebra.tuning.tuner import Tuner

__all__ = [
    "CG",
    "GMRES",
    "LU",
    "MINRES",
    "SOR",
    "Banded",
    "Bands",
    "BiCGSTAB",
    "Binned",
    "BlockChain",
    "BlockDiagonal",
    "Chebyshev",
    "ChebyshevBandit",
    "Cholesky",
    "CyclicReduction",
    "DampedJacobi",
    "Dense",
    "Diagonal",
    "ExactInverse",
    "Goal",
    "LinearMethod",
    "LinearOperator",
    "Lines",
    "MatrixFree",
    "Multigrid",
    "Play",
    "RedBlack",
    "Shifted",
    "Sketch",
    "Smoother",
    "Sparse",
    "Strategy",
    "Sum",
    "Transposed",
    "TsallisINF",
    "Tuner",
    "default_method",
]
