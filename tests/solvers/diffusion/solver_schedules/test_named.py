"""Samplers with names as solver schedules, against samplers of their own."""

from itertools import pairwise

import pytest
import torch

import kutta as kt
from kutta.solvers.diffusion import named_schedule
from tests.solvers.diffusion.problems import t1

F64 = torch.float64


def singlestep_times(count, ratios):
    """Groups of nodes from 5 to 0.05: the stages of a step divide it by some ratios in ``lambda``."""
    ends = torch.linspace(5.0**0.25, 0.05**0.25, count + 1, dtype=F64) ** 4
    groups = [a * (b / a) ** torch.tensor([0.0, *ratios], dtype=F64) for a, b in pairwise(ends)]
    return torch.cat([*groups, ends[-1:]])


CASES = [
    ("ddim", 1, kt.DDIM()),
    ("unipc bh1", 1, kt.UniPC(1, "bh1")),
    ("unipc bh1", 2, kt.UniPC(2, "bh1")),
    ("unipc bh1", 3, kt.UniPC(3, "bh1")),
    ("unipc bh2", 2, kt.UniPC(2, "bh2")),
    ("unipc bh2", 3, kt.UniPC(3, "bh2")),
    *[("unipc bh1 noise", order, kt.UniPC(order, "bh1", "noise")) for order in (1, 2, 3)],
    *[("unipc bh2 noise", order, kt.UniPC(order, "bh2", "noise")) for order in (2, 3)],
    *[("exponential", order, kt.ExponentialMultistep(order, final_orders=())) for order in (1, 2, 3, 4)],
    *[
        ("exponential noise", order, kt.ExponentialMultistep(order, prediction="noise", final_orders=()))
        for order in (2, 3)
    ],
    *[("dpm-solver++", order, kt.DPMSolverPP(order, final_orders=())) for order in (1, 2, 3)],
]


@pytest.mark.parametrize("grid", [kt.diffusion.Rho(), kt.diffusion.UniformLogSNR()], ids=["rho", "even"])
@pytest.mark.parametrize(("name", "order", "sampler"), CASES, ids=[f"{name}-{order}" for name, order, _ in CASES])
def test_equals_the_sampler(name, order, sampler, grid):
    case = t1()
    times = grid.times(case.problem.schedule, 9, 5.0, 0.05)
    expected = kt.solve(case.problem, sampler, steps=9, grid=grid)
    found = kt.solve(case.problem, named_schedule(name, times, case.problem.schedule, order))
    torch.testing.assert_close(found.y1, expected.y1, rtol=1e-10, atol=1e-10)
    assert found.stats.function_evaluations == expected.stats.function_evaluations == 9


def test_deis_in_log_kappa_is_the_exponential_method_for_noise():
    case = t1()
    grid = kt.diffusion.Rho()
    times = grid.times(case.problem.schedule, 9, 5.0, 0.05)
    expected = kt.solve(case.problem, kt.DEIS(3), steps=9, grid=grid).y1
    found = kt.solve(case.problem, named_schedule("exponential noise", times, case.problem.schedule, 3)).y1
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)


class TestSinglestep:
    """DPM-Solver on T1 (``alpha = 1``, ``sigma = kappa``) by its published formulas."""

    def test_of_order_two(self):
        case = t1()
        times = singlestep_times(4, [0.5])
        x = case.problem.x
        for start, middle, end in zip(times[:-2:2], times[1:-1:2], times[2::2], strict=True):
            h = torch.log(start / end)
            u = x - middle * torch.expm1(h / 2) * noise(case, x, start)
            x = x - end * torch.expm1(h) * noise(case, u, middle)
        found = kt.solve(case.problem, named_schedule("dpm-solver", times, case.problem.schedule, 2))
        torch.testing.assert_close(found.y1, x, rtol=1e-10, atol=1e-10)
        assert found.stats.function_evaluations == 8

    def test_of_order_three(self):
        case = t1()
        times = singlestep_times(3, [1 / 3, 2 / 3])
        x = case.problem.x
        for start, one, two, end in zip(times[:-3:3], times[1:-2:3], times[2:-1:3], times[3::3], strict=True):
            h = torch.log(start / end)
            first = noise(case, x, start)
            u = x - one * torch.expm1(h / 3) * first
            difference = noise(case, u, one) - first
            v = x - two * torch.expm1(2 * h / 3) * first
            v = v - two * 2.0 * (torch.expm1(2 * h / 3) / (2 * h / 3) - 1.0) * difference
            x = x - end * torch.expm1(h) * first
            x = x - end * 1.5 * (torch.expm1(h) / h - 1.0) * (noise(case, v, two) - first)
        found = kt.solve(case.problem, named_schedule("dpm-solver", times, case.problem.schedule, 3))
        torch.testing.assert_close(found.y1, x, rtol=1e-10, atol=1e-10)

    def test_what_is_left_over_has_lower_order(self):
        found = named_schedule("dpm-solver++ singlestep", [5.0, 4.0, 3.0, 2.0, 1.0, 0.5], kt.diffusion.EDM(), 3)
        assert [(step.back, step.order) for step in found.steps] == [(0, 1), (1, 2), (2, 2), (0, 1), (1, 2)]


def noise(case, x, kappa):
    return case.teacher.noise(x, 1.0, kappa)


@pytest.mark.parametrize("name", ["ddim", "exponential", "exponential noise", "dpm-solver", "unipc bh1", "unipc bh2"])
def test_from_pure_noise_to_pure_data(name):
    flow = kt.diffusion.RectifiedFlow()
    teacher = kt.diffusion.GaussianMixture([1.0], [[1.0, -1.0]], [0.0])
    problem = kt.DiffusionProblem(teacher.model(flow, "flow"), flow, torch.ones(2, 2, dtype=F64), "flow")
    found = named_schedule(name, torch.linspace(1.0, 0.0, 8), flow, 3)
    end = kt.solve(problem, found).y1
    torch.testing.assert_close(end, torch.tensor([[1.0, -1.0]], dtype=F64).expand(2, 2), rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("name", "order", "message"),
    [("euler", 2, "name must be one of ddim"), ("unipc bh1", 4, "from 1 to 3"), ("exponential", 0, "from 1 to 4")],
)
def test_refuses(name, order, message):
    with pytest.raises(ValueError, match=message):
        named_schedule(name, [5.0, 1.0], kt.diffusion.EDM(), order)


@pytest.mark.parametrize(
    ("times", "error"), [([], ValueError), ([1.0], ValueError), ("ab", TypeError), (3.0, ValueError)]
)
def test_refuses_other_times(times, error):
    with pytest.raises(error, match="times must be a vector of two and more times; got"):
        named_schedule("ddim", times, kt.diffusion.VP())
