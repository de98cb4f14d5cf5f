"""What a `DiffusionProblem` must hold: refused before the model is called, by every way to solve it."""

import math
from dataclasses import replace

import pytest
import torch

import kutta as kt
from kutta.solvers.diffusion.flow import Flow

D = kt.diffusion
SOLVES = {
    "sampler": lambda problem: kt.solve(problem, kt.DDIM(), steps=2),
    "method": lambda problem: kt.solve(problem, kt.Tsit5()),
    "adaptive": lambda problem: kt.solve(problem, kt.AdaptiveMultistep(2)),
    "grid": lambda problem: kt.solve(problem, kt.DDIM(), grid=[0.9, 0.5, 0.1]),
    "flow": D.probability_flow,
    "inversion": lambda problem: D.invert(problem, steps=2),
}
each_way = pytest.mark.parametrize("solve", SOLVES.values(), ids=SOLVES)


def problem(**changes):
    given = {"model": lambda *_: pytest.fail("called"), "schedule": D.VP(), "x": torch.ones(2, 3)} | changes
    return kt.DiffusionProblem(**given)


@each_way
@pytest.mark.parametrize(
    ("changes", "error", "match"),
    [
        ({"model": 3}, TypeError, "model must be callable; got int"),
        ({"schedule": "vp"}, TypeError, "schedule must be a noise schedule"),
        ({"prediction": "nois"}, ValueError, "prediction must be one of .*; got 'nois'"),
        ({"x": "noise"}, TypeError, r"x must be a real tensor of shape \(B, ...\); got str"),
        ({"x": None}, TypeError, "x must be a real tensor"),
        ({"x": torch.ones(2, dtype=torch.long)}, ValueError, "x must be a real tensor"),
        ({"x": torch.ones(0, 3)}, ValueError, r"x must hold one sample or more.* got shape \(0, 3\)"),
        ({"x": torch.ones(2, 0)}, ValueError, r"x must hold .* each of one number or more; got shape \(2, 0\)"),
        ({"x": torch.tensor([[1.0, math.nan]])}, ValueError, "x must be finite"),
        ({"guidance": 7.5}, TypeError, "guidance must be such as"),
        ({"guidance": D.CFG(2.0)}, ValueError, "give the problem condition="),
        ({"guidance": D.CFG(torch.ones(3)), "condition": 1}, ValueError, r"weight must be .* shape \(2,\)"),
        ({"t_span": 0.5}, ValueError, "t_span must hold the first and the last time; got 0.5"),
        ({"t_span": (0.5,)}, ValueError, "t_span must hold the first and the last time"),
        ({"t_span": ("a", "b")}, ValueError, "t_span must hold the first and the last time"),
        ({"t_span": (0.1, 0.9)}, ValueError, "t_span must lead from noise to data"),
        ({"t_span": (math.nan, 0.1)}, ValueError, "t_span must lead from noise to data"),
    ],
)
def test_what_does_not_fit_is_refused(changes, error, match, solve):
    with pytest.raises(error, match=match):
        solve(problem(**changes))


@pytest.mark.parametrize("check", [D.probability_flow, D.invert])
def test_what_is_no_problem(check):
    with pytest.raises(TypeError, match=r"problem must be a kutta\.DiffusionProblem; got int"):
        check(3)


@each_way
def test_samples_may_be_numbers(solve):
    """Shape ``(B,)``."""
    found = solve(problem(model=lambda x, t: 0.1 * x, schedule=D.EDM(1.0, 0.05), x=torch.ones(4), t_span=(0.9, 0.1)))
    assert isinstance(found, Flow) or found.y1.shape == (4,)


def test_numbers_are_sampled_adaptively_like_vectors():
    numbers = problem(model=lambda x, t: 0.1 * x, schedule=D.EDM(1.0, 0.05), x=torch.linspace(-1.0, 1.0, 5))
    alone = kt.solve(numbers, kt.AdaptiveMultistep(2), atol=1e-3, save_at="steps")
    rows = kt.solve(replace(numbers, x=numbers.x[:, None]), kt.AdaptiveMultistep(2), atol=1e-3, save_at="steps")
    assert torch.allclose(alone.ts, rows.ts, equal_nan=True)
    assert torch.allclose(alone.ys, rows.ys[..., 0], equal_nan=True)
