"""Partial differential equations on grids: ``kutta.pde``."""

from kutta.pde.boundary import Boundary, Dirichlet, Neumann, Periodic, Robin
from kutta.pde.differences import derivative, laplacian
from kutta.pde.elliptic import Elliptic
from kutta.pde.grid import Grid
from kutta.pde.padding import pad

__all__ = [
    "Boundary",
    "Dirichlet",
    "Elliptic",
    "Grid",
    "Neumann",
    "Periodic",
    "Robin",
    "derivative",
    "laplacian",
    "pad",
]
