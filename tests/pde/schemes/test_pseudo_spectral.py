"""Sums of waves as a scheme: equations as for tensors, few transforms, refusals."""

import math

import pytest
import torch

import kutta as kt
from kutta.pde.schemes.pseudo_spectral import PseudoSpectral, WaveSpace
from kutta.pde.schemes.spectral_field import SpectralField

P = kt.pde
F64 = torch.float64
TURN = 2 * math.pi


def space(boundary=None, shape=32, part=1.0, dtype=F64):
    grid = P.Grid(shape, boundary=boundary or P.Periodic())
    return PseudoSpectral(part).on(grid).like(torch.zeros(grid.shape, dtype=dtype))


def values(space, field):
    return space.basis(field.kinds).backward(field.coefficients)


@pytest.mark.parametrize("axis", [0, 1])
def test_derivatives(axis):
    ops = space(shape=(16, 12))
    x = ops.grid.points()[axis]
    u = ops.enter(torch.sin(TURN * x))
    assert torch.allclose(values(ops, ops.derivative(u, axis)), TURN * torch.cos(TURN * x), atol=1e-12)
    assert torch.allclose(values(ops, ops.derivative(u, axis, 3)), -(TURN**3) * torch.cos(TURN * x), atol=1e-10)
    assert torch.allclose(values(ops, ops.laplacian(u)), -(TURN**2) * torch.sin(TURN * x), atol=1e-11)
    assert torch.allclose(values(ops, ops.inverse_laplacian(ops.laplacian(u))), torch.sin(TURN * x), atol=1e-14)
    assert torch.allclose(values(ops, ops.gradient(u)[axis]), TURN * torch.cos(TURN * x), atol=1e-12)


def test_fields_are_used_like_tensors():
    ops = space()
    x = ops.grid.points()[0]
    a, b = torch.sin(TURN * x), torch.cos(TURN * x)
    u, v = ops.enter(a), ops.enter(b)
    found = {
        "2 u - v / 2 + 1": (2 * u - v / 2 + 1, 2 * a - b / 2 + 1),
        "1 - u v": (1 - u * v, 1 - a * b),
        "-u^3": (-(u**3), -(a**3)),
        "u^-1 by powers": ((2 + u) ** -1.0, 1 / (2 + a)),
        "3 / (2 + u)": (3 / (2 + u), 3 / (2 + a)),
        "u b": (u * b, a * b),
        "u + b": (u + b, a + b),
        "exp": (torch.exp(u), torch.exp(a)),
        "where": (torch.maximum(u, v), torch.maximum(a, b)),
        "twice": (torch.tensor(2.0, dtype=F64) * u, 2 * a),
        "sums of products": (u * v + u * u, a * b + a * a),
    }
    for what, (field, wanted) in found.items():
        assert isinstance(field, SpectralField), what
        assert torch.allclose(values(ops, field), wanted, atol=1e-13), what


def test_components():
    ops = space(shape=(8, 6))
    u = torch.randn(4, 2, 8, 6, dtype=F64)
    first, second = ops.split(ops.enter(u))
    assert torch.allclose(ops.leave(ops.join([second, first])), u[:, [1, 0]], atol=1e-14)


def count_transforms(monkeypatch, f, *args):
    counted = []
    for name in ("rfftn", "irfftn"):
        inside = getattr(torch.fft, name)
        monkeypatch.setattr(torch.fft, name, lambda *a, f=inside, n=name, **k: (counted.append(n), f(*a, **k))[1])
    f(*args)
    return counted


def test_burgers_takes_two_transforms(monkeypatch):
    problem = P.Burgers(0.1).problem(P.Grid(32), lambda x: torch.sin(TURN * x[0]), (0.0, 1.0))
    lowered = kt.pde.lowering.forms.waves(problem).problem
    counted = count_transforms(monkeypatch, lowered.f, torch.tensor(0.0), lowered.y0)
    assert sorted(counted) == ["irfftn", "rfftn"]


