"""Constraints on a GPU: what they are on the CPU."""

from dataclasses import replace

import pytest
import torch

import kutta as kt

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")

FAMILY = kt.operators.data.diffusion_sorption(32, 100.0)
BOXES = kt.operators.Boxes((1, 2), 0.25)
MEASURE = kt.operators.EstimatedError(1.3e-4, 16)


def gate():
    return kt.operators.Gate(kt.operators.FNO(4, 2, (4, 4), width=4, layers=1).double(), 2)


MODELS = {
    "basis": lambda net, **options: kt.operators.ConstrainedBasis(net, 8, **options),
    "points": lambda net, **options: kt.operators.ConstrainedBasis(net, 8, **{**options, "measure": None}, points=60),
    "mixture": lambda net, **options: kt.operators.MixtureOfExperts(net, 8, BOXES, **options),
    "continuity": lambda net, **options: kt.operators.MixtureOfExperts(net, 8, BOXES, continuity=1.0, **options),
    "gate": lambda net, **options: kt.operators.MixtureOfExperts(net, 8, gate(), **options),
    "joint": lambda net, **options: kt.operators.JointExperts(net, 8, BOXES, **options),
}


@pytest.mark.parametrize("name", MODELS)
def test_predictions_and_training(name):
    torch.manual_seed(0)
    net = kt.operators.FNO(4, 4, (8, 8), width=8, layers=2).double()
    model = MODELS[name](net, inputs=FAMILY.inputs, measure=MEASURE, ramp=0.0, ridge=1e-2).eval()
    problem = FAMILY.draw(3, torch.Generator().manual_seed(1))
    here = model(problem)
    there = model.cuda()(replace(problem, u0=problem.u0.cuda()))
    assert there.u.is_cuda and torch.equal(there.solved.cpu(), here.solved)
    torch.testing.assert_close(there.u.cpu()[:, here.solved], here.u[:, here.solved], rtol=1e-5, atol=1e-7)
    figures = kt.operators.train_on_equation(model, FAMILY, 2, batch=2, progress=False)
    assert next(model.parameters()).is_cuda and len(figures["loss"])
