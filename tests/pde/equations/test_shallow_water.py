"""Shallow water: a breaking dam, lakes at rest, nothing lost, walls that reflect."""

import math

import pytest
import torch

import kutta as kt
from kutta.pde.lowering import forms
from kutta.pde.schemes.limiters import LIMITERS
from tests._helpers import F64, difference, gradient, relative_error, slopes_of
from tests.pde.equations._orders import ACCURACIES, PLACES, Waves, assert_order, mirrored_waves, some_waves

P = kt.pde
SCHEMES = {
    "MUSCL": P.FiniteVolume(),
    "superbee": P.FiniteVolume(P.MUSCL("superbee")),
    "WENO5": P.FiniteVolume(P.WENO5()),
}


def broken_dam(x, t, left, right, g):
    """Stoker's solution: a fan, a plateau, and a bore into the water on the right; depth and velocity."""

    def excess(h):
        return 2 * (math.sqrt(g * left) - math.sqrt(g * h)) - (h - right) * math.sqrt(g * (h + right) / (2 * h * right))

    low, high = right, left
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if excess(middle) > 0 else (low, middle)
    c = math.sqrt(g * left)
    u = 2 * (c - math.sqrt(g * low))
    bore = low * u / (low - right)
    xi = x / t
    in_fan, behind, at_rest = xi < u - math.sqrt(g * low), xi < bore, xi < -c
    h = torch.where(at_rest, left, torch.where(in_fan, (2 * c - xi) ** 2 / (9 * g), torch.where(behind, low, right)))
    v = torch.where(at_rest, 0.0, torch.where(in_fan, 2 * (c + xi) / 3, torch.where(behind, u, 0.0)))
    return h, v


def dam(x):
    return torch.stack([torch.where(x[0] < 5, 1.0, 0.25).to(F64), torch.zeros_like(x[0])])


def hill(x):
    height = 1 + 0.3 * torch.exp(-20 * (x - 0.3).square().sum(0))
    return torch.stack([height, *torch.zeros_like(x)])


@pytest.mark.parametrize(("name", "most"), [("MUSCL", 5e-3), ("superbee", 4.5e-3), ("WENO5", 4.5e-3)])
def test_a_breaking_dam(name, most):
    errors = []
    for count in (100, 200):
        grid = P.Grid(count, 10.0, boundary=P.Wall())
        sol = kt.solve(P.ShallowWater(9.81).problem(grid, dam, (0.0, 0.8), SCHEMES[name]))
        h, v = broken_dam(grid.points()[0] - 5, 0.8, 1.0, 0.25, 9.81)
        errors.append(float((sol.y1[0] - h).abs().mean()))
        assert float((sol.y1[1] - h * v).abs().mean()) < 4 * errors[-1]
        assert float(sol.y1[0].sum()) * grid.spacing[0] == pytest.approx(6.25, abs=1e-12)
    assert errors[0] < most
    assert slopes_of(errors, (100, 200))[0] > 0.8  # 1 at best, where there is a jump


@pytest.mark.parametrize("accuracy", ACCURACIES)
@pytest.mark.parametrize(("kind", "centring"), PLACES[:3])
def test_orders_of_differences(kind, centring, accuracy):
    """Behind walls depth is even and momentum odd, so that mirrors continue them."""
    waves = (
        some_waves(1.0, (1.0, 0.2), (0.1, 0.05)) if kind == "periodic" else mirrored_waves((1.0, 0.0), 0.1, odd=(1,))
    )
    assert_order(accuracy, P.ShallowWater(1.0), kind, P.FiniteDifference(accuracy), centring, states=waves)


@pytest.mark.parametrize("limiter", LIMITERS)
def test_limiters_have_order_two_where_water_shoots_out(limiter):
    """It is faster than its waves, so that all of them come in at one side and leave at the other."""
    slopes = ([0.2, 0.04], [0.14, 0.02])
    state = Waves(3.2, torch.tensor([1.0, 2.5]), torch.tensor(slopes, dtype=F64), torch.tensor([-1.9, 0.4], dtype=F64))
    assert_order(2, P.ShallowWater(1.0), "mixed", P.FiniteVolume(P.MUSCL(limiter)), states=[state])


@pytest.mark.parametrize("scheme", [*SCHEMES.values(), P.FiniteDifference()], ids=[*SCHEMES, "differences"])
def test_nothing_is_lost_between_walls(scheme):
    grid = P.Grid((14, 11), (1.0, 1.3), boundary=P.Wall())
    problem = P.ShallowWater(1.0, 2).problem(grid, hill, (0.0, 2.0), scheme)
    ys = kt.solve(problem, save_at="steps").ys
    water = ys[:, 0].sum((-1, -2))
    assert float((water - water[0]).abs().max()) < 1e-12 * float(water[0])
    assert float(ys[-1, 1:].abs().max()) > 1e-3


