"""Samples without end that a seed decides."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count, islice
from typing import Any

import torch
from torch import Tensor

from kutta.operators.data.family import Family
from kutta.operators.data.generate import solved_batches

Sample = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Stream:
    """Problems of a family, solved batch by batch; which they are depends on seed, batch and number alone.

    Attributes:
        family: of problems; it has a name, without which a resumed run could not know it again.
        seed: of the random numbers.
        batch: problems that are solved at once.
        dtype: of the samples.
        first: number of the first batch.
        every: from one number to the next, so that several streams share the batches of a seed.
    """

    family: Family
    seed: int
    batch: int
    dtype: torch.dtype
    first: int = 0
    every: int = 1

    def __post_init__(self) -> None:
        if self.batch < 1:
            raise ValueError(f"batch must be at least 1; got {self.batch!r}")
        if not self.family.name:
            raise ValueError("family must have a name, so that a resumed run knows it again: Family(..., name=...)")

    def samples(self, made: int = 0) -> Iterator[Sample]:
        """Pairs of fields, each for itself, but for so many that were made before."""
        done, begun = self.after(made)
        pairs = (pair for turn in count(done) for pair in pairs_of(self.solved(turn)))
        return islice(pairs, begun, None)

    def after(self, made: int) -> tuple[int, int]:
        """The turn that follows so many pairs, and how many of its own are among them."""
        return divmod(made, self.batch * self.family.times)

    def solved(self, turn: int) -> Sample:
        """The pairs of one batch, along a leading axis, on the host.

        Raises:
            RuntimeError: where the family fails, with the seed and the number of the batch.
        """
        number = self.first + turn * self.every
        try:
            _, inputs, outputs = next(solved_batches(self.family, self.seed, self.batch, number))
        except Exception as failure:
            raise RuntimeError(f"{self.named(turn)}: {type(failure).__name__}: {failure}") from failure
        return inputs.to("cpu", self.dtype), outputs.to("cpu", self.dtype)

    def named(self, turn: int) -> str:
        """Which batch it is, for errors."""
        return f"batch {self.first + turn * self.every} of seed {self.seed}, with {self.batch} problems"

    def identity(self) -> dict[str, Any]:
        """What the samples depend on, as a checkpoint may hold it."""
        numbers = {name: getattr(self, name) for name in ("seed", "batch", "first", "every")}
        return {**_identity(self.family), "dtype": str(self.dtype), **numbers}


def _identity(family: Family) -> dict[str, Any]:
    """What tells a family from others in every process, and so without the addresses that functions are shown with."""
    parts = {name: getattr(family, name) for name in ("draw", "inputs", "method", "options")}
    shown = {name: re.sub(r" at 0x[0-9A-Fa-f]+", "", repr(part)) for name, part in parts.items()}
    return {"family": family.name, "times": family.times, **shown}


def pairs_of(batch: Sample) -> Iterator[Sample]:
    """Each pair for itself."""
    return zip(*batch, strict=True)


def state_of(streams: Sequence[Stream], made: Sequence[int]) -> dict[str, Any]:
    """Where some streams stand."""
    return {"streams": [one.identity() for one in streams], "made": list(made)}


def made_of(streams: Sequence[Stream], state: Mapping[str, Any]) -> list[int]:
    """How many samples of each stream there were.

    Raises:
        ValueError: for the state of other streams.
    """
    mine, theirs = [one.identity() for one in streams], [dict(one) for one in state["streams"]]
    if mine != theirs:
        raise ValueError(f"the state is that of samples from {theirs}, and these come from {mine}")
    return [int(one) for one in state["made"]]
