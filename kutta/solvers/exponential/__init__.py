"""Exponential integrators: the linear part of a right-hand side is solved exactly."""
