"""Training on an equation, without solutions."""

import torch

import kutta as kt
from tests._helpers import F64

FAMILY = kt.operators.data.diffusion_sorption(32, 100.0)


def errors(model):
    problem = FAMILY.draw(8, torch.Generator().manual_seed(1))
    times = torch.linspace(0.0, 100.0, 9, dtype=F64)
    exact = kt.solve(problem, FAMILY.method, save_at=times, **FAMILY.options).ys
    with torch.no_grad():
        u = model.eval()(problem).u
    model.train()
    return float((u - exact).norm() / exact.norm())


def trained(kind, steps):
    torch.manual_seed(0)
    measure = kt.operators.EstimatedError(1.3e-4, 16)
    net = kt.operators.FNO(4, 1 if kind is kt.operators.SoftConstraint else 6, (8, 8), width=12, layers=2)
    options = {} if kind is kt.operators.SoftConstraint else {"ridge": 1e-3, "max_steps": 12}
    if issubclass(kind, kt.operators.MixtureOfExperts) and kind is not kt.operators.ConstrainedBasis:
        options["routing"] = kt.operators.Boxes((1, 2), 0.25)
    model = kind(net, 8, inputs=FAMILY.inputs, measure=measure, ramp=0.0, **options)
    figures = kt.operators.train_on_equation(model, FAMILY, steps, batch=4, lr=3e-3, progress=False)
    return model, figures


def test_errors_fall_and_constraints_are_better_than_penalties():
    kinds = "SoftConstraint", "ConstrainedBasis", "MixtureOfExperts", "JointExperts"
    soft, hard, apart, joint = (errors(trained(getattr(kt.operators, kind), 40)[0]) for kind in kinds)
    assert hard < 0.75 * soft and hard < 0.15 and apart < 0.15 and joint < 0.75 * hard


def test_a_seed_gives_the_same_weights_and_samples_that_are_not_solved_are_counted():
    one, other = (trained(kt.operators.ConstrainedBasis, 3) for _ in range(2))
    pairs = zip(one[0].parameters(), other[0].parameters(), strict=True)
    assert all(torch.equal(*pair) for pair in pairs)
    assert 0.0 <= one[1]["unsolved"][-1] <= 1.0
