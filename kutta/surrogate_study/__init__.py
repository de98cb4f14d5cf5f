"""What `kutta train` does: operators trained on data of the library's solvers, and compared with these."""
