"""The files of PDEBench: fields of many samples, in one of four layouts.

    tensor      tensor (batch, time, x[, y[, z]]), x-coordinate, ..., t-coordinate
    channels    tensor (batch, time, x[, y[, z]], channel), and the same coordinates
    arrays      density, pressure, ...: an array for each unknown, and the same coordinates
    samples     0000/data (time, x[, y[, z]], channel), 0000/grid/x, ..., 0000/grid/t, then 0001/...

Fields without a time, such as the coefficient of Darcy's problem, are arrays (batch, x[, y[, z]]) in the first three.
Times of cells may have an entry more than the fields, where the last one ends; it is the attribute ``t_end`` here.

Source: M. Takamoto et al., PDEBench: An Extensive Benchmark for Scientific Machine Learning, NeurIPS 2022, data sets
and benchmarks; arXiv 2210.07182.
"""

from kutta.pde.formats.pdebench.files import count, read, trajectories, write

__all__ = ["count", "read", "trajectories", "write"]
