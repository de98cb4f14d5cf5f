"""Finite volumes: order where solutions are smooth, nothing lost, no new extrema, shocks in their places."""

import math

import pytest
import torch

import kutta as kt
from kutta.pde.lowering import forms
from tests._helpers import F64, difference, difference_of_rows, gradient, relative_error, slopes_of
from tests.pde.equations._orders import Waves, assert_order, largest

P = kt.pde
LIMITERS = ["minmod", "van Leer", "van Albada", "monotonised central", "superbee"]
SCHEMES = {
    "constant": P.FiniteVolume(P.PiecewiseConstant()),
    **{limiter: P.FiniteVolume(P.MUSCL(limiter)) for limiter in LIMITERS},
    "MUSCL split": P.FiniteVolume(P.MUSCL(), P.LaxFriedrichs()),
    "WENO5": P.FiniteVolume(P.WENO5()),
}
TVD = ["constant", *LIMITERS, "MUSCL split"]


def periodic(x):
    return torch.exp(torch.sin(2 * math.pi * x))


def moved(x, t, count=60):
    """Inviscid Burgers from ``1 + sin(2 pi x) / (2 pi)`` before it breaks: Newton's method on characteristics."""
    u = torch.ones_like(x)
    for _ in range(count):
        phase = 2 * math.pi * (x - t * u)
        u = u - (u - 1 - torch.sin(phase) / (2 * math.pi)) / (1 + t * torch.cos(phase))
    return u


def order(problem_on, exact, counts, **options):
    """Observed in the mean error, between the last two grids."""
    errors = []
    for count in counts:
        problem = problem_on(count)
        errors.append(float((kt.solve(problem, **options).y1 - exact(problem.grid.points())).abs().mean()))
    return slopes_of(errors, counts)[-1]


# In time, the default of order 3 is enough for order 2 in space.
IN_TIME = {"van Leer": {}, "WENO5": {"method": kt.Vern7(), "rtol": 1e-8, "atol": 1e-10}}


# Orders.


@pytest.mark.parametrize(("name", "nominal", "counts"), [("van Leer", 2, (80, 160)), ("WENO5", 5, (24, 48))])
@pytest.mark.parametrize("velocity", [1.0, -1.0, torch.tensor(1.0, dtype=F64)], ids=["right", "left", "tensor"])
def test_order_of_advection(name, nominal, counts, velocity):
    def problem_on(count):
        return P.Advection(velocity).problem(P.Grid(count), lambda x: periodic(x[0]), (0.0, 0.3), SCHEMES[name])

    found = order(problem_on, lambda x: periodic(x[0] - 0.3 * velocity), counts, **IN_TIME[name])
    assert found == pytest.approx(nominal, abs=0.15)


@pytest.mark.parametrize(("name", "nominal", "counts"), [("van Leer", 2, (32, 64)), ("WENO5", 5, (36, 72))])
def test_order_in_two_dimensions(name, nominal, counts):
    def problem_on(count):
        grid = P.Grid((count, count))
        return P.Burgers(0.0).problem(grid, lambda x: moved(x[0] + x[1], 0.0), (0.0, 0.15), SCHEMES[name])

    found = order(problem_on, lambda x: moved(x[0] + x[1], 0.3), counts, **IN_TIME[name])
    assert found == pytest.approx(nominal, abs=0.15)


def test_order_between_inflow_and_outflow():
    inflow = P.Dirichlet(lambda x, t: torch.sin(3 * (x[0] - t)))

    def problem_on(count):
        grid = P.Grid(count, boundary=(inflow, P.Neumann()))
        problem = P.Advection(1.0).problem(grid, lambda x: torch.sin(3 * x[0]), (0.0, 1.5))
        assert isinstance(problem.scheme, P.FiniteVolume)
        return problem

    assert order(problem_on, lambda x: torch.sin(3 * (x[0] - 1.5)), (60, 120)) == pytest.approx(2, abs=0.15)


# On the slope of long waves, without extrema, limited slopes are of order 2 everywhere, and so is the largest error.
SLOPE = Waves(3.2, torch.tensor([1.5]), torch.tensor([[1.0, 0.2]], dtype=F64), torch.tensor([-1.9, 0.4], dtype=F64))


