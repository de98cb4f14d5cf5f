"""GHVB: its coefficients, its two forms, and its orders on equal and unequal steps."""

from fractions import Fraction as Q

import pytest
import torch

import kutta as kt
from kutta.solvers.diffusion.levels.grids import Nodes, nodes
from kutta.solvers.diffusion.momentum.ghvb import multistep_polynomials, multistep_weights, series, velocity_weights
from kutta.solvers.diffusion.named.ddim import DDIM
from tests.solvers.diffusion.exact_starts import errors_with_exact_starts
from tests.solvers.diffusion.problems import F64, magnitude, orders, t1, t2, t2_grid

RHO = kt.diffusion.Rho(7)
BETAS = [Q(1), Q(4, 5), Q(1, 2), Q(1, 10)]

# The coefficients of the velocities, newest first, times the denominator: (constant, factor of beta).
PRINTED = {
    1: ([(0, 1)], 1),
    2: ([(2, 1), (-2, 1)], 2),
    3: ([(18, 5), (-24, 8), (6, -1)], 12),
    4: ([(46, 9), (-78, 19), (42, -5), (-10, 1)], 24),
    5: ([(1650, 251), (-3420, 646), (2880, -264), (-1380, 106), (270, -19)], 720),
}


@pytest.mark.parametrize("order", PRINTED)
def test_the_printed_table(order):
    rows, denominator = PRINTED[order]
    assert multistep_polynomials(order) == [(Q(p, denominator), Q(q, denominator)) for p, q in rows]
    for beta in BETAS:
        assert velocity_weights(order, beta) == [(p + q * beta) / (denominator * beta) for p, q in rows]


@pytest.mark.parametrize("order", PRINTED)
@pytest.mark.parametrize("beta", BETAS)
def test_weights_sum_to_one_velocity(order, beta):
    assert sum(velocity_weights(order, beta)) == 1
    assert sum(multistep_weights(order, beta)) == beta


def test_weights_of_the_differences():
    wanted = [(0, 1), (1, Q(-1, 2)), (Q(1, 2), Q(-1, 12)), (Q(5, 12), Q(-1, 24)), (Q(3, 8), Q(-19, 720))]
    assert series(5) == wanted


@pytest.mark.parametrize("order", PRINTED)
def test_towards_no_damping_it_is_the_order_below(order):
    """As a rule for polynomials: ``sum b_i E^i -> (1 - E) times`` that of Adams-Bashforth one order lower."""
    if order == 1:
        assert multistep_weights(1, Q(0)) == [0]
        return
    below = [*multistep_weights(order - 1, Q(1)), Q(0)]
    assert multistep_weights(order, Q(0)) == [one - before for one, before in zip(below, [Q(0), *below], strict=False)]


def nodes_of(problem, steps, grid):
    return nodes(grid, problem.schedule, steps, problem.schedule.start, problem.schedule.end)


def by_velocities(case, found, order, beta):
    """The method with its velocities kept, as it is published."""
    y, noise, velocities = case.problem.x / found.alpha[0], case.problem.model, []
    for n in range(found.steps):
        e = noise(found.alpha[n] * y, found.model_t[n].expand(len(y)))
        velocities.append((1.0 - beta) * velocities[-1] + beta * e if velocities else e)
        used = velocity_weights(min(order, n + 1), beta)
        step = found.kappa[n + 1] - found.kappa[n]
        y = y + step * sum(c * v for c, v in zip(used, reversed(velocities), strict=False))
    return found.alpha[-1] * y


@pytest.mark.parametrize("grid", [kt.diffusion.Rho(7), kt.diffusion.Rho(1)])
@pytest.mark.parametrize("beta", [1.0, 0.8, 0.3])
@pytest.mark.parametrize("order", [1, 2, 3, 4, 5])
def test_multistep_form_is_the_velocity_form(order, beta, grid):
    case, steps = t1(), 12
    wanted = by_velocities(case, nodes_of(case.problem, steps, grid), order, beta)
    got = case.solve(kt.GHVB(order, beta), steps, grid=grid)
    assert torch.allclose(got, wanted, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_without_damping_it_is_adams_bashforth(order):
    case = t1()
    assert torch.allclose(case.solve(kt.GHVB(order, 1.0), 15), case.solve(kt.PLMS(order), 15), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("order", [1, 2, 3, 4, 5])
def test_variable_weights_on_equal_steps_are_the_constant_ones(order):
    found = nodes_of(t1().problem, 12, kt.diffusion.Rho(1))
    constant, variable = (kt.GHVB(order, 0.7, kind).plan(found).fixed().moves[-1] for kind in ("constant", "variable"))
    assert variable.states == pytest.approx(constant.states, rel=1e-10)
    assert variable.predictions["noise"] == pytest.approx(constant.predictions["noise"], rel=1e-10)


@pytest.mark.parametrize(("number", "order"), [(2.8, 3), (3.8, 4), (3.5, 4), (1.8, 2)])
def test_order_with_variable_weights(number, order):
    case, method = t1(), kt.GHVB.numbered(number, "variable")
    errors = errors_with_exact_starts(case, method, order - 1, RHO, (160, 320))
    assert orders(errors) == pytest.approx([order], abs=0.15)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "wanted"),
    [
        (2.8, [2.51, 2.78, 2.90, 2.96, 2.98]),
        (3.8, [3.26, 3.79, 3.97, 4.01, 4.01]),
        (3.5, [3.06, 3.65, 3.93, 4.01, 4.02]),
    ],
)
def test_orders_with_variable_weights(number, wanted):
    case, method = t1(), kt.GHVB.numbered(number, "variable")
    errors = errors_with_exact_starts(case, method, method.order - 1, RHO, (20, 40, 80, 160, 320, 640))
    assert orders(errors) == pytest.approx(wanted, abs=0.02)


