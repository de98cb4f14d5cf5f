"""Partial differential equations on grids: ``kutta.pde``."""

from kutta.pde import formats
from kutta.pde.boundary import Boundary, Dirichlet, Neumann, Periodic, Robin
from kutta.pde.differences import derivative, laplacian
from kutta.pde.equations.burgers import Burgers
from kutta.pde.equations.evolution import Evolution
from kutta.pde.equations.heat import Heat
from kutta.pde.equations.korteweg_de_vries import KortewegDeVries
from kutta.pde.equations.kuramoto_sivashinsky import KuramotoSivashinsky
from kutta.pde.grid import Grid
from kutta.pde.padding import pad
from kutta.pde.problem import PDEProblem
from kutta.pde.reduced.angles import angles
from kutta.pde.reduced.local_bases import LocalBases, Worth
from kutta.pde.reduced.medoids import Medoids, k_medoids
from kutta.pde.reduced.pod import POD
from kutta.pde.schemes.finite_difference import FiniteDifference
from kutta.pde.schemes.pseudo_spectral import PseudoSpectral
from kutta.pde.schemes.scheme import Discretisation, Scheme
from kutta.pde.space import Space
from kutta.pde.strings.equation import Equation

__all__ = [
    "POD",
    "Boundary",
    "Burgers",
    "Dirichlet",
    "Discretisation",
    "Equation",
    "Evolution",
    "FiniteDifference",
    "Grid",
    "Heat",
    "KortewegDeVries",
    "KuramotoSivashinsky",
    "LocalBases",
    "Medoids",
    "Neumann",
    "PDEProblem",
    "Periodic",
    "PseudoSpectral",
    "Robin",
    "Scheme",
    "Space",
    "Worth",
    "angles",
    "derivative",
    "formats",
    "k_medoids",
    "laplacian",
    "pad",
]
