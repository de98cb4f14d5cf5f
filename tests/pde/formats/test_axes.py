"""Grids as coordinates and back."""

import numpy as np
import pytest
import torch
import xarray

import kutta as kt
from kutta.pde import Dirichlet, Grid, Neumann, Periodic, Robin, Wall
from kutta.pde.formats import grid_of
from kutta.pde.formats.axes import condition_of, coordinates, text_of
from kutta.pde.grids.boundary import KINDS

GRIDS = {
    "periodic": Grid(8, 2.0),
    "cells": Grid(8, 2.0, boundary=(Dirichlet(1.0), Neumann(-2.5)), origin=-1.0),
    "nodes": Grid((5, 9), (1.0, 3.0), ("node", "periodic"), ((Robin(1.0, 2.0, 0.5), Dirichlet()), Periodic())),
    "basin": Grid((6, 4), boundary=(Wall(), (Wall(), Neumann()))),
    "box": Grid(
        (3, 4, 5), (1.0, 2.0, 3.0), boundary=(Periodic(), Neumann(), (Dirichlet(torch.tensor(0.25)), Neumann()))
    ),
}


def dataset_on(grid):
    names = ("x", "y", "z")[: grid.dim]
    return xarray.Dataset({"u": (names, np.zeros(grid.shape))}, coordinates(grid))


def same(first, second):
    words = [[[text_of(side) for side in sides] for sides in grid.boundary] for grid in (first, second)]
    fields = ("shape", "length", "centring", "origin")
    return words[0] == words[1] and all(getattr(first, one) == getattr(second, one) for one in fields)


@pytest.mark.parametrize("name", GRIDS)
def test_a_grid_comes_back(name):
    assert same(grid_of(dataset_on(GRIDS[name])), GRIDS[name])


def test_a_grid_is_found_from_its_places():
    bare = xarray.Dataset({"u": ("x", np.zeros(8))}, {"x": np.linspace(0.125, 1.875, 8, dtype=np.float32)})
    with pytest.raises(ValueError, match=r"x does not say what holds at its sides: give boundary="):
        grid_of(bare)
    walls = (Dirichlet(), Neumann())
    assert same(grid_of(bare, walls), Grid(8, 2.0, boundary=walls))
    assert same(grid_of(bare, Periodic()), Grid(8, 2.0, origin=0.125))
    assert same(grid_of(bare, walls, "node"), Grid(8, 1.75, "node", walls, 0.125))


def test_a_part_of_a_larger_data_set_needs_its_own_boundary():
    part = dataset_on(GRIDS["cells"]).isel(x=slice(2, 6))
    with pytest.raises(ValueError, match="of a part of a larger data set, give the boundary"):
        grid_of(part)
    grid = grid_of(part, (Neumann(), Neumann()))
    assert (grid.length, grid.origin) == ((1.0,), (-0.5,))


@pytest.mark.parametrize(
    "text", ["Dirichlet", "exec(1)", "Robin(1.0)", "Dirichlet(__import__('os'))", "Periodic(1)", ""]
)
def test_other_words_are_refused(text):
    with pytest.raises(ValueError, match="boundary condition"):
        condition_of(text)


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_has_words(name):
    one = Robin(1.0, 2.0, 0.5) if name == "Robin" else KINDS[name]()
    assert type(condition_of(text_of(one))) is type(one)
    assert text_of(condition_of(text_of(one))) == text_of(one)


def test_values_that_are_no_numbers_are_named_by_their_kind():
    assert text_of(Dirichlet(torch.ones(3, 4))) == "Dirichlet(values of shape 3x4)"
    assert text_of(Neumann(lambda x, t: t)) == "Neumann(function of x and t)"
    for one in (Dirichlet(torch.ones(3)), Robin(1.0, 2.0, lambda x, t: t)):
        with pytest.raises(ValueError, match="values that its text does not hold"):
            condition_of(text_of(one))


@pytest.mark.parametrize(
    "places, words",
    [
        ([0.0, 1.0, np.nan], "must be finite"),
        ([0.0, 1.0, 3.0], "must ascend in equal steps"),
        ([2.0, 1.0, 0.0], "must ascend in equal steps"),
        ([0.0, 0.0, 0.0], "must ascend in equal steps"),
        (["a", "b", "c"], "must be a vector of numbers"),
    ],
    ids=["nan", "uneven", "descending", "equal", "text"],
)
def test_places_of_no_grid_are_refused(places, words):
    with pytest.raises(ValueError, match=words):
        grid_of(xarray.Dataset({"u": ("x", np.zeros(3))}, {"x": places}), Periodic())


def test_a_data_set_without_space_is_refused():
    with pytest.raises(ValueError, match="must have an axis x, or x and y"):
        grid_of(kt.solve(kt.ODEProblem(lambda t, y: -y, torch.ones(2), (0.0, 1.0))).to_xarray())
    with pytest.raises(ValueError, match="not known from one point"):
        grid_of(xarray.Dataset({"u": ("x", np.zeros(1))}, {"x": [0.0]}), Periodic())
