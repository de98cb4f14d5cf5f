"""Models made of solves."""

from kutta.models.continuous_flow import ContinuousFlow, Density
from kutta.models.latent_ode import LatentODE, LatentPath
from kutta.models.neural_ode import NeuralODE
from kutta.models.recurrent_encoder import RecurrentEncoder

__all__ = ["ContinuousFlow", "Density", "LatentODE", "LatentPath", "NeuralODE", "RecurrentEncoder"]
