"""Equations written down: the same right-hand side as the scheme's, from few images of the unknown."""

import math

import pytest
import torch

import kutta as kt
from kutta.operators.constraints.expressions import Given, Image
from kutta.operators.constraints.space_time import SpaceTime
from kutta.operators.constraints.written_equation import followed, written
from kutta.pde.lowering.forms import operations
from tests._helpers import F64, relative_error

PERIODIC, PLANE = kt.pde.Grid(128), kt.pde.Grid((64, 64), 2.0 * torch.pi)
WALLS = kt.pde.Grid(256, boundary=(kt.pde.Dirichlet(1.0), kt.pde.Robin(1.0, 5e-4)))
FINE = kt.pde.FiniteDifference(6)


def line(grid):
    x = 2.0 * torch.pi * grid.points()[0]
    return torch.sin(x) + 0.2 * torch.cos(2.0 * x)


def zigzag(grid):
    """What first differences do not see."""
    return line(grid) + 0.1 * (-1.0) ** torch.arange(grid.shape[0])


def vortices(grid):
    x, y = grid.points()
    return torch.sin(x) * torch.cos(2.0 * y) + 0.3 * torch.cos(3.0 * x + y)


def of_ones_own(ops, t, u):
    return 0.1 * ops.laplacian(u) + torch.exp(-u) * ops.derivative(u**3, 0) + u * (1.0 - u) / (2.0 + u)


def through_what_is_there(ops, t, u):
    return ops.diffusion(u, 1.0 + u**2)


def of_porous_ground(ops, t, u):
    return ops.laplacian_of(lambda v: v**2, u) + 0.1 * u


NODES = kt.pde.Grid(64, centring="node", boundary=(kt.pde.Neumann(-1.0), kt.pde.Neumann(0.5)))
SOURCE = 2.0 + torch.cos(2.0 * torch.pi * PERIODIC.points()[0])


def carried(ops, t, u):
    return ops.laplacian(u) + ops.derivative(SOURCE * u, 0) - SOURCE


def in_front_of_it(ops, t, u):
    return ops.diffusion(u**2, ops.constant(SOURCE, u))


def stirred(x, t):
    """A force with a curl."""
    return torch.stack([torch.sin(x[1]), torch.cos(x[0] + x[1])])


# The equation, its grid and state, the scheme, how many images it has, and by how much derivatives of products differ.
CASES = {
    "diffusion and sorption": (kt.pde.DiffusionSorption(), WALLS, line(WALLS) ** 2, None, 2, 1e-14),
    "Burgers, waves": (kt.pde.Burgers(0.02), PERIODIC, line(PERIODIC), None, 3, 1e-4),
    "Burgers, differences": (kt.pde.Burgers(0.02), PERIODIC, line(PERIODIC), FINE, 7, 1e-13),
    "Kuramoto and Sivashinsky": (kt.pde.KuramotoSivashinsky(), PERIODIC, line(PERIODIC), None, 4, 1e-7),
    "Korteweg and de Vries": (kt.pde.KortewegDeVries(), PERIODIC, line(PERIODIC), None, 3, 1e-5),
    "Allen and Cahn": (kt.pde.AllenCahn(0.01), PERIODIC, line(PERIODIC), None, 2, 1e-5),
    "vorticity, waves": (kt.pde.NavierStokesVorticity(0.01), PLANE, vortices(PLANE), None, 5, 1e-7),
    "vorticity, differences": (kt.pde.NavierStokesVorticity(0.01), PLANE, vortices(PLANE), FINE, 53, 1e-13),
    "driven vorticity": (kt.pde.NavierStokesVorticity(0.01, forcing=stirred), PLANE, vortices(PLANE), None, 5, 1e-7),
    "vorticity driven by data": (
        kt.pde.NavierStokesVorticity(0.01, forcing=stirred(PLANE.points(), 0.0)),
        PLANE,
        vortices(PLANE),
        FINE,
        53,
        1e-4,
    ),
    "one's own": (of_ones_own, PLANE, vortices(PLANE), FINE, 8, 1e-13),
    "Burgers between walls": (kt.pde.Burgers(0.02), WALLS, line(WALLS), kt.pde.FiniteDifference(), 3, 1e-14),
    "Burgers between nodes": (kt.pde.Burgers(0.02), NODES, line(NODES) + 2.0, kt.pde.FiniteDifference(4), 5, 1e-14),
    "functions between walls": (of_porous_ground, WALLS, line(WALLS), None, 3, 1e-14),
    "functions all around": (of_porous_ground, PERIODIC, zigzag(PERIODIC), kt.pde.FiniteDifference(), 3, 1e-13),
    "coefficients of it": (
        through_what_is_there,
        PERIODIC,
        zigzag(PERIODIC),
        kt.pde.FiniteDifference(),
        3,
        1e-13,
    ),
    "coefficients of it, fine": (through_what_is_there, PERIODIC, zigzag(PERIODIC), FINE, 9, 1e-13),
    "data in front": (in_front_of_it, PERIODIC, zigzag(PERIODIC), kt.pde.FiniteDifference(), 3, 1e-13),
    "data in front, fine": (in_front_of_it, PERIODIC, zigzag(PERIODIC), FINE, 7, 1e-13),
    "data": (carried, PERIODIC, line(PERIODIC), FINE, 7, 1e-13),
}


def right_hand_side(problem, u):
    """By the expression, and how many different images that has."""
    ops = operations(problem)
    expression = written(problem, ops, 0.0)

    def of(leaf):
        return leaf.tensor if isinstance(leaf, Given) else ops.leave(followed(ops, leaf.path, ops.enter(u)))

    return expression.values(of), len({leaf.path for leaf in expression.leaves() if isinstance(leaf, Image)})