def test_waves_that_take_no_part_in_products():
    ops = space(part=2 / 3, shape=12)
    short = torch.cos(TURN * 5 * ops.grid.points()[0])
    u = ops.enter(short)
    assert torch.allclose(ops.leave(u), short, atol=1e-14)  # the field itself is kept
    assert values(ops, u * u).abs().max() < 1e-14


def test_products_at_walls_multiply_parities():
    """u u_x is odd where u is: Burgers' equation between walls at rest."""
    ops = space(P.Dirichlet())
    x = ops.grid.points()[0]
    u = ops.enter(torch.sin(math.pi * x))
    assert (u * u).kinds == ("even",)
    assert torch.allclose(
        ops.leave(u * ops.derivative(u, 0)), math.pi * torch.sin(math.pi * x) * torch.cos(math.pi * x), atol=1e-12
    )
    with pytest.raises(ValueError, match="cannot add a field that is even to one that is odd"):
        u + u * u
    with pytest.raises(ValueError, match="exp of a field that vanishes at walls"):
        torch.exp(u)
    with pytest.raises(ValueError, match="do not have the symmetry"):
        ops.leave(u * u)


def test_a_source_of_constant_value_at_walls_with_values():
    """What does not vanish at a wall is no sum of sines."""
    ops = space(P.Dirichlet())
    with pytest.raises(ValueError, match="even to one that is odd"):
        ops.enter(torch.zeros(32, dtype=F64)) + 1.0


@pytest.mark.parametrize(
    ("boundary", "match"),
    [
        (P.Dirichlet(1.0), "Dirichlet\\(0\\) or Neumann\\(0\\)"),
        (P.Robin(1.0, 1.0), "use kutta.pde.FiniteDifference"),
        (((P.Dirichlet(), P.Neumann()),), "at both sides"),
    ],
)
def test_walls_without_waves_are_refused(boundary, match):
    with pytest.raises(ValueError, match=match):
        PseudoSpectral().on(P.Grid(8, boundary=boundary))


@pytest.mark.parametrize("dealias", [0.0, -1.0, 1.5])
def test_a_part_of_the_waves(dealias):
    with pytest.raises(ValueError, match="dealias must be a part"):
        PseudoSpectral(dealias)


def test_the_part_follows_the_degree():
    grid = P.Grid(8)
    assert PseudoSpectral().on(grid, 1).part == 1.0
    assert PseudoSpectral().on(grid, 2).part == pytest.approx(2 / 3)
    assert PseudoSpectral().on(grid, 3).part == 0.5
    assert isinstance(PseudoSpectral(1.0).on(grid, 3), WaveSpace)


@pytest.mark.parametrize("number", [9, 10, 11, 14])
def test_all_waves_of_data_count(number):
    """``u = (1 - exp(-a k^2 t)) / (a k^2) f`` for a force ``f`` of one wave, whether or not products have it."""
    grid, a = P.Grid(32, TURN), 0.1
    force = torch.sin(number * grid.points()[0])
    exact = (1 - math.exp(-a * number**2)) / (a * number**2) * force
    for given in (force, lambda x, t: force):

        class Forced(P.Heat):
            degree = 2  # so that products leave the highest third out

        problem = Forced(a, given).problem(grid, torch.zeros(32, dtype=F64), (0.0, 1.0))
        found = kt.solve(problem, kt.ETDRK4(), controller=kt.Fixed(0.5)).y1
        assert torch.allclose(found, exact, atol=1e-12)


def test_a_force_of_short_waves_drives_vorticity():
    grid = P.Grid((32, 32), TURN)
    y = grid.points()[1]
    force = torch.stack([torch.sin(11 * y), 0.0 * y])
    problem = P.NavierStokesVorticity(0.1, forcing=force).problem(grid, torch.zeros(32, 32, dtype=F64), (0.0, 1.0))
    found = kt.solve(problem, kt.ETDRK4(), controller=kt.Fixed(0.1)).y1
    exact = -11 * torch.cos(11 * y) * (1 - math.exp(-12.1)) / 12.1
    assert torch.allclose(found, exact, atol=1e-10)


