"""Families of small problems, as functions that other processes can import."""

from kutta.operators.data import Family, darcy
from kutta.solvers.algebra.multigrid.multigrid import Multigrid

SMALL = Family(darcy(points=8).draw, ("coefficient",), Multigrid(), {"rtol": 1e-8}, name="small")


def draw_nothing(count, generator):
    raise RuntimeError("out of problems")


EMPTY = Family(draw_nothing, ("coefficient",), name="empty")
