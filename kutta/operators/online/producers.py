"""Solvers that fill a reservoir while training empties it."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Mapping, Sequence
from multiprocessing import connection, parent_process
from typing import Any

import torch
from torch import multiprocessing as processes

from kutta.operators.data.family import Family
from kutta.operators.online.carrier import LOOK, Arrivals, Carrier
from kutta.operators.online.reservoir import Reservoir
from kutta.operators.online.stream import Sample, Stream, made_of, state_of

# Seconds that a process has to end in.
ENDING = 5.0
# What keeps a process from beginning; whatever fails later it says itself.
UNBEGUN = (
    'before it solved anything: a script must keep what it does under if __name__ == "__main__":, and the functions of '
    "the family must be those of a module, which the process imports"
)


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
    a run that goes on those that its first part had not yet. In which order they arrive is left to the processes. They
    end with the process that started them, even one that is killed.

    The processes import the script that is run: what it does must stand under ``if __name__ == "__main__":``, or each
    of them would begin to train, too, and fail.

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
            RuntimeError: where one of them has failed, with the seed of what it solved, or has ended.
            ValueError: for another reservoir than before.
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
        solvers: list[_Solver] = []
        try:
            for place, stream in enumerate(self._carrier.streams):
                solvers.append(_Solver(stream, made[place]))
            while True:
                yield from _arrived(solvers)
        finally:
            for one in solvers:
                one.process.terminate()
            for one in solvers:
                one.process.join(ENDING)
                one.samples.close()


class _Solver:
    """A process that solves, with a pipe of its own: one that is killed while it sends spoils no other's samples."""

    def __init__(self, stream: Stream, made: int):
        context = processes.get_context("spawn")
        self.samples, sender = context.Pipe(duplex=False)
        with sender:  # left to the process alone, with which what it sends then ends
            self.process = context.Process(target=_work, args=(sender, stream, made), daemon=True)
            self.process.start()

    def sample(self) -> Sample:
        """The next one.

        Raises:
            RuntimeError: if the process says that it has failed, or has ended without a word, or within one.
        """
        try:
            found = self.samples.recv()
        except (EOFError, OSError):
            raise self.ended() from None
        if isinstance(found, str):
            raise RuntimeError(found)
        a, u = map(torch.from_numpy, found)
        return a, u

    def ended(self) -> RuntimeError:
        """What to say of a process that has ended."""
        self.process.join(ENDING)
        code = self.process.exitcode
        return RuntimeError(f"it ended with exit code {code}" + (f" {UNBEGUN}" if code == 1 else ""))


def _arrived(solvers: Sequence[_Solver]) -> Arrivals:
    """A sample of each process that has one; ``None`` if none comes soon.

    Raises:
        RuntimeError: for a process that has failed or ended, after all that it has sent.
    """
    ready = connection.wait([end for one in solvers for end in (one.samples, one.process.sentinel)], LOOK)
    if not ready:
        yield None
    for place, one in enumerate(solvers):
        if one.samples.poll():
            yield place, one.sample()
        elif one.process.sentinel in ready:
            raise one.ended()


def _work(samples: Any, stream: Stream, made: int) -> None:
    """What a process does until it is ended, which an interrupt of the terminal leaves to the one that started it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(1)
    try:
        for one in stream.samples(made):
            samples.send(tuple(part.numpy() for part in one))
    except BrokenPipeError:  # nobody is left to take them
        return
    except Exception as failure:
        samples.send(str(failure))


def _end_with_parent() -> None:
    """One that is killed can end nobody: wait for its end, and end at once, in the middle of a solve or a message."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
