"""Self-convergence, the steady state, the limit without sorption, gradients, and where there is nothing."""

import math

import pytest
import torch

import kutta as kt
from tests._helpers import F64, difference, gradient, relative_error, slopes_of
from tests.pde.equations._orders import ACCURACIES, PLACES, assert_order

D = 5e-4
SIDES = (kt.pde.Dirichlet(1.0), kt.pde.Robin(1.0, D))


def solved(equation, n, u0, t, sides=SIDES, **options):
    problem = equation.problem(kt.pde.Grid(n, boundary=sides), u0, (0.0, t))
    return kt.solve(problem, kt.RKC2(), **{"rtol": 1e-6, "atol": 1e-8, **options}).y1


def test_refined_cells_converge_with_order_two():
    """Cells of a grid with three times as many have every third middle in common."""

    def start(x):  # fulfils both conditions
        return 1.0 - x[0] / (1.0 + D) + 0.3 * torch.sin(math.pi * x[0]) ** 2

    counts = (9, 27, 81)
    found = [solved(kt.pde.DiffusionSorption(), n, start, 50.0) for n in counts]
    finest = solved(kt.pde.DiffusionSorption(), 243, start, 50.0)

    def middles(u):
        while len(u) > 9:
            u = u[1::3]
        return u

    differences = [
        relative_error(middles(one), middles(other)) for one, other in zip(found, [*found[1:], finest], strict=True)
    ]
    assert slopes_of(differences, counts)[-1] == pytest.approx(2.0, abs=0.15)


@pytest.mark.parametrize("accuracy", ACCURACIES)
@pytest.mark.parametrize(("kind", "centring"), PLACES)
def test_orders_in_space(kind, centring, accuracy):
    equation, scheme = kt.pde.DiffusionSorption(0.1), kt.pde.FiniteDifference(accuracy)
    assert_order(accuracy, equation, kind, scheme, centring, means=(1.2,))


def test_after_a_long_time_it_is_linear():
    equation = kt.pde.DiffusionSorption()
    u = solved(equation, 24, torch.full((24,), 0.1, dtype=F64), 30_000.0, rtol=1e-5, atol=1e-7)
    x = kt.pde.Grid(24, boundary=SIDES).points()[0]
    assert relative_error(u, 1.0 - x / (1.0 + D)) < 1e-4


def test_without_grains_it_is_diffusion():
    equation = kt.pde.DiffusionSorption(diffusivity=0.1, density=0.0)
    u = solved(equation, 32, lambda x: torch.sin(math.pi * x[0]), 1.0, (kt.pde.Dirichlet(), kt.pde.Dirichlet()))
    h = 1 / 32
    rate = 0.1 * 4 / h**2 * math.sin(math.pi * h / 2) ** 2
    x = kt.pde.Grid(32, boundary=kt.pde.Dirichlet()).points()[0]
    assert relative_error(u, math.exp(-rate) * torch.sin(math.pi * x)) < 1e-4


def test_a_diffusivity_that_varies_stands_within_the_divergence():
    """Without grains nothing is lost at sides that let nothing through."""
    grid = kt.pde.Grid(16, boundary=kt.pde.Neumann())
    x = grid.points()[0]
    equation = kt.pde.DiffusionSorption(diffusivity=0.1 + 0.09 * torch.cos(5 * x), density=0.0)
    u0 = 1.0 + torch.cos(math.pi * x)
    u = kt.solve(equation.problem(grid, u0, (0.0, 0.5))).y1
    assert float((u - u0).abs().max()) > 0.1
    assert abs(float((u - u0).sum())) < 1e-12


def test_what_moves_is_that_of_the_isotherm_and_bounded_below():
    moving = kt.pde.DiffusionSorption().moving
    u = torch.tensor([0.05, 0.2, 1.0], dtype=F64)
    retardation = 1 + (1 - 0.29) / 0.29 * 2880 * 3.5e-4 * 0.874 * (u + 1e-6) ** (0.874 - 1)
    assert relative_error(moving(u), 1.0 / retardation) < 1e-14
    low = torch.tensor([-1e-6, -1e-5, -0.1], dtype=F64, requires_grad=True)
    assert bool((moving(low) == moving(low)[0]).all()) and float(moving(low)[0].detach()) > 0.0
    assert bool(torch.isfinite(torch.autograd.grad(moving(low).sum(), low)[0]).all())


