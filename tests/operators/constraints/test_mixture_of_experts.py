"""Bases with the weights for which an equation holds best: exactness, derivatives, experts, hostile input."""

import math

import pytest
import torch

import kutta as kt
from kutta.operators.constraints.mixture_of_experts import ConstrainedBasis, MixtureOfExperts
from kutta.solution import Result
from tests._helpers import F64, relative_error
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
    transported,
    with_solution,
)


@pytest.mark.parametrize("measure", MEASURES)
def test_a_linear_equation_whose_solution_is_in_the_basis_takes_one_step(measure):
    problem = heat()
    model = fixed(with_solution(problem, 6), measure=MEASURES[measure], rtol=1e-6)
    predicted = model(problem)
    assert bool(predicted.solved.all()) and int(predicted.iterations.max()) == 1
    assert relative_error(predicted.u.detach(), marched(problem)) < 1e-10


@pytest.mark.parametrize("equation", [transported, cubic])
@pytest.mark.parametrize("measure", MEASURES)
def test_a_nonlinear_equation_whose_solution_is_in_the_basis(equation, measure):
    problem = pointwise(equation)
    predicted = fixed(with_solution(problem, 8), measure=MEASURES[measure])(problem)
    assert bool(predicted.solved.all()) and int(predicted.iterations.max()) < 20
    assert relative_error(predicted.u.detach(), marched(problem)) < 1e-8


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("residual", ["small", "large"])
def test_derivatives_are_those_of_solutions_solved_again(measure, residual):
    problem = pointwise(cubic, 1.5 * U0, 2.0)
    fields = with_solution(problem, 6) if residual == "small" else random_fields(3)
    direction, errors = random_fields(fields.shape[1], seed=5), {}
    for curvature in (True, False):
        adjoint = kt.Implicit(orders=1, curvature=curvature)
        options = {"rtol": 1e-13, "ridge": 1e-4, "adjoint": adjoint, "max_steps": 400}
        model = fixed(fields.clone(), measure=MEASURES[measure], **options)
        predicted = model(problem)
        assert bool(predicted.solved.all())
        (gradient,) = torch.autograd.grad((predicted.u * TARGET).sum(), model.backbone.fields)
        found = (gradient * direction).sum()
        exact = directional(model, problem, direction, 1e-5)
        errors[curvature] = float((found - exact).abs() / exact.abs())
    size = float(predicted.sizes.detach().mean())
    print(f"size {size:.1e}: full {errors[True]:.1e}, published shortcut {errors[False]:.1e}")
    assert errors[True] < 1e-6
    assert (errors[False] > 1e-3) == (residual == "large")


def test_one_expert_is_the_constrained_basis_bit_for_bit():
    found = []
    for make in (
        lambda net: ConstrainedBasis(net, STEPS, points=40),
        lambda net: MixtureOfExperts(net, STEPS, kt.operators.Boxes((1, 1)), points=40),
    ):
        model = make(tiny(4))
        torch.manual_seed(1)
        predicted = model(burgers())
        predicted.loss.backward()
        found.append((predicted.u, [one.grad for one in model.parameters()]))
    assert torch.equal(found[0][0], found[1][0])
    assert all(torch.equal(*pair) for pair in zip(found[0][1], found[1][1], strict=True))


@pytest.mark.parametrize("overlap", [0.0, 0.3])
def test_permuted_experts_have_permuted_weights_and_predict_the_same(overlap):
    boxes, permuted = kt.operators.Boxes((2, 2), overlap), kt.operators.Boxes((2, 2), overlap)
    order = [2, 0, 3, 1]
    permuted.intervals = [boxes.intervals[number] for number in order]
    one, other = (
        fixed(random_fields(4), MixtureOfExperts, routing=routing)(burgers()) for routing in (boxes, permuted)
    )
    assert torch.allclose(one.weights[:, order], other.weights, rtol=1e-7, atol=1e-9)
    assert torch.allclose(one.u, other.u, atol=1e-9)


def test_members_of_a_batch_do_not_depend_on_each_other():
    fields = random_fields(4)
    both = fixed(fields)(burgers())
    for sample in range(2):
        alone = fixed(fields[sample : sample + 1])(burgers(U0[sample]))
        assert alone.u.shape == (STEPS + 1, 16)
        assert torch.allclose(alone.u, both.u[:, sample], atol=1e-9)


