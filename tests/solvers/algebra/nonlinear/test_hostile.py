"""Input that is very small, very large, wrong, or beyond what rounding allows."""

import pytest
import torch

import kutta as kt
from tests._helpers import F64, tensor

ROOTS = [kt.Newton(), kt.NewtonKrylov(), kt.Broyden()]
LEAST = [kt.LevenbergMarquardt(), kt.Dogleg(), kt.GaussNewton()]


@pytest.mark.parametrize("method", ROOTS + LEAST, ids=repr)
@pytest.mark.parametrize(
    ("dtype", "unit"), [(torch.float32, 1e-24), (torch.float32, 1e20), (F64, 1e-200), (F64, 1e160)]
)
def test_units_of_the_equations_do_not_matter(method, dtype, unit):
    def f(x):
        return unit * (x**3 - 8.0)

    kind = kt.RootProblem if method in ROOTS else kt.LeastSquaresProblem
    sol = kt.solve(kind(f, torch.tensor([3.0], dtype=dtype)), method)
    assert float(sol.y1) == pytest.approx(2.0, rel=1e-5)


@pytest.mark.parametrize("method", [kt.Picard(), kt.Anderson()], ids=repr)
def test_small_fixed_points(method):
    problem = kt.FixedPointProblem(lambda x: 0.5 * x + 1e-24, torch.zeros(1))
    assert float(kt.solve(problem, method, atol=1e-30).y1) == pytest.approx(2e-24, rel=1e-4)


@pytest.mark.parametrize("method", ROOTS, ids=repr)
def test_what_rounding_does_not_allow_is_stagnation(method):
    problem = kt.RootProblem(lambda x: torch.exp(x) - 3.0, tensor(1.0))
    sol = kt.solve(problem, method, rtol=0.0, atol=1e-30)
    assert sol.result in (kt.Result.STAGNATION, kt.Result.SUCCESS) and sol.stats.steps < 30
    assert float(sol.y1) == pytest.approx(1.0986122886681098, rel=1e-15)


def test_picard_between_two_numbers():
    problem = kt.FixedPointProblem(lambda x: 1.0 / (1.0 + x), torch.tensor([0.3, 0.9]))
    sol = kt.solve(problem, kt.Picard(), rtol=1e-9, atol=0.0)
    assert not sol.result.failed
    torch.testing.assert_close(sol.y1, torch.full((2,), 0.6180339887))


def test_damping_does_not_make_it_more_exact_than_asked():
    problem = kt.FixedPointProblem(torch.cos, tensor(1.0))
    sol = kt.solve(problem, kt.Picard(0.05), rtol=1e-4, atol=0.0, max_steps=1000)
    assert 1e-6 < abs(float(sol.y1) / 0.7390851332151607 - 1.0) < 1e-4


def test_broyden_says_that_it_is_stuck():
    batch = kt.RootProblem(lambda x: x**2 - tensor(-1.0, 4.0)[:, None], tensor(0.0, 3.0)[:, None], batched=True)
    sol = kt.solve(batch, kt.Broyden(), throw=False)
    assert [one.name for one in sol.result] == ["SINGULAR", "SUCCESS"]
    assert sol.stats.jacobian_evaluations <= 2


def test_a_short_step_by_a_wrong_derivative_is_no_solution():
    problem = kt.RootProblem(lambda x: x**2 - 4.0, tensor(3.0), jacobian=lambda x: tensor(-1e12)[:, None])
    assert kt.solve(problem, throw=False).result is kt.Result.NOT_CONVERGED


def test_slow_convergence_is_known_to_be_slow():
    rates = torch.linspace(0.5, 0.9999, 30, dtype=F64)
    problem = kt.FixedPointProblem(lambda x: rates * x + 1.0, torch.zeros(30, dtype=F64))
    sol = kt.solve(problem, kt.Anderson(), rtol=1e-6, max_steps=5000)
    assert (sol.y1 * (1.0 - rates) - 1.0).abs().max() < 1e-4


@pytest.mark.parametrize(
    ("problem", "message"),
    [
        (
            kt.FixedPointProblem(lambda x: 0.5 * x.mean() + 1.0, torch.ones(3)),
            "as many equations as unknowns, 3; got 1",
        ),
        (kt.FixedPointProblem(lambda x: x.float(), torch.ones(3, dtype=F64)), "must return tensors of the dtype of x0"),
        (kt.FixedPointProblem(lambda x: "x", torch.ones(3)), "must return tensors of the dtype of x0.*got str"),
        (
            kt.LeastSquaresProblem(lambda x: torch.cat([x, x[:1]]), torch.ones(2), jacobian=lambda x: torch.ones(2, 3)),
            r"of shape \(3, 2\); got torch.float32 \(2, 3\)",
        ),
        (
            kt.RootProblem(lambda x: x**2, torch.ones(2, 3), batched=True, jacobian=lambda x: torch.ones(3, 3)),
            r"of shape \(2, 3, 3\); got torch.float32 \(3, 3\)",
        ),
        (
            kt.RootProblem(lambda x: x**2, torch.ones(3), jacobian=lambda x: kt.algebra.Dense(torch.ones(4, 4))),
            r"jacobian must return an operator on flat.* unknowns, \(1, 3\): a matrix acts on vectors",
        ),
        (kt.LeastSquaresProblem(lambda x: x, torch.ones(2), jacobian=kt.algebra.Bands(1, 1)), "must be a function"),
        (kt.LeastSquaresProblem(lambda x: x, torch.ones(2), curvature=1.0), "curvature must be callable; got float"),
    ],
)
def test_functions_that_do_not_fit(problem, message):
    with pytest.raises((TypeError, ValueError), match=message):
        kt.solve(problem)


def test_a_curvature_that_does_not_fit():
    x0 = torch.ones(2, requires_grad=True)
    problem = kt.LeastSquaresProblem(lambda x, a: x - a, torch.ones(2), (x0,), curvature=lambda x, a: torch.ones(3, 3))
    with pytest.raises(ValueError, match=r"curvature must return a tensor torch.float32 of shape \(2, 2\); got"):
        kt.solve(problem)
