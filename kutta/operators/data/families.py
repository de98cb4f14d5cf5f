"""The families of problems that neural operators are compared on."""

from __future__ import annotations

from typing import Any

import torch

from kutta.operators.data.family import Family
from kutta.operators.data.gaussian_fields import GaussianField, two_phase
from kutta.pde.equations.burgers import Burgers
from kutta.pde.equations.darcy import Darcy
from kutta.pde.equations.navier_stokes_vorticity import NavierStokesVorticity
from kutta.pde.grids.boundary import Dirichlet, Neumann
from kutta.pde.grids.grid import Grid
from kutta.solvers.algebra.krylov.cg import CG
from kutta.solvers.algebra.multigrid.multigrid import Multigrid
from kutta.solvers.exponential.runge_kutta import ETDRK4

# The last digits of solutions are far below what networks learn.
TOLERANCE = 1e-8


def darcy(points: int = 64, low: float = 3.0, high: float = 12.0, field: GaussianField | None = None) -> Family:
    """``-div(a grad u) = 1`` on the unit square with ``u = 0`` at its sides and ``a`` of two materials.

    Args:
        points: cells along each axis.
        low: permeability where `field` is negative.
        high: where it is not.
        field: by default even waves with covariance ``(9 - laplace)^-2``, as in the benchmark of the FNO's paper.

    Source: Li et al., Fourier neural operator, ICLR 2021, arXiv 2010.08895.

    Example:
        >>> import kutta as kt
        >>> data = kt.operators.data.generate(kt.operators.data.darcy(points=16), 4, seed=0)
        >>> data.inputs.unique().tolist(), data.scope.channels, data.outputs.shape
        ([3.0, 12.0], ('coefficient',), torch.Size([4, 1, 16, 16]))
    """
    field = field or GaussianField(2.0, 3.0)
    grid = Grid((points, points), boundary=Dirichlet())
    of_materials = Grid((points, points), boundary=Neumann())

    def draw(count: int, generator: torch.Generator) -> Any:
        return Darcy(two_phase(field.draw(of_materials, count, generator), low, high)).problem(grid, 1.0)

    return Family(
        draw,
        ("coefficient",),
        CG(preconditioner=Multigrid()),
        {"rtol": TOLERANCE},
        name=f"darcy {points}, {low:g}/{high:g}",
    )


def burgers(
    points: int = 128,
    viscosity: float = 0.01,
    end: float = 1.0,
    times: int = 1,
    field: GaussianField | None = None,
) -> Family:
    """``u_t + u u_x = nu u_xx`` on the periodic unit interval, from a random state.

    Args:
        points: on the interval.
        viscosity: ``nu``.
        end: the final time.
        times: see `Family`.
        field: by default periodic waves with covariance ``312.5 (25 - laplace)^-2``: deviation 0.42.

    Source: Li et al., Fourier neural operator, ICLR 2021, arXiv 2010.08895.
    """
    field = field or GaussianField(2.0, 5.0, 25.0 / 2.0**0.5)
    grid = Grid((points,))

    def draw(count: int, generator: torch.Generator) -> Any:
        return Burgers(viscosity).problem(grid, field.draw(grid, count, generator), (0.0, end))

    options = {"rtol": 1e-6, "atol": 1e-8}
    return Family(draw, ("u0",), ETDRK4(), options, times, f"burgers {points}, viscosity {viscosity:g}, to {end:g}")


def navier_stokes(
    points: int = 64,
    viscosity: float = 1e-3,
    end: float = 10.0,
    times: int = 10,
    field: GaussianField | None = None,
) -> Family:
    """Vorticity on the periodic unit square, driven by ``curl f = 0.1 (sin 2 pi (x + y) + cos 2 pi (x + y))``.

    Args:
        points: along each axis.
        viscosity: ``nu``.
        end: the final time.
        times: see `Family`.
        field: of the initial vorticity; by default with covariance ``7^3 (49 - laplace)^-2.5``.

    Source: Li et al., Fourier neural operator, ICLR 2021, arXiv 2010.08895.
    """
    field = field or GaussianField(2.5, 7.0, 7.0**1.5)
    grid = Grid((points, points))

    def force(x: Any, t: Any) -> Any:
        phase = 2.0 * torch.pi * (x[0] + x[1])
        along_y = 0.1 / (2.0 * torch.pi) * (phase.sin() - phase.cos())  # whose slope along x is the curl
        return torch.stack([torch.zeros_like(along_y), along_y])

    def draw(count: int, generator: torch.Generator) -> Any:
        equation = NavierStokesVorticity(viscosity, forcing=force)
        return equation.problem(grid, field.draw(grid, count, generator), (0.0, end))

    options = {"rtol": 1e-5, "atol": 1e-7}
    return Family(draw, ("u0",), ETDRK4(), options, times, f"navier-stokes {points}, viscosity {viscosity:g}")
