"""kutta: differential equations inside machine learning.

A problem says what to solve, a method says how, an engine says where the loop runs, and
``kutta.solve(problem, method)`` returns a solution.
"""

from kutta import regularizers
from kutta.integrator import Integrator
from kutta.problems import EnsembleProblem, ODEProblem
from kutta.regularizers.regularizer import Regularizer
from kutta.solution import EventRecord, Result, Results, Solution, SolveError, Stats
from kutta.solve import Eager, solve
from kutta.solvers import tableaus
from kutta.solvers.adjoints import Backsolve, Direct, Gauss, Interpolating, Recompute
from kutta.solvers.controllers import PI, PID, Fixed, I, StepTo, max_norm, rms_norm
from kutta.solvers.events import Event
from kutta.solvers.method import Method, Step
from kutta.solvers.multistep import AdamsBashforth, AdamsBashforthMoulton
from kutta.solvers.runge_kutta import (
    RK4,
    RK38,
    SSPRK33,
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
from kutta.solvers.symplectic import KahanLi6, Ruth3, SemiImplicitEuler, SymplecticSplitting, VelocityVerlet, Yoshida4
