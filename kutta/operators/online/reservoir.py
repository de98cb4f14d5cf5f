"""A buffer between solvers that make samples and training that uses them."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor


class Reservoir:
    """So many samples, each used at least once before a new one takes its place.

    Samples that a solver makes one after the other are alike. Batches are drawn from all that the reservoir holds,
    uniformly and with replacement, so that they are not; and old samples go on being used while new ones are made.
    Makers wait while all samples are new ones, users while there are fewer than a threshold.

    Args:
        capacity: how many samples it holds.
        threshold: how many there must be before the first batch; by default half of the capacity.
        seed: of what is drawn, and of what makes room.

    Attributes:
        capacity, threshold: as above.
        made: samples that have been put in.
        drawn: samples that have been taken.
        changed: told of whatever goes in or out; to who holds it, nothing changes.

    Source: Meyer, Schouler, Caulk, Ribes and Raffin, Training deep surrogate models with large scale online learning,
    ICML 2023, arXiv 2306.16133.

    Example:
        >>> import torch
        >>> from kutta.operators.online.reservoir import Reservoir
        >>> reservoir = Reservoir(capacity=4, threshold=2)
        >>> for number in range(3):
        ...     _ = reservoir.put((torch.tensor([float(number)]),))
        >>> reservoir.batch(8)[0].shape, len(reservoir)
        (torch.Size([8, 1]), 3)
    """

    def __init__(self, capacity: int, threshold: int | None = None, seed: int = 0):
        if capacity < 1:
            raise ValueError(f"capacity must be at least 1; got {capacity!r}")
        self.capacity = capacity
        self.threshold = max(capacity // 2, 1) if threshold is None else threshold
        if not 1 <= self.threshold <= capacity:
            raise ValueError(f"threshold must lie between 1 and the capacity {capacity}; got {threshold!r}")
        self.made = self.drawn = 0
        self._samples: list[tuple[Tensor, ...]] = []
        self._uses: list[int] = []
        self._generator = torch.Generator().manual_seed(seed)
        self.changed = threading.Condition()
        self._closed = False

    def __len__(self) -> int:
        return len(self._samples)

    def put(self, sample: tuple[Tensor, ...], timeout: float | None = None) -> bool:
        """Take a sample in; waits while there is room for none.

        Args:
            sample: tensors, without an axis of samples.
            timeout: seconds to wait at most.

        Returns:
            whether it was taken.
        """
        with self.changed:
            if not self.changed.wait_for(lambda: self.has_room or self._closed, timeout) or self._closed:
                return False
            self._place(sample)
            self.changed.notify_all()
        return True

    def batch(self, size: int, timeout: float | None = None) -> tuple[Tensor, ...]:
        """Samples drawn uniformly with replacement, stacked; waits until there are as many as the threshold.

        Raises:
            TimeoutError: if they do not come.
            EOFError: if nothing is left: no more samples are made, and each has been used.
        """
        with self.changed:
            if not self.changed.wait_for(self._is_ready, timeout):
                raise TimeoutError(f"after {timeout} s there were {len(self)} samples of the {self.threshold} to begin")
            if self._closed and (not self._samples or all(self._uses)):
                raise EOFError("no more samples are made, and each has been used")
            places = self._drawn(size)
            for place in places:
                self._uses[place] += 1
            self.drawn += size
            parts = zip(*(self._samples[place] for place in places), strict=True)
            self.changed.notify_all()
            return tuple(torch.stack(part) for part in parts)

    def close(self) -> None:
        """No more samples come: what has not been used still is, then batches end."""
        with self.changed:
            self._closed = True
            self.changed.notify_all()

    @property
    def has_room(self) -> bool:
        """Whether a sample is taken in at once."""
        return len(self._samples) < self.capacity or any(self._uses)

    @property
    def closed(self) -> bool:
        """Whether no more samples come."""
        return self._closed

    def _is_ready(self) -> bool:
        return self._closed or len(self._samples) >= self.threshold

    def _drawn(self, size: int) -> list[int]:
        """Once no more come, first those that have never been used."""
        if self._closed:
            unused = [place for place, uses in enumerate(self._uses) if not uses][:size]
            return unused + self._random(len(self._samples), size - len(unused))
        return self._random(len(self._samples), size)

    def _place(self, sample: tuple[Tensor, ...]) -> None:
        sample = tuple(one.clone() for one in sample)  # and not the batch that it is a row of
        self.made += 1
        if len(self._samples) < self.capacity:
            self._samples.append(sample)
            self._uses.append(0)
            return
        used = [place for place, uses in enumerate(self._uses) if uses]
        place = used[self._random(len(used), 1)[0]]
        self._samples[place], self._uses[place] = sample, 0

    def _random(self, below: int, count: int) -> list[int]:
        return torch.randint(below, (count,), generator=self._generator).tolist() if count else []

    def state_dict(self) -> dict[str, Any]:
        """All that a resumed run needs."""
        with self.changed:
            return {
                "samples": [list(one) for one in self._samples],
                "uses": list(self._uses),
                "random": self._generator.get_state(),
                "made": self.made,
                "drawn": self.drawn,
            }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take it back.

        Raises:
            ValueError: for more samples than there is room for.
        """
        if len(state["samples"]) > self.capacity:
            raise ValueError(f"the state holds {len(state['samples'])} samples; the capacity is {self.capacity}")
        with self.changed:
            self._samples = [tuple(one) for one in state["samples"]]
            self._uses = [int(one) for one in state["uses"]]
            self._generator.set_state(state["random"])
            self.made, self.drawn = int(state["made"]), int(state["drawn"])
            self.changed.notify_all()