def rooted(ops, t, u):
    """An equation that has no values below zero."""
    return 0.05 * ops.laplacian(u) - torch.sqrt(u)


def test_a_member_without_numbers_is_named_and_does_not_harm_the_others():
    u0 = torch.stack([2.0 + U0[0], U0[1]])
    problem = pointwise(rooted, u0)
    fields = 0.1 * random_fields(4)
    model = fixed(fields, ridge=1e-4)
    predicted = model(problem)
    assert predicted.results[:, 0].tolist() == [int(Result.SUCCESS), int(Result.NON_FINITE)]
    assert predicted.solved.tolist() == [True, False] and predicted.unsolved == 0.5
    alone = fixed(fields[:1], ridge=1e-4)
    of_one = alone(pointwise(rooted, u0[:1]))
    assert torch.allclose(predicted.u[:, 0], of_one.u[:, 0], atol=1e-9)
    for loss in ("loss", "loss_of_all"):
        gradient, exact = (
            torch.autograd.grad(getattr(one, loss), net.backbone.fields, retain_graph=True)[0]
            for one, net in ((predicted, model), (of_one, alone))
        )
        assert torch.allclose(gradient[0], exact[0], atol=1e-9)
        assert bool((gradient[1] == 0.0).all())


def test_a_singular_normal_matrix_is_named_and_does_not_harm_the_others():
    fields = random_fields(3)
    fields[1, 2] = fields[1, 1]  # of one member only
    model = fixed(fields, ridge=0.0)
    with pytest.warns(RuntimeWarning, match="SINGULAR in system 1"):
        without = model(heat())
    assert without.results[:, 0].tolist() == [int(Result.SUCCESS), int(Result.SINGULAR)]
    assert bool(torch.isfinite(without.u).all())
    (gradient,) = torch.autograd.grad(without.loss, model.backbone.fields)
    assert bool((gradient[0] != 0.0).any()) and bool((gradient[1] == 0.0).all())
    with_ridge = fixed(fields, ridge=1e-6)(heat())
    assert bool(with_ridge.solved.all())
    assert torch.allclose(with_ridge.weights[1, 0, 1], with_ridge.weights[1, 0, 2], rtol=1e-4)
    assert torch.allclose(without.u, with_ridge.u, atol=1e-6)


def test_samples_that_are_not_solved_are_left_out_and_counted():
    model = fixed(random_fields(6, scale=2.0), max_steps=2, rtol=1e-12)
    easy = torch.stack([torch.zeros(16, dtype=F64), 5.0 * U0[0]])
    problem = pointwise(cubic, easy, 2.0)
    model.backbone.fields.data[0] = 0.0
    predicted = model(problem)
    assert predicted.solved.tolist() == [True, False] and predicted.unsolved == 0.5
    (left_out,) = torch.autograd.grad(predicted.loss, model.backbone.fields, retain_graph=True)
    (as_constants,) = torch.autograd.grad(predicted.loss_of_all, model.backbone.fields)
    assert bool((left_out[1] == 0.0).all()) and bool((as_constants[1] != 0.0).any())


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("boundary", [kt.pde.Periodic(), kt.pde.Neumann()], ids=["ring", "walls"])
def test_an_expert_without_points_is_refused(boundary, measure):
    model = fixed(random_fields(3), MixtureOfExperts, routing=kt.operators.Boxes((1, 40)), measure=MEASURES[measure])
    problem = kt.pde.Heat(0.05).problem(kt.pde.Grid(16, boundary=boundary), U0, (0.0, 0.5))
    with pytest.raises(ValueError, match=r"at least one point of the grid; expert \d+ of 40 has none"):
        model(problem)


