"""`kutta.solve` for partial differential equations: every method by the same call, and fields as answers."""

import math
import warnings
from functools import cache

import pytest
import torch

import kutta as kt

P = kt.pde
F64 = torch.float64
TURN = 2 * math.pi
PERIODIC, WALLS = P.Periodic(), P.Dirichlet()


def wave(x):
    return torch.sin(TURN * x[0])


def burgers(scheme=None, grid=None, u0=wave, viscosity=0.05):
    return P.Burgers(viscosity).problem(grid or P.Grid(32), u0, (0.0, 0.2), scheme)


@cache
def reference(count=32, boundary=PERIODIC):
    problem = burgers(P.PseudoSpectral(), P.Grid(count, boundary=boundary))
    return kt.solve(problem, kt.Dopri8(), rtol=1e-11, atol=1e-13).y1


METHODS = {
    "ETDRK4 fixed": (kt.ETDRK4(), {"controller": kt.Fixed(2e-3)}),
    "ETDRK4 adaptive": (kt.ETDRK4(), {"rtol": 1e-8, "atol": 1e-10}),
    "Lawson4": (kt.Lawson4(), {"controller": kt.Fixed(2e-3)}),
    "ARS443": (kt.ARS443(), {"controller": kt.Fixed(2e-4)}),
    "Tsit5": (kt.Tsit5(), {"rtol": 1e-8, "atol": 1e-10}),
    "RK4": (kt.RK4(), {"controller": kt.Fixed(1e-3)}),
    "ROCK4": (kt.ROCK4(), {"rtol": 1e-8, "atol": 1e-10}),
    "RKC2": (kt.RKC2(), {"rtol": 1e-8, "atol": 1e-10}),
    "Rodas5P": (kt.Rodas5P(), {"rtol": 1e-8, "atol": 1e-10}),
    "low storage": (kt.CarpenterKennedy54(), {"controller": kt.Fixed(1e-3)}),
    "automatic": (None, {"rtol": 1e-8, "atol": 1e-10}),
}


@pytest.mark.parametrize("boundary", [PERIODIC, WALLS], ids=["periodic", "walls"])
@pytest.mark.parametrize("name", METHODS)
def test_all_methods_agree(name, boundary):
    method, options = METHODS[name]
    problem = burgers(P.PseudoSpectral(), P.Grid(32, boundary=boundary))
    assert torch.allclose(kt.solve(problem, method, **options).y1, reference(32, boundary), atol=2e-6)


@pytest.mark.parametrize("accuracy", [2, 4, 6])
def test_differences_come_closer_with_their_order(accuracy):
    errors = []
    for count in (32, 64, 128) if accuracy < 6 else (24, 48, 96):
        grid = P.Grid(count)
        y1 = kt.solve(burgers(P.FiniteDifference(accuracy), grid), kt.Vern7(), rtol=1e-10, atol=1e-12).y1
        errors.append(float((y1 - reference(count)).abs().max()))
    assert math.log2(errors[1] / errors[2]) == pytest.approx(accuracy, abs=0.2 if accuracy < 6 else 0.5)


def test_outputs_are_fields():
    ts = torch.linspace(0.0, 0.2, 3, dtype=F64)
    for scheme in (P.PseudoSpectral(), P.FiniteDifference()):
        for method in (kt.ETDRK4(), kt.Tsit5()):
            problem = burgers(scheme)
            options = {"controller": kt.Fixed(0.01)} if method == kt.ETDRK4() else {}
            sol = kt.solve(problem, method, save_at=ts, dense=True, **options)
            assert sol.ys.shape == (3, 32) and sol.ys.dtype == F64
            assert torch.allclose(sol.ys[0], problem.u0, atol=1e-14)
            assert torch.allclose(sol.ys[-1], sol.y1, atol=1e-14)
            assert torch.allclose(sol(0.1), sol.ys[1], atol=1e-4)
            assert sol(ts[1:]).shape == (2, 32)
            assert sol.space.grid is problem.grid and sol.space.equation == "Burgers"


def test_given_steps_take_waves_and_the_answer_is_the_same():
    problem = burgers(P.PseudoSpectral())
    plain = kt.solve(problem, kt.ETDRK4(), controller=kt.Fixed(0.01))
    watched = kt.solve(problem, kt.ETDRK4(), controller=kt.Fixed(0.01), diagnostics=True)
    assert torch.allclose(plain.y1, watched.y1, atol=1e-14)
    assert len(watched.stats.history.h) == 20


def test_events_see_fields():
    def low(t, u):
        return u.abs().max() - 0.8

    problem = burgers(P.PseudoSpectral(), viscosity=0.2)
    for method, options in ((kt.ETDRK4(), {"controller": kt.Fixed(0.01)}), (kt.Tsit5(), {})):
        sol = kt.solve(problem, method, events=[kt.Event(low, terminal=True)], **options)
        assert sol.result == kt.Result.EVENT
        assert float(sol.y1.abs().max()) == pytest.approx(0.8, abs=1e-3)


