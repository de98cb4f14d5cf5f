"""`solve` for nonlinear equations: states, tolerances, statistics, and what does not fit."""

import pickle

import pytest
import torch

import kutta as kt
from tests._helpers import F64, tensor
from tests.solvers.algebra.nonlinear._problems import rosenbrock

SQUARE = kt.RootProblem(lambda x, a: x**2 - a, torch.ones(3, dtype=F64), (tensor(1.0, 4.0, 9.0),))


def test_a_solution_has_no_time():
    sol = kt.solve(SQUARE)
    assert sol.ts.tolist() == [0.0] and float(sol.t1) == 0.0 and torch.equal(sol.ys[0], sol.y1)
    assert sol.result is kt.Result.SUCCESS and sol.stats.steps == sol.stats.accepted > 2
    assert sol.stats.function_evaluations > sol.stats.jacobian_evaluations > 0
    assert 0.0 <= sol.stats.residual_norms < 1e-7


def test_pytrees():
    x0 = {"x": torch.ones(2, dtype=F64), "y": torch.ones((), dtype=F64)}

    def f(x):
        return {"x": x["x"] ** 2 - 4.0, "y": x["y"] - x["x"].sum()}

    sol = kt.solve(kt.RootProblem(f, x0))
    torch.testing.assert_close(sol.y1["x"], tensor(2.0, 2.0))
    torch.testing.assert_close(sol.y1["y"], torch.tensor(4.0, dtype=F64))
    assert sol.ys["x"].shape == (1, 2)
    sol = kt.solve(kt.FixedPointProblem(lambda x: {"x": torch.cos(x["x"]), "y": 0.5 * x["y"]}, x0))
    torch.testing.assert_close(sol.y1["x"].cos(), sol.y1["x"])
    sol = kt.solve(kt.LeastSquaresProblem(lambda x: (x["x"] - 3.0, x["y"] * x["x"] - 6.0), x0))
    torch.testing.assert_close(sol.y1["y"], torch.tensor(2.0, dtype=F64))


def test_states_of_any_shape_and_batches_of_them():
    x0 = torch.ones(4, 2, 3, dtype=F64)
    target = torch.arange(1.0, 25.0, dtype=F64).reshape(4, 2, 3)
    sol = kt.solve(kt.RootProblem(lambda x: x**2 - target, x0, batched=True))
    torch.testing.assert_close(sol.y1, target.sqrt())
    assert sol.stats.steps.shape == (4,) and len(sol.result) == 4
    torch.testing.assert_close(kt.solve(kt.RootProblem(lambda x: x**2 - target, x0)).y1, target.sqrt())


def test_single_precision_is_as_exact_as_it_can_be():
    x0 = torch.ones(3)
    sol = kt.solve(kt.RootProblem(lambda x: x**2 - torch.tensor([1.0, 4.0, 9.0]), x0))
    assert sol.y1.dtype == torch.float32
    torch.testing.assert_close(sol.y1, torch.tensor([1.0, 2.0, 3.0]), rtol=2e-5, atol=0.0)


@pytest.mark.parametrize("rtol", [1e-2, 1e-5, 1e-9])
def test_tolerances_are_of_the_unknowns(rtol):
    point = 0.7390851332151607
    sol = kt.solve(kt.FixedPointProblem(torch.cos, torch.ones(1, dtype=F64)), kt.Picard(), rtol=rtol, atol=0.0)
    assert 0.01 * rtol * point < abs(float(sol.y1) - point) < rtol * point


def test_tolerances_of_each_unknown():
    problem = kt.FixedPointProblem(lambda x: 0.5 * x + tensor(1.0, 1000.0), torch.zeros(2, dtype=F64))
    loose = kt.solve(problem, kt.Picard(), rtol=0.0, atol=tensor(1e-3, 1e3)).stats.steps
    assert loose < kt.solve(problem, kt.Picard(), rtol=0.0, atol=1e-3).stats.steps


def test_what_cannot_be_more_exact_says_so():
    sol = kt.solve(kt.RootProblem(lambda x: torch.exp(x) - 3.0, torch.ones(1, dtype=F64)), rtol=0.0, atol=1e-30)
    assert sol.result in (kt.Result.STAGNATION, kt.Result.SUCCESS)
    torch.testing.assert_close(sol.y1, tensor(3.0).log(), rtol=1e-14, atol=0.0)


def test_progress_goes_from_the_beginning_to_the_end(capsys):
    kt.solve(SQUARE, progress=True)
    assert "solve: 100%" in capsys.readouterr().err


COMPLEX = torch.tensor([0.3 + 0.8j, 1.0 - 0.5j], dtype=torch.complex128)


