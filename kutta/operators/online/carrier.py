"""What brings samples from solvers elsewhere into a reservoir."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from typing import Any

from kutta.operators.online.reservoir import Reservoir
from kutta.operators.online.stream import Sample, Stream, made_of, state_of

# Seconds from one look at whether to end to the next.
LOOK = 0.1
# Samples with the place of their stream; None where there is nothing yet.
Arrivals = Iterator[tuple[int, Sample] | None]


class Carrier:
    """A thread that takes what arrives and waits where the reservoir has no room.

    Args:
        arrivals: given how many samples of each stream there were, yields what comes after them; it is closed in the
            end, and does not wait longer than `LOOK` without yielding.
        streams: that they come from.
        maker: what makes them, in words, for errors.
    """

    def __init__(self, arrivals: Callable[[Sequence[int]], Any], streams: Sequence[Stream], maker: str):
        self.streams, self.maker = streams, maker
        self._arrivals, self._made = arrivals, [0] * len(streams)
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self._reservoir: Reservoir | None = None
        self._error: Exception | None = None

    def into(self, reservoir: Reservoir) -> None:
        """Let what arrives go into a reservoir from now on.

        Raises:
            RuntimeError: where making samples has failed, or was ended.
            ValueError: for another reservoir than before.
        """
        if self._error is not None:
            raise RuntimeError(f"{self.maker} has failed: {self._error}") from self._error
        if self._ended.is_set():
            raise RuntimeError(f"{self.maker} was closed: make another producer")
        if self._reservoir not in (None, reservoir):
            raise ValueError(f"{self.maker} fills another reservoir already: make another producer for this one")
        if self._thread is None:
            self._reservoir = reservoir
            self._thread = threading.Thread(target=self._carry, args=(reservoir,), daemon=True)
            self._thread.start()

    def end(self) -> None:
        """Take nothing more, and wait until what made samples has been told so."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join()

    def state_dict(self) -> dict[str, Any]:
        """How many samples of each stream the reservoir was given."""
        return state_of(self.streams, self._made)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on after so many.

        Raises:
            RuntimeError: where samples arrive already.
            ValueError: for the state of other streams.
        """
        if self._thread is not None:
            raise RuntimeError(f"{self.maker} is at work: load the state before the first batch")
        self._made = made_of(self.streams, state)

    def _carry(self, reservoir: Reservoir) -> None:
        try:
            with closing(self._arrivals(tuple(self._made))) as arrivals:
                for arrived in arrivals:
                    if arrived is not None:
                        self._put(reservoir, *arrived)
                    if self._ended.is_set() or reservoir.closed:
                        return
        except Exception as failure:
            self._error = failure
            reservoir.close()

    def _put(self, reservoir: Reservoir, place: int, sample: Sample) -> None:
        while not (self._ended.is_set() or reservoir.closed):
            with reservoir.changed:  # so that no state has the sample and not the count
                if reservoir.put(sample, timeout=LOOK):
                    self._made[place] += 1
                    return