def test_a_batch_shares_its_steps():
    grid = P.Grid(12)
    u0 = torch.stack([wave(grid.points()), 0.5 * wave(grid.points())])
    for method, options in METHODS.values():
        both = kt.solve(burgers(P.PseudoSpectral(), grid, u0), method, **options).y1
        one = kt.solve(burgers(P.PseudoSpectral(), grid, u0[1]), method, **options).y1
        assert torch.allclose(both[1], one, atol=1e-6)


@pytest.mark.parametrize("centring", ["cell", "node"])
def test_boundary_data_that_change_in_time(centring):
    """u = sin(t) + x solves u_t = u_xx + cos(t)."""
    left, right = P.Dirichlet(lambda x, t: torch.sin(t)), P.Robin(1.0, 1.0, lambda x, t: torch.sin(t) + 2.0)
    grid = P.Grid(12, boundary=(left, right), centring=centring)
    problem = P.Heat(1.0, source=lambda x, t: torch.cos(t)).problem(grid, lambda x: x[0], (0.0, 1.0))
    exact = math.sin(1.0) + grid.points()[0]
    for method, options in (
        (kt.Tsit5(), {"rtol": 1e-9, "atol": 1e-10}),
        (kt.ETDRK4(), {"controller": kt.Fixed(0.01)}),
        (kt.ARS443(), {"controller": kt.Fixed(0.002)}),
    ):
        sol = kt.solve(problem, method, **options)
        assert torch.allclose(sol.y1, exact, atol=1e-6)
        if centring == "node":
            assert float(sol.y1[0]) == pytest.approx(math.sin(1.0), abs=1e-15)


@pytest.mark.parametrize("method", ["Tsit5", "ETDRK4 fixed", "ETDRK4 adaptive", "ARS443"])
@pytest.mark.parametrize("scheme", [P.PseudoSpectral(), P.FiniteDifference(4)], ids=["waves", "differences"])
def test_gradients(scheme, method):
    method, options = METHODS[method]
    options = {"controller": kt.Fixed(0.02)} if "controller" in options else options
    x = P.Grid(8).points()

    def end(u0, viscosity):
        problem = P.Burgers(viscosity).problem(P.Grid(8), u0, (0.0, 0.1), scheme)
        return kt.solve(problem, method, **options).y1

    inputs = wave(x).requires_grad_(), torch.tensor(0.1, dtype=F64, requires_grad=True)
    assert torch.autograd.gradcheck(end, inputs, rtol=1e-6, atol=1e-7, fast_mode=True)


@pytest.mark.parametrize("method", [kt.ETDRK4(), kt.ARS443()], ids=["ETDRK4", "ARS443"])
@pytest.mark.parametrize("kind", ["waves", "differences", "matrix"])
def test_steps_taken_again_have_the_same_gradients(kind, method):
    """Those of coefficients of the linear part, which is computed from them before the solve."""
    grid = P.Grid(8, boundary=P.Robin(1.0, 1.0, 0.3) if kind == "matrix" else P.Periodic())
    scheme = P.PseudoSpectral() if kind == "waves" else P.FiniteDifference()

    def end(adjoint, viscosity):
        problem = P.Burgers(viscosity).problem(grid, wave, (0.0, 0.1), scheme)
        return kt.solve(problem, method, adjoint=adjoint, controller=kt.Fixed(0.02)).y1

    viscosity = torch.tensor(0.1, dtype=F64, requires_grad=True)
    found = [torch.autograd.grad(end(one, viscosity).square().sum(), viscosity)[0] for one in (None, kt.Recompute(3))]
    assert float(found[1]) == pytest.approx(float(found[0]), rel=1e-10)
    again = lambda viscosity: end(kt.Recompute(), viscosity)  # noqa: E731
    assert torch.autograd.gradcheck(again, viscosity, rtol=1e-6, atol=1e-7, fast_mode=True)


@pytest.mark.parametrize("centring", ["cell", "node"])
@pytest.mark.parametrize("name", ["Tsit5", "ETDRK4 fixed", "ARS443"])
def test_gradients_to_boundary_data(centring, name):
    method, options = METHODS[name]
    options = {"controller": kt.Fixed(0.02)} if "controller" in options else options

    def end(g):
        grid = P.Grid(8, boundary=(P.Dirichlet(g), P.Robin(1.0, 1.0, g**2)), centring=centring)
        return kt.solve(P.Heat(0.1).problem(grid, grid.points()[0], (0.0, 0.1)), method, **options).y1

    assert torch.autograd.gradcheck(
        end, torch.tensor(0.7, dtype=F64, requires_grad=True), rtol=1e-6, atol=1e-7, fast_mode=True
    )
    options = {**options, "adjoint": kt.Recompute()}
    assert torch.autograd.gradcheck(
        end, torch.tensor(0.7, dtype=F64, requires_grad=True), rtol=1e-6, atol=1e-7, fast_mode=True
    )


