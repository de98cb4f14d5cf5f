"""Structure that is found is the operator; structure that is not there is not found."""

import pytest
import torch

import kutta as kt
from kutta.pde.grids.boundary import without_data
from kutta.pde.grids.given import where_unknown
from kutta.pde.lowering import forms
from kutta.solvers.algebra.operators.dense import Dense
from kutta.solvers.algebra.operators.diagonal import Diagonal
from kutta.solvers.algebra.operators.matrix_free import MatrixFree

P = kt.pde
F64 = torch.float64
MIXED = (P.Dirichlet(1.0), P.Neumann(2.0))


def linear(boundary, accuracy=2, shape=24, centring=None, dtype=F64):
    grid = P.Grid(shape, boundary=boundary, centring=centring)
    u0 = torch.randn(grid.shape, dtype=dtype)
    problem = P.Heat(0.3).problem(grid, u0, (0.0, 1.0), P.FiniteDifference(accuracy))
    return problem, forms.split(problem).problem.linear


@pytest.mark.parametrize(
    ("boundary", "options", "kind"),
    [
        (P.Periodic(), {}, Diagonal),
        (P.Periodic(), {"accuracy": 6}, Diagonal),
        (P.Periodic(), {"shape": (10, 8)}, Diagonal),
        (P.Dirichlet(3.0), {}, Diagonal),
        (P.Neumann(1.0), {"centring": "node"}, Diagonal),
        (P.Dirichlet(), {"shape": (10, 8), "centring": "node"}, Diagonal),
        (P.Dirichlet(), {"accuracy": 4}, Dense),
        ((MIXED,), {}, Dense),
        ((MIXED, P.Periodic()), {"shape": (6, 8)}, P.Elliptic),
        (P.Robin(1.0, 0.5), {"shape": (6, 8), "centring": "node"}, P.Elliptic),
        ((MIXED, P.Periodic()), {"shape": (8, 8), "accuracy": 4}, MatrixFree),
    ],
    ids=str,
)
def test_what_is_found_is_the_operator(boundary, options, kind):
    problem, operator = linear(boundary, **options)
    assert type(operator) is kind
    grid = P.Grid(
        problem.grid.shape,
        centring=problem.grid.centring,
        boundary=without_data(problem.grid.boundary),
    )
    ops = problem.scheme.on(grid)
    u = torch.randn(3, *grid.shape, dtype=F64)
    unknown = where_unknown(grid, torch.ones_like(u))
    assert torch.allclose(operator.apply(u), unknown * 0.3 * ops.laplacian(u), atol=1e-9)


def test_in_single_precision():
    assert isinstance(linear(P.Periodic(), dtype=torch.float32)[1], Diagonal)


def test_a_coefficient_that_varies_is_no_diagonal():
    class Growth(P.Evolution):
        def linear(self, ops, u):
            return ops.points(u)[0] * u

    problem = Growth().problem(P.Grid(16), torch.ones(16, dtype=F64), (0.0, 1.0), P.FiniteDifference())
    sol = kt.solve(problem, kt.ETDRK4(), controller=kt.Fixed(0.5))
    assert isinstance(forms.split(problem).problem.linear, Dense)
    assert torch.allclose(sol.y1, torch.exp(problem.grid.points()[0]), atol=1e-12)


def test_gradients_reach_coefficients_through_symbols():
    def end(nu):
        problem = P.Heat(nu).problem(
            P.Grid(16), lambda x: torch.sin(2 * torch.pi * x[0]), (0.0, 0.1), P.FiniteDifference()
        )
        return kt.solve(problem, kt.ETDRK4(), controller=kt.Fixed(0.05)).y1

    assert torch.autograd.gradcheck(end, torch.tensor(0.2, dtype=F64, requires_grad=True), fast_mode=True)


