"""Constrained problems: known minima by every inner method, merit, derivatives, batches, and what does not fit."""

import itertools
import math

import pytest
import torch

import kutta as kt
from kutta.solvers.algebra.nonlinear.constrained.optimality import Optimality
from kutta.solvers.tolerance import Tolerance
from tests._helpers import F64, relative_error, tensor
from tests.solvers.algebra.nonlinear.constrained._problems import HS, optimality

INNER = [kt.LU(), kt.MINRES(), kt.Sketch(4, "rows")]


def begun(case, **options):
    """The iteration on a problem, at its beginning."""
    equations = Optimality(case.f, case.constraints, case.start, (), False)
    tolerance = Tolerance(1e-8, 1e-10, None, equations.layout)
    return kt.ExactAugmentedLagrangian(**options).begin(equations, tolerance)


def steps(iteration, most=60):
    """The iteration before each of its steps, and after the last."""
    yield iteration
    while iteration.error > 1.0 and not iteration.broken and most:
        iteration.advance(torch.tensor([True]))
        most -= 1
        yield iteration


def quadratic(n=6, m=2, seed=0):
    generator = torch.Generator().manual_seed(seed)
    root, rows = (torch.randn(size, n, dtype=F64, generator=generator) for size in (n, m))
    return root @ root.T + torch.eye(n, dtype=F64), rows, torch.randn(n, dtype=F64, generator=generator)


def test_a_quadratic_program_takes_one_step():
    matrix, rows, linear = quadratic()
    right = tensor(1.0, -2.0)
    problem = kt.ConstrainedProblem(
        lambda x: 0.5 * x @ matrix @ x - linear @ x, lambda x: rows @ x - right, torch.ones(6, dtype=F64)
    )
    sol = kt.solve(problem)
    whole = torch.cat([torch.cat([matrix, rows.T], 1), torch.cat([rows, torch.zeros(2, 2, dtype=F64)], 1)])
    exact = torch.linalg.solve(whole, torch.cat([linear, right]))
    assert sol.stats.steps == 1
    assert relative_error(torch.cat([sol.y1, sol.multipliers]), exact) < 1e-12


@pytest.mark.parametrize("inner", INNER, ids=repr)
@pytest.mark.parametrize("name", HS)
def test_known_minima_from_standard_starts(name, inner):
    case = HS[name]
    sol = kt.solve(
        kt.ConstrainedProblem(case.f, case.constraints, case.start), kt.ExactAugmentedLagrangian(inner), rtol=1e-7
    )
    assert optimality(case.f, case.constraints, sol.y1, sol.multipliers) < 1e-6
    assert float(sol.stats.residual_norms) < 1e-6
    assert float(case.f(sol.y1)) == pytest.approx(case.least, rel=1e-7, abs=1e-7)


@pytest.mark.parametrize("inner", [kt.Sketch(1, "rows"), kt.Sketch(3), kt.Sketch(100)], ids=repr)
def test_sketches_of_any_size(inner):
    case = HS["HS42"]
    sol = kt.solve(kt.ConstrainedProblem(case.f, case.constraints, case.start), kt.ExactAugmentedLagrangian(inner))
    assert float(case.f(sol.y1)) == pytest.approx(case.least, rel=1e-8)


def logistic_regression():
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(40, 5, dtype=F64, generator=generator)
    labels = torch.where(torch.rand(40, dtype=F64, generator=generator) < 0.5, -1.0, 1.0)
    rows = torch.randn(2, 5, dtype=F64, generator=generator)

    def loss(w):
        return torch.nn.functional.softplus(-labels * (features @ w)).mean() + 1e-3 * w @ w

    def constraints(w):
        return torch.cat([rows @ w - 1.0, (w @ w - 4.0).reshape(1)])

    return loss, constraints, torch.ones(5, dtype=F64)


@pytest.mark.parametrize("inner", [kt.LU(), kt.MINRES(), kt.Sketch(6)], ids=repr)
def test_logistic_regression_on_a_sphere_and_a_plane(inner):
    loss, constraints, start = logistic_regression()
    sol = kt.solve(kt.ConstrainedProblem(loss, constraints, start), kt.ExactAugmentedLagrangian(inner))
    assert optimality(loss, constraints, sol.y1, sol.multipliers) < 1e-6


