"""The files of The Well: groups of scalar, vector and tensor fields of many trajectories on one uniform grid.

    @n_spatial_dims, @n_trajectories, @dataset_name, @grid_type, @simulation_parameters and those it names
    dimensions/             @spatial_dims, time (T), x (N), ...
    boundary_conditions/    for each: @associated_dims, @bc_type, mask (N), values at the points of the mask
    scalars/                @field_names, numbers that depend on the trajectory, the time, both or none
    t0_fields/ ...          @field_names, scalar fields (trajectory, time, x, ...), each axis where the field varies
    t1_fields/, t2_fields/  the same of vectors and tensors, with axes of components at the end

A boundary is ``periodic``, a ``wall`` or ``open``, and no more is said of it. Here a wall is `Dirichlet`, with the
values of the file if it holds any, and an open one `Neumann`; going back, `Robin` and `Wall` are walls. What kutta
writes also carries its own words for each side, so that nothing is lost.

Source: R. Ohana et al., The Well: a Large-Scale Collection of Diverse Physics Simulations for Machine Learning, NeurIPS
2024, data sets and benchmarks, arXiv 2412.00568; the data format in the documentation of its package the_well.
"""

from kutta.pde.formats.the_well.reading import count, read, trajectories
from kutta.pde.formats.the_well.writing import write

__all__ = ["count", "read", "trajectories", "write"]