WALLS = {"periodic": None, "slopes": P.Neumann(), "values": P.Dirichlet()}


@pytest.mark.parametrize("part", [1.0, 2 / 3, 0.5], ids=["all waves", "two thirds", "half"])
@pytest.mark.parametrize("kind", WALLS)
@pytest.mark.parametrize("shape", [(16,), (15,), (8, 6)], ids=["even", "odd", "plane"])
def test_a_field_that_is_the_same_everywhere_spreads_like_a_number(shape, kind, part):
    """All waves, also the highest of an even grid and those that take no part in products."""
    ops = space(WALLS[kind], shape, part)
    u = torch.randn(shape, dtype=F64, generator=torch.Generator().manual_seed(0))
    wanted = ops.leave(ops.diffusion(ops.enter(u), 0.3))
    for a in (torch.full(shape, 0.3, dtype=F64), torch.full((1,) * len(shape), 0.3, dtype=F64)):
        assert torch.allclose(ops.leave(ops.diffusion(ops.enter(u), a)), wanted, atol=1e-10 * float(wanted.abs().max()))


@pytest.mark.parametrize("kind", ["periodic", "slopes", "values"])
def test_diffusion_with_a_field_is_symmetric_keeps_the_mean_and_takes_from_every_wave(kind):
    ops = space(WALLS[kind], 16)
    a = 1.0 + 0.7 * torch.cos(TURN * ops.grid.points()[0])
    matrix = torch.stack([ops.leave(ops.diffusion(ops.enter(unit), a)) for unit in torch.eye(16, dtype=F64)])
    assert torch.allclose(matrix, matrix.mT, atol=1e-9)
    rates = torch.linalg.eigvalsh(matrix)
    assert float(rates[-1]) < 1e-9 and (kind == "values" or abs(float(rates[-1])) < 1e-9)
    assert float(rates[:-1].max()) < -0.3 * math.pi**2  # the smallest coefficient
    if kind != "values":
        assert float(matrix.sum(1).abs().max()) < 1e-9


def test_products_with_data_are_not_aliased():
    """Wave 12 of the data times wave 9 of 32 points is wave 21, which looks like wave 11."""
    ops = space(part=2 / 3)
    x = TURN * ops.grid.points()[0]
    u, a = ops.enter(torch.cos(9 * x)), torch.cos(12 * x) + torch.cos(x)
    wanted = 0.5 * (torch.cos(8 * x) + torch.cos(10 * x))
    for product in (u * a, ops.constant(a, u) * u, ops.data(a, u) * u):
        assert torch.allclose(values(ops, product), wanted, atol=1e-13)


def test_what_is_made_of_data_alone_is_data():
    ops = space(part=0.5)
    x = TURN * ops.grid.points()[0]
    short = torch.cos(15 * x)
    u = ops.enter(torch.zeros_like(x))
    field = ops.data(short, u)
    made = {
        "product": (field * ops.data(2 * short, u), 2 * short**2),
        "power": (field**3, short**3),
        "function": (torch.exp(field), torch.exp(short)),
        "of two": (torch.maximum(field, ops.data(x.cos(), u)), torch.maximum(short, x.cos())),
        "quotient": (1 / (2 + field), 1 / (2 + short)),
    }
    for what, (found, wanted) in made.items():
        assert torch.allclose(values(ops, found), wanted, atol=1e-13), what


def test_data_with_axes_of_one_stands_for_all_points():
    ops = space(shape=(8, 6))
    u, row = ops.enter(torch.zeros(8, 6, dtype=F64)), torch.arange(8, dtype=F64)[:, None]
    assert torch.allclose(values(ops, u + row), row.expand(8, 6), atol=1e-13)
