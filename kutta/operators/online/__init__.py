"""Training from solvers that are running."""

from kutta.operators.online.on_ray import OnRay
from kutta.operators.online.online_batches import OnlineBatches
from kutta.operators.online.producers import InProcesses, InTurn
from kutta.operators.online.reservoir import Reservoir

__all__ = ["InProcesses", "InTurn", "OnRay", "OnlineBatches", "Reservoir"]
