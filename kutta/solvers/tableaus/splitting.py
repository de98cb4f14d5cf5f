"""Symplectic splittings of a separable system ``dp/dt = F(q), dq/dt = V(p)``.

One step of size ``h`` runs through the stages ``i = 1, 2, ...`` as

    p += h * kick_i * F(q)
    q += h * drift_i * V(p)

A stage weight of zero is skipped. When the last drift is zero, the last force of a step is the first
force of the next.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

from .parse import row
from .tableau import Row


@dataclass(frozen=True)
class Splitting:
    """A composition of kicks and drifts.

    Attributes:
        name: the name in the literature.
        order: order of the method.
        kick: weights of the momentum updates.
        drift: weights of the position updates, as many.
        source: citation of the coefficients.
    """

    name: str
    order: int
    kick: Row
    drift: Row
    source: str

    def __post_init__(self) -> None:
        if len(self.kick) != len(self.drift):
            raise ValueError(
                f"splitting {self.name!r}: kick and drift must have one entry a stage; "
                f"got {len(self.kick)} and {len(self.drift)}"
            )


def _composed(substeps: Row) -> tuple[Row, Row]:
    """Kicks and drifts of velocity Verlet steps of sizes ``substeps * h``, adjacent kicks merged."""
    ends = (Fraction(0), *substeps, Fraction(0))
    kick = tuple((before + after) / 2 for before, after in pairwise(ends))
    return kick, (*substeps, Fraction(0))


SEMI_IMPLICIT_EULER = Splitting(
    name="Semi-implicit Euler",
    order=1,
    kick=row("1"),
    drift=row("1"),
    source="R. de Vogelaere, Department of Mathematics report 4, University of Notre Dame (1956)",
)

_kick, _drift = _composed(row("1"))

VELOCITY_VERLET = Splitting(
    name="Velocity Verlet",
    order=2,
    kick=_kick,
    drift=_drift,
    source="W. C. Swope, H. C. Andersen, P. H. Berens, K. R. Wilson, J. Chem. Phys. 76 (1982) 637-649",
)

RUTH3 = Splitting(
    name="Ruth 3",
    order=3,
    kick=row("7/24  3/4 -1/24"),
    drift=row("2/3 -2/3  1"),
    source="R. D. Ruth, IEEE Trans. Nucl. Sci. 30 (1983) 2669-2671",
)

# With w = 1 / (2 - 2**(1/3)) to 40 decimals, kicks w, 1 - 2 w, w between half drifts.
_outer = Fraction("1.3512071919596576340476878089714608269220")
_inner = 1 - 2 * _outer

YOSHIDA4 = Splitting(
    name="Yoshida 4",
    order=4,
    kick=(Fraction(0), _outer, _inner, _outer),
    drift=(_outer / 2, (_outer + _inner) / 2, (_outer + _inner) / 2, _outer / 2),
    source="H. Yoshida, Phys. Lett. A 150 (1990) 262-268; E. Forest, R. D. Ruth, Physica D 43 (1990) 105-117",
)

# Nine Verlet steps. The middle one completes the sum to one; the printed 0.79854399093482996339895035
# differs from it by a unit in the last place.
_half = row(
    """
     0.39216144400731413927925056   0.33259913678935943859974864
    -0.70624617255763935980996482   0.08221359629355080023149045
    """
)
_kick, _drift = _composed((*_half, 1 - 2 * sum(_half, Fraction(0)), *reversed(_half)))

KAHAN_LI6 = Splitting(
    name="Kahan-Li 6",
    order=6,
    kick=_kick,
    drift=_drift,
    source="W. Kahan, R.-C. Li, Math. Comp. 66 (1997) 1089-1099, s9odr6a",
)
