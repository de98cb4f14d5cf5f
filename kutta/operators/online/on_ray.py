"""Solvers on a cluster that fill a reservoir."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from itertools import count, islice
from typing import Any

import torch

from kutta.operators.data.family import Family
from kutta.operators.online.carrier import LOOK, Arrivals, Carrier
from kutta.operators.online.reservoir import Reservoir
from kutta.operators.online.stream import Sample, Stream, pairs_of
from kutta.optional import needed

# Producers that share a Ray which one of them has started: the last one ends it.
_SHARING: set[OnRay] = set()
_LOCK = threading.Lock()


class OnRay:
    """Solves in tasks of Ray, on this machine or on a cluster (needs the extra ``ray``).

    A task is a batch of problems. They arrive in the order of their numbers, so that the reservoir is given the samples
    of `InTurn`, one after the other; at which step of training each comes is left to the cluster. A batch whose machine
    was lost is solved again.

    Args:
        family: of problems; it is sent to the tasks, and may be made of any functions.
        workers: how many tasks run at once, each with one thread. Twice as many are under way or wait to be taken.
        seed: of the random numbers.
        batch: problems that a task solves at once.
        dtype: of the samples.
        address: of a cluster, whose machines need the same version of kutta: ``"auto"`` for the one that this machine
            belongs to, ``"host:6379"``. By default the Ray that this process is connected to, and else one of its own,
            on this machine, with as many processors as `workers`.

    Raises:
        ImportError: without the extra ``ray``.
        ValueError: for no workers, or an address where this process is connected to a Ray already.
        ConnectionError: for ``"auto"`` where this machine belongs to no cluster. Ray tries other addresses for minutes.

    Example:
        >>> import kutta as kt
        >>> online = kt.operators.online
        >>> def training(address=None):
        ...     producer = online.OnRay(kt.operators.data.darcy(points=16), workers=4, address=address)
        ...     return online.OnlineBatches(producer, online.Reservoir(512), size=16)
    """

    def __init__(
        self,
        family: Family,
        workers: int = 1,
        seed: int = 0,
        batch: int = 8,
        dtype: torch.dtype = torch.float32,
        address: str | None = None,
    ):
        if workers < 1:
            raise ValueError(f"workers must be at least 1; got {workers!r}")
        self._ray, self.workers = needed("ray", "kutta.operators.online.OnRay", "ray"), workers
        self.stream = Stream(family, seed, batch, dtype)
        self._carrier = Carrier(self._arrivals, [self.stream], "a task of Ray")
        self._connect(address)

    def fill(self, reservoir: Reservoir, count: int) -> None:
        """Let what the tasks make go into a reservoir from now on.

        Raises:
            RuntimeError: where one of them has failed, with the seed of what it solved.
        """
        self._carrier.into(reservoir)

    def close(self) -> None:
        """Cancel the tasks that are under way, and leave a Ray that was started, or a cluster that was joined, here."""
        self._carrier.end()
        with _LOCK:
            if {self} == _SHARING:
                self._ray.shutdown()
            _SHARING.discard(self)

    def state_dict(self) -> dict[str, Any]:
        """How many samples the reservoir was given."""
        return self._carrier.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on after them; what was under way is made again.

        Raises:
            ValueError: for the state of other samples.
        """
        self._carrier.load_state_dict(state)

    def _connect(self, address: str | None) -> None:
        with _LOCK:
            if not self._ray.is_initialized():
                _start(self._ray, address, self.workers)
            elif address is not None:
                raise ValueError(f"this process is connected to a Ray already: leave address={address!r} out")
            elif not _SHARING:
                return  # someone else's
            _SHARING.add(self)

    def _arrivals(self, made: Sequence[int]) -> Arrivals:
        done, begun = self.stream.after(made[0])
        turns, stream = count(done), self._ray.put(self.stream)
        solve, waiting = self._ray.remote(_solve), deque()
        try:
            while True:
                while len(waiting) < 2 * self.workers:
                    turn = next(turns)
                    waiting.append((turn, solve.remote(stream, turn)))
                if not self._is_done(waiting[0][1]):
                    yield None
                    continue
                for pair in islice(pairs_of(self._result(*waiting.popleft())), begun, None):
                    yield 0, pair
                begun = 0
        finally:
            self._cancel(reference for _, reference in waiting)

    def _is_done(self, reference: Any) -> bool:
        if not self._ray.is_initialized():  # and would be started again by the next call
            raise RuntimeError("Ray was shut down")
        return bool(self._ray.wait([reference], timeout=LOOK)[0])

    def _result(self, turn: int, reference: Any) -> Sample:
        try:
            return self._ray.get(reference)
        except self._ray.exceptions.RayTaskError as failure:
            raise RuntimeError(str(failure.cause)) from None  # type: ignore[attr-defined]
        except self._ray.exceptions.RayError as failure:  # of machines and their memory
            raise RuntimeError(f"{self.stream.named(turn)}: {type(failure).__name__}: {failure}") from failure

    def _cancel(self, references: Any) -> None:
        if self._ray.is_initialized():
            for reference in references:
                self._ray.cancel(reference, force=True)  # or a long one goes on to its end


def _start(ray: Any, address: str | None, workers: int) -> None:
    """Join a cluster, or start a Ray on this machine, which then sends nobody figures of its use."""
    if address is not None:
        ray.init(address=address, log_to_driver=False)
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    ray.init(address="local", num_cpus=workers, include_dashboard=False, log_to_driver=False, logging_level="error")


def _solve(stream: Stream, turn: int) -> Sample:
    """What a task does."""
    torch.set_num_threads(1)
    return stream.solved(turn)