@pytest.mark.parametrize(("name", "nominal"), [("constant", 1), *((name, 2) for name in [*LIMITERS, "MUSCL split"])])
@pytest.mark.parametrize("equation", [P.Advection(1.0), P.Advection(-1.0), P.Burgers(0.0)], ids=["right", "left", "u"])
def test_orders_where_all_rises(equation, name, nominal):
    kind = "turned" if isinstance(equation, P.Advection) and equation.velocity < 0 else "mixed"
    assert_order(nominal, equation, kind, SCHEMES[name], states=[SLOPE], size=largest)


@pytest.mark.parametrize("equation", [P.Advection(1.0), P.Burgers(0.0)], ids=["right", "u"])
def test_fifth_order_falls_to_that_of_the_ghosts_at_sides(equation):
    """Which are of order 2: a layer of few cells has the largest error."""
    assert_order(2, equation, "mixed", SCHEMES["WENO5"], states=[SLOPE], size=largest)


@pytest.mark.parametrize("name", LIMITERS)
def test_orders_with_viscosity(name):
    """Whose differences are of order 2."""
    assert_order(2, P.Burgers(0.1), "mixed", SCHEMES[name], states=[SLOPE], counts=(160, 240), size=largest)


# Jumps.


@pytest.mark.parametrize("name", TVD)
@pytest.mark.parametrize("equation", [P.Advection(1.0), P.Advection(-1.0), P.Burgers(0.0)], ids=["right", "left", "u"])
def test_total_variation_does_not_grow(name, equation):
    def square(x):
        return ((x[0] > 0.3) & (x[0] < 0.6)).to(F64)

    problem = equation.problem(P.Grid(50), square, (0.0, 0.7), SCHEMES[name])
    ys = kt.solve(problem, save_at="steps").ys
    variation = (ys - ys.roll(1, -1)).abs().sum(-1)
    assert float(variation[0]) == 2.0 and float(variation.diff().max()) < 1e-14
    assert float(ys.min()) > -1e-14 and float(ys.max()) < 1 + 1e-14


def test_weno_hardly_overshoots():
    problem = P.Burgers(0.0).problem(P.Grid(100), lambda x: (x[0] < 0.5).to(F64), (0.0, 0.4), SCHEMES["WENO5"])
    ys = kt.solve(problem, save_at="steps").ys
    assert float(ys.min()) > -1e-2 and float(ys.max()) < 1 + 1e-2


@pytest.mark.parametrize("name", SCHEMES)
@pytest.mark.parametrize(("left", "right"), [(1.0, 0.0), (1.5, -0.5), (0.2, -1.2)])
def test_shocks_move_with_the_mean_of_their_sides(name, left, right):
    speed = 0.5 * (left + right)
    grid = P.Grid(80, 2.0, boundary=(P.Dirichlet(left), P.Dirichlet(right)), origin=-1.0)
    problem = P.Burgers(0.0).problem(grid, lambda x: torch.where(x[0] < 0, left, right).to(F64), (0.0, 1.0))
    y1 = kt.solve(P.PDEProblem(problem.equation, grid, problem.u0, problem.t_span, SCHEMES[name])).y1
    place = float((y1 - right).sum()) * grid.spacing[0] / (left - right) - 1.0
    assert place == pytest.approx(speed, abs=1e-6)
    steep = ((y1 - 0.5 * (left + right)).abs() < 0.4 * (left - right)).sum()
    assert int(steep) <= (8 if name == "constant" else 4)


def test_a_fan_opens_where_values_rise():
    """Of the weak solutions from a step upwards, the one that viscosity leaves."""
    grid = P.Grid(200, 2.0, boundary=P.Neumann(), origin=-1.0)
    problem = P.Burgers(0.0).problem(grid, lambda x: torch.sign(x[0]), (0.0, 0.5))
    exact = (grid.points()[0] / 0.5).clamp(-1.0, 1.0)
    assert float((kt.solve(problem).y1 - exact).abs().mean()) < 5e-3


@pytest.mark.parametrize("name", SCHEMES)
def test_conserved_to_rounding(name):
    u0 = torch.randn(3, 12, 9, dtype=F64, generator=torch.Generator().manual_seed(2))  # a batch
    problem = P.Burgers(0.0).problem(P.Grid((12, 9), (1.0, 2.0)), u0, (0.0, 0.5), SCHEMES[name])
    y1 = kt.solve(problem).y1
    assert torch.allclose(y1.sum((-1, -2)), u0.sum((-1, -2)), rtol=0, atol=1e-12)
    assert float((y1 - u0).abs().max()) > 0.1


