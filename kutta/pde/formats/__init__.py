"""Fields in files: NetCDF and Zarr, and the layouts of PDEBench and The Well."""

from kutta.pde.formats import pdebench, the_well
from kutta.pde.formats.axes import grid_of
from kutta.pde.formats.stored import read, write

__all__ = ["grid_of", "pdebench", "read", "the_well", "write"]
