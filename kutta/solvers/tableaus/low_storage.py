"""Runge-Kutta methods that need two states of memory, whatever their number of stages.

In Williamson's form (J. Comput. Phys. 35 (1980) 48-56), with ``d`` and ``y`` overwritten stage by stage,

    d <- A_i d + h f(t + c_i h, y),      y <- y + B_i d,      i = 1..s.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

from .parse import row
from .tableau import Row


@dataclass(frozen=True, eq=False, repr=False)
class LowStorageTableau:
    """A method in Williamson's form as data; two tableaus are equal when they are the same object.

    Attributes:
        name: the name in the literature.
        order: its order.
        a: ``A_i``, the first one 0.
        b: ``B_i``.
        source: citation of the coefficients.
        stability_size: length of the stability region along the negative real axis.
    """

    name: str
    order: int
    a: Row
    b: Row
    source: str
    stability_size: float

    def __post_init__(self) -> None:
        if len(self.a) != len(self.b) or self.a[0] != 0:
            raise ValueError(
                f"low-storage tableau {self.name!r}: a and b must have one entry a stage, the first of a being 0; "
                f"got {len(self.a)} and {len(self.b)}"
            )

    def __repr__(self) -> str:
        return f"LowStorageTableau({self.name!r})"

    @cached_property
    def nodes(self) -> Row:
        """``c_i``, which follow from the other coefficients."""
        return tuple(sum(entries, Fraction(0)) for entries in self.butcher[0])

    @cached_property
    def butcher(self) -> tuple[tuple[Row, ...], Row]:
        """The rows ``a_ij`` and the weights ``b_i`` of the same method in Butcher's form."""
        increment: Row = ()
        state: Row = ()
        rows = []
        for a, b in zip(self.a, self.b, strict=True):
            rows.append(state)
            increment = (*(a * entry for entry in increment), Fraction(1))
            state = tuple(one + b * other for one, other in zip((*state, Fraction(0)), increment, strict=True))
        return tuple(rows), state


WILLIAMSON3 = LowStorageTableau(
    name="Williamson 3",
    order=3,
    a=row("0 -5/9 -153/128"),
    b=row("1/3 15/16 8/15"),
    source="J. H. Williamson, J. Comput. Phys. 35 (1980) 48-56, case 7",
    stability_size=2.5127,
)

CARPENTER_KENNEDY54 = LowStorageTableau(
    name="Carpenter-Kennedy 5(4)",
    order=4,
    a=row(
        """
        0
        -567301805773/1357537059087
        -2404267990393/2016746695238
        -3550918686646/2091501179385
        -1275806237668/842570457699
        """
    ),
    b=row(
        """
        1432997174477/9575080441755
        5161836677717/13612068292357
        1720146321549/2090206949498
        3134564353537/4481467310338
        2277821191437/14882151754819
        """
    ),
    source="M. H. Carpenter, C. A. Kennedy, NASA Technical Memorandum 109112 (1994), solution 3",
    stability_size=4.6568,
)