@pytest.mark.parametrize("method", [kt.Newton(), kt.NewtonKrylov(), kt.Broyden()], ids=repr)
def test_complex_roots(method):
    a = torch.tensor([-1.0 + 0.0j, 2.0 - 3.0j], dtype=torch.complex128, requires_grad=True)
    sol = kt.solve(kt.RootProblem(lambda x: x**2 - a, COMPLEX), method)
    torch.testing.assert_close(sol.y1.detach() ** 2, a.detach())
    root = kt.solve(kt.RootProblem(lambda x: x**2 - a, COMPLEX), method, rtol=1e-12).y1
    root.abs().square().sum().backward()
    exact = a.detach().clone().requires_grad_()
    exact.abs().sum().backward()
    torch.testing.assert_close(a.grad, exact.grad)


@pytest.mark.parametrize("method", [kt.Picard(), kt.Anderson()], ids=repr)
def test_complex_fixed_points(method):
    sol = kt.solve(kt.FixedPointProblem(lambda x: 0.5j * x + 0.2 * x.flip(0) + 1.0, COMPLEX), method)
    torch.testing.assert_close(sol.y1, torch.full_like(COMPLEX, 1.0 / (0.8 - 0.5j)))


def test_errors_travel_between_processes():
    with pytest.raises(kt.NonlinearSolveError) as caught:
        kt.solve(kt.RootProblem(lambda x: x**2 + 1.0, torch.zeros(1, dtype=F64)))
    error = pickle.loads(pickle.dumps(caught.value))
    assert type(error) is kt.NonlinearSolveError and str(error) == str(caught.value)
    assert error.result is kt.Result.SINGULAR and isinstance(error, kt.SystemSolveError)


@pytest.mark.parametrize(
    ("problem", "options", "kind", "message"),
    [
        (SQUARE, {"method": kt.LU()}, TypeError, r"RootProblem must be such as kutta.Newton.*got LU"),
        (SQUARE, {"method": kt.Picard()}, TypeError, r"RootProblem must be such as kutta.Newton"),
        (SQUARE, {"method": kt.Newton}, TypeError, r"write Newton\(\) with its parentheses"),
        (SQUARE, {"save_at": "steps"}, ValueError, "save_at means nothing to a RootProblem; leave it out"),
        (SQUARE, {"max_steps": 0}, ValueError, "max_steps must be a positive whole number; got 0"),
        (SQUARE, {"rtol": -1.0}, ValueError, "rtol must be a non-negative number"),
        (SQUARE, {"engine": kt.Kernel()}, NotImplementedError, "got a RootProblem"),
        (kt.RootProblem(3, torch.ones(1)), {}, TypeError, "f must be callable; got int"),
        (kt.RootProblem(torch.cos, torch.ones(1), 3.0), {}, TypeError, r"args must be a tuple.*args=\(value,\)"),
        (kt.RootProblem(torch.cos, torch.ones(1, dtype=torch.int64)), {}, TypeError, r"x0 must have a floating"),
        (kt.RootProblem(torch.cos, torch.ones(0)), {}, ValueError, "x0 has no entries"),
        (kt.RootProblem(torch.cos, torch.ones(()), batched=True), {}, ValueError, "axis 0 of every tensor in x0"),
        (
            kt.RootProblem(lambda x: x.double(), torch.ones(1)),
            {},
            TypeError,
            "must return tensors of the dtype of x0",
        ),
        (kt.RootProblem(lambda x: x[:2], torch.ones(3)), {}, ValueError, "as many equations as unknowns, 3; got 2"),
        (kt.RootProblem(lambda x: (), torch.ones(3)), {}, ValueError, "f returned nothing"),
        (
            kt.LeastSquaresProblem(lambda x: x.sum(), torch.ones(3, 1), batched=True),
            {},
            ValueError,
            "residual must return tensors with the 3 problems of x0 along axis 0",
        ),
        (kt.LeastSquaresProblem(rosenbrock, torch.ones(2) + 0j), {}, TypeError, "must be real; got torch.complex64"),
        (
            kt.RootProblem(torch.cos, torch.ones(3), jacobian=lambda x: torch.ones(4)),
            {},
            ValueError,
            r"jacobian must return a tensor torch.float32 of shape \(3, 3\); got .*\(4,\)",
        ),
    ],
)
def test_what_does_not_fit(problem, options, kind, message):
    method = options.pop("method", None) if "method" in options else None
    with pytest.raises(kind, match=message):
        kt.solve(problem, method, **options)


def test_other_problems_refuse_these_methods():
    problem = kt.ODEProblem(lambda t, y: -y, torch.ones(1), (0.0, 1.0))
    with pytest.raises(TypeError, match="Newton is for nonlinear equations, such as a RootProblem"):
        kt.solve(problem, kt.Newton())
