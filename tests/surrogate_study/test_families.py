"""Classical methods that networks are compared with."""

import pytest
import torch

import kutta as kt
from kutta.operators.metrics import relative_l2
from kutta.surrogate_study.families import FAMILIES, ladder, reference

SMALL = {"darcy": {"points": 16}, "burgers": {"points": 32}, "navier_stokes": {"points": 16, "end": 1.0, "times": 1}}


@pytest.mark.parametrize("name", ["darcy", "burgers", pytest.param("navier_stokes", marks=pytest.mark.slow)])
def test_all_rungs_solve_and_the_tightest_are_the_most_exact(name):
    known = FAMILIES[name]
    family = known.make(**SMALL[name])
    problem = family.draw(2, torch.Generator().manual_seed(0))
    exact = kt.solve(problem, family.method, **family.options).y1
    errors = {}
    for rung, (method, options) in ladder(known, problem).items():
        found = kt.solve(problem, method, **options).y1
        errors[rung] = float(relative_l2(found[:, None], exact[:, None], problem.grid).max())
    assert min(errors.values()) < 1e-4 < max(errors.values()) < 1.0
    on_few, on_all = ([errors[rung] for rung in errors if f"on {n}" in rung] for n in (8, SMALL[name]["points"]))
    assert min(on_few) > 10.0 * min(on_all)


def test_grids_that_cannot_be_coarser_are_tried_as_they_are():
    problems = [FAMILIES["darcy"].make(points=n).draw(1, torch.Generator().manual_seed(0)) for n in (9, 8, 16, 32)]
    counts = [len(ladder(FAMILIES["darcy"], problem)) for problem in problems]
    assert [count // counts[0] for count in counts] == [1, 1, 2, 3]


def test_steps_that_are_too_long_are_left_out():
    family = FAMILIES["burgers"].make(points=32, viscosity=0.001, end=10.0)
    rungs = ladder(FAMILIES["burgers"], family.draw(1, torch.Generator().manual_seed(0)))
    assert "ETDRK4 on 32, rtol 0.01, float64" in rungs and "ETDRK4 on 32, 4 steps, float64" not in rungs


@pytest.mark.parametrize("name", ["darcy", "burgers"])
def test_all_are_tried_in_the_precision_of_networks_too(name):
    problem = FAMILIES[name].make(**SMALL[name]).draw(1, torch.Generator().manual_seed(0))
    rungs = list(ladder(FAMILIES[name], problem))
    single, double = ([one for one in rungs if one.endswith(end)] for end in ("float32", "float64"))
    assert [one.replace("float32", "float64") for one in single] == double and len(single) + len(double) == len(rungs)


def test_the_method_of_the_data_has_a_name():
    known = FAMILIES["darcy"]
    assert reference(known, known.make()) == "CG, multigrid, rtol 1e-08"
    known = FAMILIES["burgers"]
    assert reference(known, known.make()) == "ETDRK4, rtol 1e-06"


@pytest.mark.parametrize("name", FAMILIES)
def test_grids_have_as_many_axes_as_they_say(name):
    problem = FAMILIES[name].make(**SMALL[name]).draw(1, torch.Generator().manual_seed(0))
    assert problem.grid.dim == FAMILIES[name].dim
