"""Which solver each of torchdiffeq's method names stands for."""

from __future__ import annotations

from typing import Any

from kutta.compat.torchdiffeq.adams import AdamsBashforth, AdamsBashforthMoulton
from kutta.compat.torchdiffeq.adaptive import (
    AdaptiveHeunSolver,
    Bosh3Solver,
    Dopri5Solver,
    Dopri8Solver,
    Fehlberg2,
    Tsit5Solver,
)
from kutta.compat.torchdiffeq.fixed_grid import RK4, Euler, FixedGridODESolver, Heun2, Heun3, Midpoint
from kutta.compat.torchdiffeq.scipy_solver import ScipyWrapperODESolver


class ImplicitSolver(FixedGridODESolver):
    """A method that has to solve nonlinear systems, which this version cannot."""

    def __init__(self, *arguments: Any, **options: Any):
        name = next(name for name, solver in SOLVERS.items() if solver is type(self))
        raise NotImplementedError(
            f"method {name!r} needs an implicit solver, which comes with kutta's release for stiff problems; "
            "until then use an adaptive method such as 'dopri5' or 'tsit5', or method='scipy_solver' with "
            "options={'solver': 'Radau'}"
        )


def _implicit(name: str) -> type[ImplicitSolver]:
    return type(name, (ImplicitSolver,), {"__doc__": f"{name}, which waits for the release for stiff problems."})


SOLVERS: dict[str, Any] = {
    "dopri8": Dopri8Solver,
    "dopri5": Dopri5Solver,
    "tsit5": Tsit5Solver,
    "bosh3": Bosh3Solver,
    "fehlberg2": Fehlberg2,
    "adaptive_heun": AdaptiveHeunSolver,
    "euler": Euler,
    "midpoint": Midpoint,
    "heun2": Heun2,
    "heun3": Heun3,
    "rk4": RK4,
    "explicit_adams": AdamsBashforth,
    "implicit_adams": AdamsBashforthMoulton,
    "implicit_euler": _implicit("ImplicitEuler"),
    "implicit_midpoint": _implicit("ImplicitMidpoint"),
    "trapezoid": _implicit("Trapezoid"),
    "radauIIA3": _implicit("RadauIIA3"),
    "gl4": _implicit("GaussLegendre4"),
    "radauIIA5": _implicit("RadauIIA5"),
    "gl6": _implicit("GaussLegendre6"),
    "sdirk2": _implicit("SDIRK2"),
    "trbdf2": _implicit("TRBDF2"),
    "fixed_adams": AdamsBashforthMoulton,
    "scipy_solver": ScipyWrapperODESolver,
}
