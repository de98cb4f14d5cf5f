"""Families of small problems, as functions that other processes can import."""

from dataclasses import replace

from kutta.operators.data import Family, darcy
from kutta.solvers.algebra.multigrid.multigrid import Multigrid

SMALL = Family(darcy(points=8).draw, ("coefficient",), Multigrid(), {"rtol": 1e-8}, name="small")


# A sample of it is more than a pipe holds.
LARGE = replace(SMALL, draw=darcy(points=128).draw, name="large")


def draw_nothing(count, generator):
    raise RuntimeError("out of problems")


EMPTY = Family(draw_nothing, ("coefficient",), name="empty")
