"""Models made of solves."""

from kutta.models.neural_ode import NeuralODE

__all__ = ["NeuralODE"]