def test_a_residual_of_zero_and_one_that_is_no_number_have_derivatives_of_zero():
    still = torch.stack([torch.ones(16, dtype=F64), U0[0]])
    model = fixed(torch.zeros(2, 3, STEPS + 1, 16, dtype=F64), ridge=1e-3)
    (gradient,) = torch.autograd.grad(model(heat(still)).loss_of_all, model.backbone.fields)
    assert bool(torch.isfinite(gradient).all())
    soft = kt.operators.SoftConstraint(Fields(0.01 * random_fields(1)), STEPS)
    predicted = soft(pointwise(rooted, torch.stack([2.0 + U0[0], U0[1]])))
    assert predicted.solved.tolist() == [True, False]
    (gradient,) = torch.autograd.grad(predicted.loss, soft.backbone.fields)
    assert bool(torch.isfinite(gradient).all()) and bool((gradient[1] == 0.0).all())


def test_points_are_drawn_anew_in_training_only():
    model = MixtureOfExperts(tiny(4), STEPS, kt.operators.Boxes((1, 2)), points=20)
    assert not torch.equal(model(burgers()).weights, model(burgers()).weights)
    model.eval()
    assert torch.equal(model(burgers()).weights, model(burgers()).weights)


def test_a_network_in_single_precision_is_solved_in_double():
    model = ConstrainedBasis(tiny(4), STEPS)
    predicted = model(burgers(U0.float()))
    assert predicted.u.dtype == torch.float64
    predicted.loss.backward()
    gradients = [one.grad for one in model.parameters()]
    assert all(one.dtype == torch.float32 and bool(torch.isfinite(one).all()) for one in gradients)


def test_without_derivatives_nothing_is_kept_for_them():
    with torch.no_grad():
        assert not ConstrainedBasis(tiny(4), STEPS)(burgers()).u.requires_grad


def test_it_begins_where_it_is_told():
    model = fixed(random_fields(4))
    first = model(burgers())
    again = model(burgers(), start=first.weights)
    assert int(again.iterations.max()) == 0
    with pytest.raises(ValueError, match=r"start must have the shape \(2, 1, 4\)"):
        model(burgers(), start=first.weights[:1])


def jumps(predicted, face):
    """Of values and slopes across a face, over those beside it."""
    first, second = predicted.u[1:].detach().diff(), predicted.u[1:].detach().diff(n=2)
    values = first[..., face - 1].square().mean() / first[..., [face - 3, face + 1]].square().mean()
    slopes = second[..., [face - 2, face - 1]].square().mean() / second[..., [face - 4, face + 1]].square().mean()
    return float(values.sqrt()), float(slopes.sqrt())


FINE = kt.pde.Grid(64, boundary=kt.pde.Neumann())
ROUTINGS = {
    "boxes": (kt.operators.Boxes((1, 2)), {}),
    "overlap": (kt.operators.Boxes((1, 2), 0.4), {}),
    "continuity": (kt.operators.Boxes((1, 2)), {"continuity": 1e4}),
}


@pytest.mark.parametrize("routing", ROUTINGS)
def test_seams(routing):
    boxes, options = ROUTINGS[routing]
    x, t = FINE.points()[0], torch.linspace(0.0, 1.0, STEPS + 1, dtype=F64)[:, None]
    waves = torch.stack([torch.cos(torch.pi * number * x) for number in range(1, 6)])
    fields = (waves[:, None] * (1.0 + t))[None] * 0.1
    u0 = torch.exp(-20.0 * (x - 0.3) ** 2)[None]
    model = MixtureOfExperts(Fields(fields), STEPS, boxes, ridge=1e-6, **options).eval()
    predicted = model(kt.pde.Heat(0.05).problem(FINE, u0, (0.0, 0.5)))
    values, slopes = jumps(predicted, 32)
    print(f"jump of u {values:.2f}, of u_x {slopes:.2f}")
    if routing == "boxes":
        assert slopes > 2.0
    else:
        assert values < 2.0 and slopes < 2.0


def test_experts_that_agree_everywhere_are_one():
    """With much continuity all weights are those of an equation for all, if the functions are independent at faces."""
    fields, problem = random_fields(2), heat()
    together = fixed(fields, MixtureOfExperts, routing=kt.operators.Boxes((1, 2)), continuity=1e5, rtol=1e-6)(problem)
    assert bool(together.solved.all())
    assert torch.allclose(together.weights[:, 0], together.weights[:, 1], atol=1e-4)
    assert torch.allclose(together.u, fixed(fields, ConstrainedBasis)(problem).u, atol=1e-3)


