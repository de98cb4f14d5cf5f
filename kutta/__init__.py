"""kutta: differential equations inside machine learning.

A problem says what to solve, a method says how, an engine says where the loop runs, and
``kutta.solve(problem, method)`` returns a solution.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from kutta import models, pde, regularizers
from kutta.history import History
from kutta.integrator import Integrator
from kutta.problems import (
    ConstrainedProblem,
    DiffusionProblem,
    EnsembleProblem,
    FixedPointProblem,
    LeastSquaresProblem,
    LinearProblem,
    ODEProblem,
    RootProblem,
    SplitODEProblem,
)
from kutta.regularizers.regularizer import Regularizer
from kutta.solution import (
    EventRecord,
    LinearSolveError,
    NonlinearSolveError,
    Result,
    Results,
    Solution,
    SolveError,
    Stats,
    SystemSolveError,
)
from kutta.solve import Eager, solve
from kutta.solvers import algebra, diffusion, tableaus
from kutta.solvers.adjoints import Backsolve, Direct, Gauss, Interpolating, Recompute
from kutta.solvers.algebra.direct.cyclic_reduction import CyclicReduction
from kutta.solvers.algebra.direct.factorised import LU, Cholesky
from kutta.solvers.algebra.krylov.bicgstab import BiCGSTAB
from kutta.solvers.algebra.krylov.cg import CG
from kutta.solvers.algebra.krylov.gmres import GMRES
from kutta.solvers.algebra.krylov.minres import MINRES
from kutta.solvers.algebra.multigrid.multigrid import Multigrid
from kutta.solvers.algebra.nonlinear.constrained.exact_augmented_lagrangian import ExactAugmentedLagrangian
from kutta.solvers.algebra.nonlinear.decorators import implicit_fixed_point, implicit_root
from kutta.solvers.algebra.nonlinear.derivatives import Implicit
from kutta.solvers.algebra.nonlinear.fixed_points.anderson import Anderson
from kutta.solvers.algebra.nonlinear.fixed_points.picard import Picard
from kutta.solvers.algebra.nonlinear.least_squares.dogleg import Dogleg
from kutta.solvers.algebra.nonlinear.least_squares.gauss_newton import GaussNewton
from kutta.solvers.algebra.nonlinear.least_squares.levenberg_marquardt import LevenbergMarquardt
from kutta.solvers.algebra.nonlinear.roots.broyden import Broyden
from kutta.solvers.algebra.nonlinear.roots.newton import Newton
from kutta.solvers.algebra.nonlinear.roots.newton_krylov import NewtonKrylov
from kutta.solvers.algebra.relaxation.sketch import Sketch
from kutta.solvers.algebra.relaxation.sor import SOR
from kutta.solvers.controllers import CFL, PI, PID, Fixed, I, StepTo, max_norm, rms_norm
from kutta.solvers.diffusion.adaptive.adaptive_multistep import AdaptiveMultistep
from kutta.solvers.diffusion.exponential.multistep import ExponentialMultistep
from kutta.solvers.diffusion.momentum.ghvb import GHVB
from kutta.solvers.diffusion.momentum.heavy_ball import HeavyBall
from kutta.solvers.diffusion.named.adams import PLMS, PNDM
from kutta.solvers.diffusion.named.ddim import DDIM
from kutta.solvers.diffusion.named.deis import DEIS
from kutta.solvers.diffusion.named.dpm_solver import DPMSolver, DPMSolverPP
from kutta.solvers.diffusion.named.edm import AncestralEuler, EDMHeun
from kutta.solvers.diffusion.named.unipc import UniPC
from kutta.solvers.diffusion.solver_schedules.solver_schedule import SolverSchedule
from kutta.solvers.engines.compiled import Compiled
from kutta.solvers.engines.kernel.engine import Kernel
from kutta.solvers.events import Event
from kutta.solvers.exponential.krylov import Krylov
from kutta.solvers.exponential.runge_kutta import (
    ETD1,
    ETDRK2,
    ETDRK3,
    ETDRK4,
    ExponentialRungeKutta,
    Krogstad4,
    Lawson4,
)
from kutta.solvers.imex import ARS222, ARS443, ImexRungeKutta
from kutta.solvers.low_storage import CarpenterKennedy54, LowStorageRungeKutta, Williamson3
from kutta.solvers.method import Method, Step
from kutta.solvers.multistep import AdamsBashforth, AdamsBashforthMoulton
from kutta.solvers.rosenbrock import Rodas5P, Rosenbrock, Rosenbrock23
from kutta.solvers.runge_kutta import (
    RK4,
    RK38,
    SSPRK22,
    SSPRK33,
    SSPRK104,
    Bosh3,
    Dopri5,
    Dopri8,
    Euler,
    Fehlberg2,
    Heun,
    Midpoint,
    Ralston,
    RungeKutta,
    Tsit5,
    Vern6,
    Vern7,
    Vern8,
    Vern9,
)
from kutta.solvers.stabilised.rkc import RKC2
from kutta.solvers.stabilised.rock import ROCK4
from kutta.solvers.symplectic import KahanLi6, Ruth3, SemiImplicitEuler, SymplecticSplitting, VelocityVerlet, Yoshida4

if TYPE_CHECKING:
    from kutta import operators

__all__ = [
    "ARS222",
    "ARS443",
    "CFL",
    "CG",
    "DDIM",
    "DEIS",
    "ETD1",
    "ETDRK2",
    "ETDRK3",
    "ETDRK4",
    "GHVB",
    "GMRES",
    "LU",
    "MINRES",
    "PI",
    "PID",
    "PLMS",
    "PNDM",
    "RK4",
    "RK38",
    "RKC2",
    "ROCK4",
    "SOR",
    "SSPRK22",
    "SSPRK33",
    "SSPRK104",
    "AdamsBashforth",
    "AdamsBashforthMoulton",
    "AdaptiveMultistep",
    "AncestralEuler",
    "Anderson",
    "Backsolve",
    "BiCGSTAB",
    "Bosh3",
    "Broyden",
    "CarpenterKennedy54",
    "Cholesky",
    "Compiled",
    "ConstrainedProblem",
    "CyclicReduction",
    "DPMSolver",
    "DPMSolverPP",
    "DiffusionProblem",
    "Direct",
    "Dogleg",
    "Dopri5",
    "Dopri8",
    "EDMHeun",
    "Eager",
    "EnsembleProblem",
    "Euler",
    "Event",
    "EventRecord",
    "ExactAugmentedLagrangian",
    "ExponentialMultistep",
    "ExponentialRungeKutta",
    "Fehlberg2",
    "Fixed",
    "FixedPointProblem",
    "Gauss",
    "GaussNewton",
    "HeavyBall",
    "Heun",
    "History",
    "I",
    "ImexRungeKutta",
    "Implicit",
    "Integrator",
    "Interpolating",
    "KahanLi6",
    "Kernel",
    "Krogstad4",
    "Krylov",
    "Lawson4",
    "LeastSquaresProblem",
    "LevenbergMarquardt",
    "LinearProblem",
    "LinearSolveError",
    "LowStorageRungeKutta",
    "Method",
    "Midpoint",
    "Multigrid",
    "Newton",
    "NewtonKrylov",
    "NonlinearSolveError",
    "ODEProblem",
    "Picard",
    "Ralston",
    "Recompute",
    "Regularizer",
    "Result",
    "Results",
    "Rodas5P",
    "RootProblem",
    "Rosenbrock",
    "Rosenbrock23",
    "RungeKutta",
    "Ruth3",
    "SemiImplicitEuler",
    "Sketch",
    "Solution",
    "SolveError",
    "SolverSchedule",
    "SplitODEProblem",
    "Stats",
    "Step",
    "StepTo",
    "SymplecticSplitting",
    "SystemSolveError",
    "Tsit5",
    "UniPC",
    "VelocityVerlet",
    "Vern6",
    "Vern7",
    "Vern8",
    "Vern9",
    "Williamson3",
    "Yoshida4",
    "algebra",
    "diffusion",
    "implicit_fixed_point",
    "implicit_root",
    "max_norm",
    "models",
    "operators",
    "pde",
    "regularizers",
    "rms_norm",
    "solve",
    "tableaus",
]

# What is imported when it is first asked for: networks that most who solve equations have no use for, and a trainer
# that takes seconds.
_LAZY = ("operators", "training")

# Names of the design that this version does not have yet, and what they belong to.
_PLANNED = {
    "the engines to come": "Jax Ray",
    "stochastic and controlled differential equations": "SDEProblem CDEProblem SRA1 ReversibleHeun",
    "further stiff methods": "Kvaerno5",
    "root and least-squares problems": (
        "RootProblem FixedPointProblem LeastSquaresProblem "
        "Newton Broyden NewtonKrylov Picard Anderson GaussNewton LevenbergMarquardt Dogleg"
    ),
    "the reversible adjoint": "Reversible",
}


def __getattr__(name: str) -> object:
    if name in _LAZY:
        return import_module(f"kutta.{name}")
    for what, planned in _PLANNED.items():
        if name in planned.split():
            raise AttributeError(
                f"kutta.{name} is not part of this version, which solves ordinary and partial differential "
                f"equations and linear systems, and samples from diffusion models; it comes with {what}"
            )
    raise AttributeError(f"module 'kutta' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})