def test_logistic_regression_as_by_another_method():
    optimize = pytest.importorskip("scipy.optimize")
    loss, constraints, start = logistic_regression()
    found = optimize.minimize(
        lambda w: float(loss(torch.as_tensor(w))),
        start.numpy(),
        method="SLSQP",
        constraints={"type": "eq", "fun": lambda w: constraints(torch.as_tensor(w)).numpy()},
        options={"ftol": 1e-14, "maxiter": 300},
    )
    sol = kt.solve(kt.ConstrainedProblem(loss, constraints, start))
    assert float(loss(sol.y1)) == pytest.approx(found.fun, rel=1e-6)


@pytest.mark.parametrize("name", HS)
def test_the_merit_falls_while_penalties_stay(name):
    history = [(one.merit.item(), one.penalties[0].tolist()) for one in steps(begun(HS[name]))]
    for (before, old), (after, new) in itertools.pairwise(history):
        assert old != new or after <= before + 1e-13 * abs(before)


@pytest.mark.parametrize("name", HS)
def test_penalties_come_to_rest(name):
    history = [one.penalties[0].tolist() for one in steps(begun(HS[name]))]
    assert history[-1] == history[-2]


def test_penalties_that_do_not_do_are_changed():
    iteration = list(steps(begun(HS["HS39"], constraint_penalty=1e-3, gradient_penalty=10.0)))[-1]
    assert iteration.penalties[0, 0] > 1e-3 and iteration.penalties[0, 1] < 10.0
    assert iteration.error <= 1.0


def test_whole_steps_near_a_solution_converge_quadratically():
    sizes = [float(one.size) for one in steps(begun(HS["HS78"]))]
    assert sizes[-2] < 1e-2 and sizes[-1] < 10.0 * sizes[-2] ** 2


def nearest(a, **options):
    """The point of an ellipsoid that is nearest to another one, and its multiplier."""
    problem = kt.ConstrainedProblem(
        lambda x, a: (x - a[:3]).square().sum() + 0.1 * x.prod(),
        lambda x, a: (a[3:] * x.square()).sum() - 1.0,
        torch.ones(3, dtype=F64),
        (a,),
    )
    sol = kt.solve(problem, rtol=1e-12, atol=1e-12, **options)
    return torch.cat([sol.y1, sol.multipliers])


@pytest.mark.parametrize("inner", [kt.LU(), kt.MINRES(), kt.Sketch(4)], ids=repr)
def test_derivatives_against_solving_again(inner):
    a = tensor(2.0, 1.0, 0.5, 1.0, 2.0, 3.0)
    method = kt.ExactAugmentedLagrangian(inner)
    slopes = torch.autograd.functional.jacobian(lambda a: nearest(a, method=method), a)
    h = 1e-5
    shifts = h * torch.eye(6, dtype=F64)
    differences = torch.stack([nearest(a + one) - nearest(a - one) for one in shifts], 1) / (2.0 * h)
    assert relative_error(slopes, differences) < 1e-6


def test_there_are_two_derivatives_in_both_modes():
    a = tensor(2.0, 1.0, 0.5, 1.0, 2.0, 3.0).requires_grad_()
    assert torch.autograd.gradcheck(nearest, (a,), check_forward_ad=True, fast_mode=True)
    assert torch.autograd.gradgradcheck(nearest, (a,), fast_mode=True)


def on_a_circle(x0, levels):
    return kt.ConstrainedProblem(
        lambda x, r: (x[:, 0] - 2.0) ** 2 + 0.5 * x[:, 1] ** 4 + x[:, 1],
        lambda x, r: x.square().sum(1) - r,
        x0,
        (levels,),
        batched=True,
    )


STARTS = torch.tensor([[1.0, 0.5], [0.3, -2.0], [2.0, 1.0], [-1.0, -0.5]], dtype=F64)


