"""Solvers that fill a reservoir while training empties it."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

import torch
from torch import Tensor
from torch import multiprocessing as processes

from kutta.operators.data.family import Family
from kutta.operators.data.generate import solved_batches
from kutta.operators.online.reservoir import Reservoir

Sample = tuple[Tensor, Tensor]
# Samples of one process that wait to be taken.
WAITING = 64


def produced(family: Family, seed: int, batch: int, dtype: torch.dtype, first: int = 0) -> Iterator[Sample]:
    """Pairs of fields without end, each for itself, from the batch of a number on."""
    for _, inputs, outputs in solved_batches(family, seed, batch, first):
        yield from zip(inputs.to(dtype), outputs.to(dtype), strict=True)


class InTurn:
    """Solves between two batches, in the process that trains: what arrives when is the same in every run.

    Args:
        family: of problems.
        seed: of the random numbers.
        batch: problems that are solved at once.
        dtype: of the samples.
    """

    def __init__(self, family: Family, seed: int = 0, batch: int = 8, dtype: torch.dtype = torch.float32):
        self.family, self.seed, self.batch, self.dtype = family, seed, batch, dtype
        self._go_on(0)

    def fill(self, reservoir: Reservoir, count: int) -> None:
        """Make so many samples, as far as there is room, and at least what the first batch needs."""
        for _ in range(max(count, reservoir.threshold - len(reservoir))):
            if not reservoir.has_room:
                return
            reservoir.put(next(self._samples))
            self._made += 1

    def close(self) -> None:
        """There is nothing to end."""

    def state_dict(self) -> dict[str, Any]:
        """Where it stands."""
        return {"made": self._made}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from there."""
        self._go_on(int(state["made"]))

    def _go_on(self, made: int) -> None:
        done, begun = divmod(made, self.batch * self.family.times)
        samples = produced(self.family, self.seed, self.batch, self.dtype, done)
        self._samples, self._made = islice(samples, begun, None), made


class InProcesses:
    """Solves in processes of its own, which wait where the reservoir has no room.

    Args:
        family: of problems; it is sent to the processes, so that its functions must be those of a module.
        workers: how many processes, each with one thread.
        seed: of the random numbers; each process draws others.
        batch: problems that a process solves at once.
        dtype: of the samples.
    """

    def __init__(
        self, family: Family, workers: int = 1, seed: int = 0, batch: int = 8, dtype: torch.dtype = torch.float32
    ):
        if workers < 1:
            raise ValueError(f"workers must be at least 1; got {workers!r}")
        context = processes.get_context("spawn")
        self._samples = context.Queue(WAITING)
        self._ended = threading.Event()
        self._carrier: threading.Thread | None = None
        self._error: str | None = None
        self._workers = [
            context.Process(target=_work, args=(self._samples, family, seed + number, batch, dtype), daemon=True)
            for number in range(workers)
        ]
        for one in self._workers:
            one.start()

    def fill(self, reservoir: Reservoir, count: int) -> None:
        """Let what the processes make go into a reservoir from now on.

        Raises:
            RuntimeError: where one of them has failed.
        """
        if self._error is not None:
            raise RuntimeError(f"a process that solves has failed: {self._error}")
        if self._carrier is None:
            self._carrier = threading.Thread(target=self._carry, args=(reservoir,), daemon=True)
            self._carrier.start()

    def state_dict(self) -> dict[str, Any]:
        """Nothing: what the processes have under way is lost, and a run that goes on sees other samples."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Likewise."""

    def close(self) -> None:
        """End all processes."""
        self._ended.set()
        for one in self._workers:
            one.terminate()
        if self._carrier is not None:
            self._carrier.join(timeout=5.0)
        for one in self._workers:
            one.join(timeout=5.0)
        self._samples.close()

    def _carry(self, reservoir: Reservoir) -> None:
        while not self._ended.is_set():
            try:
                arrived = self._samples.get(timeout=0.1)
            except (queue.Empty, EOFError, OSError):
                continue
            if isinstance(arrived, str):
                self._error = arrived
                reservoir.close()
                return
            sample = tuple(torch.from_numpy(one) for one in arrived)
            while not self._ended.is_set() and not reservoir.put(sample, timeout=0.1):
                pass


def _work(samples: Any, family: Family, seed: int, batch: int, dtype: torch.dtype) -> None:
    """What a process does until it is ended."""
    torch.set_num_threads(1)
    try:
        for one in produced(family, seed, batch, dtype):
            samples.put(tuple(part.numpy() for part in one))
    except Exception as failure:
        samples.put(f"{type(failure).__name__}: {failure}")
