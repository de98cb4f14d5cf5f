"""Partial differential equations on grids: ``kutta.pde``."""

from kutta.pde.boundary import Boundary, Dirichlet, Neumann, Periodic, Robin
from kutta.pde.differences import derivative, laplacian
from kutta.pde.grid import Grid
from kutta.pde.padding import pad
from kutta.pde.reduced.angles import angles
from kutta.pde.reduced.local_bases import LocalBases, Worth
from kutta.pde.reduced.medoids import Medoids, k_medoids
from kutta.pde.reduced.pod import POD

__all__ = [
    "POD",
    "Boundary",
    "Dirichlet",
    "Grid",
    "LocalBases",
    "Medoids",
    "Neumann",
    "Periodic",
    "Robin",
    "Worth",
    "angles",
    "derivative",
    "k_medoids",
    "laplacian",
    "pad",
]
