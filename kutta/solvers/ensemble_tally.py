"""What every trajectory of an ensemble has cost.

Counting at once would take several tensor operations a trial. The masks of the trials are kept
instead, and summed when someone asks or there are many of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from jaxtyping import Bool, Int

# Most trials whose masks wait.
MANY = 64


class Tally:
    """Trials, rejections, calls of the right-hand side and Jacobians, one count a row.

    Args:
        steps: trials so far.
        rejected: of these, rejected ones.
        evaluations: calls so far.
        jacobians: Jacobians so far.
    """

    def __init__(
        self,
        steps: Int[Tensor, " b"],
        rejected: Int[Tensor, " b"],
        evaluations: Int[Tensor, " b"],
        jacobians: Int[Tensor, " b"],
    ):
        self._steps, self._rejected = steps, rejected
        self._evaluations, self._jacobians = evaluations, jacobians
        self.ran: list[Tensor] = []
        self.missed: list[Tensor] = []
        self.called: list[tuple[Tensor, int, int]] = []

    def note(self, running: Bool[Tensor, " b"], missed: Bool[Tensor, " b"]) -> None:
        """A trial: which rows ran, and which of them were rejected."""
        if len(self.ran) == MANY:
            self._sum()
        self.ran.append(running)
        self.missed.append(missed)

    def note_calls(self, running: Bool[Tensor, " b"], calls: int, jacobians: int) -> None:
        """How often the right-hand side was called in a trial in which some rows ran, and how often linearised."""
        self.called.append((running, calls, jacobians))

    @property
    def steps(self) -> Int[Tensor, " b"]:
        """Trials of each row."""
        self._sum()
        return self._steps

    @property
    def rejected(self) -> Int[Tensor, " b"]:
        """Rejected trials of each row."""
        self._sum()
        return self._rejected

    @property
    def evaluations(self) -> Int[Tensor, " b"]:
        """Calls while each row ran."""
        self._sum()
        return self._evaluations

    @property
    def jacobians(self) -> Int[Tensor, " b"]:
        """Jacobians while each row ran."""
        self._sum()
        return self._jacobians

    def take(self, rows: Int[Tensor, " n"]) -> Tally:
        """The counts of some rows."""
        return Tally(self.steps[rows], self.rejected[rows], self.evaluations[rows], self.jacobians[rows])

    def _sum(self) -> None:
        if self.ran:
            self._steps = self._steps + torch.stack(self.ran).sum(dim=0)
            self._rejected = self._rejected + torch.stack(self.missed).sum(dim=0)
        if self.called:
            masks, *counts = zip(*self.called, strict=True)
            weights = torch.tensor(counts, device=self._evaluations.device).unsqueeze(-1)
            evaluations, jacobians = (torch.stack(masks) * weights).sum(dim=1).unbind(0)
            self._evaluations, self._jacobians = self._evaluations + evaluations, self._jacobians + jacobians
        self.ran, self.missed, self.called = [], [], []
