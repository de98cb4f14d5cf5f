"""What the files of The Well call things."""

from __future__ import annotations

from kutta.pde.grids.boundary import Boundary, Dirichlet, Neumann, Periodic, Robin, Wall

ORDERS = {"t0_fields": (), "t1_fields": ("direction",), "t2_fields": ("direction", "direction_2")}
FLAT = "pair"  # both axes of a tensor as one
# Of all kinds of boundaries.
KINDS: dict[type[Boundary], str] = {
    Periodic: "PERIODIC",
    Dirichlet: "WALL",
    Robin: "WALL",
    Wall: "WALL",
    Neumann: "OPEN",
}
KIND, WORDS, VALUES = "bc_type", "kutta", "values"
