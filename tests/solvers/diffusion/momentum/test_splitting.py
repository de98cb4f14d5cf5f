"""Splitting of the guided flow: against the formula, and without guidance."""

from dataclasses import replace

import pytest
import torch

import kutta as kt
from kutta.solvers.diffusion.levels.grids import nodes
from kutta.solvers.diffusion.momentum.splitting import LTSP
from kutta.solvers.tableaus.adams import adams_bashforth
from tests.solvers.diffusion.problems import F64, orders, t1

RHO = kt.diffusion.Rho(7)


def guided(count=8):
    schedule = kt.diffusion.VP()
    teacher = kt.diffusion.GaussianMixture([0.4, 0.6], [[-2.0, 0.0], [1.0, 1.0]], [0.1, 0.2])
    x = torch.randn(count, 2, dtype=F64, generator=torch.Generator().manual_seed(1))
    condition = torch.tensor([True, False])
    return kt.DiffusionProblem(
        teacher.model(schedule), schedule, x, condition=condition, guidance=kt.diffusion.CFG(3.0)
    )


@pytest.mark.parametrize("beta", [1.0, 0.8, 0.3])
@pytest.mark.parametrize("order", [1, 4])
def test_formula(order, beta):
    problem, steps = guided(), 9
    found = nodes(RHO, problem.schedule, steps, 1.0, 1e-3)
    y, free, velocity = problem.x / found.alpha[0], [], None

    def predicted(y, n, condition):
        return problem.model(found.alpha[n] * y, found.t[n].expand(len(y)), condition)

    for n in range(steps):
        h = found.kappa[n + 1] - found.kappa[n]
        free.insert(0, predicted(y, n, None))
        weights = adams_bashforth(min(order, n + 1))
        middle = y + h * sum(float(weight) * one for weight, one in zip(weights, free, strict=False))
        slope = 3.0 * (predicted(middle, n, problem.condition) - predicted(middle, n, None))
        velocity = slope if velocity is None else (1.0 - beta) * velocity + beta * slope
        y = middle + h * velocity
    sol = kt.solve(problem, LTSP(order, beta), steps=steps, grid=RHO)
    assert torch.allclose(sol.y1, found.alpha[-1] * y, rtol=1e-11, atol=1e-11)
    assert sol.stats.function_evaluations == 2 * steps


def test_the_model_is_not_asked_for_what_is_not_used():
    """At the state only the free prediction counts, so the condition is left out there."""
    problem, asked = guided(), []

    def model(x, t, condition):
        asked.append(condition is None)
        return problem.model(x, t, condition)

    plain = kt.solve(problem, LTSP(4, 0.8), steps=9)
    assert torch.equal(kt.solve(replace(problem, model=model), LTSP(4, 0.8), steps=9).y1, plain.y1)
    assert asked == [True, True, False] * 9


@pytest.mark.parametrize(
    "guidance",
    [
        kt.diffusion.CFG(1.0, null=torch.tensor([[True, True]])),
        kt.diffusion.CFG(3.0, null=torch.tensor([[True, True]]), interval=(-1.0, 1.0)),
        kt.diffusion.CFG(3.0, null=torch.tensor([[True, True]]), evaluate=kt.diffusion.one_call),
    ],
    ids=["no guidance", "interval", "one call"],
)
def test_the_free_prediction_is_there_whatever_the_guidance(guidance):
    condition = torch.tensor([[True, False]])
    problem = replace(guided(), condition=condition, guidance=guidance)
    wanted = kt.solve(problem, kt.Vern7(), rtol=1e-6, atol=1e-6).y1
    errors = [float((kt.solve(problem, LTSP(4), steps=steps).y1 - wanted).abs().mean()) for steps in (20, 160)]
    assert errors[1] < 0.25 * errors[0] and errors[1] < 0.05


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_without_guidance_it_is_adams_bashforth(order):
    case = t1()
    wanted = case.solve(kt.PLMS(order), 12)
    assert torch.allclose(case.solve(LTSP(order, 0.7), 12), wanted, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("beta", [1.0, 0.8])
def test_first_order(beta):
    problem = guided(4)
    wanted = kt.solve(problem, kt.Vern7(), rtol=1e-9, atol=1e-9).y1
    errors = [
        float((kt.solve(problem, LTSP(4, beta), steps=steps, grid=RHO).y1 - wanted).abs().mean())
        for steps in (160, 320)
    ]
    assert orders(errors) == pytest.approx([1.0], abs=0.15)


def test_ends_without_data_and_without_noise():
    schedule = kt.diffusion.RectifiedFlow()
    teacher = kt.diffusion.GaussianMixture([0.5, 0.5], [[-2.0], [2.0]], [0.1, 0.1])
    x = torch.randn(8, 1, dtype=F64, generator=torch.Generator().manual_seed(0))
    problem = kt.DiffusionProblem(
        teacher.model(schedule, "flow"), schedule, x, "flow", torch.tensor([True, False]), kt.diffusion.CFG(2.0)
    )
    assert bool(torch.isfinite(kt.solve(problem, LTSP(4, 0.8), steps=9).y1).all())


@pytest.mark.parametrize("arguments", [(0,), (5,), (4, 0.0), (4, 1.2), ("4",)])
def test_refused(arguments):
    with pytest.raises(ValueError, match="got"):
        LTSP(*arguments)
