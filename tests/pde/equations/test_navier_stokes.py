"""Flows with walls: exact and manufactured solutions, a cavity, the projection, orders in time, gradients, refusals."""

import math
from functools import cache

import pytest
import torch

import kutta as kt
from tests._helpers import F64, difference, gradient, relative_error, slopes_of

PI = math.pi
WALL, SLIDE = kt.pde.Dirichlet(), kt.pde.Neumann()
TIGHT = {"rtol": 1e-7, "atol": 1e-9}


def lid(speed=1.0):
    return kt.pde.Dirichlet(torch.tensor([speed, 0.0], dtype=F64))


def box(n, top=WALL):
    return kt.pde.Grid((n, n), boundary=((WALL, WALL), (WALL, top)))


def faces(function, grid):
    return kt.pde.Staggered().sampled(function, grid)


def divergence(u, grid):
    return kt.pde.Staggered().on(grid).divergence(u)


def solved(equation, grid, u0, t, method=None, **options):
    return kt.solve(equation.problem(grid, u0, (0.0, t)), method or kt.Tsit5(), **options).y1


def moving_vortices(x, t=0.0, nu=0.05, wind=(0.7, -0.4)):
    """Taylor and Green's vortices in a wind, which carries them."""
    x, y = x[0] - wind[0] * t, x[1] - wind[1] * t
    decay = math.exp(-2 * nu * t)
    return torch.stack([wind[0] + torch.sin(x) * torch.cos(y) * decay, wind[1] - torch.cos(x) * torch.sin(y) * decay])


def test_moving_vortices_of_taylor_and_green_converge_with_order_two():
    counts, errors, pressures = (16, 24, 32), [], []
    for n in counts:
        grid = kt.pde.Grid((n, n), 2 * PI)
        equation = kt.pde.NavierStokes(0.05)
        y1 = solved(equation, grid, moving_vortices, 1.0, rtol=1e-6)
        errors.append(relative_error(y1, faces(lambda x: moving_vortices(x, 1.0), grid)))
        x, y = grid.points() - torch.tensor([0.7, -0.4], dtype=F64).reshape(2, 1, 1)
        pressures.append(
            relative_error(equation.pressure(y1, grid), 0.25 * math.exp(-0.2) * ((2 * x).cos() + (2 * y).cos()))
        )
    for found in (errors, pressures):
        assert slopes_of(found, counts) == pytest.approx([2.0, 2.0], abs=0.15)


def poiseuille(y, t, nu=0.5, force=2.0):
    """From rest, under a constant force between plates."""
    total = force / (2 * nu) * y * (1 - y)
    for n in range(1, 60, 2):
        total = total - 4 * force / (nu * (n * PI) ** 3) * torch.sin(n * PI * y) * math.exp(-nu * (n * PI) ** 2 * t)
    return total


@pytest.mark.parametrize("t", [0.05, 0.5])
def test_flow_between_plates_starts_as_the_series_says(t):
    counts, errors = (8, 16, 32), []
    for n in counts:
        grid = kt.pde.Grid((3, n), (0.5, 1.0), boundary=(kt.pde.Periodic(), WALL))
        y1 = solved(kt.pde.NavierStokes(0.5, (2.0, 0.0)), grid, torch.zeros(2, 3, n, dtype=F64), t, kt.ROCK4(), **TIGHT)
        errors.append(relative_error(y1[0], poiseuille(grid.points()[1], t)))
        assert y1[1].abs().max() < 1e-14
    assert slopes_of(errors, counts) == pytest.approx([2.0, 2.0], abs=0.15)


def test_plates_that_move_shear_the_fluid_between_them():
    walls = (lid(-1.0), lid(2.0))
    grid = kt.pde.Grid((4, 8), boundary=(kt.pde.Periodic(), walls))
    y1 = solved(kt.pde.NavierStokes(1.0), grid, torch.zeros(2, 4, 8, dtype=F64), 2.0, kt.RKC2(), rtol=1e-4)
    assert relative_error(y1[0], -1.0 + 3.0 * grid.points()[1]) < 1e-4


