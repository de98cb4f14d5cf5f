"""Steps drawn at random among the accepted steps of a solve, while it runs.

Each draw keeps one step out of those seen so far: step ``j``, of weight ``w_j``, takes the place of
the one kept with probability ``w_j / (w_1 + ... + w_j)``, which leaves every step with a probability
proportional to its weight, however many there will be (Chao, A general purpose unequal probability
sampling plan, Biometrika 69, 1982, for samples of one).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from kutta.regularizers.noise import uniform
from kutta.solvers.method import Step


@dataclass(frozen=True)
class Draws:
    """Where single steps were taken: ``m`` of them, or ``m`` for each of ``B`` trajectories, trajectory by trajectory.

    Attributes:
        t: starts of the steps, ``(n,)``.
        dt: their sizes, signed, ``(n,)``.
        y: states there, in the solver's layout, ``(n, ...)``; on the tape where gradients go through
            the state.
        steps: accepted steps of the solve; ``(B,)`` in an ensemble.
        length: the time they cover; ``(B,)`` in an ensemble.
    """

    t: Tensor
    dt: Tensor
    y: Tensor
    steps: int | Tensor
    length: float | Tensor


@dataclass
class Pick:
    """A draw of a solve with one step size: where, and the state there or the number of the output that holds it."""

    t: float
    dt: float
    theta: float
    output: int = -1
    y: Tensor | None = None


class Sampler:
    """Draws from the steps of a problem with one step size.

    Args:
        draws: how many.
        by_time: whether a step's weight is its size, so that a time is drawn uniformly; otherwise all
            steps are alike.
        inside: whether the state is taken at a uniform position in the step; otherwise at its start.
        generator: where the draws come from.
        keeps: whether the states are kept here, without a tape; otherwise they are asked for as outputs.
    """

    def __init__(self, draws: int, by_time: bool, inside: bool, generator: torch.Generator | None, keeps: bool):
        self.by_time, self.inside, self.generator, self.keeps = by_time, inside, generator, keeps
        self.picks: list[Pick | None] = [None] * draws
        self.steps, self.length = 0, 0.0

    def offer(self, step: Step) -> list[Pick]:
        """Show an accepted step; returns what is drawn from it, whose states are wanted."""
        self.steps, self.length = self.steps + 1, self.length + step.size
        share = step.size / self.length if self.by_time else 1.0 / self.steps
        taken: list[Pick] = []
        for number, (chance, place) in enumerate(uniform((len(self.picks), 2), self.generator).tolist()):
            if chance < share:
                theta = place * step.covered if self.inside else 0.0
                pick = self.picks[number] = Pick(step.t0 + theta * step.dt, step.dt, theta)
                if self.keeps:
                    with torch.no_grad():
                        pick.y = step.at(theta).detach() if theta else step.y0.detach()
                else:
                    taken.append(pick)
        return taken

    def draws(self, outputs: Tensor) -> Draws | None:
        """What was drawn, given the states of all that was ever taken; ``None`` of a solve without a step."""
        picks = [pick for pick in self.picks if pick is not None]
        if not picks:
            return None
        t, dt = (torch.tensor([getattr(p, name) for p in picks], dtype=torch.float64) for name in ("t", "dt"))
        states = torch.stack([outputs[pick.output] if pick.y is None else pick.y for pick in picks])
        return Draws(t.to(outputs.device), dt.to(outputs.device), states, self.steps, self.length)


class EnsembleSampler:
    """Draws from the steps of every trajectory of an ensemble; the arguments are those of `Sampler`."""

    def __init__(self, draws: int, by_time: bool, inside: bool, generator: torch.Generator | None, y: Tensor):
        self.by_time, self.inside, self.generator = by_time, inside, generator
        batch, device = y.shape[0], y.device
        self.t, self.dt = (torch.zeros(batch, draws, dtype=torch.float64, device=device) for _ in range(2))
        self.y = y.detach()[:, None].repeat(1, draws, 1)
        self.steps = torch.zeros(batch, dtype=torch.int64, device=device)
        self.length = torch.zeros(batch, dtype=torch.float64, device=device)

    def offer(self, step: Step, lanes: Tensor, dt: Tensor) -> None:
        """Show a trial of the trajectories `lanes`, with its signed sizes ``(b,)`` in the precision of time."""
        kept: Any = step.accepted & (dt != 0)
        size = torch.where(kept, (dt[:, None] * step.covered)[:, 0].abs(), 0.0)
        steps, length = self.steps[lanes] + kept, self.length[lanes] + size
        share = size / length if self.by_time else kept / steps
        chance, place = uniform((2, len(lanes), self.t.shape[1]), self.generator, size.device)
        taken = chance < share[:, None]
        self.steps[lanes], self.length[lanes] = steps, length
        if not bool(taken.any()):
            return
        theta = place * step.covered if self.inside else torch.zeros_like(place)
        for draw in range(self.t.shape[1]):
            mask, column = taken[:, draw], theta[:, draw : draw + 1]
            y = step.at(column) if self.inside else step.y0
            t = step.t0[:, 0] + theta[:, draw] * dt
            self.t[lanes, draw] = torch.where(mask, t, self.t[lanes, draw])
            self.dt[lanes, draw] = torch.where(mask, dt, self.dt[lanes, draw])
            self.y[lanes, draw] = torch.where(mask[:, None], y, self.y[lanes, draw])

    def draws(self) -> Draws:
        """What was drawn; a trajectory without a step has draws of length zero."""
        return Draws(self.t.reshape(-1), self.dt.reshape(-1), self.y.flatten(0, 1), self.steps, self.length)
