"""Decisions one after the other, and what states are worth if all of them are the best."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from kutta.operators.graphs.graph import Graph
from kutta.problems import FixedPointProblem
from kutta.solve import solve
from kutta.solvers.algebra.nonlinear.fixed_points.picard import Picard


@dataclass(frozen=True, eq=False)
class DecisionProcess:
    """A process in which each action leads from a state to another one, for a reward.

    The value of a state is ``V(s) = max_a (r(s, a) + discount V(s'(s, a)))``, a fixed point that iterations come to by
    the factor of the discount.

    Attributes:
        successors: ``s'``, the state that an action leads to, ``(states, actions)``.
        rewards: ``r``, likewise.
        discount: of what comes later, between 0 and 1.

    Example:
        >>> import torch, kutta as kt
        >>> stay = torch.tensor([[0, 1], [1, 1]])
        >>> rewards = torch.tensor([[1.0, 0.0], [2.0, 0.0]], dtype=torch.float64)
        >>> kt.operators.data.DecisionProcess(stay, rewards, 0.5).values()
        tensor([2.0000, 4.0000], dtype=torch.float64)
    """

    successors: Tensor
    rewards: Tensor
    discount: float = 0.9

    def values(self) -> Tensor:
        """``V``, ``(states,)``, by `kutta.solve`."""
        return worth(self.graph(self.rewards.dtype), self.discount)

    def graph(self, dtype: torch.dtype = torch.float32) -> Graph:
        """An edge for each action, from where it leads to where it is taken, with the reward. Nodes have a 1 each."""
        states, actions = self.rewards.shape
        taken = torch.arange(states).repeat_interleave(actions)
        ones, rewards = torch.ones(states, 1, dtype=dtype), self.rewards.reshape(-1, 1).to(dtype)
        return Graph(torch.stack([self.successors.flatten(), taken]), ones, rewards)


def worth(graph: Graph, discount: float) -> Tensor:
    """The values of all states, ``(N,)``, of a process as a graph, or of a union of such.

    Each state must have an action, and the one edge feature must be the reward.
    """
    sources, targets = graph.edges
    rewards = graph.edge_features[:, 0]

    def best(values: Tensor) -> Tensor:
        return torch.zeros_like(values).scatter_reduce(
            0, targets, rewards + discount * values[sources], "amax", include_self=False
        )

    problem = FixedPointProblem(best, torch.zeros_like(graph.node_features[:, 0]))
    return solve(problem, Picard(), rtol=1e-10, atol=1e-10, max_steps=100_000).y1


def decision_process(
    states: int, actions: int, generator: torch.Generator | None = None, discount: float = 0.9
) -> DecisionProcess:
    """One whose actions lead anywhere, all states equally likely, with rewards between 0 and 1.

    Args:
        states: how many.
        actions: in each state.
        generator: where the numbers come from; by default PyTorch's global one.
        discount: between 0 and 1.

    Raises:
        ValueError: for other numbers.
    """
    if states < 1 or actions < 1 or not 0.0 < discount < 1.0:
        raise ValueError(
            "states and actions must be at least 1, and discount between 0 and 1; "
            f"got {states!r}, {actions!r} and {discount!r}"
        )
    successors = torch.randint(states, (states, actions), generator=generator)
    rewards = torch.rand(states, actions, dtype=torch.float64, generator=generator)
    return DecisionProcess(successors, rewards, discount)


def decision_processes(
    count: int,
    generator: torch.Generator | None = None,
    states: tuple[int, int] = (20, 50),
    actions: tuple[int, int] = (5, 10),
    discount: float = 0.9,
) -> tuple[Graph, Tensor]:
    """Random processes as a union of graphs in float32, and the values of all states, ``(N, 1)``.

    Args:
        count: of processes.
        generator: where the numbers come from; by default PyTorch's global one.
        states: the least and the largest number of states.
        actions: likewise.
        discount: between 0 and 1.
    """
    sizes = (torch.randint(low, high + 1, (count,), generator=generator) for low, high in (states, actions))
    drawn = [decision_process(int(n), int(k), generator, discount) for n, k in zip(*sizes, strict=True)]
    union = Graph.union([one.graph(torch.float64) for one in drawn])
    return union.to(torch.float32), worth(union, discount).float()[:, None]