class Manufactured:
    """The flow of ``psi = X(x) X(y) cos t`` without pressure, and the force that it takes; X is sin^2 or sin."""

    def __init__(self, squared, nu):
        self.squared, self.nu = squared, nu

    def profile(self, s):
        if self.squared:
            return (
                (PI * s).sin() ** 2,
                PI * (2 * PI * s).sin(),
                2 * PI**2 * (2 * PI * s).cos(),
                -4 * PI**3 * (2 * PI * s).sin(),
            )
        return (PI * s).sin(), PI * (PI * s).cos(), -(PI**2) * (PI * s).sin(), -(PI**3) * (PI * s).cos()

    def velocity(self, x, t):
        (X, dX, *_), (Y, dY, *_) = map(self.profile, x)
        return torch.stack([X * dY, -dX * Y]) * math.cos(t)

    def gradient(self, x, t):
        """Rows: the component; columns: along which axis."""
        (X, dX, ddX, _), (Y, dY, ddY, _) = map(self.profile, x)
        return torch.stack([torch.stack([dX * dY, X * ddY]), torch.stack([-ddX * Y, -dX * dY])]) * math.cos(t)

    def force(self, x, t):
        (X, dX, ddX, dddX), (Y, dY, ddY, dddY) = map(self.profile, x)
        u, slopes = self.velocity(x, t), self.gradient(x, t)
        transport = (u * slopes).sum(1)
        spread = torch.stack([ddX * dY + X * dddY, -dddX * Y - dX * ddY]) * math.cos(t)
        return -torch.stack([X * dY, -dX * Y]) * math.sin(t) + transport - self.nu * spread

    def wall(self, a, b, axis, side):
        """``a u + b du/dn`` along a wall."""

        def value(x, t):
            sign = 2.0 * side - 1.0
            found = a * self.velocity(x, t) + b * sign * self.gradient(x, t)[:, axis]
            found[axis] = 0.0
            return found

        return value


@pytest.mark.parametrize("kind", ["no slip", "moving", "free slip", "shear", "robin", "periodic and walls"])
def test_manufactured_flows_converge_with_order_two(kind):
    nu, counts, errors = 0.2, (8, 12, 18), []
    flow = Manufactured(kind in ("no slip", "shear", "robin"), nu)
    make = {
        "no slip": lambda axis, side: WALL,
        "moving": lambda axis, side: kt.pde.Dirichlet(flow.wall(1.0, 0.0, axis, side)),
        "free slip": lambda axis, side: SLIDE,
        "shear": lambda axis, side: kt.pde.Neumann(flow.wall(0.0, 1.0, axis, side)),
        "robin": lambda axis, side: kt.pde.Robin(1.0, 0.3, flow.wall(1.0, 0.3, axis, side)),
        "periodic and walls": lambda axis, side: SLIDE if axis else kt.pde.Periodic(),
    }[kind]
    for n in counts:
        sides = tuple(tuple(make(axis, side) for side in (0, 1)) for axis in (0, 1))
        grid = kt.pde.Grid((n, n), (2.0, 1.0), boundary=sides)
        equation = kt.pde.NavierStokes(nu, flow.force)
        y1 = solved(equation, grid, lambda x: flow.velocity(x, 0.0), 0.1, kt.ROCK4())
        assert divergence(y1, grid).abs().max() < 1e-12
        errors.append(float((y1 - faces(lambda x: flow.velocity(x, 0.1), grid)).norm() / n))
    assert slopes_of(errors, counts)[-1] == pytest.approx(2.0, abs=0.15)


def test_helical_flow_in_space_decays_exactly_but_for_differences():
    """Beltrami's flow (Arnold, Beltrami, Childress): curl u = u, so that transport is a gradient."""

    def abc(x):
        return torch.stack([x[2].sin() + x[1].cos(), x[0].sin() + x[2].cos(), x[1].sin() + x[0].cos()])

    counts, errors = (8, 12, 16), []
    for n in counts:
        grid = kt.pde.Grid((n, n, n), 2 * PI)
        y1 = solved(kt.pde.NavierStokes3D(0.1), grid, abc, 0.5, controller=kt.Fixed(0.1))
        assert divergence(y1, grid).abs().max() < 1e-13
        errors.append(relative_error(y1, math.exp(-0.05) * faces(abc, grid)))
    assert slopes_of(errors, counts) == pytest.approx([2.0, 2.0], abs=0.15)


