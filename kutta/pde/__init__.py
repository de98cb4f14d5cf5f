"""Partial differential equations on grids: ``kutta.pde``."""

from kutta.pde.boundary import Boundary, Dirichlet, Neumann, Periodic, Robin
from kutta.pde.differences import derivative, laplacian
from kutta.pde.equations.allen_cahn import AllenCahn
from kutta.pde.equations.brusselator import Brusselator
from kutta.pde.equations.burgers import Burgers
from kutta.pde.equations.cahn_hilliard import CahnHilliard
from kutta.pde.equations.evolution import Evolution
from kutta.pde.equations.gray_scott import GrayScott
from kutta.pde.equations.heat import Heat
from kutta.pde.equations.korteweg_de_vries import KortewegDeVries
from kutta.pde.equations.kuramoto_sivashinsky import KuramotoSivashinsky
from kutta.pde.grid import Grid
from kutta.pde.padding import pad
from kutta.pde.problem import PDEProblem
from kutta.pde.schemes.finite_difference import FiniteDifference
from kutta.pde.schemes.pseudo_spectral import PseudoSpectral
from kutta.pde.schemes.scheme import Discretisation, Scheme
from kutta.pde.space import Space

__all__ = [
    "AllenCahn",
    "Boundary",
    "Brusselator",
    "Burgers",
    "CahnHilliard",
    "Dirichlet",
    "Discretisation",
    "Evolution",
    "FiniteDifference",
    "GrayScott",
    "Grid",
    "Heat",
    "KortewegDeVries",
    "KuramotoSivashinsky",
    "Neumann",
    "PDEProblem",
    "Periodic",
    "PseudoSpectral",
    "Robin",
    "Scheme",
    "Space",
    "derivative",
    "laplacian",
    "pad",
]