def test_batches_are_apart():
    u0 = torch.randn(2, 30, dtype=F64, generator=torch.Generator().manual_seed(3))
    for name in ("van Leer", "WENO5"):
        problem = P.Burgers(0.0).problem(P.Grid(30), u0, (0.0, 0.1), SCHEMES[name])
        both = kt.solve(problem, kt.SSPRK33(), controller=kt.Fixed(0.005)).y1
        for one, start in zip(both, u0, strict=True):
            alone = P.Burgers(0.0).problem(P.Grid(30), start, (0.0, 0.1), SCHEMES[name])
            assert torch.allclose(kt.solve(alone, kt.SSPRK33(), controller=kt.Fixed(0.005)).y1, one, rtol=0, atol=1e-14)


# Gradients.


@pytest.mark.parametrize("name", SCHEMES)
@pytest.mark.parametrize("boundary", [P.Periodic(), P.Wall(), P.Dirichlet(0.7)], ids=["periodic", "wall", "inflow"])
def test_gradients_to_the_initial_state(name, boundary):
    grid = P.Grid(10, boundary=boundary)

    def loss(u0):
        problem = P.Burgers(0.0).problem(grid, u0, (0.0, 0.04), SCHEMES[name])
        return (kt.solve(problem, kt.SSPRK33(), controller=kt.Fixed(0.01)).y1 ** 3).sum(-1)

    u0 = 0.5 + torch.rand(10, dtype=F64, generator=torch.Generator().manual_seed(0))
    assert relative_error(gradient(loss, u0), difference_of_rows(loss, u0, 1e-6)) < 1e-7


def test_gradients_to_velocities_and_inflow():
    def loss(numbers):
        grid = P.Grid((8, 6), boundary=(P.Dirichlet(numbers[2]), P.Neumann()))
        start = torch.sin(torch.arange(48, dtype=F64)).reshape(8, 6)
        problem = P.Advection((numbers[0], numbers[1] * start)).problem(grid, start, (0.0, 0.1))
        return (kt.solve(problem, kt.SSPRK33(), controller=kt.Fixed(0.02)).y1 ** 2).sum()

    numbers = torch.tensor([1.0, -0.7, 0.4], dtype=F64)
    assert relative_error(gradient(loss, numbers), difference(loss, numbers)) < 1e-7


@pytest.mark.parametrize("name", SCHEMES)
def test_gradients_of_constant_states_are_those_of_what_they_carry(name):
    """All is at a kink there; the sum of a conserved quantity knows nothing of it."""
    u0 = torch.ones(8, dtype=F64)

    def loss(u0):
        problem = P.Burgers(0.0).problem(P.Grid(8), u0, (0.0, 0.1), SCHEMES[name])
        return kt.solve(problem, kt.SSPRK33(), controller=kt.Fixed(0.02)).y1.sum()

    assert torch.allclose(gradient(loss, u0), torch.ones(8, dtype=F64), rtol=0, atol=1e-12)


# Engines, precision, and other methods.


@pytest.mark.parametrize("name", ["superbee", "WENO5"])
@pytest.mark.parametrize("equation", [P.Burgers(0.0), P.Advection((1.0, -0.5))], ids=["burgers", "advection"])
def test_right_hand_sides_can_be_traced(name, equation):
    problem = equation.problem(P.Grid((8, 6)), lambda x: torch.sin(2 * math.pi * x[0]), (0.0, 1.0), SCHEMES[name])
    f = forms.whole(problem).problem.f
    t = torch.zeros((), dtype=F64)
    torch._dynamo.reset()
    assert torch.equal(torch.compile(f, fullgraph=True, backend="eager")(t, problem.u0), f(t, problem.u0))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["van Leer", "WENO5"])
def test_compiled(name):
    problem = P.Burgers(0.0).problem(P.Grid(40), lambda x: torch.sin(2 * math.pi * x[0]), (0.0, 0.2), SCHEMES[name])
    eager = kt.solve(problem, kt.SSPRK33(), controller=kt.Fixed(0.005)).y1
    compiled = kt.solve(problem, kt.SSPRK33(), controller=kt.Fixed(0.005), engine=kt.Compiled())
    assert compiled.stats.engine == "compiled"
    assert torch.allclose(compiled.y1, eager, rtol=0, atol=1e-13)