def test_what_moves_has_a_continuous_slope():
    """Also where it begins to be cut off, and where it ends to be."""
    moving = kt.pde.DiffusionSorption(cutoff=0.01).moving
    slope = torch.func.vmap(torch.func.grad(moving))
    for place in (-0.01, 0.0, 0.01):
        beside = place + torch.tensor([-1e-9, 1e-9], dtype=F64)
        assert float(moving(beside).diff().abs()) < 1e-7
        assert float(slope(beside).diff().abs()) < 1e-4 * float(slope(torch.full((1,), 0.01, dtype=F64)))


def test_each_sample_may_have_its_own_cutoff():
    cutoffs = torch.tensor([[1e-3], [1e-2]], dtype=F64)
    u0 = torch.full((2, 16), 0.05, dtype=F64)
    both = solved(kt.pde.DiffusionSorption(cutoff=cutoffs), 16, u0, 50.0)
    for one, cutoff in zip(both, cutoffs, strict=True):
        alone = solved(kt.pde.DiffusionSorption(cutoff=float(cutoff)), 16, u0[0], 50.0)
        assert relative_error(one, alone) < 1e-5
    with pytest.raises(ValueError, match=r"cutoff must be more than 0; got 0\.0"):
        solved(kt.pde.DiffusionSorption(cutoff=0.0), 16, u0, 50.0)


def test_what_comes_into_clean_ground_stays_positive():
    u = solved(kt.pde.DiffusionSorption(), 64, torch.zeros(64, dtype=F64), 20.0, rtol=1e-4)
    assert u.min() > -1e-6 and u[0] > 0.9 and u[-1] < 1e-3


def test_gradients():
    u0 = 0.2 + 0.1 * torch.sin(torch.arange(6, dtype=F64))
    names = ("diffusivity", "porosity", "partition", "exponent", "density")
    at = torch.tensor([1e-2, 0.3, 4e-4, 0.85, 2500.0], dtype=F64)

    def loss(factors, u0, left):
        equation = kt.pde.DiffusionSorption(**dict(zip(names, at * factors, strict=True)))
        grid = kt.pde.Grid(6, boundary=(kt.pde.Dirichlet(left), kt.pde.Robin(1.0, 0.1)))
        sol = kt.solve(equation.problem(grid, u0, (0.0, 4.0)), kt.Tsit5(), controller=kt.Fixed(0.4))
        return (sol.y1**3).sum()

    one, left = torch.ones(5, dtype=F64), torch.tensor(0.9, dtype=F64)
    for ask, place in (
        (lambda v: loss(v, u0, left), one), (lambda v: loss(one, v, left), u0), (lambda v: loss(one, u0, v), left),
    ):  # fmt: skip
        assert relative_error(gradient(ask, place), difference(ask, place)) < 1e-7


def test_more_axes_are_refused():
    with pytest.raises(ValueError, match="1 dimensions"):
        kt.pde.DiffusionSorption().problem(kt.pde.Grid((8, 8)), torch.zeros(8, 8), (0.0, 1.0))


def test_cutoffs_under_vmap():
    u0, cutoffs = torch.full((16,), 0.05, dtype=F64), torch.tensor([1e-3, 1e-2], dtype=F64)
    both = torch.func.vmap(lambda cutoff: solved(kt.pde.DiffusionSorption(cutoff=cutoff), 16, u0, 50.0))(cutoffs)
    each = torch.stack([solved(kt.pde.DiffusionSorption(cutoff=float(one)), 16, u0, 50.0) for one in cutoffs])
    torch.testing.assert_close(both, each, rtol=1e-4, atol=1e-6)