@pytest.mark.parametrize("top", [WALL, SLIDE, lid()], ids=["wall", "slide", "lid"])
def test_transport_keeps_energy_and_the_projection_is_one(top):
    grid = kt.pde.Grid((12, 9), (1.0, 2.0), boundary=((WALL, SLIDE), (WALL, top)))
    ops = kt.pde.Staggered().on(grid)
    rough = torch.randn(2, 12, 9, dtype=F64, generator=torch.Generator().manual_seed(0))
    u = ops.leave(rough)
    assert divergence(u, grid).abs().max() < 1e-12
    assert u[0, 0].abs().max() == 0.0 and u[1, :, 0].abs().max() == 0.0
    assert relative_error(ops.leave(u), u) < 1e-13
    assert abs(float((u * (rough - u) * ops.open_faces(u)).sum())) < 1e-12  # orthogonal
    assert ops.leave(ops.slopes(torch.randn(12, 9, dtype=F64))).abs().max() < 1e-12  # gradients are gone
    carried = ops.leave(ops.transport(u))
    assert abs(float((u * carried).sum())) < 1e-12 * float(carried.norm() * u.norm())


@cache
def driven(method=None, **options):
    """Flow in a box with a lid, under a force that changes in time."""

    def push(x, t):
        return math.cos(3.0 * float(t)) * torch.stack([torch.sin(PI * x[1]), torch.cos(PI * x[0])])

    grid = box(6, lid())
    u0 = faces(lambda x: Manufactured(True, 0.1).velocity(x, 0.0), grid)
    return solved(kt.pde.NavierStokes(0.05, push), grid, u0, 0.5, method, **options)


@pytest.mark.parametrize(
    ("method", "order"),
    [(kt.Tsit5(), 5), (kt.RKC2(), 2), (kt.ROCK4(), 4), (kt.ARS222(), 2), (kt.ARS443(), 3)],
    ids=["tsit5", "rkc2", "rock4", "ars222", "ars443"],
)
def test_methods_have_their_order_in_time_and_keep_the_divergence(method, order):
    counts, grid = (8, 16), box(6, lid())
    found = [driven(method, controller=kt.Fixed(0.5 / n)) for n in counts]
    assert max(float(divergence(u, grid).abs().max()) for u in found) < 1e-12
    exact = driven(rtol=1e-11, atol=1e-13)
    assert slopes_of([relative_error(u, exact) for u in found], counts)[-1] > order - 0.15


GHIA = {  # of u along x = 1/2, and of v along y = 1/2, Reynolds number 100
    "u": (
        (0.9766, 0.84123), (0.9688, 0.78871), (0.9609, 0.73722), (0.9531, 0.68717), (0.8516, 0.23151),
        (0.7344, 0.00332), (0.6172, -0.13641), (0.5, -0.20581), (0.4531, -0.21090), (0.2813, -0.15662),
        (0.1719, -0.10150), (0.1016, -0.06434), (0.0703, -0.04775), (0.0625, -0.04192), (0.0547, -0.03717),
    ),
    "v": (
        (0.9688, -0.05906), (0.9609, -0.07391), (0.9531, -0.08864), (0.9453, -0.10313), (0.9063, -0.16914),
        (0.8594, -0.22445), (0.8047, -0.24533), (0.5, 0.05454), (0.2344, 0.17527), (0.2266, 0.17507),
        (0.1563, 0.16077), (0.0938, 0.12317), (0.0781, 0.10890), (0.0703, 0.10091), (0.0625, 0.09233),
    ),
}  # fmt: skip


@pytest.mark.slow
def test_cavity_with_a_moving_lid_is_that_of_the_literature():
    """Source: Ghia, Ghia and Shin, J. Comput. Phys. 48, 1982, tables I and II, for a Reynolds number of 100."""
    n = 64
    grid = box(n, lid())
    y1 = solved(kt.pde.NavierStokes(0.01), grid, torch.zeros(2, n, n, dtype=F64), 30.0, kt.RKC2(), rtol=1e-4, atol=1e-6)
    middle = n // 2  # the face at 1/2
    centres = grid.axis_points(0).numpy()
    import numpy as np

    for name, line, ends in (("u", y1[0, middle], (0.0, 1.0)), ("v", y1[1, :, middle], (0.0, 0.0))):
        places, wanted = np.array(GHIA[name]).T
        values = np.concatenate([[ends[0]], line.numpy(), [ends[1]]])
        found = np.interp(places, np.concatenate([[0.0], centres, [1.0]]), values)
        assert np.abs(found - wanted).max() < 0.01