@pytest.mark.parametrize("name", SCHEMES)
def test_water_and_momentum_are_kept_where_nothing_bounds_them(name):
    u0 = hill(P.Grid((12, 10)).points()) + torch.tensor([0.0, 0.4, -0.2], dtype=F64)[:, None, None]
    y1 = kt.solve(P.ShallowWater(1.0, 2).problem(P.Grid((12, 10)), u0, (0.0, 0.5), SCHEMES[name])).y1
    assert torch.allclose(y1.sum((-1, -2)), u0.sum((-1, -2)), rtol=0, atol=1e-11)
    assert float((y1 - u0).abs().max()) > 0.05


@pytest.mark.parametrize("name", SCHEMES)
def test_a_lake_at_rest(name):
    grid = P.Grid((9, 7), boundary=P.Wall())
    u0 = torch.stack([torch.full((9, 7), 0.7), torch.zeros(9, 7), torch.zeros(9, 7)]).to(F64)
    assert torch.equal(kt.solve(P.ShallowWater(9.81, 2).problem(grid, u0, (0.0, 1.0), SCHEMES[name])).y1, u0)


@pytest.mark.parametrize("name", SCHEMES)
def test_a_wall_is_a_mirror(name):
    """Half a basin behind a wall, and a whole one that is symmetric."""
    half = P.Grid(20, boundary=(P.Wall(), P.Wall()))
    state = torch.stack([1 + 0.2 * torch.sin(5 * half.points()[0]), 0.1 * torch.cos(3 * half.points()[0])])
    mirrored = torch.stack([state[0].flip(0), -state[1].flip(0)])
    whole = P.Grid(40, 2.0, boundary=P.Wall(), origin=-1.0)
    options = {"method": kt.SSPRK33(), "controller": kt.Fixed(0.01)}
    alone = kt.solve(P.ShallowWater(1.0).problem(half, state, (0.0, 0.5), SCHEMES[name]), **options).y1
    both = torch.cat([mirrored, state], 1)
    found = kt.solve(P.ShallowWater(1.0).problem(whole, both, (0.0, 0.5), SCHEMES[name]), **options).y1
    # The scale of WENO5 is that of the whole axis, the mean of the momentum in it another one.
    assert torch.allclose(found[:, 20:], alone, rtol=0, atol=1e-4 if name == "WENO5" else 1e-13)


def test_both_axes_are_alike():
    grid = P.Grid((10, 10), boundary=P.Wall())
    x = grid.points()
    u0 = torch.stack([1 + 0.2 * torch.cos(3 * x[0]), 0.1 * x[0], 0.05 * x[0]])
    turned = u0.transpose(1, 2)[[0, 2, 1]]
    one, other = (kt.solve(P.ShallowWater(1.0, 2).problem(grid, u, (0.0, 0.3))).y1 for u in (u0, turned))
    assert torch.allclose(other.transpose(1, 2)[[0, 2, 1]], one, rtol=0, atol=1e-13)


def test_small_waves_are_those_of_the_wave_equation():
    grid = P.Grid(64)
    small = 1e-6 * torch.sin(2 * math.pi * grid.points()[0])
    for scheme in (P.FiniteVolume(P.WENO5()), P.FiniteDifference(6), P.PseudoSpectral()):
        problem = P.ShallowWater(4.0).problem(grid, torch.stack([1 + small, 0 * small]), (0.0, 0.3), scheme)
        y1 = kt.solve(problem, kt.Vern7(), rtol=1e-9, atol=1e-12).y1
        assert float((y1[0] - 1 - small * math.cos(2 * math.pi * 2 * 0.3)).abs().max()) < 1e-10


def test_smooth_solutions_agree_between_schemes():
    grid = P.Grid((48, 40))

    def start(x):
        height = 1 + 0.1 * torch.sin(2 * math.pi * x[0]) * torch.cos(2 * math.pi * x[1])
        return torch.stack([height, 0.1 * height, 0 * height])

    waves, fifth = (
        kt.solve(P.ShallowWater(1.0, 2).problem(grid, start, (0.0, 0.3), scheme), kt.Tsit5(), rtol=1e-6).y1
        for scheme in (P.PseudoSpectral(), P.FiniteVolume(P.WENO5()))
    )
    assert float((waves - fifth).abs().max()) < 1e-4


