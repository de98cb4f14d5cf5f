"""Experts with joint weights: what they contain, derivatives, shares that are learned, refusals."""

import pytest
import torch

import kutta as kt
from kutta.operators.constraints.joint_experts import JointExperts
from kutta.operators.constraints.mixture_of_experts import ConstrainedBasis, MixtureOfExperts
from kutta.solution import Result
from tests._helpers import relative_error
from tests.operators.constraints._networks import (
    MEASURES,
    STEPS,
    TARGET,
    U0,
    Fields,
    burgers,
    cubic,
    directional,
    fixed,
    heat,
    marched,
    pointwise,
    random_fields,
    tiny,
    with_solution,
)

BOXES = kt.operators.Boxes((1, 3), 0.4)


@pytest.mark.parametrize("measure", MEASURES)
def test_one_expert_is_the_constrained_basis(measure):
    options = {"measure": MEASURES[measure]}
    basis = fixed(random_fields(4), ConstrainedBasis, **options)(burgers())
    joint = fixed(random_fields(4), JointExperts, routing=kt.operators.Boxes((1, 1)), **options)(burgers())
    assert torch.equal(basis.u, joint.u) and torch.equal(basis.weights, joint.weights)


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("seed", range(3))
def test_what_is_measured_is_never_larger_than_with_one_constraint(measure, seed):
    problem, options = pointwise(cubic), {"measure": MEASURES[measure], "ridge": 1e-6, "rtol": 1e-8}
    basis = fixed(random_fields(3, seed=seed), ConstrainedBasis, **options)(problem)
    start = basis.weights.detach().expand(-1, 3, -1)
    joint = fixed(random_fields(3, seed=seed), JointExperts, routing=BOXES, **options)(problem, start)
    assert bool(basis.solved.all()) and bool(joint.solved.all())
    assert bool((joint.sizes < basis.sizes).all())


@pytest.mark.parametrize("ridge", [1e-1, 1e-2, 1e-4])
def test_the_ridge_costs_equal_weights_what_it_costs_one_constraint(ridge):
    """So also where the ridge is what keeps residuals from zero."""
    problem = heat()
    basis = fixed(with_solution(problem, 4), ConstrainedBasis, ridge=ridge)(problem)
    joint = fixed(with_solution(problem, 4), JointExperts, routing=BOXES, ridge=ridge)(problem)

    def squares(predicted):
        weights = predicted.weights.square().sum((1, 2)) / predicted.weights.shape[1]
        return predicted.sizes.square() + ridge**2 * weights

    assert bool((squares(joint) <= squares(basis) * (1.0 + 1e-9)).all())


def test_a_solution_in_the_basis_is_found_with_equal_weights():
    """Of all that blend to it, equal ones are the shortest but for the ridge."""
    problem = heat()
    model = fixed(with_solution(problem, 4), JointExperts, routing=BOXES, ridge=1e-7)
    predicted = model(problem)
    assert bool(predicted.solved.all()) and predicted.weights.shape == (2, 3, 4)
    assert relative_error(predicted.u.detach(), marched(problem)) < 1e-7


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("residual", ["small", "large"])
def test_derivatives_are_those_of_solutions_solved_again(measure, residual):
    problem = pointwise(cubic, 1.5 * U0, 2.0)
    fields = with_solution(problem, 4) if residual == "small" else random_fields(2)
    options = {"rtol": 1e-13, "ridge": 1e-3, "max_steps": 400, "measure": MEASURES[measure]}
    model = fixed(fields, JointExperts, routing=BOXES, **options)
    predicted = model(problem)
    assert bool(predicted.solved.all())
    (gradient,) = torch.autograd.grad((predicted.u * TARGET).sum(), model.backbone.fields)
    direction = random_fields(fields.shape[1], seed=5)
    exact = directional(model, problem, direction, 1e-5)
    assert abs(float((gradient * direction).sum() - exact)) < 1e-6 * abs(float(exact))


