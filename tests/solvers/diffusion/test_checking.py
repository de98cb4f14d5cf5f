"""What a `DiffusionProblem` must hold: refused before the model is called, by every way to solve it."""

import math

import pytest
import torch

import kutta as kt

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