@pytest.mark.parametrize("name", SCHEMES)
def test_gradients_to_state_and_gravity(name):
    grid = P.Grid(8, boundary=P.Wall())

    def loss(numbers):
        state = torch.stack([1 + numbers[1:9] ** 2, numbers[9:]])
        problem = P.ShallowWater(numbers[0]).problem(grid, state, (0.0, 0.06), SCHEMES[name])
        return (kt.solve(problem, kt.SSPRK33(), controller=kt.Fixed(0.02)).y1 ** 3).sum()

    numbers = torch.rand(17, dtype=F64, generator=torch.Generator().manual_seed(0))
    assert relative_error(gradient(loss, numbers), difference(loss, numbers, 1e-6)) < 1e-7


def test_the_right_hand_side_can_be_traced():
    grid = P.Grid((8, 6), boundary=(P.Wall(), P.Periodic()))
    problem = P.ShallowWater(1.0, 2).problem(grid, hill, (0.0, 1.0))
    f, t = forms.whole(problem).problem.f, torch.zeros((), dtype=F64)
    torch._dynamo.reset()
    assert torch.equal(torch.compile(f, fullgraph=True, backend="eager")(t, problem.u0), f(t, problem.u0))


@pytest.mark.slow
def test_compiled():
    problem = P.ShallowWater(1.0).problem(P.Grid(20, boundary=P.Wall()), hill, (0.0, 0.1))
    eager = kt.solve(problem, kt.SSPRK33(), controller=kt.Fixed(0.01)).y1
    compiled = kt.solve(problem, kt.SSPRK33(), controller=kt.Fixed(0.01), engine=kt.Compiled())
    assert compiled.stats.engine == "compiled" and torch.allclose(compiled.y1, eager, rtol=0, atol=1e-13)


def vacuum(scheme):
    """Two rarefactions, away from the middle, where the water falls dry."""

    def parted(x):
        return torch.stack([torch.full_like(x[0], 0.1), torch.where(x[0] < 5, -0.3, 0.3)])

    grid = P.Grid(100, 10.0, boundary=P.Wall())
    return P.ShallowWater(9.81).problem(grid, parted, (0.0, 0.8), scheme)


@pytest.mark.parametrize("method", [None, kt.Tsit5()], ids=["CFL", "Tsit5"])
def test_a_solve_that_falls_dry_says_so(method):
    with pytest.raises(
        kt.SolveError, match=r"NON_FINITE.*smallest depth is .*, at x = [45]\..*FiniteVolume"
    ) as failure:
        kt.solve(vacuum(P.FiniteVolume(P.WENO5())), method)
    assert failure.value.solution.y1.shape == (2, 100) and 0.0 < failure.value.t < 0.8
    assert "smallest depth" in failure.value.advice
    assert kt.solve(vacuum(P.FiniteVolume(P.WENO5())), method, throw=False).result == kt.Result.NON_FINITE
    assert kt.solve(vacuum(P.FiniteVolume())).y1[0].min() > 0.0


@pytest.mark.parametrize("lowest", [0.0, -0.25])
def test_dry_ground_at_the_start_is_refused_where_it_is(lowest):
    u0 = torch.ones(3, 8, 4, dtype=F64)
    u0[0, 2, 1] = lowest
    with pytest.raises(
        ValueError, match=rf"positive everywhere; the smallest depth is {lowest:g}, at x = 0.3125, y = 0.3"
    ):
        P.ShallowWater(dimension=2).problem(P.Grid((8, 4), boundary=P.Wall()), u0, (0.0, 1.0))


def test_the_dimension_that_a_grid_needs_is_named():
    with pytest.raises(ValueError, match=r"got a grid of 2: write ShallowWater\(dimension=2\)"):
        P.ShallowWater().problem(P.Grid((8, 8)), torch.ones(3, 8, 8, dtype=F64), (0.0, 1.0))
    with pytest.raises(ValueError, match=r"got a grid of 3$"):
        P.ShallowWater().problem(P.Grid((4, 4, 4)), torch.ones(3, 4, 4, 4, dtype=F64), (0.0, 1.0))


def test_refusals():
    with pytest.raises(ValueError, match="dimension must be 1 or 2; got 3"):
        P.ShallowWater(1.0, 3)
    with pytest.raises(ValueError, match="ShallowWater is an equation in 2 dimensions; got a grid of 1"):
        P.ShallowWater(1.0, 2).problem(P.Grid(8), torch.ones(3, 8), (0.0, 1.0))
    with pytest.raises(ValueError, match="with 2 components h, hu"):
        P.ShallowWater(1.0).problem(P.Grid(8), torch.ones(3, 8), (0.0, 1.0))
    with pytest.raises(ValueError, match="the depth h, the first component of u0, must be positive everywhere"):
        P.ShallowWater(1.0).problem(P.Grid(8), torch.zeros(2, 8), (0.0, 1.0))
