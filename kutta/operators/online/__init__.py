"""Training from solvers that are running."""