def test_derivatives_of_experts_that_agree():
    problem, routing = pointwise(cubic, U0, 1.0), kt.operators.Boxes((1, 2))
    options = {"routing": routing, "continuity": 1.0, "ridge": 1e-4, "rtol": 1e-13, "max_steps": 400}
    model = fixed(random_fields(3), MixtureOfExperts, **options)
    (gradient,) = torch.autograd.grad((model(problem).u * TARGET).sum(), model.backbone.fields)
    direction = random_fields(3, seed=5)
    exact = directional(model, problem, direction, 1e-5)
    assert abs(float((gradient * direction).sum() - exact)) < 1e-6 * abs(float(exact))


def test_a_flow_in_the_plane_whose_solution_is_in_the_basis():
    """Vortices of Taylor and Green decay as ``exp(-2 nu t)``, times what backward differences make of that."""
    grid = kt.pde.Grid((8, 8), 2.0 * torch.pi)
    x, y = grid.points()
    w0 = torch.stack([2.0 * torch.cos(x) * torch.cos(y), torch.cos(x + y) + torch.sin(x - y)])
    problem = kt.pde.NavierStokesVorticity(0.1).problem(grid, w0, (0.0, 1.0))
    decay = marched_number(0.2, 1.0)
    generator = torch.Generator().manual_seed(0)
    fields = 0.1 * torch.randn(2, 3, STEPS + 1, 8, 8, generator=generator, dtype=F64)
    fields[:, 0] = (decay - 1.0)[None, :, None, None] * w0[:, None]
    model = fixed(fields, MixtureOfExperts, routing=kt.operators.Boxes((1, 2, 2)), points=100)
    predicted = model(problem)
    assert predicted.weights.shape == (2, 4, 3) and bool(predicted.solved.all())
    assert torch.allclose(predicted.u, decay[:, None, None, None] * w0, atol=1e-8)
    predicted.loss.backward()


def marched_number(rate, end):
    """What backward differences make of ``du/dt = -rate u``, ``u(0) = 1``."""
    h, u = end / STEPS, [1.0, 1.0 / (1.0 + rate * end / STEPS)]
    for _ in range(STEPS - 1):
        u.append((2.0 * u[-1] - 0.5 * u[-2]) / (1.5 + rate * h))
    return torch.tensor(u, dtype=F64)


def test_a_gate_learns_its_shares():
    gate = kt.operators.Gate(tiny(3), 3)
    model = MixtureOfExperts(Fields(random_fields(3)), STEPS, gate, ridge=1e-3)
    predicted = model(burgers())
    assert predicted.shares.shape == (2, 3, STEPS + 1, 16)
    (predicted.loss_of_all + predicted.imbalance).backward()
    assert any(bool((one.grad != 0.0).any()) for one in gate.parameters())
    assert set(dict(model.named_parameters())) > {"backbone.fields"}


class Decided(torch.nn.Module):
    """Shares of a gate that are next to nothing."""

    def __init__(self):
        super().__init__()
        self.field = torch.nn.Parameter(torch.tensor([200.0, 0.0]))

    def forward(self, a, grid):
        return self.field[None, :, None, None].expand(len(a), 2, *grid.shape)


@pytest.mark.parametrize("measure", MEASURES)
def test_a_gate_that_has_decided_has_finite_derivatives(measure):
    gate = kt.operators.Gate(Decided(), 2)
    model = fixed(random_fields(3), MixtureOfExperts, routing=gate, measure=MEASURES[measure], ridge=1e-3)
    model(heat()).loss_of_all.backward()
    assert all(bool(torch.isfinite(one.grad).all()) for one in model.parameters())


