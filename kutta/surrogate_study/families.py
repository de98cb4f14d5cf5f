"""Families of problems that files may name, and the classical methods that networks are compared with."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import kutta as kt
from kutta.operators.comparison.coarsened import Coarsened
from kutta.operators.comparison.single_precision import SinglePrecision
from kutta.operators.data import families
from kutta.operators.data.family import Family
from kutta.operators.scope import parts_of

# Options of `kutta.solve` by which a method is as exact as it should be, by name.
Efforts = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Known:
    """A family of problems.

    Attributes:
        make: the family, of arguments that a file gives.
        dim: axes of its grid.
        classical: methods that solve it, by name.
        efforts: with which they are tried, for a problem.
    """

    make: Callable[..., Family]
    dim: int
    classical: Mapping[str, Any]
    efforts: Callable[[Any], Efforts]


def by_tolerance(problem: Any) -> Efforts:
    """Looser and tighter tolerances."""
    return {f"rtol {rtol:.1g}": {"rtol": rtol} for rtol in (0.3, 0.1, 1e-2, 1e-3, 1e-4)}


def by_steps(problem: Any) -> Efforts:
    """Few and many steps of one size, and steps that follow a tolerance."""
    start, end = map(float, problem.t_span)
    steps = {f"{count} steps": {"controller": kt.Fixed((end - start) / count)} for count in (4, 8, 16, 32, 64)}
    return steps | {"rtol 0.01": {"rtol": 1e-2, "atol": 1e-4}}


_MULTIGRID = {
    "multigrid": kt.Multigrid(),
    "V cycles": kt.Multigrid(full=False),
    "CG, multigrid": kt.CG(preconditioner=kt.Multigrid()),
}
_EXPONENTIAL = {"ETDRK4": kt.ETDRK4(), "ETDRK2": kt.ETDRK2()}

FAMILIES = {
    "darcy": Known(families.darcy, 2, _MULTIGRID, by_tolerance),
    "burgers": Known(families.burgers, 1, _EXPONENTIAL, by_steps),
    "navier_stokes": Known(families.navier_stokes, 2, _EXPONENTIAL, by_steps),
}

# Solvers on fewer points are tried as well, by these factors, down to so many points along an axis.
_FACTORS, _FEWEST = (1, 2, 4), 8


def ladder(known: Known, problem: Any) -> dict[str, Any]:
    """Classical methods from fast to exact, as `kutta.operators.compare` takes them, of those that solve some problems.

    A network is compared with the fastest of those that are no less exact, so there is one for each error; networks
    compute in single precision, so all are tried in it as well.

    Args:
        known: the family.
        problem: a batch of its problems.
    """
    rungs = {}
    for points, name, method in _coarse_to_fine(known, problem):
        for effort, options in known.efforts(problem).items():
            for precision, solver in {"float32": SinglePrecision(method), "float64": method}.items():
                if _solves(problem, solver, options):
                    rungs[f"{name} on {points}, {effort}, {precision}"] = (solver, options)
    return rungs


def _coarse_to_fine(known: Known, problem: Any) -> Iterator[tuple[str, str, Any]]:
    """Points, name and method, on the grid of a problem and on coarser ones."""
    for factor in _factors(parts_of(problem)[1].shape):
        points = " × ".join(str(count // factor) for count in problem.grid.shape)
        for name, method in known.classical.items():
            yield points, name, Coarsened(factor, method) if factor > 1 else method


def reference(known: Known, family: Family) -> str:
    """The method of a family's own solutions, by its name among classical ones."""
    name = next(name for name, method in known.classical.items() if method == family.method)
    return f"{name}, rtol {family.options['rtol']:g}"


def _factors(shape: Sequence[int]) -> list[int]:
    return [one for one in _FACTORS if one == 1 or all(n % one == 0 and n // one >= _FEWEST for n in shape)]


def _solves(problem: Any, method: Any, options: Mapping[str, Any]) -> bool:
    """Whether it does: steps may be too long to be stable."""
    with suppress(kt.SolveError, ValueError):
        kt.solve(problem, method, **options)
        return True
    return False
