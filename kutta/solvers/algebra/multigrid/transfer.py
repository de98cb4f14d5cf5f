"""Between a grid and the next coarser one, along one axis.

Interpolation gives fine point ``2 i + p`` the value ``sum_o w_{p,o,i} c_{i+o}`` of the coarse ones near it, and
restriction is its transpose. Along several axes one follows the other.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

from kutta.solvers.algebra.multigrid.slices import Weight, accumulate_, every_second, weight_of


class Term(NamedTuple):
    """One neighbour of every second fine point.

    Attributes:
        parity: 0 for the fine points ``0, 2, ...``, 1 for the others.
        offset: the coarse point ``i + offset`` belongs to fine point ``2 i + parity``.
        weight: of it; it broadcasts with those fine points.
    """

    parity: int
    offset: int
    weight: Weight


@dataclass(frozen=True)
class Transfer:
    """Interpolation along one axis, and its transpose.

    Attributes:
        axis: counted from the end.
        periodic: whether the axis wraps around; else there are zeros beyond its ends.
        fine, coarse: numbers of points.
        terms: the weights.
    """

    axis: int
    periodic: bool
    fine: int
    coarse: int
    terms: tuple[Term, ...]

    def interpolate_(self, out: Tensor, coarse: Tensor) -> Tensor:
        """``out += P coarse``."""
        for term in self.terms:
            points = every_second(out, self.axis, term.parity)
            for at, start, count in self._spans(term):
                piece = points.narrow(self.axis, at, count)
                accumulate_(piece, self._part(term.weight, at, count), coarse.narrow(self.axis, start, count))
        return out

    def restrict_(self, out: Tensor, fine: Tensor) -> Tensor:
        """``out += P^T fine``."""
        for term in self.terms:
            points = every_second(fine, self.axis, term.parity)
            for at, start, count in self._spans(term):
                piece = out.narrow(self.axis, start, count)
                accumulate_(piece, self._part(term.weight, at, count), points.narrow(self.axis, at, count))
        return out

    def coarse_like(self, fine: Tensor) -> Tensor:
        """Zeros for the coarse points under those of a tensor, along this axis."""
        shape = list(fine.shape)
        shape[self.axis] = self.coarse
        return fine.new_zeros(shape)

    def restricted(self, fine: Tensor) -> Tensor:
        """``P^T fine``."""
        return self.restrict_(self.coarse_like(fine), fine)

    def at_work(self, uniform: bool, like: Tensor) -> Transfer:
        """The same for states such as `like`, with numbers where weights are all the same."""
        terms = tuple(
            term._replace(weight=weight_of(term.weight, uniform, like)) if isinstance(term.weight, Tensor) else term
            for term in self.terms
        )
        return Transfer(self.axis, self.periodic, self.fine, self.coarse, terms)

    def _part(self, weight: Weight, at: int, count: int) -> Weight:
        return weight.narrow(self.axis, at, count) if isinstance(weight, Tensor) else weight

    def _spans(self, term: Term) -> Iterator[tuple[int, int, int]]:
        """Where points of a term begin, where their coarse ones do, and how many follow; once more around an end."""
        count = (self.fine - term.parity + 1) // 2
        first, last = max(0, -term.offset), min(count, self.coarse - term.offset)
        if last > first:
            yield first, first + term.offset, last - first
        if self.periodic:
            for at in (*range(first), *range(max(last, first), count)):
                yield at, (at + term.offset) % self.coarse, 1
