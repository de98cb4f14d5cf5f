"""How fields continue beyond the sides of an axis, which decides what waves they are sums of."""

from __future__ import annotations

from collections.abc import Sequence

from kutta.pde.grids.boundary import Boundary, Dirichlet, Neumann, Periodic

PERIODIC, EVEN, ODD = "periodic", "even", "odd"


def kind_of(sides: Sequence[Boundary]) -> str | None:
    """Periodic; even between sides where slopes vanish, odd between those where values do; nothing between others.

    Data of the sides are not looked at.
    """
    for kind, condition in ((PERIODIC, Periodic), (EVEN, Neumann), (ODD, Dirichlet)):
        if all(isinstance(one, condition) for one in sides):
            return kind
    return None


def product_of_kinds(first: Sequence[str], second: Sequence[str]) -> tuple[str, ...]:
    """Those of a product of fields."""
    return tuple(
        PERIODIC if one == PERIODIC else EVEN if one == other else ODD for one, other in zip(first, second, strict=True)
    )
