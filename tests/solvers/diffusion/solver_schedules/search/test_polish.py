"""Polish: what it begins with is what there was, gradients are right, and the error falls."""

import pytest
import torch

import kutta as kt
from kutta.solvers.diffusion import Nodes, named_schedule
from kutta.solvers.diffusion.solver_schedules.named import NAMED
from kutta.solvers.diffusion.solver_schedules.search.archive import structure
from kutta.solvers.diffusion.solver_schedules.search.polish import _Numbers, freed, polished
from kutta.solvers.diffusion.solver_schedules.search.teacher import Teacher
from tests.solvers.diffusion.problems import t1


def teacher():
    return Teacher.of([t1().problem], [t1().reference], 1)


def named(name, order=3, steps=5):
    schedule = t1().problem.schedule
    return named_schedule(name, kt.diffusion.Rho().times(schedule, steps, 5.0, 0.05), schedule, order)


@pytest.mark.parametrize("name", NAMED)
def test_freed_numbers_begin_where_they_were(name):
    found, judge = named(name), teacher()
    numbers = _Numbers(freed(found, judge.axis), judge.axis)
    case = t1()
    free = kt.solve(case.problem, numbers.written()).y1
    torch.testing.assert_close(free, kt.solve(case.problem, found).y1, rtol=1e-9, atol=1e-9)


def test_gradient_is_that_of_differences():
    judge = teacher()
    numbers = _Numbers(freed(named("unipc bh2"), judge.axis), judge.axis)
    _, slopes = numbers.slopes(judge)
    for parameter, slope in zip(numbers.parameters, slopes, strict=True):
        for index in range(parameter.numel()):
            errors = []
            for shift in (1e-6, -1e-6):
                with torch.no_grad():
                    parameter.view(-1)[index] += shift
                    errors.append(float(judge.error(numbers.schedule(), numbers.nodes())))
                    parameter.view(-1)[index] -= shift
            expected = (errors[0] - errors[1]) / 2e-6
            assert float(slope.view(-1)[index]) == pytest.approx(expected, rel=1e-4, abs=1e-8)


@pytest.mark.parametrize("name", ["exponential noise", "unipc bh2"])
def test_the_error_falls(name):
    found, judge = named(name), teacher()
    better = polished(found, judge, 20)
    assert judge(better) < 0.6 * judge(found)
    assert structure(better) == structure(freed(found, judge.axis))
    assert (better.t, better.steps[-1].t) == (found.t, found.steps[-1].t)


class Layer(torch.nn.Module):
    """A model with parameters, and without sense."""

    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(2, 2, dtype=torch.float64)

    def forward(self, x, t):
        return self.linear(x) / (1.0 + t[:, None])


def test_no_gradients_are_left_in_the_model_or_the_state():
    model, x = Layer(), t1().problem.x.clone().requires_grad_()
    judge = Teacher.of([kt.DiffusionProblem(model, t1().problem.schedule, x)], None, 20)
    assert polished(named("ddim"), judge, 3) != named("ddim")
    assert all(one.grad is None for one in (x, *model.parameters()))


def test_what_cannot_be_polished_is_kept():
    """At a schedule whose gradient is not finite it stops with what it has."""
    problem = kt.DiffusionProblem(lambda x, t: torch.sqrt(x - x), t1().problem.schedule, t1().problem.x)
    judge = Teacher.of([problem], [t1().reference], 1)
    assert polished(named("ddim"), judge, 5) == named("ddim")


def test_nodes_are_those_of_the_schedule():
    found, judge = named("ddim"), teacher()
    nodes = _Numbers(found, judge.axis).nodes()
    torch.testing.assert_close(nodes.t.detach(), Nodes.at(t1().problem.schedule, found.times).t, rtol=1e-12, atol=0)