def test_failures_hold_fields():
    problem = P.PDEProblem(lambda ops, t, u: u**2 + 0.0 * u, P.Grid(8), torch.ones(8, dtype=F64), (0.0, 2.0))
    with pytest.raises(kt.SolveError) as failure:
        kt.solve(problem, kt.Tsit5(), save_at="steps")
    assert failure.value.solution.space.grid is problem.grid
    partial = kt.solve(problem, kt.Tsit5(), save_at="steps", throw=False)
    assert partial.result.failed and partial.ys.shape[1:] == (8,)


def test_complex_fields():
    """Schroedinger's free particle, i u_t = -u_xx: a wave turns its phase."""

    class Schroedinger(P.Evolution):
        def linear(self, ops, u):
            return 1j * ops.laplacian(u)

    grid = P.Grid(16, TURN)
    u0 = torch.exp(3j * grid.points()[0])
    for scheme in (P.PseudoSpectral(), P.FiniteDifference(6)):
        sol = kt.solve(Schroedinger().problem(grid, u0, (0.0, 1.0), scheme), kt.ETDRK4(), controller=kt.Fixed(0.5))
        exact = torch.exp(torch.tensor(-9j, dtype=torch.complex128)) * u0
        assert torch.allclose(sol.y1, exact, atol=1e-12 if scheme == P.PseudoSpectral() else 1e-1)


def test_single_precision():
    u0 = wave(P.Grid(32).points()).float()
    sol = kt.solve(burgers(P.PseudoSpectral(), u0=u0), kt.ETDRK4(), controller=kt.Fixed(0.002))
    assert sol.y1.dtype == torch.float32
    assert torch.allclose(sol.y1.double(), reference(), atol=1e-5)


def test_time_may_run_backwards():
    class Turn(P.Evolution):
        def linear(self, ops, u):
            return -ops.derivative(u, 0)

    problem = Turn().problem(P.Grid(16), wave, (1.0, 0.75))
    for method in (kt.ETDRK4(), kt.RK4()):
        y1 = kt.solve(problem, method, controller=kt.Fixed(0.01)).y1
        assert torch.allclose(y1, torch.sin(TURN * (P.Grid(16).points()[0] + 0.25)), atol=1e-5)


@pytest.mark.parametrize("scheme", [P.PseudoSpectral(), P.FiniteDifference(4)], ids=["waves", "differences"])
def test_right_hand_sides_can_be_traced(scheme):
    """They are operations on tensors and nothing else, which `Compiled()` asks for."""
    grids = [P.Grid(16), P.Grid(16, boundary=P.Dirichlet())]
    if isinstance(scheme, P.FiniteDifference):
        grids.append(P.Grid(16, boundary=(P.Dirichlet(lambda x, t: torch.sin(t)), P.Robin(1.0, 1.0, 0.3))))
    for grid in grids:
        problem = kt.pde.lowering.forms.whole(burgers(scheme, grid)).problem
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            traced = torch.compile(problem.f, fullgraph=True, backend="eager")
        t = torch.tensor(0.3, dtype=F64)
        assert torch.equal(traced(t, problem.y0), problem.f(t, problem.y0))


def test_an_integrator_takes_the_ordinary_problem():
    problem = burgers(P.FiniteDifference())
    with pytest.raises(TypeError, match=r"problem\.as_ode\(\)"):
        kt.Integrator(problem, kt.Tsit5())
    loop = kt.Integrator(problem.as_ode(), kt.Tsit5(), rtol=1e-6)
    while not loop.done:
        loop.step()
    assert torch.allclose(loop.y, kt.solve(problem, kt.Tsit5(), rtol=1e-6).y1)


@pytest.mark.parametrize("centring", ["cell", "node"])
def test_boundary_values_with_more_axes_than_the_state_are_refused(centring):
    grid = P.Grid(12, centring=centring, boundary=P.Dirichlet(torch.ones(12)))
    problem = P.Heat(1.0).problem(grid, torch.zeros(12), (0.0, 1.0), P.FiniteDifference())
    with pytest.raises(ValueError, match=r"g at side 0 of axis 0 has the axes \(12,\) before those of the face"):
        kt.solve(problem)


def test_velocities_of_walls_with_more_axes_than_the_flow_are_refused():
    lid = P.Dirichlet(torch.tensor([1.0, 0.0], dtype=F64).reshape(2, 1).expand(3, 2, 4))
    grid = P.Grid((4, 4), boundary=(P.Periodic(), (P.Dirichlet(), lid)))
    flow = P.NavierStokes(0.1).problem(grid, torch.zeros(2, 4, 4, dtype=F64), (0.0, 1.0))
    with pytest.raises(ValueError, match=r"g at side 1 of axis 1 has the axes \(3,\) before those of the face"):
        kt.solve(flow)


@pytest.mark.parametrize("centring", ["cell", "node"])
def test_boundary_values_at_other_places_than_those_of_the_face_are_refused(centring):
    grid = P.Grid((5, 5), centring=centring, boundary=P.Dirichlet(torch.ones(4)))
    problem = P.Heat(1.0).problem(grid, torch.zeros(5, 5), (0.0, 1.0), P.FiniteDifference())
    with pytest.raises(ValueError, match=r"g at side 0 of axis 0 must be a number or have the shape \(..., 5\)"):
        kt.solve(problem)