def test_gradients():
    grid_of = lambda speed: box(5, kt.pde.Dirichlet(torch.stack([speed, torch.zeros_like(speed)])))  # noqa: E731
    weights = torch.randn(2, 5, 5, dtype=F64, generator=torch.Generator().manual_seed(1))
    rough = torch.randn(2, 5, 5, dtype=F64, generator=torch.Generator().manual_seed(2))
    one = torch.tensor(1.0, dtype=F64)

    def loss(nu=0.1 * one, speed=one, push=one, start=one):
        equation = kt.pde.NavierStokes(nu, push * weights.flip(0))
        y1 = solved(equation, grid_of(speed), start * rough, 0.1, controller=kt.Fixed(0.025))
        return (weights * y1).sum() + (y1**3).sum()

    for which, at in (("nu", 0.1), ("speed", 1.2), ("push", 0.8), ("start", 1.0)):
        ask = lambda value, which=which: loss(**{which: value})  # noqa: E731
        at = torch.tensor(at, dtype=F64)
        assert relative_error(gradient(ask, at), difference(ask, at)) < 1e-8


def test_implicit_steps_have_gradients():
    grid, u0 = box(3), torch.randn(2, 3, 3, dtype=F64, generator=torch.Generator().manual_seed(0))

    def loss(nu):
        return (solved(kt.pde.NavierStokes(nu), grid, u0, 0.2, kt.ARS222(), controller=kt.Fixed(0.1)) ** 2).sum()

    nu = torch.tensor(0.3, dtype=F64)
    assert relative_error(gradient(loss, nu), difference(loss, nu)) < 1e-6


def test_walls_say_their_velocity_in_every_form():
    still = torch.zeros(2, 6, 6, dtype=F64)
    vector = torch.tensor([1.0, 0.0], dtype=F64)
    forms = [
        vector,
        vector[:, None].expand(2, 6),
        lambda x, t: vector,
        lambda x, t: torch.stack([0 * x[0] + 1, 0 * x[1]]),
    ]
    found = [
        solved(kt.pde.NavierStokes(0.1), box(6, kt.pde.Dirichlet(form)), still, 0.1, controller=kt.Fixed(0.02))
        for form in forms
    ]
    assert found[0].abs().max() > 0.1
    assert all(torch.equal(one, found[0]) for one in found[1:])


def test_a_batch_of_walls_and_single_precision():
    speeds = torch.tensor([[[1.0], [0.0]], [[2.0], [0.0]]]).expand(2, 2, 6)
    y1 = solved(
        kt.pde.NavierStokes(0.1),
        box(6, kt.pde.Dirichlet(speeds)),
        torch.zeros(2, 2, 6, 6),
        0.1,
        controller=kt.Fixed(0.02),
    )
    assert y1.dtype == torch.float32
    alone = solved(kt.pde.NavierStokes(0.1), box(6, lid(2.0)), torch.zeros(2, 6, 6), 0.1, controller=kt.Fixed(0.02))
    assert relative_error(y1[1], alone) < 1e-6


def test_what_does_not_fit_is_refused():
    equation, zero = kt.pde.NavierStokes(0.1), torch.zeros(2, 8, 8)
    span = (0.0, 1.0)
    for wall, words in (
        (kt.pde.Dirichlet(1.0), r"must say the velocity of the wall as a vector"),
        (kt.pde.Dirichlet(torch.ones(2)), r"component 1 of g must be zero"),
        (kt.pde.Dirichlet(torch.ones(8)), r"must be a vector \(2,\)"),
    ):
        with pytest.raises(ValueError, match=words):
            equation.problem(box(8, wall), zero, span)
    with pytest.raises(ValueError, match="needs centring 'cell'"):
        equation.problem(kt.pde.Grid((8, 8), centring="node", boundary=WALL), zero, span)
    with pytest.raises(ValueError, match=r"is for scheme=kutta.pde.Staggered\(\)"):
        equation.problem(box(8), zero, span, kt.pde.FiniteDifference())
    with pytest.raises(ValueError, match="must have 2 components at the faces"):
        kt.pde.NavierStokes(0.1, torch.zeros(3)).problem(box(8), zero, span)
    with pytest.raises(ValueError, match="viscosity must be a number"):
        kt.pde.NavierStokes(torch.ones(8, 8)).problem(box(8), zero, span)
    with pytest.raises(ValueError, match=r"u0\(x\) must return the 2 components"):
        equation.problem(box(8), lambda x: x[0], span)
    with pytest.raises(ValueError, match="shape"):
        equation.problem(box(8), torch.zeros(2, 9, 8), span)
    with pytest.raises(ValueError, match="3 dimensions"):
        kt.pde.NavierStokes3D(0.1).problem(box(8), zero, span)
