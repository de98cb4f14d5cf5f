"""Mini-batches of data in memory, in an order that can be resumed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from kutta.training.processes import part


class Batches:
    """Rows of tensors, each epoch in a random order of its own that only the seed decides.

    A ``DataLoader`` forgets where it stood. This one knows: its state is the epoch and the number of
    batches taken, and the order of an epoch is a function of the seed and the epoch.

    Args:
        tensors: one tensor, or several with the same rows along axis 0.
        size: rows in a batch; the last one of an epoch may have fewer.
        seed: of the order.
        shuffle: whether the order is random, or that of the rows.

    Attributes:
        epoch: the epoch under way, counted from 0.
        position: batches of it already taken.
        divided: whether each of several processes takes a part of every batch, as `fit` arranges.

    Raises:
        ValueError: for no rows, rows that do not match, or a size below one.

    Example:
        >>> import torch
        >>> from kutta.training import Batches
        >>> batches = Batches((torch.arange(4), torch.arange(4) ** 2), size=2, shuffle=False)
        >>> [(x.tolist(), y.tolist()) for x, y in batches]
        [([0, 1], [0, 1]), ([2, 3], [4, 9])]
    """

    def __init__(self, tensors: Tensor | Sequence[Tensor], size: int, seed: int = 0, shuffle: bool = True):
        self.alone = isinstance(tensors, Tensor)
        self.tensors = (tensors,) if isinstance(tensors, Tensor) else tuple(tensors)
        counts = {len(tensor) for tensor in self.tensors}
        if len(counts) != 1 or counts == {0}:
            raise ValueError(f"tensors must have the same number of rows, and some; got {sorted(counts)} rows")
        if size < 1:
            raise ValueError(f"size must be at least one row; got {size}")
        self.rows, self.size, self.seed, self.shuffle = counts.pop(), size, seed, shuffle
        self.epoch, self.position, self.divided = 0, 0, False
        self._first = (0, 0)  # epoch and position that the next iteration starts from

    def __len__(self) -> int:
        """The number of batches in an epoch."""
        return -(-self.rows // self.size)

    def __iter__(self) -> Iterator[Any]:
        """One epoch, or what is left of the one that a loaded state was in."""
        self.epoch, self.position = self._first
        self._first = (self.epoch + 1, 0)
        return self._rest()

    def _rest(self) -> Iterator[Any]:
        for rows in self._order(self.epoch).split(self.size)[self.position :]:
            rows = part(rows) if self.divided else rows
            self.position += 1
            picked = tuple(tensor.index_select(0, rows.to(tensor.device)) for tensor in self.tensors)
            yield picked[0] if self.alone else picked

    @property
    def _partition(self) -> dict[str, int]:
        """What the batches of an epoch depend on."""
        return {"rows": self.rows, "size": self.size, "seed": self.seed, "shuffle": int(self.shuffle)}

    def _order(self, epoch: int) -> Tensor:
        if not self.shuffle:
            return torch.arange(self.rows)
        # A large odd factor keeps the seeds of neighbouring runs and epochs apart.
        generator = torch.Generator().manual_seed((self.seed + 0x9E3779B97F4A7C15 * (epoch + 1)) % 2**63)
        return torch.randperm(self.rows, generator=generator)

    def state_dict(self) -> dict[str, int]:
        """Where the iteration stands."""
        return {"epoch": self.epoch, "position": self.position, **self._partition}

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        """Let the next iteration be what is left of the epoch of a `state_dict`; at its end, that is nothing.

        Raises:
            ValueError: for a state of other batches.
        """
        partition = {name: int(state[name]) for name in self._partition}
        if partition != self._partition:
            raise ValueError(f"the state is that of batches with {partition}, and these have {self._partition}")
        self._first = (int(state["epoch"]), int(state["position"]))
