"""The families of problems that neural operators are compared on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from kutta.operators.data.family import Family
from kutta.operators.data.gaussian_fields import GaussianField, two_phase
from kutta.pde.equations.burgers import Burgers
from kutta.pde.equations.darcy import Darcy
from kutta.pde.equations.diffusion_sorption import DiffusionSorption
from kutta.pde.equations.navier_stokes_vorticity import NavierStokesVorticity
from kutta.pde.grids.boundary import Dirichlet, Neumann, Robin
from kutta.pde.grids.grid import Grid
from kutta.pde.problem import PDEProblem
from kutta.pde.steady import SteadyProblem
from kutta.solvers.algebra.krylov.cg import CG
from kutta.solvers.algebra.multigrid.multigrid import Multigrid
from kutta.solvers.exponential.runge_kutta import ETDRK4
from kutta.solvers.stabilised.rkc import RKC2

# The last digits of solutions are far below what networks learn.
TOLERANCE = 1e-8


@dataclass(frozen=True)
class _Darcy:
    """Draws coefficients of two materials."""

    points: int
    low: float
    high: float
    field: GaussianField

    def __call__(self, count: int, generator: torch.Generator) -> SteadyProblem:
        of_materials = Grid((self.points, self.points), boundary=Neumann())
        coefficient = two_phase(self.field.draw(of_materials, count, generator), self.low, self.high)
        return Darcy(coefficient).problem(Grid((self.points, self.points), boundary=Dirichlet()), 1.0)


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
    draw = _Darcy(points, low, high, field or GaussianField(2.0, 3.0))
    name = f"darcy {points}, {low:g}/{high:g}"
    return Family(draw, ("coefficient",), CG(preconditioner=Multigrid()), {"rtol": TOLERANCE}, name=name)


@dataclass(frozen=True)
class _Burgers:
    """Draws initial states."""

    points: int
    viscosity: float
    end: float
    field: GaussianField

    def __call__(self, count: int, generator: torch.Generator) -> PDEProblem:
        grid = Grid((self.points,))
        return Burgers(self.viscosity).problem(grid, self.field.draw(grid, count, generator), (0.0, self.end))


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
    draw = _Burgers(points, viscosity, end, field or GaussianField(2.0, 5.0, 25.0 / 2.0**0.5))
    options = {"rtol": 1e-6, "atol": 1e-8}
    return Family(draw, ("u0",), ETDRK4(), options, times, f"burgers {points}, viscosity {viscosity:g}, to {end:g}")


@dataclass(frozen=True)
class _NavierStokes:
    """Draws initial vorticities."""

    points: int
    viscosity: float
    end: float
    field: GaussianField

    def __call__(self, count: int, generator: torch.Generator) -> PDEProblem:
        grid = Grid((self.points, self.points))
        equation = NavierStokesVorticity(self.viscosity, forcing=_force)
        return equation.problem(grid, self.field.draw(grid, count, generator), (0.0, self.end))


def _force(x: Tensor, t: Any) -> Tensor:
    """Along y, with the curl ``0.1 (sin 2 pi (x + y) + cos 2 pi (x + y))``."""
    phase = 2.0 * torch.pi * (x[0] + x[1])
    along_y = 0.1 / (2.0 * torch.pi) * (phase.sin() - phase.cos())
    return torch.stack([torch.zeros_like(along_y), along_y])


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
    draw = _NavierStokes(points, viscosity, end, field or GaussianField(2.5, 7.0, 7.0**1.5))
    options = {"rtol": 1e-5, "atol": 1e-7}
    return Family(draw, ("u0",), ETDRK4(), options, times, f"navier-stokes {points}, viscosity {viscosity:g}")


# Diffusivity, partition and exponent of the varied family: in these ranges, uniformly.
_SORPTION = {"diffusivity": (3.5e-4, 7e-4), "partition": (2.8e-4, 4.2e-4), "exponent": (0.85, 0.9)}
_HIGHEST_START, _LEVELS, _CUTOFF = 0.2, 0.5, 0.01


@dataclass(frozen=True)
class _Sorption:
    """Draws initial concentrations that are the same everywhere."""

    points: int
    end: float

    def __call__(self, count: int, generator: torch.Generator) -> PDEProblem:
        level = _HIGHEST_START * torch.rand(count, 1, generator=generator, dtype=torch.float64)
        return DiffusionSorption(cutoff=_CUTOFF).problem(self.grid, level.expand(-1, self.points), (0.0, self.end))

    @property
    def grid(self) -> Grid:
        """That of PDEBench."""
        return Grid((self.points,), boundary=(Dirichlet(1.0), Robin(1.0, 5e-4)))


@dataclass(frozen=True)
class _VariedSorption(_Sorption):
    """Draws initial concentrations that vary in space, and coefficients."""

    def __call__(self, count: int, generator: torch.Generator) -> PDEProblem:
        coefficients = {
            name: low + (high - low) * torch.rand(count, 1, generator=generator, dtype=torch.float64)
            for name, (low, high) in _SORPTION.items()
        }
        level = _HIGHEST_START * torch.rand(count, 1, generator=generator, dtype=torch.float64)
        field = GaussianField(2.0, 8.0, 50.0).draw(Grid((self.points,), boundary=Neumann()), count, generator)
        u0 = level * (1.0 + _LEVELS * torch.tanh(field))
        return DiffusionSorption(cutoff=_CUTOFF, **coefficients).problem(self.grid, u0, (0.0, self.end))


def diffusion_sorption(points: int = 128, end: float = 500.0, varied: bool = True, times: int = 1) -> Family:
    """A dissolved substance that enters ground which holds it back; see `kutta.pde.DiffusionSorption`.

    Initial concentrations are up to 0.2. In PDEBench they are the same everywhere, so that all problems are one with a
    single parameter, and interpolation between a few solutions is better than any network. Here by default they vary in
    space by half of themselves at most, and coefficients vary, too: the diffusivity from 3.5e-4 to 7e-4, the partition
    from 2.8e-4 to 4.2e-4, the exponent from 0.85 to 0.9. The cutoff of the isotherm is 0.01: with that of PDEBench,
    1e-6, the retardation is as good as discontinuous where the substance runs out.

    Args:
        points: cells.
        end: the final time.
        varied: as above, or as in PDEBench but for the cutoff.
        times: see `Family`.

    Source: Takamoto et al., PDEBench: An extensive benchmark for scientific machine learning, 2022.

    Example:
        >>> import torch, kutta as kt
        >>> problem = kt.operators.data.diffusion_sorption(32).draw(5, torch.Generator().manual_seed(0))
        >>> problem.u0.shape, problem.equation.diffusivity.shape
        (torch.Size([5, 32]), torch.Size([5, 1]))
    """
    inputs = ("u0", *_SORPTION) if varied else ("u0",)
    draw = (_VariedSorption if varied else _Sorption)(points, end)
    name = f"diffusion and sorption {points}{', varied' * varied}"
    return Family(draw, inputs, RKC2(), {"rtol": 1e-6, "atol": 1e-8}, times, name)