def test_implicit_diffusion_between_walls_is_solved_by_multigrid():
    """A mode of Robin's sides, a u + u_n = 0 with mu tan(mu) = 1 for lengths of 2 about the middle."""
    mu = 0.8603335890193798
    grid = P.Grid((24, 20), 2.0, boundary=P.Robin(1.0, 1.0), origin=-1.0)
    u0 = torch.cos(mu * grid.points()).prod(0)
    problem = P.Heat(0.2).problem(grid, u0, (0.0, 1.0))
    assert isinstance(forms.split(problem).problem.linear, P.Elliptic)
    y1 = kt.solve(problem, kt.ARS443(), controller=kt.Fixed(0.05)).y1
    assert torch.allclose(y1, torch.exp(torch.tensor(-0.4 * mu**2)) * u0, atol=1e-3)
    explicit = kt.solve(problem, kt.Tsit5(), rtol=1e-9, atol=1e-11).y1
    assert torch.allclose(y1, explicit, atol=1e-6)


def test_gradients_reach_coefficients_through_diffusion():
    grid = P.Grid((6, 5), boundary=P.Robin(1.0, 1.0))

    def end(nu):
        problem = P.Heat(nu).problem(grid, grid.points().prod(0), (0.0, 0.1))
        return kt.solve(problem, kt.ARS222(), controller=kt.Fixed(0.05)).y1

    assert torch.autograd.gradcheck(
        end, torch.tensor(0.2, dtype=F64, requires_grad=True), rtol=1e-6, atol=1e-7, fast_mode=True
    )


class Coupled(P.Evolution):
    """``u_t = laplacian(u) + 10 v``, ``v_t = laplacian(v)``."""

    components = ("u", "v")

    def linear(self, ops, u):
        first, second = ops.split(u)
        return ops.join([ops.laplacian(first) + 10.0 * second, ops.laplacian(second)])


@pytest.mark.parametrize("dtype", [F64, torch.float32], ids=["double", "single"])
def test_a_coupling_far_slower_than_diffusion_is_kept(dtype):
    u0 = torch.stack([torch.zeros(256, dtype=dtype), torch.ones(256, dtype=dtype)])
    problem = P.PDEProblem(Coupled(), P.Grid(256), u0, (0.0, 1.0), P.FiniteDifference())
    assert isinstance(forms.split(problem).problem.linear, MatrixFree)
    few = P.PDEProblem(Coupled(), P.Grid(32), u0[:, :32], (0.0, 1.0), P.FiniteDifference())
    assert torch.allclose(kt.solve(few, kt.ETDRK4(), controller=kt.Fixed(0.1)).y1[0].mean(), u0.new_tensor(10.0))


def test_in_single_precision_slow_diffusion_that_varies_is_no_diagonal():
    class Slow(P.Evolution):
        components = ("u", "v")

        def linear(self, ops, u):
            fast, slow = ops.split(u)
            left = torch.where(ops.points(u)[0] < 0.5, 1e-5, 1e-6).to(u.dtype)
            return ops.join([ops.laplacian(fast), ops.diffusion(slow, left)])

    u0 = torch.ones(2, 64, dtype=torch.float32)
    problem = P.PDEProblem(Slow(), P.Grid(64), u0, (0.0, 1.0), P.FiniteDifference())
    assert not isinstance(forms.split(problem).problem.linear, Diagonal)


@pytest.mark.parametrize("scheme", [P.PseudoSpectral(), P.FiniteDifference(6)], ids=["spectral", "differences"])
def test_what_does_not_mix_waves_is_found_under_transformations_and_nothing_else(scheme):
    """Advection by a wind that varies: its derivative is that of the plain solve, along all directions."""
    grid = P.Grid(32)
    x = grid.points()[0]
    wind, turn = 1.0 + 0.5 * torch.sin(2 * torch.pi * x), 2 * torch.pi * x

    def solved(u):
        problem = P.Advection((wind,)).problem(grid, u, (0.0, 0.1), scheme)
        return kt.solve(problem, kt.ETDRK4(), controller=kt.Fixed(0.005)).y1

    plain, linear_too = solved(turn.sin()), solved(turn.cos())
    value, change = torch.func.jvp(solved, (turn.sin(),), (turn.cos(),))
    both = torch.func.vmap(solved)(torch.stack([turn.sin(), turn.cos()]))
    for found, wanted in ((value, plain), (change, linear_too), (both[0], plain), (both[1], linear_too)):
        assert torch.allclose(found, wanted, atol=1e-8)