@pytest.mark.parametrize("number", [3, 4, 2.8])
def test_constant_weights_are_second_order_on_unequal_steps(number):
    case, method = t1(), kt.GHVB.numbered(number)
    errors = errors_with_exact_starts(case, method, method.order, RHO, (320, 640))
    assert orders(errors) == pytest.approx([2.0], abs=0.1)


def test_constant_weights_can_err_less_in_few_steps():
    case = t1()
    constant, variable = (case.error(case.solve(kt.GHVB(2, 1.0, kind), 20)) for kind in ("constant", "variable"))
    assert constant == pytest.approx(4.3e-3, rel=0.02)
    assert variable == pytest.approx(9.2e-3, rel=0.02)


@pytest.mark.parametrize("weight", [7.5, 15.0])
def test_guided_miniature(weight):
    """A method of order 4 blows up where GHVB 2.5 does not."""
    case, grid = t2(weight), t2_grid(8)
    wanted = magnitude(case, case.reference)
    diverged, mild, kept = (
        magnitude(case, case.solve(kt.GHVB.numbered(number), None, grid=grid)) for number in (4, 3.8, 2.5)
    )
    assert diverged > 5.0 * wanted
    assert diverged > mild > kept
    assert kept <= 1.2 * wanted


@pytest.mark.parametrize("coefficients", ["constant", "variable"])
def test_ends_without_data_and_without_noise(coefficients):
    schedule = kt.diffusion.RectifiedFlow()
    teacher = kt.diffusion.GaussianMixture([0.5, 0.5], [[-2.0], [2.0]], [0.1, 0.1])
    x = torch.randn(8, 1, dtype=F64, generator=torch.Generator().manual_seed(0))
    problem = kt.DiffusionProblem(teacher.model(schedule, "flow"), schedule, x, prediction="flow")
    sol = kt.solve(problem, kt.GHVB(3, 0.8, coefficients), steps=12)
    assert bool(torch.isfinite(sol.y1).all())
    found = nodes_of(problem, 12, kt.diffusion.UniformTime())
    plan, plain = kt.GHVB(3, 0.8, coefficients).plan(found).fixed(), DDIM().plan(found).fixed()
    assert (plan.moves[0], plan.moves[-1]) == (plain.moves[0], plain.moves[-1])
    assert all(0 not in move.predictions["noise"] for move in plan.moves[1:-1])


@pytest.mark.parametrize("coefficients", ["constant", "variable"])
def test_gradients_of_the_weights_to_the_times(coefficients):
    schedule, method = kt.diffusion.VP(), kt.GHVB(3, 0.8, coefficients)

    def total(t):
        moves = method.plan(Nodes.at(schedule, t)).moves
        return sum((k + 1.0) * weight for move in moves for k, weight in move.predictions["noise"].items())

    t = torch.tensor([1.0, 0.8, 0.55, 0.4, 0.2, 0.1], dtype=F64, requires_grad=True)
    assert torch.autograd.gradcheck(total, (t,))


@pytest.mark.parametrize(
    ("number", "order", "beta"),
    [(2.5, 3, 0.5), ("2.1", 3, 0.1), (4, 4, 1.0), (0.8, 1, 0.8), (1, 1, 1.0), (4.9, 5, 0.9)],
)
def test_numbers_of_the_literature(number, order, beta):
    assert kt.GHVB.numbered(number) == kt.GHVB(order, beta)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 0.5), "order must be a whole number from 1 to 5; got 0"),
        ((6, 0.5), "got 6"),
        ((True, 0.5), "got True"),
        ((2.5, 0.5), "got 2.5"),
        ((2, 0.0), "beta must be a number above 0"),
        ((2, 1.5), "got 1.5"),
        ((2, float("nan")), "got nan"),
        ((2, "0.5"), "got '0.5'"),
        ((2, 0.5, "exact"), "coefficients must be"),
    ],
)
def test_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        kt.GHVB(*arguments)


@pytest.mark.parametrize("number", [0, -1.5, 5.5])
def test_refused_numbers(number):
    with pytest.raises(ValueError, match="got"):
        kt.GHVB.numbered(number)