@pytest.mark.parametrize("case", CASES)
def test_it_is_the_right_hand_side_of_the_scheme(case):
    equation, grid, u, scheme, count, tolerance = CASES[case]
    problem = kt.pde.PDEProblem(equation, grid, u, (0.0, 1.0), scheme)
    found, images = right_hand_side(problem, u)
    exact = problem.as_ode().f(torch.zeros((), dtype=F64), u)
    assert relative_error(found, exact) < tolerance
    assert images == count


@pytest.mark.parametrize("scheme", [None, FINE])
def test_forces_that_change_in_time(scheme):
    """All times at once, as residuals have them."""

    def force(x, t):
        return torch.stack([torch.cos(t) * torch.sin(x[1]), torch.zeros_like(x[0])])

    problem = kt.pde.NavierStokesVorticity(0.01, forcing=force).problem(PLANE, vortices(PLANE), (0.0, 1.0), scheme)
    space_time = SpaceTime(problem, 3)
    u = space_time.constant * torch.linspace(1.0, 2.0, 4, dtype=F64)[:, None, None, None]
    f, times = problem.as_ode().f, space_time.times
    exact = torch.stack([3.0 * (v - before) for v, before in zip(u[1:], u[:-1], strict=True)])
    exact = exact - torch.stack([f(t, v) for t, v in zip(times[1:], u[1:], strict=True)])
    found = space_time.residual_of(u)
    assert relative_error(found, exact) < 1e-6


def of_one_time(x, t):
    return math.cos(float(t)) * x[0]


def of_a_condition(x, t):
    return x[0] if t < 0.5 else torch.zeros_like(x[0])


def of_samples(x, t):
    return torch.stack([x[0], t * torch.ones_like(x[0])])


def of_a_number(x, t):
    return float(t)


@pytest.mark.parametrize("function", [of_one_time, of_a_condition, of_samples, of_a_number])
@pytest.mark.parametrize("kind", ["source", "velocity"])
def test_functions_of_time_are_asked_for_one_time_after_the_other(kind, function):
    grid = kt.pde.Grid(16, boundary=kt.pde.Neumann())
    equation = kt.pde.Heat(0.1, source=function) if kind == "source" else kt.pde.Advection(lambda *at: [function(*at)])
    u0 = torch.stack([line(grid), line(grid) ** 2])
    problem = kt.pde.PDEProblem(equation, grid, u0, (0.0, 1.0), kt.pde.FiniteDifference())
    space_time = SpaceTime(problem, 3)
    u, f = space_time.constant, problem.as_ode().f
    exact = -torch.stack([f(t, v) for t, v in zip(space_time.times[1:], u[1:], strict=True)])
    assert relative_error(space_time.residual_of(u), exact) < 1e-13


def test_velocities_along_several_axes():
    def wind(x, t):
        return [torch.sin(x[1]) * float(t), 2.0]

    problem = kt.pde.PDEProblem(kt.pde.Advection(wind), PLANE, vortices(PLANE), (0.0, 1.0), FINE)
    space_time = SpaceTime(problem, 2)
    u, f = space_time.constant, problem.as_ode().f
    exact = -torch.stack([f(t, v) for t, v in zip(space_time.times[1:], u[1:], strict=True)])
    assert relative_error(space_time.residual_of(u), exact) < 1e-13


def test_what_is_refused():
    u = vortices(PLANE)
    several = kt.pde.GrayScott().problem(PLANE, torch.stack([u, u]), (0.0, 1.0))
    with pytest.raises(NotImplementedError, match="equations of one unknown; GrayScott has u, v"):
        written(several, operations(several), 0.0)
    nonlocal_ = kt.pde.PDEProblem(lambda ops, t, u: ops.inverse_laplacian(u * u), PLANE, u, (0.0, 1.0))
    with pytest.raises(NotImplementedError, match="inverse of the Laplacian of what is linear in the unknown"):
        written(nonlocal_, operations(nonlocal_), 0.0)


def beside_walls(equation, boundary=None, scheme=None):
    boundary = kt.pde.Dirichlet(1.0) if boundary is None else boundary
    problem = kt.pde.PDEProblem(equation, kt.pde.Grid(16, boundary=boundary), torch.ones(16), (0.0, 1.0), scheme)
    return lambda: written(problem, operations(problem), 0.0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            beside_walls(lambda ops, t, u: ops.derivative(u**2, 0)),
            "between walls of the unknown alone; got derivative of a sum or a product",
        ),
        (beside_walls(kt.pde.Burgers(0.05), scheme=kt.pde.FiniteVolume()), "not for limited fluxes"),
        (beside_walls(lambda ops, t, u: ops.laplacian(u**2)), "got laplacian of a sum or a product"),
        (beside_walls(lambda ops, t, u: ops.laplacian(2.0 * u)), "got laplacian of a sum or a product"),
        (beside_walls(lambda ops, t, u: ops.diffusion(u, 1.0 + u**2), kt.pde.Neumann()), "of a product or a function"),
        (beside_walls(kt.pde.Burgers(0.05), kt.pde.Periodic(), kt.pde.FiniteVolume()), "not for limited fluxes"),
        (beside_walls(kt.pde.Advection(0.5)), "not for limited fluxes"),
        (beside_walls(kt.pde.Advection(0.5), kt.pde.Periodic(), kt.pde.FiniteVolume()), "not for limited fluxes"),
        (beside_walls(lambda ops, t, u: ops.advection(u, [u]), scheme=kt.pde.FiniteVolume()), "not for limited fluxes"),
        (beside_walls(lambda ops, t, u: u - torch.mean(u)), "point by point from derivatives; got torch.mean"),
    ],
)
def test_what_has_other_values_at_walls_or_none_at_points_is_refused(make, message):
    with pytest.raises(NotImplementedError, match=message):
        make()
