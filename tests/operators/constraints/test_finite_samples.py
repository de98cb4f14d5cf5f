"""What is too large for a network harms no other sample, in any model: not their fields, and not shared weights."""

import pytest
import torch

import kutta as kt
from kutta.operators.constraints.finite_samples import applied
from kutta.solution import Result
from tests.operators.constraints._networks import MEASURES, STEPS, U0, burgers, tiny

BOXES = kt.operators.Boxes((1, 2), overlap=0.25)
TOO_LARGE = torch.full((1, 16), 1e60, dtype=U0.dtype)  # infinite in single precision
WITH_IT = torch.cat([U0[:1], TOO_LARGE, U0[1:]])


def gate():
    return kt.operators.Gate(tiny(2), 2)


MODELS = {
    "penalty": lambda **options: kt.operators.SoftConstraint(tiny(1), STEPS, **options),
    "basis": lambda **options: kt.operators.ConstrainedBasis(tiny(3), STEPS, **options),
    "experts": lambda **options: kt.operators.MixtureOfExperts(tiny(3), STEPS, BOXES, **options),
    "continuity": lambda **options: kt.operators.MixtureOfExperts(tiny(3), STEPS, BOXES, continuity=1.0, **options),
    "joint": lambda **options: kt.operators.JointExperts(tiny(3), STEPS, BOXES, **options),
    "gate": lambda **options: kt.operators.MixtureOfExperts(tiny(3), STEPS, gate(), **options),
    "joint, gate": lambda **options: kt.operators.JointExperts(tiny(3), STEPS, gate(), **options),
}


def learned(model, u0):
    """The prediction, and the gradients of what training makes small."""
    model.zero_grad()
    predicted = model(burgers(u0))
    loss = predicted.loss_of_all
    if predicted.shares is not None:
        loss = loss + 0.1 * predicted.imbalance
    loss.backward()
    return predicted, torch.cat([one.grad.flatten() for one in model.parameters() if one.grad is not None])


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("kind", MODELS)
def test_others_have_the_fields_and_gradients_that_they_have_alone(kind, measure):
    model = MODELS[kind](measure=MEASURES[measure]).eval()
    alone, wanted = learned(model, U0)
    together, found = learned(model, WITH_IT)
    assert bool(wanted.abs().max() > 1e-6)
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-7)
    torch.testing.assert_close(together.u[:, [0, 2]], alone.u, rtol=1e-6, atol=1e-8)
    assert together.solved.tolist() == [bool(alone.solved[0]), False, bool(alone.solved[1])]
    assert set(together.results[1].tolist()) == {int(Result.NON_FINITE)}
    if together.shares is not None:
        torch.testing.assert_close(together.error_of_experts, alone.error_of_experts, rtol=1e-6, atol=1e-8)


def test_a_training_is_not_spoilt():
    family = kt.operators.data.burgers(16)
    model = kt.operators.ConstrainedBasis(tiny(3), 4)

    class Spoilt:
        def draw(self, count, generator):
            return burgers(WITH_IT)

    figures = kt.operators.train_on_equation(model, Spoilt(), 2, progress=False)
    assert all(bool(one.isfinite().all()) for one in model.parameters())
    assert figures["unsolved"][0] >= 1.0 / 3.0 and all(0.0 < loss < 10.0 for loss in figures["loss"])
    assert bool(model.eval()(family.draw(1, torch.Generator().manual_seed(0))).u.isfinite().all())


def test_what_a_network_makes_of_samples():
    network, grid = tiny(2), kt.pde.Grid((4, 16))
    a = torch.randn(3, 1, 4, 16, generator=torch.Generator().manual_seed(0))
    assert torch.equal(applied(network, a, grid), network(a, grid))
    a[1, 0, 2, 3] = torch.inf
    found = applied(network, a, grid)
    assert bool(found[1].isnan().all()) and torch.equal(found[[0, 2]], network(a[[0, 2]], grid))
