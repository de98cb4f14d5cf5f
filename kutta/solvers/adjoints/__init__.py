"""How gradients pass through a solve."""

from kutta.solvers.adjoints.adjoint import Adjoint
from kutta.solvers.adjoints.continuous import Backsolve, ContinuousAdjoint, Gauss, Interpolating
from kutta.solvers.adjoints.direct import Direct
from kutta.solvers.adjoints.recompute import Recompute

__all__ = ["Adjoint", "Backsolve", "ContinuousAdjoint", "Direct", "Gauss", "Interpolating", "Recompute"]
