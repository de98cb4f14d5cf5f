"""Vortices that decay exactly, budgets, orders in space and time, forms that agree, gradients, and refusals."""

import math

import pytest
import torch

import kutta as kt
from kutta.pde.equations.navier_stokes_vorticity import transport_by_arakawa, transport_by_products
from tests._helpers import F64, difference, gradient, relative_error, slopes_of

PERIOD = 2 * math.pi
NU, DRAG, ONE = torch.tensor([0.1, 0.2, 1.0], dtype=F64)
SCHEMES = {
    "waves": kt.pde.PseudoSpectral(),
    "order 2": kt.pde.FiniteDifference(2),
    "order 4": kt.pde.FiniteDifference(4),
    "order 6": kt.pde.FiniteDifference(6),
}


def box(n, m=None):
    return kt.pde.Grid((n, m or n), (PERIOD, 2 * PERIOD))


def cells(x, k=1, l=1.5):
    """A vortex array that nonlinearity leaves as it is."""
    return torch.sin(k * x[0]) * torch.cos(l * x[1])


def pair(x):
    """Waves of different lengths, which do exchange."""
    return torch.cos(x[0]) + torch.sin(x[1] + 0.3) + torch.cos(2 * x[0] - 0.5 * x[1])


def solved(equation, grid, u0, t, scheme=None, method=None, **options):
    return kt.solve(equation.problem(grid, u0, (0.0, t), scheme), method or kt.Tsit5(), **options).y1


def operations(scheme, grid, w):
    ops = scheme.on(grid, 2)
    return ops.like(w) if isinstance(scheme, kt.pde.PseudoSpectral) else ops


@pytest.mark.parametrize("method", [kt.ETDRK4(), kt.ARS443()], ids=["etdrk4", "ars443"])
def test_vortex_array_decays_exactly_in_waves(method):
    grid, nu = box(16, 24), 0.05
    y1 = solved(kt.pde.NavierStokesVorticity(nu), grid, cells, 1.0, method=method, controller=kt.Fixed(0.05))
    decay = math.exp(-nu * (1 + 1.5**2))
    assert relative_error(y1, decay * cells(grid.points())) < (1e-13 if isinstance(method, kt.ETDRK4) else 1e-6)


@pytest.mark.parametrize("accuracy", [2, 4, 6])
def test_differences_have_their_order(accuracy):
    equation, counts, errors = kt.pde.NavierStokesVorticity(0.02, drag=0.1), (24, 36, 48), []
    for n in counts:
        grid = kt.pde.Grid((n, n), PERIOD)
        exact = 2 * torch.cos(grid.points()[0] + 2 * grid.points()[1]) + torch.sin(grid.points()[0])
        ops = operations(kt.pde.FiniteDifference(accuracy), grid, exact)
        fine = kt.pde.PseudoSpectral(1.0).on(grid, 2).like(exact)
        errors.append(
            relative_error(transport_by_arakawa(ops, exact), fine.leave(transport_by_products(fine, fine.enter(exact))))
        )
    assert slopes_of(errors, counts) == pytest.approx([accuracy, accuracy], abs=0.15)
    y1 = solved(equation, grid, lambda x: torch.cos(x[0]) * torch.cos(x[1]), 1.0, kt.pde.FiniteDifference(accuracy))
    wanted = math.exp(-2 * 0.02 - 0.1) * torch.cos(grid.points()[0]) * torch.cos(grid.points()[1])
    assert relative_error(y1, wanted) < max(1e-6, 0.2 * (PERIOD / 48) ** accuracy)