def test_under_vmap_it_is_what_it_is_alone():
    def solved(a):
        start = torch.tensor([-1.0, 0.3], dtype=F64)
        problem = kt.ConstrainedProblem(
            lambda x, a: (x[0] - a) ** 2 + x[1] ** 4 + x[0] * x[1], lambda x, a: x @ x - a, start, (a,)
        )
        return kt.solve(problem).y1

    a = torch.tensor([1.5, 2.0, 3.0], dtype=F64)
    for ask in (solved, torch.func.jacrev(solved), torch.func.jacfwd(solved)):
        alone = torch.stack([ask(one) for one in a])
        torch.testing.assert_close(torch.vmap(ask)(a), alone, rtol=1e-9, atol=0.0)


def test_more_unknowns_than_a_dense_derivative_has():
    places = torch.linspace(0.0, 1.0, 400, dtype=F64)

    def seen(b):
        problem = kt.ConstrainedProblem(
            lambda x, b: ((x - b * places) ** 2).sum() + (x**4).sum(), lambda x, b: x.sum() - 1.0, 0.0 * places, (b,)
        )
        return (kt.solve(problem).y1 * places).sum()

    b = torch.tensor(2.0, dtype=F64)
    exact = (seen(b + 1e-4) - seen(b - 1e-4)) / 2e-4
    assert abs(float(torch.func.grad(seen)(b) - exact)) < 1e-7 * abs(float(exact))


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_random_problems_that_are_not_convex(scale):
    """None of these decided about the default penalties."""
    generator = torch.Generator().manual_seed(1)

    def draw(*shape):
        return torch.randn(64, *shape, generator=generator, dtype=F64)

    root, slope, linear, square, known = draw(6, 6), 3.0 * draw(6), draw(2, 6), 0.3 * draw(2, 6), draw(6)

    def f(x):
        quadratic = 0.5 * (root @ x[..., None]).square().sum((1, 2)) / 6.0
        return scale * (quadratic + (slope * x + 0.1 * x**4 + torch.cos(2.0 * x)).sum(1))

    def constraints(x):
        return scale * (linear * (x - known)[:, None] + square * (x**2 - known**2)[:, None]).sum(2)

    sol = kt.solve(kt.ConstrainedProblem(f, constraints, known + draw(6), batched=True), throw=False)
    assert bool((sol.result.codes <= 0).all()) and int(sol.stats.steps.max()) < 60
    assert float(constraints(sol.y1).abs().max()) < 1e-7 * scale


@pytest.mark.parametrize("hostile", ["nan", "inconsistent", "singular"])
def test_a_problem_that_fails_does_no_harm_to_the_others(hostile):
    levels, starts = tensor(1.0, 2.0, 3.0, 4.0), STARTS.clone()
    whole = kt.solve(on_a_circle(starts, levels))
    if hostile == "nan":
        starts[1] = math.nan
    levels[1] = {"nan": 2.0, "inconsistent": -1.0, "singular": 0.0}[hostile]
    sol = kt.solve(on_a_circle(starts, levels), throw=False)
    others = [0, 2, 3]
    assert sol.result.failed.tolist() == [False, True, False, False]
    assert torch.equal(sol.y1[others], whole.y1[others])
    assert torch.equal(sol.multipliers[others], whole.multipliers[others])
    assert sol.multipliers.shape == (4, 1)


def test_a_problem_that_fails_has_no_gradient():
    levels = tensor(1.0, -1.0, 3.0, 4.0).requires_grad_()
    kt.solve(on_a_circle(STARTS, levels), throw=False).y1.sum().backward()
    assert levels.grad[1] == 0.0 and bool((levels.grad[[0, 2, 3]] != 0.0).all())


def test_a_problem_of_a_batch_is_solved_as_if_it_were_alone():
    levels = tensor(1.0, 2.0, 3.0, 4.0)
    together = kt.solve(on_a_circle(STARTS, levels))
    for row in range(4):
        alone = kt.solve(on_a_circle(STARTS[row : row + 1], levels[row : row + 1]))
        assert int(together.stats.steps[row]) == int(alone.stats.steps[0])
        torch.testing.assert_close(together.y1[row], alone.y1[0], rtol=1e-12, atol=1e-14)


