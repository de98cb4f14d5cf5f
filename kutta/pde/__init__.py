"""Partial differential equations on grids: ``kutta.pde``."""

from kutta.pde import formats
from kutta.pde.elliptic.operator import Elliptic
from kutta.pde.equations.advection import Advection
from kutta.pde.equations.allen_cahn import AllenCahn
from kutta.pde.equations.brusselator import Brusselator
from kutta.pde.equations.burgers import Burgers
from kutta.pde.equations.cahn_hilliard import CahnHilliard
from kutta.pde.equations.darcy import Darcy
from kutta.pde.equations.diffusion_sorption import DiffusionSorption
from kutta.pde.equations.evolution import Evolution
from kutta.pde.equations.gray_scott import GrayScott
from kutta.pde.equations.heat import Heat
from kutta.pde.equations.helmholtz import Helmholtz
from kutta.pde.equations.korteweg_de_vries import KortewegDeVries
from kutta.pde.equations.kuramoto_sivashinsky import KuramotoSivashinsky
from kutta.pde.equations.navier_stokes import NavierStokes, NavierStokes3D
from kutta.pde.equations.navier_stokes_vorticity import NavierStokesVorticity
from kutta.pde.equations.poisson import Poisson
from kutta.pde.equations.shallow_water import ShallowWater
from kutta.pde.equations.wave import Wave
from kutta.pde.grids.boundary import Boundary, Dirichlet, Neumann, Periodic, Robin, Wall
from kutta.pde.grids.grid import Grid
from kutta.pde.grids.padding import pad
from kutta.pde.grids.space import Space
from kutta.pde.problem import PDEProblem
from kutta.pde.reduced.angles import angles
from kutta.pde.reduced.local_bases import LocalBases, Worth
from kutta.pde.reduced.medoids import Medoids, k_medoids
from kutta.pde.reduced.pod import POD
from kutta.pde.schemes.differences import derivative, laplacian
from kutta.pde.schemes.finite_difference import FiniteDifference
from kutta.pde.schemes.finite_volume import FiniteVolume
from kutta.pde.schemes.numerical_fluxes import LaxFriedrichs, NumericalFlux, Rusanov
from kutta.pde.schemes.pseudo_spectral import PseudoSpectral
from kutta.pde.schemes.reconstructions import MUSCL, WENO5, PiecewiseConstant, Reconstruction
from kutta.pde.schemes.scheme import Discretisation, Scheme
from kutta.pde.schemes.staggered import Staggered
from kutta.pde.steady import Steady, SteadyProblem
from kutta.pde.strings.equation import Equation

__all__ = [
    "MUSCL",
    "POD",
    "WENO5",
    "Advection",
    "AllenCahn",
    "Boundary",
    "Brusselator",
    "Burgers",
    "CahnHilliard",
    "Darcy",
    "DiffusionSorption",
    "Dirichlet",
    "Discretisation",
    "Elliptic",
    "Equation",
    "Evolution",
    "FiniteDifference",
    "FiniteVolume",
    "GrayScott",
    "Grid",
    "Heat",
    "Helmholtz",
    "KortewegDeVries",
    "KuramotoSivashinsky",
    "LaxFriedrichs",
    "LocalBases",
    "Medoids",
    "NavierStokes",
    "NavierStokes3D",
    "NavierStokesVorticity",
    "Neumann",
    "NumericalFlux",
    "PDEProblem",
    "Periodic",
    "PiecewiseConstant",
    "Poisson",
    "PseudoSpectral",
    "Reconstruction",
    "Robin",
    "Rusanov",
    "Scheme",
    "ShallowWater",
    "Space",
    "Staggered",
    "Steady",
    "SteadyProblem",
    "Wall",
    "Wave",
    "Worth",
    "angles",
    "derivative",
    "formats",
    "k_medoids",
    "laplacian",
    "pad",
]
