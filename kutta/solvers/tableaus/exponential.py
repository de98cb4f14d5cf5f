"""Exponential Runge-Kutta methods for ``dy/dt = L y + N(t, y)``, whose weights are functions of the linear part.

With ``z = h L`` and slopes ``N_i = N(t + c_i h, g_i)``,

    g_i = exp(c_i z) y + h sum_{j<i} a_ij(z) N_j,      y1 = g_s

where each ``a_ij`` is a sum of terms ``weight * phi_k(c z)`` with the functions of `kutta.solvers.exponential.phi`. The
last stage of every table is the new state, so that its slope is the first of the next step.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from .parse import row
from .tableau import Row

Weight = tuple[tuple[Fraction, int, Fraction], ...]  # terms (weight, k, c)


@dataclass(frozen=True, eq=False, repr=False)
class ExponentialTableau:
    """An exponential Runge-Kutta method as data; two tableaus are equal when they are the same object.

    Attributes:
        name: the name in the literature.
        order: its order where ``h L`` is small; boundary conditions or a rough remainder may cost some of it.
        nodes: ``c_i``, the last one 1.
        a: ``a_ij`` as terms ``(weight, k, c)`` of ``weight * phi_k(c z)``; row ``i`` (from 0) has ``i`` entries.
        source: citation of the coefficients.
        error: the weights of the slopes in the error estimate, one for each node; ``None`` without one.
        embedded_order: order of the solution ``y1 - error``.
    """

    name: str
    order: int
    nodes: Row
    a: tuple[tuple[Weight, ...], ...]
    source: str
    error: tuple[Weight, ...] | None = None
    embedded_order: int | None = None

    def __post_init__(self) -> None:
        if len(self.a) != len(self.nodes) or self.nodes[0] != 0 or self.nodes[-1] != 1:
            raise ValueError(
                f"exponential tableau {self.name!r}: a must have one row for each node, from the node 0 to the node 1; "
                f"got {len(self.a)} rows for {len(self.nodes)} nodes"
            )
        for index, entries in enumerate(self.a):
            if len(entries) != index:
                raise ValueError(
                    f"exponential tableau {self.name!r}: row {index} of a must have {index} entries, got {len(entries)}"
                )
        if self.error is not None and len(self.error) != len(self.nodes):
            raise ValueError(
                f"exponential tableau {self.name!r}: error must have {len(self.nodes)} entries, got {len(self.error)}"
            )

    def __repr__(self) -> str:
        return f"ExponentialTableau({self.name!r})"

    @property
    def highest(self) -> int:
        """The largest ``k`` of a function ``phi_k`` in the table."""
        weights = [*(weight for entries in self.a for weight in entries), *(self.error or ())]
        return max(k for weight in weights for _, k, _ in weight)


def _phi(k: int, c: Any = 1, weight: Any = 1) -> Weight:
    """One term; sums of weights are written with +."""
    return ((Fraction(weight), k, Fraction(c)),)


_none: Weight = ()
_half, _full = _phi(1, c="1/2"), _phi(1)
# The weights with which the polynomial through slopes at 0, 1/2 and 1 is integrated exactly.
_first = _phi(1) + _phi(2, weight=-3) + _phi(3, weight=4)
_middle = _phi(2, weight=4) + _phi(3, weight=-8)
_last = _phi(2, weight=-1) + _phi(3, weight=4)
_each_middle = _phi(2, weight=2) + _phi(3, weight=-4)  # of two slopes at 1/2
_minus_last = _phi(2) + _phi(3, weight=-4)
# What the last stage at the new state says of a remainder is nothing where it depends on time alone. So errors of order
# four also have a tenth of the difference between the rules of trapezoids and of Simpson, h/60 (N_1 - 2 N_mid + N_end).
_change, _minus_change = _phi(1, weight="1/60"), _phi(1, weight="-1/60")

_cox_matthews = "S. M. Cox, P. C. Matthews, J. Comput. Phys. 176 (2002) 430-455"
_balac_mahe = "error of S. Balac, F. Mahe, Comput. Phys. Commun. 184 (2013) 1211-1219: the last stage at the new state"

ETD1 = ExponentialTableau(
    name="ETD1",
    order=1,
    nodes=row("0 1"),
    a=((), (_full,)),
    source=_cox_matthews,
)

ETDRK2 = ExponentialTableau(
    name="ETDRK2",
    order=2,
    nodes=row("0 1 1"),
    a=((), (_full,), (_phi(1) + _phi(2, weight=-1), _phi(2))),
    error=(_phi(2, weight=-1), _phi(2), _none),
    embedded_order=1,
    source=f"{_cox_matthews}; error against ETD1",
)

ETDRK3 = ExponentialTableau(
    name="ETDRK3",
    order=3,
    nodes=row("0 1/2 1 1"),
    a=(
        (),
        (_phi(1, c="1/2", weight="1/2"),),
        (_phi(1, weight=-1), _phi(1, weight=2)),
        (_first, _middle, _last),
    ),
    error=(_phi(2, weight=-2) + _phi(3, weight=4), _middle, _phi(2, weight=-2) + _phi(3, weight=4), _none),
    embedded_order=2,
    source=f"{_cox_matthews}; error against the rule of order two with slopes at the ends",
)

# The fourth stage starts from the second, exp(z/2) g_2, where exp(z/2) phi_1(z/2) = 2 phi_1(z) - phi_1(z/2).
ETDRK4 = ExponentialTableau(
    name="ETDRK4",
    order=4,
    nodes=row("0 1/2 1/2 1 1"),
    a=(
        (),
        (_phi(1, c="1/2", weight="1/2"),),
        (_none, _phi(1, c="1/2", weight="1/2")),
        (_phi(1) + _phi(1, c="1/2", weight=-1), _none, _half),
        (_first, _each_middle, _each_middle, _last),
    ),
    error=(_change, _minus_change, _minus_change, _last, _minus_last + _change),
    embedded_order=2,
    source=f"{_cox_matthews}; {_balac_mahe}",
)

KROGSTAD4 = ExponentialTableau(
    name="Krogstad 4",
    order=4,
    nodes=row("0 1/2 1/2 1 1"),
    a=(
        (),
        (_phi(1, c="1/2", weight="1/2"),),
        (_phi(1, c="1/2", weight="1/2") + _phi(2, c="1/2", weight=-1), _phi(2, c="1/2")),
        (_phi(1) + _phi(2, weight=-2), _none, _phi(2, weight=2)),
        (_first, _each_middle, _each_middle, _last),
    ),
    error=(_change, _minus_change, _minus_change, _last, _minus_last + _change),
    embedded_order=2,
    source=f"S. Krogstad, J. Comput. Phys. 203 (2005) 72-88; {_balac_mahe}",
)

LAWSON4 = ExponentialTableau(
    name="Lawson 4",
    order=4,
    nodes=row("0 1/2 1/2 1 1"),
    a=(
        (),
        (_phi(0, c="1/2", weight="1/2"),),
        (_none, _phi(0, c=0, weight="1/2")),
        (_none, _none, _phi(0, c="1/2")),
        (
            _phi(0, weight="1/6"),
            _phi(0, c="1/2", weight="1/3"),
            _phi(0, c="1/2", weight="1/3"),
            _phi(0, c=0, weight="1/6"),
        ),
    ),
    error=(
        _phi(0, weight="1/60"),
        _phi(0, c="1/2", weight="-1/60"),
        _phi(0, c="1/2", weight="-1/60"),
        _phi(0, c=0, weight="1/6"),
        _phi(0, c=0, weight="-1/6") + _phi(0, c=0, weight="1/60"),
    ),
    embedded_order=2,
    source=f"J. D. Lawson, SIAM J. Numer. Anal. 4 (1967) 372-380, with the classical rule; {_balac_mahe}",
)