def test_what_has_ended_keeps_its_values_to_the_last_bit():
    levels = tensor(1.0, 2.0, 3.0, 4.0)
    starts = STARTS.clone()
    starts[0] = kt.solve(on_a_circle(STARTS, levels), rtol=1e-12).y1[0]
    sol = kt.solve(on_a_circle(starts, levels))
    first = int(sol.stats.steps[0])
    short = kt.solve(on_a_circle(starts, levels), max_steps=max(first, 1), throw=False)
    assert first < int(sol.stats.steps.max())
    assert torch.equal(sol.y1[0], short.y1[0])


def test_constraints_that_depend_on_each_other_are_told_of():
    problem = kt.ConstrainedProblem(
        lambda x: x.square().sum(), lambda x: x.sum().expand(2) - 1.0, tensor(1.0, 2.0, 3.0)
    )
    assert kt.solve(problem, throw=False).result is kt.Result.SINGULAR


def test_as_many_constraints_as_unknowns_are_a_root():
    sol = kt.solve(kt.ConstrainedProblem(lambda x: x.sum(), lambda x: x**2 - tensor(4.0, 9.0), tensor(1.0, 1.0)))
    torch.testing.assert_close(sol.y1, tensor(2.0, 3.0))
    torch.testing.assert_close(sol.multipliers, tensor(-1.0 / 4.0, -1.0 / 6.0))


def test_pytrees_and_single_precision():
    x0 = {"x": torch.ones(2), "y": torch.ones(())}
    problem = kt.ConstrainedProblem(
        lambda x: x["x"].square().sum() + x["y"] ** 2, lambda x: (x["x"].sum() + x["y"] - 3.0, x["x"][0] - 0.5), x0
    )
    sol = kt.solve(problem)
    torch.testing.assert_close(sol.y1["x"], torch.tensor([0.5, 1.25]))
    torch.testing.assert_close(sol.y1["y"], torch.tensor(1.25))
    assert sol.multipliers.shape == (2,) and sol.multipliers.dtype == torch.float32


def norm_of(x):
    return x.square().sum()


@pytest.mark.parametrize(
    ("problem", "kind", "message"),
    [
        (
            kt.ConstrainedProblem(norm_of, lambda x: torch.cat([x, x[:1]]), torch.ones(2)),
            ValueError,
            "no more than there are unknowns, 2; got 3",
        ),
        (kt.ConstrainedProblem(norm_of, lambda x: x[:0], torch.ones(2)), ValueError, "at least one equation.*got 0"),
        (kt.ConstrainedProblem(lambda x: x, lambda x: x[:1], torch.ones(2)), ValueError, "f must return one number"),
        (
            kt.ConstrainedProblem(norm_of, lambda x: x[:1], torch.ones(2) + 0j),
            TypeError,
            "ConstrainedProblem must be real; got torch.complex64",
        ),
        (kt.ConstrainedProblem(norm_of, 3, torch.ones(2)), TypeError, "constraints must be callable; got int"),
        (
            kt.ConstrainedProblem(norm_of, lambda x: x[0, :1], torch.ones(2, 2), batched=True),
            ValueError,
            "f must return tensors with the 2 problems of x0",
        ),
    ],
)
def test_what_does_not_fit(problem, kind, message):
    with pytest.raises(kind, match=message):
        kt.solve(problem)


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"inner": "lu"}, TypeError, "inner must be a method for linear systems"),
        ({"constraint_penalty": 0.0}, ValueError, "constraint_penalty must be a number between 0 and inf; got 0.0"),
        ({"gradient_penalty": math.nan}, ValueError, "gradient_penalty must be a number"),
        ({"factor": 1.0}, ValueError, "factor must be a number between 1 and inf; got 1.0"),
        ({"accuracy": True}, ValueError, "accuracy must be a number between 0 and 1; got True"),
    ],
)
def test_options_that_make_no_sense(options, kind, message):
    with pytest.raises(kind, match=message):
        kt.ExactAugmentedLagrangian(**options)


def test_methods_of_other_problems_are_refused():
    problem = kt.ConstrainedProblem(norm_of, lambda x: x[:1] - 1.0, torch.ones(2))
    with pytest.raises(TypeError, match=r"must be such as kutta\.ExactAugmentedLagrangian.*got Newton"):
        kt.solve(problem, kt.Newton())
    with pytest.raises(ValueError, match="curvature=False is for a LeastSquaresProblem"):
        kt.solve(problem, adjoint=kt.Implicit(curvature=False))
