"""Partial differential equations on grids: ``kutta.pde``."""

from kutta.pde.boundary import Boundary, Dirichlet, Neumann, Periodic, Robin, Wall
from kutta.pde.differences import derivative, laplacian
from kutta.pde.equations.advection import Advection
from kutta.pde.equations.burgers import Burgers
from kutta.pde.equations.evolution import Evolution
from kutta.pde.equations.heat import Heat
from kutta.pde.equations.korteweg_de_vries import KortewegDeVries
from kutta.pde.equations.kuramoto_sivashinsky import KuramotoSivashinsky
from kutta.pde.equations.shallow_water import ShallowWater
from kutta.pde.equations.wave import Wave
from kutta.pde.grid import Grid
from kutta.pde.padding import pad
from kutta.pde.problem import PDEProblem
from kutta.pde.schemes.finite_difference import FiniteDifference
from kutta.pde.schemes.finite_volume import FiniteVolume
from kutta.pde.schemes.numerical_fluxes import LaxFriedrichs, NumericalFlux, Rusanov
from kutta.pde.schemes.pseudo_spectral import PseudoSpectral
from kutta.pde.schemes.reconstructions import MUSCL, WENO5, PiecewiseConstant, Reconstruction
from kutta.pde.schemes.scheme import Discretisation, Scheme
from kutta.pde.space import Space

__all__ = [
    "MUSCL",
    "WENO5",
    "Advection",
    "Boundary",
    "Burgers",
    "Dirichlet",
    "Discretisation",
    "Evolution",
    "FiniteDifference",
    "FiniteVolume",
    "Grid",
    "Heat",
    "KortewegDeVries",
    "KuramotoSivashinsky",
    "LaxFriedrichs",
    "Neumann",
    "NumericalFlux",
    "PDEProblem",
    "Periodic",
    "PiecewiseConstant",
    "PseudoSpectral",
    "Reconstruction",
    "Robin",
    "Rusanov",
    "Scheme",
    "ShallowWater",
    "Space",
    "Wall",
    "Wave",
    "derivative",
    "laplacian",
    "pad",
]
