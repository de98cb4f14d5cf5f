"""Penalties on a solve, read from its accepted steps."""

from kutta.regularizers.regularizer import Regularizer

__all__ = ["Regularizer"]