def test_imbalance_is_none_for_equal_shares_and_most_for_one_expert():
    def prediction(shares):
        u = torch.zeros(2, 1, 4)
        return kt.operators.Prediction(u, u, u, u, torch.zeros(1, 3), shares=shares)

    equal = torch.full((1, 3, 2, 4), 1.0 / 3.0)
    alone = torch.zeros(1, 3, 2, 4)
    alone[:, 1] = 1.0
    assert math.isclose(float(prediction(equal).imbalance), 0.0, abs_tol=1e-6)
    assert math.isclose(float(prediction(alone).imbalance), 2.0, abs_tol=1e-6)
    with pytest.raises(ValueError, match="has no experts"):
        kt.operators.SoftConstraint(tiny(1), STEPS)(burgers()).imbalance  # noqa: B018


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("kind", ["basis", "experts", "continuity", "joint"])
def test_second_derivatives(kind, measure):
    """Of the field in the initial state, by differences of gradients."""
    boxes = kt.operators.Boxes((1, 2), 0.25)
    fields, options = random_fields(3), {"measure": MEASURES[measure], "ridge": 1e-3, "ramp": 0.0, "rtol": 1e-12}
    model = {
        "basis": lambda: fixed(fields, **options),
        "experts": lambda: fixed(fields, MixtureOfExperts, routing=boxes, **options),
        "continuity": lambda: fixed(fields, MixtureOfExperts, routing=boxes, continuity=1.0, **options),
        "joint": lambda: fixed(fields, kt.operators.JointExperts, routing=boxes, **options),
    }[kind]()
    direction = torch.randn(U0.shape, generator=torch.Generator().manual_seed(5), dtype=F64)

    def gradient(u0, **given):
        return torch.autograd.grad((model(burgers(u0)).u * TARGET).sum(), u0, **given)[0]

    u0 = U0.clone().requires_grad_()
    (found,) = torch.autograd.grad(gradient(u0, create_graph=True), u0, direction)
    ends = [gradient((U0 + sign * 1e-5 * direction).requires_grad_()) for sign in (1.0, -1.0)]
    assert relative_error(found, (ends[0] - ends[1]) / 2e-5) < 1e-5


def test_boxes_are_split_where_the_error_is():
    model = fixed(random_fields(3), MixtureOfExperts, routing=kt.operators.Boxes((1, 2)))
    predicted = model(burgers())
    errors = predicted.error_of_experts
    sizes = [predicted.error.detach()[..., part].square().mean().sqrt() for part in (slice(0, 8), slice(8, 16))]
    assert torch.allclose(errors, torch.stack(sizes))
    finer = fixed(random_fields(3), MixtureOfExperts, routing=model.routing.split(errors))(burgers())
    assert finer.weights.shape == (2, 3, 3)


@pytest.mark.parametrize(
    ("make", "kind", "message"),
    [
        (lambda: ConstrainedBasis(tiny(2), 0), ValueError, "steps must be a whole number of at least 1"),
        (lambda: ConstrainedBasis("net", 4), TypeError, "backbone must be a network"),
        (lambda: ConstrainedBasis(tiny(2), 4, routing=None), TypeError, "has one expert"),
        (lambda: ConstrainedBasis(tiny(2), 4, ridge=-1.0), ValueError, "ridge must be a number of at least 0"),
        (lambda: ConstrainedBasis(tiny(2), 4, ramp=2.0), ValueError, "ramp must be a number from 0 to 1"),
        (lambda: ConstrainedBasis(tiny(2), 4, measure=1.0), TypeError, "measure must be None or"),
        (
            lambda: ConstrainedBasis(tiny(2), 4, points=3, measure=kt.operators.EstimatedError(1.0)),
            ValueError,
            "takes all of them",
        ),
        (lambda: ConstrainedBasis(tiny(2), 4, continuity=1.0), ValueError, "continuity is for experts in Boxes"),
        (lambda: MixtureOfExperts(tiny(2), 4, "boxes"), TypeError, "routing must be such as"),
        (lambda: ConstrainedBasis(tiny(2), 4, processes=True), ValueError, "init_process_group"),
        (lambda: ConstrainedBasis(tiny(2), 4)(kt.pde.Grid(4)), TypeError, "problem must be such as"),
        (lambda: ConstrainedBasis(Fields(torch.zeros(2, 3, 4, 16)), STEPS)(burgers()), ValueError, "backbone must ret"),
        (lambda: ConstrainedBasis(tiny(2), 4, inputs=("nu",))(burgers()), ValueError, "the model reads 'nu'"),
        (lambda: ConstrainedBasis(tiny(2), 4, rtoll=1.0), TypeError, r"options of the search .* got rtoll"),
        (lambda: ConstrainedBasis(tiny(2), 1), ValueError, "steps must be at least 2; got 1"),
    ],
)
def test_what_is_refused(make, kind, message):
    with pytest.raises(kind, match=message):
        make()
