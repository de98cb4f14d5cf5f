"""PDEBench."""
