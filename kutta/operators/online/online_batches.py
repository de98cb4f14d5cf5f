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

    `kutta.training.fit` keeps their state in its checkpoints: what the reservoir holds, its random numbers, and where
    the producer stands. So a run that was killed and goes on meets the samples that come next, and with `InTurn` ends
    with the weights that it would have had, on a CPU bit for bit. Close them in the end, or use them in a ``with``.

    Args:
        producer: `InTurn`, `InProcesses` or `OnRay`.
        reservoir: between the two.
        size: samples in a batch.
        fresh: how many new samples a batch asks for, of a producer that works in turn.
        length: batches in an epoch, after which there may be a validation.
        timeout: seconds to wait for samples at most.

    Attributes:
        position: batches of the epoch under way that were taken.

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
        self.position = 0
        self._first = 0  # position that the next iteration starts from

    def __enter__(self) -> OnlineBatches:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def __len__(self) -> int:
        """The number of batches in an epoch."""
        return self.length

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        """One epoch, or what is left of the one that a loaded state was in."""
        self.position, self._first = self._first, 0
        return self._rest()

    def _rest(self) -> Iterator[tuple[Tensor, ...]]:
        while self.position < self.length:
            self.producer.fill(self.reservoir, self.fresh)
            batch = self._batch()
            self.position += 1
            yield batch

    def _batch(self) -> tuple[Tensor, ...]:
        try:
            return self.reservoir.batch(self.size, self.timeout)
        except EOFError:
            self.producer.fill(self.reservoir, self.fresh)  # which says why, if it has failed
            raise

    def close(self) -> None:
        """End the producer."""
        self.producer.close()

    def state_dict(self) -> dict[str, Any]:
        """What the reservoir holds, where the producer stands, and how far the epoch is."""
        with self.reservoir.changed:  # so that no sample arrives between the two
            reservoir, producer = self.reservoir.state_dict(), self.producer.state_dict()
        return {"reservoir": reservoir, "producer": producer, "position": self.position, **self._partition}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take it back; the next iteration is what is left of the epoch, and at its end nothing.

        Raises:
            ValueError: for the state of other batches, or of another producer.
        """
        partition = {name: int(state[name]) for name in self._partition}
        if partition != self._partition:
            raise ValueError(f"the state is that of batches with {partition}, and these have {self._partition}")
        self.producer.load_state_dict(state["producer"])
        self.reservoir.load_state_dict(state["reservoir"])
        self._first = int(state["position"])

    @property
    def _partition(self) -> dict[str, int]:
        """What the batches of an epoch depend on."""
        return {"size": self.size, "fresh": self.fresh, "length": self.length}
