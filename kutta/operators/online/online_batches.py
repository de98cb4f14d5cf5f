"""Batches from solvers that are running, for `kutta.training.fit`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from torch import Tensor

from kutta.operators.online.reservoir import Reservoir


class Producer(Protocol):
    """What makes samples."""

    def fill(self, reservoir: Reservoir, count: int, /) -> None:
        """See that some come."""
        ...

    def close(self) -> None:
        """Make no more."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """Where it stands."""
        ...

    def load_state_dict(self, state: Mapping[str, Any], /) -> None:
        """Go on from there."""
        ...


class OnlineBatches:
    """Batches of a reservoir that a producer fills while they are used.

    Args:
        producer: `InTurn` or `InProcesses`.
        reservoir: between the two.
        size: samples in a batch.
        fresh: how many new samples a batch asks for, of a producer that works in turn.
        length: batches in an epoch, after which there may be a validation.
        timeout: seconds to wait for samples at most.

    Example:
        >>> import kutta as kt
        >>> online = kt.operators.online
        >>> producer = online.InTurn(kt.operators.data.darcy(points=16))
        >>> batches = online.OnlineBatches(producer, online.Reservoir(32, 8), size=4, fresh=2, length=3)
        >>> [tuple(a.shape) for a, u in batches]
        [(4, 1, 16, 16), (4, 1, 16, 16), (4, 1, 16, 16)]
    """

    def __init__(
        self,
        producer: Producer,
        reservoir: Reservoir,
        size: int,
        fresh: int = 1,
        length: int = 100,
        timeout: float = 600.0,
    ):
        for name, value in (("size", size), ("fresh", fresh), ("length", length)):
            if value < 1:
                raise ValueError(f"{name} must be at least 1; got {value!r}")
        self.producer, self.reservoir = producer, reservoir
        self.size, self.fresh, self.length, self.timeout = size, fresh, length, timeout

    def __len__(self) -> int:
        """The number of batches in an epoch."""
        return self.length

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        """One epoch."""
        for _ in range(self.length):
            self.producer.fill(self.reservoir, self.fresh)
            try:
                yield self.reservoir.batch(self.size, self.timeout)
            except EOFError:
                self.producer.fill(self.reservoir, self.fresh)  # which says why, if it has failed
                raise

    def close(self) -> None:
        """End the producer."""
        self.producer.close()

    def state_dict(self) -> dict[str, Any]:
        """What the reservoir holds, and where the producer stands."""
        return {"reservoir": self.reservoir.state_dict(), "producer": self.producer.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take it back."""
        self.reservoir.load_state_dict(state["reservoir"])
        self.producer.load_state_dict(state["producer"])
