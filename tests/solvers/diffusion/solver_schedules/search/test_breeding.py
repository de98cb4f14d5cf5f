"""Children are valid and have the evaluations asked for, whatever their parents."""

import numpy as np
import pytest

import kutta as kt
from kutta.solvers.diffusion import Nodes
from kutta.solvers.diffusion.solver_schedules.search.breeding import GAP, Breeder
from kutta.solvers.diffusion.solver_schedules.search.evolution import seeds
from kutta.solvers.diffusion.solver_schedules.search.teacher import Axis

AXES = {
    "finite": Axis(kt.diffusion.EDM(), 80.0, 0.002),
    "infinite": Axis(kt.diffusion.RectifiedFlow(), 1.0, 0.0),
}


@pytest.mark.parametrize("axis", AXES.values(), ids=AXES)
@pytest.mark.parametrize("evaluations", [1, 2, 5, 8])
def test_children_of_children_can_be_followed(axis, evaluations):
    numbers, breeder = np.random.default_rng(0), Breeder(axis, evaluations)
    population = seeds(axis, 6)  # of another number of evaluations
    for _ in range(10):
        population = [breeder.child(population, numbers) for _ in range(20)]
    for child in population:
        plan = child.plan(Nodes.at(axis.schedule, child.times))
        assert child.evaluations == evaluations
        assert plan.evaluations <= evaluations
        assert (child.t, child.steps[-1].t) == (axis.start, axis.end)


def test_everything_changes_in_the_long_run():
    axis = AXES["finite"]
    numbers, breeder = np.random.default_rng(0), Breeder(axis, 5)
    population = [seeds(axis, 5)[0]]
    for _ in range(12):
        population = [*population, *(breeder.child(population, numbers) for _ in range(30))]
    steps = [step for child in population for step in child.steps]
    assert {step.prediction for step in steps} == {"data", "noise"}
    assert {step.corrector for step in steps} == {"none", "pseudo", "implicit"}
    assert {step.order for step in steps} >= {1, 2, 3, 4}
    assert {step.back for step in steps} >= {0, 1}
    assert {child.analytic_start for child in population} == {False, True}
    assert {one.scaling for step in steps for one in step.estimates} >= {"none", "linear", "exponential"}


def test_times_keep_their_distance():
    axis = AXES["finite"]
    numbers, breeder = np.random.default_rng(0), Breeder(axis, 12)
    child = breeder.child(seeds(axis, 2), numbers)
    places = axis.place(child.times).numpy()
    assert np.diff(places).min() >= 0.9 * GAP


def test_the_axis_goes_there_and_back():
    for axis in AXES.values():
        times = axis.time(axis.place(kt.diffusion.UniformTime().times(axis.schedule, 7, axis.start, axis.end))[1:-1])
        expected = kt.diffusion.UniformTime().times(axis.schedule, 7, axis.start, axis.end)[1:-1]
        np.testing.assert_allclose(times, expected, rtol=1e-12)
