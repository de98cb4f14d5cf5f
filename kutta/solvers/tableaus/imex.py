"""Pairs of Runge-Kutta methods, one implicit for the linear part and one explicit for the rest.

For ``dy/dt = L y + N(t, y)``, with ``g_0 = y`` and slopes ``N_j = N(t + c_j h, g_j)``,

    g_i = y + h sum_{j<i} a_ij N_j + h sum_{0<j<i} d_ij L g_j + h gamma L g_i,      y1 = g_s.

Each stage solves a system with the one matrix ``I - h gamma L``. The last stage is the new state, in which whatever is
infinitely stiff has died out.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from .parse import row
from .tableau import Row


@dataclass(frozen=True, eq=False, repr=False)
class ImexTableau:
    """An implicit-explicit method as data; two tableaus are equal when they are the same object.

    Attributes:
        name: the name in the literature.
        order: its order.
        gamma: the coefficient of the linear systems.
        nodes: ``c_i``, from 0 to 1.
        explicit: ``a_ij``; row ``i`` (from 0) has ``i`` entries.
        implicit: ``d_ij`` for ``0 < j < i``; row ``i`` has ``i - 1`` entries, the first rows none.
        source: citation of the coefficients.
    """

    name: str
    order: int
    gamma: Fraction
    nodes: Row
    explicit: tuple[Row, ...]
    implicit: tuple[Row, ...]
    source: str

    def __post_init__(self) -> None:
        for field, fewer in (("explicit", 0), ("implicit", 1)):
            rows = getattr(self, field)
            if [len(entries) for entries in rows] != [max(index - fewer, 0) for index in range(len(self.nodes))]:
                raise ValueError(
                    f"IMEX tableau {self.name!r}: row i of {field} must have {'i - 1' if fewer else 'i'} entries, "
                    f"for each of {len(self.nodes)} nodes; got {[len(entries) for entries in rows]}"
                )

    def __repr__(self) -> str:
        return f"ImexTableau({self.name!r})"

    @property
    def stages(self) -> int:
        """Number of implicit stages."""
        return len(self.nodes) - 1


_SOURCE = "U. M. Ascher, S. J. Ruuth, R. J. Spiteri, Appl. Numer. Math. 25 (1997) 151-167"

_gamma = 1 - Fraction("1.4142135623730950488016887242096980785697") / 2
_delta = 1 - 1 / (2 * _gamma)

ARS222 = ImexTableau(
    name="ARS(2,2,2)",
    order=2,
    gamma=_gamma,
    nodes=(Fraction(0), _gamma, Fraction(1)),
    explicit=((), (_gamma,), (_delta, 1 - _delta)),
    implicit=((), (), (1 - _gamma,)),
    source=_SOURCE,
)

ARS443 = ImexTableau(
    name="ARS(4,4,3)",
    order=3,
    gamma=Fraction(1, 2),
    nodes=row("0 1/2 2/3 1/2 1"),
    explicit=((), row("1/2"), row("11/18 1/18"), row("5/6 -5/6 1/2"), row("1/4 7/4 3/4 -7/4")),
    implicit=((), (), row("1/6"), row("-1/2 1/2"), row("3/2 -3/2 1/2")),
    source=_SOURCE,
)
