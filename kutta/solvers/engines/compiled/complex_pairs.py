"""Complex tensors as pairs of real ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Pair:
    """A complex tensor; a part that is zero for every value is ``None``, never both of them."""

    real: Tensor | None
    imag: Tensor | None

    @property
    def like(self) -> Tensor:
        """A tensor of its shape."""
        return self.real if self.real is not None else self.imag  # type: ignore[return-value]

    @property
    def parts(self) -> tuple[Tensor, Tensor]:
        """Both, zeros written out."""
        real = torch.zeros_like(self.like) if self.real is None else self.real
        return real, torch.zeros_like(self.like) if self.imag is None else self.imag

    def stacked(self) -> Tensor:
        """The parts on a first axis."""
        return torch.stack([part.contiguous() for part in self.parts])

    def each(self, function: Callable[[Tensor], Tensor]) -> Pair:
        """A real linear function of it."""
        return Pair(*(None if part is None else function(part) for part in (self.real, self.imag)))


@dataclass(frozen=True)
class LastAxis:
    """A complex tensor seen as real numbers, its parts on a last axis."""

    pair: Pair


def pair_of(value: Pair | Tensor) -> Pair:
    """A real tensor as what it is among complex ones."""
    return value if isinstance(value, Pair) else Pair(value, None)


def flat(values: Any) -> list[Any]:
    """All that is in lists of lists."""
    return [one for value in values for one in (flat(value) if isinstance(value, list | tuple) else [value])]
