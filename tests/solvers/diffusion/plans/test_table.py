"""Rows of numbers: gone through by the plainest of loops they give the states of the plan."""

import pytest
import torch

import kutta as kt
from kutta.solvers.diffusion.checking import checked
from kutta.solvers.diffusion.guidance.denoiser import Denoiser
from kutta.solvers.diffusion.plans.folding import folded
from kutta.solvers.diffusion.plans.plan import Level
from kutta.solvers.diffusion.plans.table import table
from kutta.solvers.diffusion.solving import planned
from tests.solvers.diffusion.problems import F64, t1

D = kt.diffusion
SAMPLERS = {
    "DDIM": (kt.DDIM(), 2),
    "DPM++3M": (kt.DPMSolverPP(3), 4),
    "single": (D.DPMSolverSinglestep(3), None),
    "corrected": (kt.ExponentialMultistep(3, corrector=True), None),
    "PNDM": (kt.PNDM(), None),
    "momentum": (kt.HeavyBall(kt.PLMS(4), 0.8), None),
    "Heun": (kt.EDMHeun(), None),
}


def rows_and_plan(name, steps=8):
    problem = checked(t1().problem)
    plan = folded(planned(problem, SAMPLERS[name][0], steps, None), problem.prediction, float("inf"))
    return table(plan), plan, problem


@pytest.mark.parametrize("name", SAMPLERS)
def test_rows_give_the_samples(name):
    rows, plan, problem = rows_and_plan(name)
    evaluate = Denoiser(problem)
    states = torch.zeros(rows.size + 1, *problem.x.shape, dtype=F64)
    outputs, nodes = torch.zeros_like(states), {0: problem.x}
    states[0] = problem.x
    for row, (at, to, node) in enumerate(rows.places.tolist()):
        if rows.evaluates[row]:
            level = Level(0.0, 1.0, 1.0, float(rows.levels[row, 0]))
            outputs[at] = evaluate(states[at], level, ["output"])["output"]
        both = torch.cat([states[:-1], outputs[:-1]]).flatten(1)
        states[to] = (torch.cat([rows.states[row], rows.outputs[row]]) @ both).reshape(problem.x.shape)
        nodes.setdefault(node, states[to].clone())
    expected = kt.solve(t1().problem, SAMPLERS[name][0], steps=8, save_at="steps").ys
    torch.testing.assert_close(torch.stack([nodes[node] for node in range(9)]), expected, rtol=1e-11, atol=1e-11)
    assert torch.equal(states[rows.last], nodes[8])
    assert int(rows.evaluates.sum()) == plan.evaluations


@pytest.mark.parametrize("name", [name for name, (_, size) in SAMPLERS.items() if size is not None])
def test_memory_is_as_small_as_the_history(name):
    assert rows_and_plan(name)[0].size == SAMPLERS[name][1]
    assert rows_and_plan(name, 30)[0].size == SAMPLERS[name][1]
