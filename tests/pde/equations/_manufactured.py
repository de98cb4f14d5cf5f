"""A smooth field with its derivatives, and the boundary data that it takes."""

import math

import torch

import kutta as kt

W = 1.3


def waves(x):
    return [torch.cos(W * row + 0.4 * place) for place, row in enumerate(x)]


def product(parts):
    total = torch.ones_like(parts[0])
    for part in parts:
        total = total * part
    return total


def field(x):
    """A product of cosines, and a polynomial of degree 4."""
    return product(waves(x)) + sum(row**4 for row in x)


def slope(x, axis):
    parts = waves(x)
    parts[axis] = -W * torch.sin(W * x[axis] + 0.4 * axis)
    return product(parts) + 4 * x[axis] ** 3


def minus_laplacian(x):
    return len(x) * W**2 * product(waves(x)) - 12 * sum(row**2 for row in x)


def outward(x, axis, side):
    return (2.0 * side - 1.0) * slope(x, axis)


def dirichlet(axis, side):
    return kt.pde.Dirichlet(lambda x, t: field(x))


def neumann(axis, side):
    return kt.pde.Neumann(lambda x, t: outward(x, axis, side))


def robin(axis, side):
    return kt.pde.Robin(2.0, 0.7, lambda x, t: 2.0 * field(x) + 0.7 * outward(x, axis, side))


def mixed(axis, side):
    return (dirichlet, neumann)[side](axis, side)


KINDS = {"dirichlet": dirichlet, "neumann": neumann, "mixed": mixed, "robin": robin}


def grid_of(kind, n, dim, centring):
    sides = tuple(tuple(KINDS[kind](axis, side) for side in (0, 1)) for axis in range(dim))
    return kt.pde.Grid((n,) * dim, (1.0, 0.8, 1.1)[:dim], centring, sides)


def norm(error, grid):
    """In L2; nodes at sides have half a cell."""
    for axis, (centring, h) in enumerate(zip(grid.centring, grid.spacing, strict=True)):
        weights = torch.full((grid.shape[axis],), math.sqrt(h), dtype=error.dtype)
        if centring == "node":
            weights[[0, -1]] = math.sqrt(h / 2)
        error = error * weights.reshape(-1, *[1] * (grid.dim - axis - 1))
    return float(error.norm())
