"""Solvers that fill a reservoir while training empties it."""

from __future__ import annotations

import queue
import signal
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import multiprocessing as processes

from kutta.operators.data.family import Family
from kutta.operators.online.carrier import LOOK, Arrivals, Carrier
from kutta.operators.online.reservoir import Reservoir
from kutta.operators.online.stream import Sample, Stream, made_of, state_of

# Samples of all processes that wait to be taken.
WAITING = 64


class InTurn:
    """Solves between two batches, in the process that trains: what arrives when is the same in every run.

    Args:
        family: of problems.
        seed: of the random numbers.
        batch: problems that are solved at once.
        dtype: of the samples.
    """

    def __init__(self, family: Family, seed: int = 0, batch: int = 8, dtype: torch.dtype = torch.float32):
        self.stream = Stream(family, seed, batch, dtype)
        self._go_on(0)

    def fill(self, reservoir: Reservoir, count: int) -> None:
        """Make so many samples, as far as there is room, and at least what the first batch needs.

        Raises:
            RuntimeError: where a problem cannot be drawn or solved, with its seed.
        """
        for _ in range(max(count, reservoir.threshold - len(reservoir))):
            if not reservoir.has_room:
                return
            reservoir.put(self._next())
            self._made += 1

    def close(self) -> None:
        """There is nothing to end."""

    def state_dict(self) -> dict[str, Any]:
        """Where it stands."""
        return state_of([self.stream], [self._made])

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from there.

        Raises:
            ValueError: for the state of other samples.
        """
        self._go_on(*made_of([self.stream], state))

    def _next(self) -> Sample:
        try:
            return next(self._samples)
        except BaseException:  # an interrupt in a notebook, say, after which these would say that they are at their end
            self._go_on(self._made)
            raise

    def _go_on(self, made: int) -> None:
        self._samples, self._made = self.stream.samples(made), made


class InProcesses:
    """Solves in processes of its own, which start with the first batch and wait where the reservoir has no room.

    Each process solves every `workers`-th batch of problems, so that all of them together solve those of `InTurn`, and
    a run that goes on those that its first part had not yet. In which order they arrive is left to the processes.

    Args:
        family: of problems; it is sent to the processes, so that its functions must be those of a module.
        workers: how many processes, each with one thread.
        seed: of the random numbers.
        batch: problems that a process solves at once.
        dtype: of the samples; one that NumPy has.
    """

    def __init__(
        self, family: Family, workers: int = 1, seed: int = 0, batch: int = 8, dtype: torch.dtype = torch.float32
    ):
        if workers < 1:
            raise ValueError(f"workers must be at least 1; got {workers!r}")
        streams = [Stream(family, seed, batch, dtype, number, workers) for number in range(workers)]
        self._carrier = Carrier(self._arrivals, streams, "a process that solves")

    def fill(self, reservoir: Reservoir, count: int) -> None:
        """Let what the processes make go into a reservoir from now on.

        Raises:
            RuntimeError: where one of them has failed, with the seed of what it solved.
        """
        self._carrier.into(reservoir)

    def close(self) -> None:
        """End all processes."""
        self._carrier.end()

    def state_dict(self) -> dict[str, Any]:
        """How many samples of each process the reservoir was given."""
        return self._carrier.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on after them; what the processes had under way is made again.

        Raises:
            ValueError: for the state of other samples, or of more or fewer processes.
        """
        self._carrier.load_state_dict(state)

    def _arrivals(self, made: Sequence[int]) -> Arrivals:
        context = processes.get_context("spawn")
        samples = context.Queue(WAITING)
        workers = [
            context.Process(target=_work, args=(samples, place, stream, made[place]), daemon=True)
            for place, stream in enumerate(self._carrier.streams)
        ]
        try:
            for one in workers:
                one.start()
            while True:
                yield _arrived(samples, workers)
        finally:
            _end(workers)
            samples.close()


def _arrived(samples: Any, workers: Sequence[Any]) -> Any:
    """What comes next, if it comes soon.

    Raises:
        RuntimeError: for a process that says that it has failed, or has ended without a word.
    """
    try:
        place, found = samples.get(timeout=LOOK)
    except queue.Empty:
        ended = [one for one in workers if not one.is_alive()]
        if ended:
            raise RuntimeError(f"it ended with exit code {ended[0].exitcode}") from None
        return None
    if isinstance(found, str):
        raise RuntimeError(found)
    return place, tuple(torch.from_numpy(one) for one in found)


def _end(workers: Sequence[Any]) -> None:
    started = [one for one in workers if one.pid is not None]
    for one in started:
        one.terminate()
    for one in started:
        one.join(timeout=5.0)


def _work(samples: Any, place: int, stream: Stream, made: int) -> None:
    """What a process does until it is ended, which an interrupt of the terminal leaves to the one that started it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)
    try:
        for one in stream.samples(made):
            samples.put((place, tuple(part.numpy() for part in one)))
    except Exception as failure:
        samples.put((place, str(failure)))