@pytest.mark.parametrize("accuracy", [2, 4, 6])
def test_flow_converges_to_that_of_waves_with_the_order_of_differences(accuracy):
    equation, counts = kt.pde.NavierStokesVorticity(0.05), (24, 32, 48)
    fine = kt.pde.Grid((96, 96), PERIOD)

    def start(x):
        return torch.cos(x[0]) + torch.sin(x[1] + 0.3) + torch.cos(x[0] - x[1])

    reference = solved(equation, fine, start, 0.3, method=kt.ETDRK4(), controller=kt.Fixed(0.01))
    errors = []
    for n in counts:
        grid = kt.pde.Grid((n, n), PERIOD)
        y1 = solved(equation, grid, start, 0.3, kt.pde.FiniteDifference(accuracy), rtol=1e-8, atol=1e-10)
        errors.append(relative_error(y1, reference[:: 96 // n, :: 96 // n]))
    assert slopes_of(errors, counts)[-1] == pytest.approx(accuracy, abs=0.15)


def test_both_forms_of_the_transport_are_one_for_waves():
    grid = box(24, 36)
    w = torch.randn(grid.shape, dtype=F64, generator=torch.Generator().manual_seed(0))
    ops = operations(kt.pde.PseudoSpectral(), grid, w)
    forms = [form(ops, ops.enter(w)).coefficients for form in (transport_by_products, transport_by_arakawa)]
    assert relative_error(*forms) < 1e-14


@pytest.mark.parametrize("name", SCHEMES)
def test_transport_keeps_circulation_energy_and_enstrophy(name):
    grid = box(24, 36)
    w = torch.randn(grid.shape, dtype=F64, generator=torch.Generator().manual_seed(0))
    ops = operations(SCHEMES[name], grid, w)
    if name == "waves":
        ops_w = ops.enter(w)
        w = ops.leave(ops.of(ops.kept(ops.kinds, ops_w.coefficients)))  # what takes part in products
    psi = ops.leave(-ops.inverse_laplacian(ops.enter(w)))
    slope = ops.leave(kt.pde.NavierStokesVorticity(0.0).nonlinear(ops, 0.0, ops.enter(w)))
    size = float(slope.norm())
    assert size > 1.0
    for weight in (torch.ones_like(w), psi, w):
        assert abs(float((weight * slope).sum())) < 1e-12 * size * float(weight.norm())


def test_budgets_of_energy_and_enstrophy():
    """d/dt mean(u^2 + v^2)/2 = -2 nu mean(w^2)/2 - 2 d E; the rate of enstrophy by the slopes of w."""
    grid, nu, drag = box(48, 48), 0.02, 0.1
    equation = kt.pde.NavierStokesVorticity(nu, drag)
    problem = equation.problem(grid, pair, (0.0, 1.0))
    ts = torch.linspace(0.0, 1.0, 101, dtype=F64)
    ws = kt.solve(problem, kt.ETDRK4(), controller=kt.Fixed(0.01), save_at=ts).ys
    energy = 0.5 * (equation.velocity(ws, grid) ** 2).sum(-3).mean((-1, -2))
    enstrophy = 0.5 * (ws**2).mean((-1, -2))
    slopes = sum((kt.pde.derivative(ws, grid, axis, accuracy=6) ** 2).mean((-1, -2)) for axis in (0, 1))

    def gained(rate):  # Simpson's rule
        weights = torch.ones(101, dtype=F64)
        weights[1:-1:2], weights[2:-1:2] = 4.0, 2.0
        return (weights * rate).sum() * 0.01 / 3

    assert abs(energy[-1] - energy[0] + gained(2 * nu * enstrophy + 2 * drag * energy)) < 1e-9
    assert abs(enstrophy[-1] - enstrophy[0] + gained(nu * slopes + 2 * drag * enstrophy)) < 2e-6
    assert energy[-1] < 0.9 * energy[0]


def test_kolmogorov_flow_rests_where_viscosity_and_force_balance():
    """f = (sin(k y), 0): u = sin(k y) (1 - exp(-nu k^2 t)) / (nu k^2)."""
    grid, nu, k = kt.pde.Grid((16, 32), PERIOD), 0.1, 3
    y = grid.points()[1]
    force = torch.stack([torch.sin(k * y), torch.zeros_like(y)])
    growth = (1 - math.exp(-nu * k**2 * 2.0)) / (nu * k**2)
    for forcing in (force, lambda x, t: torch.stack([torch.sin(k * x[1]), torch.zeros_like(x[1])])):
        equation = kt.pde.NavierStokesVorticity(nu, forcing=forcing)
        y1 = solved(
            equation, grid, torch.zeros(grid.shape, dtype=F64), 2.0, method=kt.ETDRK4(), controller=kt.Fixed(0.1)
        )
        assert relative_error(y1, -growth * k * torch.cos(k * y)) < 1e-12
        velocity = equation.velocity(y1, grid)
        assert relative_error(velocity[0], growth * torch.sin(k * y)) < 1e-12
        assert velocity[1].abs().max() < 1e-12


def test_kolmogorov_flow_becomes_unstable_and_stays_bounded():
    grid = kt.pde.Grid((32, 32), PERIOD)
    x = grid.points()
    equation = kt.pde.NavierStokesVorticity(0.02, forcing=torch.stack([torch.sin(4 * x[1]), 0 * x[1]]))
    start = -4 * torch.cos(4 * x[1]) + 0.1 * torch.sin(x[0] + x[1])
    y1 = solved(equation, grid, start, 15.0, method=kt.ETDRK4(), controller=kt.Fixed(0.05))
    across = equation.velocity(y1, grid)[1].abs().max()
    assert 0.1 < across < 10.0


@pytest.mark.parametrize(
    ("method", "order"),
    [(kt.ETDRK2(), 2), (kt.ETDRK4(), 4), (kt.ARS222(), 2), (kt.ARS443(), 3)],
    ids=["etdrk2", "etdrk4", "ars222", "ars443"],
)
def test_methods_have_their_order_in_time(method, order):
    grid, equation = kt.pde.Grid((16, 16), PERIOD), kt.pde.NavierStokesVorticity(0.05)
    exact = solved(equation, grid, pair_of_period, 0.5, rtol=1e-12, atol=1e-13)
    counts = (10, 20, 40)
    steps = [kt.Fixed(0.5 / n) for n in counts]
    found = [solved(equation, grid, pair_of_period, 0.5, method=method, controller=step) for step in steps]
    errors = [relative_error(one, exact) for one in found]
    assert slopes_of(errors, counts)[-1] == pytest.approx(order, abs=0.15)


def pair_of_period(x):
    return 2 * torch.cos(x[0]) + torch.sin(x[1] + 0.3) + torch.cos(2 * x[0] - x[1])


def test_velocity_has_the_vorticity_and_no_divergence():
    grid = box(24, 36)
    w, equation = pair(grid.points()), kt.pde.NavierStokesVorticity(0.1)
    u, v = equation.velocity(w, grid)
    psi = equation.stream_function(w, grid)
    waves = operations(kt.pde.PseudoSpectral(1.0), grid, w)
    D = lambda f, axis: waves.leave(waves.derivative(waves.enter(f), axis))  # noqa: E731
    assert relative_error(D(v, 0) - D(u, 1), w) < 1e-13
    assert (D(u, 0) + D(v, 1)).abs().max() < 1e-13
    assert relative_error(D(psi, 1), u) < 1e-13
    assert abs(float(psi.mean())) < 1e-15
    batch = equation.velocity(torch.stack([w, 2 * w]), grid)
    assert batch.shape == (2, 2, 24, 36)
    assert relative_error(batch[1, 0], 2 * u) < 1e-14


@pytest.mark.parametrize("name", ["waves", "order 4"])
def test_gradients(name):
    grid, scheme = kt.pde.Grid((8, 12), PERIOD), SCHEMES[name]
    method = kt.ETDRK4() if name == "waves" else kt.Tsit5()
    x = grid.points()
    force = torch.stack([torch.sin(x[1]), torch.cos(x[0] - x[1])])

    def loss(nu=NU, drag=DRAG, scale=ONE, u0=None):
        equation = kt.pde.NavierStokesVorticity(nu, drag, scale * force)
        u0 = pair_of_period(x) if u0 is None else u0
        y1 = solved(equation, grid, u0, 0.2, scheme, method, controller=kt.Fixed(0.05))
        return (y1 * torch.cos(x[0] + 0.5)).sum() + (y1**3).sum()

    for which, at in (("nu", 0.1), ("drag", 0.2), ("scale", 1.3)):
        value = torch.tensor(at, dtype=F64)
        ask = lambda one, which=which: loss(**{which: one})  # noqa: E731
        assert relative_error(gradient(ask, value), difference(ask, value)) < 1e-8
    direction = torch.cos(2 * x[0] - x[1]) + 0.5
    along = lambda size: loss(u0=pair_of_period(x) + size * direction)  # noqa: E731
    start = torch.tensor(0.1, dtype=F64)
    assert relative_error(gradient(along, start), difference(along, start)) < 1e-8


def test_gradient_of_a_force_with_recomputed_steps():
    grid = kt.pde.Grid((8, 8), PERIOD)
    force = torch.stack(list(torch.sin(grid.points())))

    def loss(force, adjoint=None):
        equation = kt.pde.NavierStokesVorticity(0.1, forcing=force)
        return (solved(equation, grid, pair_of_period, 0.2, controller=kt.Fixed(0.05), adjoint=adjoint) ** 2).sum()

    assert relative_error(gradient(lambda f: loss(f, kt.Recompute()), force), gradient(loss, force)) < 1e-13


def test_single_precision_and_batches():
    grid = box(16, 16)
    u0 = torch.stack([pair(grid.points(torch.float32)), cells(grid.points(torch.float32))])
    problem = kt.pde.NavierStokesVorticity(0.1, forcing=torch.ones(2, 16, 16)).problem(grid, u0, (0.0, 0.5))
    sol = kt.solve(problem, kt.ETDRK4(), controller=kt.Fixed(0.05))
    assert sol.y1.dtype == torch.float32
    alone = solved(kt.pde.NavierStokesVorticity(0.1), grid, pair, 0.5, method=kt.ETDRK4(), controller=kt.Fixed(0.05))
    assert relative_error(sol.y1[0].double(), alone) < 1e-5


def test_what_does_not_fit_is_refused():
    grid, zero = box(8), torch.zeros(8, 8)
    with pytest.raises(ValueError, match="needs Periodic"):
        kt.pde.NavierStokesVorticity(0.1).problem(kt.pde.Grid((8, 8), boundary=kt.pde.Dirichlet()), zero, (0.0, 1.0))
    with pytest.raises(ValueError, match="2 dimensions"):
        kt.pde.NavierStokesVorticity(0.1).problem(kt.pde.Grid(8), torch.zeros(8), (0.0, 1.0))
    with pytest.raises(ValueError, match=r"forcing must have the shape \(2, 8, 8\)"):
        kt.pde.NavierStokesVorticity(0.1, forcing=torch.zeros(8, 8)).problem(grid, zero, (0.0, 1.0))
    with pytest.raises(TypeError, match="forcing must be a tensor"):
        kt.pde.NavierStokesVorticity(0.1, forcing=3.0)
    with pytest.raises(ValueError, match="forcing must have the shape"):
        wrong = kt.pde.NavierStokesVorticity(0.1, forcing=lambda x, t: x[0]).problem(grid, zero, (0.0, 1.0))
        kt.solve(wrong, kt.Tsit5())
    with pytest.raises(ValueError, match="w must have the shape"):
        kt.pde.NavierStokesVorticity(0.1).velocity(torch.zeros(4, 4), grid)
