"""Single steps: their orders, and the conditions behind them."""

import pytest
import torch

import kutta as kt
from kutta.solvers.diffusion.exponential.singlestep import STAGES
from tests.solvers.diffusion.problems import F64, orders, t1


@pytest.mark.parametrize("grid", [kt.diffusion.Rho(7), kt.diffusion.UniformLogSNR()], ids=str)
@pytest.mark.parametrize("prediction", ["data", "noise"])
@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_order(order, prediction, grid):
    steps = [320, 640] if order == 4 else [80, 160]
    errors = t1().errors(kt.diffusion.Singlestep(order, prediction), steps, grid=grid)
    assert orders(errors) == pytest.approx([order], abs=0.15)


@pytest.mark.parametrize("order", STAGES)
def test_stages_are_accurate_enough_for_their_order(order):
    """By the rule of the module: the accuracy of each stage from those it uses."""
    accuracy, parts = [99], [0.0]  # of the state: the power of h of its error, less one
    for stage in STAGES[order]:
        places = torch.tensor([parts[one] for one in stage.uses], dtype=F64)
        points = torch.linspace(0.0, stage.part, 2001, dtype=F64)
        mean = torch.trapezoid(torch.prod(points[:, None] - places, 1), points)
        alone = len(places) + (len(places) > 1 and abs(float(mean)) < 1e-6)
        accuracy.append(min(alone, 1 + min(accuracy[one] for one in stage.uses)))
        parts.append(stage.part)
    assert accuracy[-1] == order and parts[-1] == 1.0


@pytest.mark.parametrize(("order", "evaluations"), [(1, 6), (2, 12), (3, 18), (4, 30)])
def test_evaluations(order, evaluations):
    assert kt.solve(t1().problem, kt.diffusion.Singlestep(order), steps=6).stats.function_evaluations == evaluations


def test_nothing_is_remembered():
    """Two solves one after the other are one solve."""
    case, sampler = t1(), kt.diffusion.Singlestep(3)
    times = [5.0, 2.0, 1.0, 0.4]
    whole = kt.solve(case.problem, sampler, grid=times, save_at="steps").ys
    middle = kt.DiffusionProblem(case.problem.model, case.problem.schedule, whole[1], t_span=(2.0, 0.4))
    torch.testing.assert_close(kt.solve(middle, sampler, grid=times[1:]).y1, whole[-1], rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("order", [0, 5, "2"])
def test_other_orders_are_refused(order):
    with pytest.raises(ValueError, match="order must be a whole number from 1 to 4"):
        kt.diffusion.Singlestep(order)
