"""Guesses which solver schedules are good: a small recurrent network over their steps.

Only the order of the guesses matters. So it is trained on pairs: the loss of a pair is ``log(1 + exp(g_i - g_j))``
where schedule ``i`` has the smaller error, `g` being the guesses.

Source: Burges et al., Learning to rank using gradient descent, 2005, for the loss; Liu et al., A unified sampling
framework for solver searching of diffusion probabilistic models, 2024, for its use.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from kutta.solvers.diffusion.solver_schedules.search.teacher import Axis
from kutta.solvers.diffusion.solver_schedules.solver_schedule import CORRECTORS, SolverSchedule
from kutta.solvers.diffusion.solver_schedules.taylor import SCALINGS, Estimate

DERIVATIVES = 4  # of a step, and of its corrector, that the network sees
WIDTH = 48
ROUNDS = 150
PAIRS = 512  # of a round
_PER_DERIVATIVE = 3 + len(SCALINGS)
FEATURES = 6 + len(CORRECTORS) + 2 * DERIVATIVES * _PER_DERIVATIVE


class Ranker:
    """A regressor trained on schedules with known errors.

    Args:
        axis: of their times.
        found: the schedules.
        errors: theirs, finite.
        seed: of the first weights and the pairs.
    """

    def __init__(self, axis: Axis, found: Sequence[SolverSchedule], errors: Sequence[float], seed: int):
        self.axis = axis
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.network = _Network()
        _train(self.network, self._encoded(found), torch.tensor(errors), torch.Generator().manual_seed(seed))

    def best(self, found: Sequence[SolverSchedule], count: int) -> list[SolverSchedule]:
        """Those with the lowest guesses, the best first."""
        with torch.no_grad():
            guesses = self.network(*self._encoded(found))
        return [found[index] for index in torch.argsort(guesses, stable=True)[:count].tolist()]

    def _encoded(self, found: Sequence[SolverSchedule]) -> tuple[Tensor, Tensor]:
        """Numbers of the steps ``(schedules, steps, FEATURES)``, padded with zeros, and how many steps there are."""
        rows = [encoded(one, self.axis) for one in found]
        return nn.utils.rnn.pad_sequence(rows, batch_first=True), torch.tensor([len(row) for row in rows])


class _Network(nn.Module):
    """Reads the steps one after the other; the guess is read off the last state."""

    def __init__(self) -> None:
        super().__init__()
        self.steps = nn.GRU(FEATURES, WIDTH, batch_first=True)
        self.guess = nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.SiLU(), nn.Linear(WIDTH, 1))

    def forward(self, rows: Tensor, lengths: Tensor) -> Tensor:
        states, _ = self.steps(rows)
        return self.guess(states[torch.arange(len(rows)), lengths - 1])[:, 0]


def _train(network: _Network, encoded: tuple[Tensor, Tensor], errors: Tensor, generator: torch.Generator) -> None:
    optimiser = torch.optim.Adam(network.parameters(), lr=5e-3)
    for _ in range(ROUNDS):
        first, second = torch.randint(len(errors), (2, PAIRS), generator=generator)
        better = torch.where(errors[first] < errors[second], 1.0, -1.0) * (errors[first] != errors[second])
        with torch.enable_grad():
            guesses = network(*encoded)
            loss = nn.functional.softplus(better * (guesses[first] - guesses[second])).mean()
            optimiser.zero_grad()
            loss.backward()
        optimiser.step()


def encoded(found: SolverSchedule, axis: Axis) -> Tensor:
    """A row of numbers for each step, all of them of size 1 or so: ``(steps, FEATURES)``."""
    places = [0.0, *axis.place(found.times[1:-1]).tolist(), 1.0]
    rows = [
        [
            place,
            (place - before) * len(found.steps),
            float(step.back),
            float(step.integrand.linear),
            float(step.integrand.growth),
            float(found.analytic_start),
            *(float(step.corrector == one) for one in CORRECTORS),
            *_derivatives(step.estimates),
            *_derivatives(step.corrections),
        ]
        for step, before, place in zip(found.steps, places, places[1:], strict=False)
    ]
    return torch.tensor(rows)


def _derivatives(estimates: Sequence[Estimate]) -> list[float]:
    numbers: list[float] = []
    for one in estimates[:DERIVATIVES]:
        numbers += [1.0, 0.5 * one.nodes, *(float(one.scaling == name) for name in SCALINGS), float(one.coefficient)]
    return numbers + [0.0] * (DERIVATIVES * _PER_DERIVATIVE - len(numbers))