def test_single_precision():
    u0 = ((torch.arange(50) > 15) & (torch.arange(50) < 30)).to(torch.float32)
    for name in ("van Leer", "WENO5"):
        y1 = kt.solve(P.Burgers(0.0).problem(P.Grid(50), u0, (0.0, 0.3), SCHEMES[name])).y1
        exact = kt.solve(P.Burgers(0.0).problem(P.Grid(50), u0.to(F64), (0.0, 0.3), SCHEMES[name])).y1
        assert y1.dtype == torch.float32 and float((y1 - exact).abs().max()) < 1e-4


def test_diffusion_may_be_implicit_beside_limiters():
    grid = P.Grid(32, 2 * math.pi, boundary=P.Dirichlet())
    problem = P.Burgers(0.3).problem(grid, lambda x: torch.sin(x[0]), (0.0, 0.5), P.FiniteVolume())
    implicit = kt.solve(problem, kt.ARS443(), controller=kt.Fixed(0.1)).y1
    waves = P.Burgers(0.3).problem(grid, lambda x: torch.sin(x[0]), (0.0, 0.5), P.PseudoSpectral())
    exact = kt.solve(waves, kt.ETDRK4(), controller=kt.Fixed(0.01)).y1
    assert float((implicit - exact).abs().max()) < 1e-2
    explicit = kt.solve(problem, kt.Tsit5(), rtol=1e-7, atol=1e-9).y1
    assert float((implicit - explicit).abs().max()) < 1e-3


# Refusals.


def test_what_is_not_linear_is_no_linear_part():
    grid = P.Grid(16)
    problem = P.Advection(1.0).problem(grid, lambda x: x[0], (0.0, 1.0), P.FiniteVolume())
    for method in (kt.ETDRK4(), kt.ARS222()):
        with pytest.raises(TypeError, match="advection of FiniteVolume has limiters and is not linear"):
            kt.solve(problem, method, controller=kt.Fixed(0.1))
    ops = P.FiniteVolume().on(grid).homogeneous()
    with pytest.raises(TypeError, match="convection of FiniteVolume has limiters"):
        ops.convection(P.Burgers(), torch.ones(16))


def test_refusals():
    with pytest.raises(TypeError, match=r"reconstruction must be such as kutta.pde.MUSCL\(\); got 'van Leer'"):
        P.FiniteVolume("van Leer")
    with pytest.raises(TypeError, match=r"flux must be such as kutta.pde.Rusanov\(\); got 'roe'"):
        P.FiniteVolume(flux="roe")
    nodes = P.Grid(16, centring="node", boundary=P.Dirichlet())
    with pytest.raises(ValueError, match="FiniteVolume needs cells; axis 0 has centring 'node'"):
        kt.solve(P.Burgers(0.0).problem(nodes, lambda x: x[0], (0.0, 1.0)))
    with pytest.raises(ValueError, match="WENO5 needs 3 cells at least; axis 1 has 2"):
        SCHEMES["WENO5"].on(P.Grid((8, 2)))
    with pytest.raises(TypeError, match="FiniteVolume is for real fields"):
        kt.solve(P.Burgers(0.0).problem(P.Grid(16), torch.ones(16, dtype=torch.complex128), (0.0, 1.0)), kt.Tsit5())


def test_a_step_that_is_too_large_is_refused():
    problem = P.Burgers(0.0).problem(P.Grid(100), lambda x: 1 + x[0], (0.0, 1.0))
    with pytest.raises(ValueError, match="violates the Courant-Friedrichs-Lewy condition"):
        kt.solve(problem, kt.SSPRK33(), controller=kt.Fixed(0.05))


def test_backwards_in_time_is_refused():
    problem = P.Advection(1.0).problem(P.Grid(16), lambda x: torch.sin(6.283 * x[0]), (1.0, 0.0), P.FiniteVolume())
    with pytest.raises(ValueError, match="t_span must rise"):
        kt.solve(problem)
    with pytest.raises(ValueError, match="t_span must rise"):
        problem.as_ode()
