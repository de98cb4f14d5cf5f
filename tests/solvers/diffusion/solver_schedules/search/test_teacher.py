"""The teacher judges what `kutta.solve` does."""

from dataclasses import replace

import pytest
import torch

import kutta as kt
from kutta.solvers.diffusion.solver_schedules.search.evolution import seeds
from kutta.solvers.diffusion.solver_schedules.search.teacher import Teacher
from tests.solvers.diffusion.problems import orders, t1

ALL, FIRST = torch.tensor([[True, True, True]]), torch.tensor([[True, False, False]])


@pytest.mark.parametrize("prediction", ["epsilon", "data", "v"])
@pytest.mark.parametrize("guidance", [None, kt.diffusion.CFG(3.0, null=ALL)], ids=["free", "guided"])
def test_errors_are_those_of_the_solution(prediction, guidance):
    problem = replace(t1(prediction).problem, condition=FIRST, guidance=guidance)
    judge = Teacher.of([problem], [t1().reference], 1)
    for found in seeds(judge.axis, 4)[::20]:
        expected = float((kt.solve(problem, found).y1 - t1().reference).abs().mean())
        assert judge(found) == pytest.approx(expected, rel=1e-12)
        assert float(judge.error(found)) == pytest.approx(expected, rel=1e-9)  # with gradients


def test_end_states_of_many_steps_tend_to_those_of_the_flow():
    """Nearly with the order of the steps, 3, which the first ones do not have."""
    ends = [Teacher.of([t1().problem], None, count).references[0] for count in (40, 80)]
    (order,) = orders([t1().error(end) for end in ends])
    assert order > 2.5
