"""The probability flow of straight paths in time: orders of the plain methods, and adaptive ones."""

import math
from dataclasses import replace
from functools import cache

import pytest
import torch

import kutta as kt
from kutta.solvers.diffusion.levels.schedules import as_float64
from tests._helpers import F64
from tests.solvers.diffusion.problems import Case, orders, reference, t1

D = kt.diffusion


@cache
def straight():
    """The blobs of T1 by the flow from pure noise to data without any."""
    teacher, schedule = t1().teacher, D.RectifiedFlow()
    x = t1().problem.x / 5.0
    problem = kt.DiffusionProblem(teacher.model(schedule, "flow"), schedule, x, prediction="flow")
    return Case(problem, reference(problem), teacher)


@pytest.mark.parametrize(
    ("method", "order", "counts"),
    [
        (kt.Euler(), 1, (160, 320, 640)),
        (kt.Heun(), 2, (80, 160, 320)),
        (kt.RK4(), 4, (40, 80, 160)),
        (kt.AdamsBashforth(2), 2, (160, 320, 640)),
    ],
    ids=["Euler", "Heun", "RK4", "AB2"],
)
def test_orders_in_time(method, order, counts):
    case = straight()
    errors = [case.error(kt.solve(case.problem, method, controller=kt.Fixed(1.0 / n)).y1) for n in counts]
    assert orders(errors)[-1] == pytest.approx(order, abs=0.25), errors


class Circle(D.Schedule):
    """``alpha = cos(pi t / 2)``, ``sigma = sin(pi t / 2)``: solved in time, at rates that change."""

    start, end = 0.95, 0.0

    def log_alpha(self, t):
        return torch.log(torch.cos(0.5 * math.pi * as_float64(t)))

    def sigma(self, t):
        return torch.sin(0.5 * math.pi * as_float64(t))


@pytest.mark.parametrize(
    ("problem", "span"),
    [
        (lambda: t1().problem, math.log(5.0 / 0.05)),
        (lambda: straight().problem, 1.0),
        (lambda: replace(straight().problem, schedule=Circle(), prediction="v"), 0.95),
    ],
    ids=["log SNR", "straight", "circle"],
)
def test_methods_that_differentiate_by_time_keep_their_order(problem, span):
    """Rosenbrock methods need ``df/dt``, which comes from the schedule, the model's time and the rates."""
    problem = problem()
    model = t1().teacher.model(problem.schedule, problem.prediction)
    problem = replace(problem, model=model)
    exact = kt.solve(problem, kt.Vern9(), rtol=1e-12, atol=1e-12).y1
    ends = [kt.solve(problem, kt.Rodas5P(), controller=kt.Fixed(span / n)).y1 for n in (20, 40)]
    assert orders([float((end - exact).abs().mean()) for end in ends])[0] > 3.5


def test_ddim_is_euler_in_time():
    case = straight()
    euler = kt.solve(case.problem, kt.Euler(), controller=kt.Fixed(0.05)).y1
    assert torch.allclose(kt.solve(case.problem, kt.DDIM(), steps=20).y1, euler, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("tolerance", [1e-3, 1e-5, 1e-7, 1e-9])
def test_adaptive_errors(tolerance):
    case = straight()
    x = kt.solve(case.problem, kt.Dopri5(), rtol=tolerance, atol=tolerance).y1
    assert case.error(x) <= 10 * tolerance


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"prediction": "epsilon"}, "there is only noise, where prediction='epsilon'"),
        ({"prediction": "data", "t_span": (0.9, 0.0)}, "there is no noise, where prediction='data'"),
        ({"guidance": D.CFGPlusPlus(0.5), "condition": 1}, "the probability flow needs guidance that does not depend"),
    ],
)
def test_flows_without_a_right_hand_side_are_refused(changes, match):
    with pytest.raises(ValueError, match=match):
        D.probability_flow(replace(straight().problem, **changes))


@pytest.mark.parametrize("schedule", [D.VP(), D.EDM(start=5.0, end=0.05)], ids=repr)
def test_the_linear_part_of_the_flow_is_minus_one(schedule):
    """Where the predicted data are constant, ``y = D + exp(-(lambda - lambda_0)) (y_0 - D)``."""
    data = torch.tensor([[0.3, -0.2]], dtype=F64)
    x = torch.tensor([[2.0, 1.0]], dtype=F64)
    flow = D.probability_flow(kt.DiffusionProblem(lambda x, t: data.expand_as(x), schedule, x, prediction="data"))
    y0, (first, last) = flow.equation.y0, flow.equation.t_span
    sol = kt.solve(flow.equation, kt.Dopri8(), rtol=1e-11, atol=1e-11)
    assert torch.allclose(sol.y1, data + math.exp(first - last) * (y0 - data), rtol=1e-9)
    assert torch.allclose(flow.solution(sol).y1, schedule.alpha(schedule.end) * sol.y1, rtol=1e-14)


def test_samples_have_the_law_of_the_data():
    """Many samples of the exact flow, against the moments of the mixture."""
    case = straight()
    x = torch.randn(20_000, 2, dtype=F64, generator=torch.Generator().manual_seed(0))
    samples = kt.solve(
        kt.DiffusionProblem(case.problem.model, case.problem.schedule, x, prediction="flow"), kt.Dopri5()
    )
    drawn = case.teacher.sample(20_000, torch.Generator().manual_seed(1))
    assert torch.allclose(samples.y1.mean(0), drawn.mean(0), atol=0.05)
    assert torch.allclose(torch.cov(samples.y1.T), torch.cov(drawn.T), atol=0.06)