class Shared(torch.nn.Module):
    """The fields of a gate as parameters."""

    def __init__(self):
        super().__init__()
        self.fields = torch.nn.Parameter(torch.nn.functional.pad(random_fields(2, 1, seed=7), (0, 0, 0, 0, 0, 1)))

    def forward(self, a, grid):
        return self.fields.expand(len(a), -1, -1, -1)


def test_derivatives_in_the_shares_of_a_gate():
    problem, gate = pointwise(cubic), kt.operators.Gate(Shared(), 3)
    model = fixed(random_fields(2), JointExperts, routing=gate, rtol=1e-13, ridge=1e-3, max_steps=400)
    (gradient,) = torch.autograd.grad((model(problem).u * TARGET).sum(), gate.network.fields)
    direction, values = torch.randn(gradient.shape, generator=torch.Generator().manual_seed(2)).to(gradient), []
    with torch.no_grad():
        start = gate.network.fields.clone()
        for sign in (1.0, -1.0):
            gate.network.fields.copy_(start + 1e-5 * sign * direction)
            values.append((model(problem).u * TARGET).sum())
    exact = (values[0] - values[1]) / 2e-5
    assert abs(float((gradient * direction).sum() - exact)) < 1e-6 * abs(float(exact))


def test_points_are_those_of_all_experts_together():
    model = JointExperts(Fields(random_fields(2)), STEPS, BOXES, points=60)
    torch.manual_seed(0)
    one, other = model(burgers()).weights, model(burgers()).weights
    assert not torch.equal(one, other)
    model.eval()
    assert torch.equal(model(burgers()).weights, model(burgers()).weights)


def test_search_begins_where_it_ended():
    model = fixed(random_fields(2), JointExperts, routing=BOXES, ridge=1e-3)
    first = model(heat())
    assert int(model(heat(), start=first.weights).iterations.max()) == 0


@pytest.mark.parametrize(
    ("make", "kind", "words"),
    [
        (lambda: JointExperts(tiny(2), 4, BOXES, continuity=1.0), TypeError, "continuity is for experts"),
        (lambda: JointExperts(tiny(2), 4, BOXES, processes=True), TypeError, "processes is for experts"),
        (lambda: JointExperts(tiny(2), 4, kt.operators.Boxes((1, 2))), ValueError, "Boxes that do not overlap"),
        (lambda: JointExperts(tiny(2), 4, None), TypeError, "routing must be such as"),
    ],
)
def test_refusals(make, kind, words):
    with pytest.raises(kind, match=words):
        make()


def test_what_is_no_number_harms_no_other_sample():
    fields = random_fields(2)
    broken = fields.clone()
    broken[1, :, 2, 3] = torch.nan
    whole, harmed = (fixed(one, JointExperts, routing=BOXES, ridge=1e-3) for one in (fields, broken))
    expected, found = whole(burgers()), harmed(burgers())
    assert torch.equal(found.u[:, 0], expected.u[:, 0]) and found.solved.tolist() == [True, False]
    assert bool((found.results[1] == int(Result.NON_FINITE)).all()) and bool(found.sizes[1].isnan())
    found.loss.backward()
    assert bool(torch.isfinite(harmed.backbone.fields.grad[0]).all())


@pytest.mark.parametrize("measure", MEASURES)
def test_boxes_without_points_are_refused(measure):
    model = fixed(random_fields(2), JointExperts, routing=kt.operators.Boxes((1, 40), 0.1), measure=MEASURES[measure])
    with pytest.raises(ValueError, match="each expert must have at least one point of the grid"):
        model(burgers())


def test_experts_of_a_mixture_do_not_fulfil_the_equation_as_well_together():
    problem, options = pointwise(cubic), {"measure": MEASURES["estimated error"], "ridge": 1e-6, "rtol": 1e-8}
    apart, joint = (
        fixed(random_fields(3), kind, routing=BOXES, **options)(problem) for kind in (MixtureOfExperts, JointExperts)
    )
    assert bool((joint.sizes < apart.sizes).all())
