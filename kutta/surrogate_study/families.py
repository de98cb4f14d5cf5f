"""Families of problems that files may name, and the classical methods that networks are compared with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import kutta as kt
from kutta.operators.comparison.coarsened import Coarsened
from kutta.operators.data import families
from kutta.operators.data.family import Family
from kutta.pde.grids.grid import Grid


@dataclass(frozen=True)
class Known:
    """A family of problems.

    Attributes:
        make: the family, of arguments that a file gives.
        dim: axes of its grid.
        classical: methods that solve it, by name.
        tolerances: they are tried with, from the loosest on.
    """

    make: Callable[..., Family]
    dim: int
    classical: dict[str, Any]
    tolerances: Sequence[dict[str, float]]


_LINEAR = [{"rtol": 10.0**-digits} for digits in (0.5, 1, 2, 3, 4, 6)]
_IN_TIME = [{"rtol": 10.0**-digits, "atol": 10.0 ** (-digits - 2)} for digits in (0, 1, 2, 3, 4, 5)]
_MULTIGRID = {
    "multigrid": kt.Multigrid(),
    "V cycles": kt.Multigrid(full=False),
    "CG, multigrid": kt.CG(preconditioner=kt.Multigrid()),
}
_EXPONENTIAL = {"ETDRK4": kt.ETDRK4(), "ETDRK2": kt.ETDRK2()}

FAMILIES = {
    "darcy": Known(families.darcy, 2, _MULTIGRID, _LINEAR),
    "burgers": Known(families.burgers, 1, _EXPONENTIAL, _IN_TIME),
    "navier_stokes": Known(families.navier_stokes, 2, _EXPONENTIAL, _IN_TIME),
}

# Solvers on fewer points are tried as well, by these factors, down to so many points along an axis.
_FACTORS, _FEWEST = (1, 2, 4), 8


def ladder(known: Known, grid: Grid) -> dict[str, Any]:
    """Classical methods from fast to exact, as `kutta.operators.compare` takes them.

    A network is compared with the fastest of those that are no less exact, so there is one for each error.
    """
    rungs: dict[str, Any] = {}
    for factor in _FACTORS:
        if any(count % factor or count // factor < _FEWEST for count in grid.shape) and factor > 1:
            continue
        points = " × ".join(str(count // factor) for count in grid.shape)
        for name, method in known.classical.items():
            solver = Coarsened(factor, method) if factor > 1 else method
            for options in known.tolerances:
                rungs[f"{name} on {points}, rtol {options['rtol']:.1g}"] = (solver, options)
    return rungs
