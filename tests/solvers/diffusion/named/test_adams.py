"""PLMS, PNDM and iPNDM: constant coefficients, on equal and unequal steps."""

import pytest
import torch

import kutta as kt
from kutta.solvers.diffusion.exponential.forms import FORMS
from kutta.solvers.diffusion.exponential.walk import Walk
from kutta.solvers.diffusion.levels.grids import nodes
from kutta.solvers.diffusion.named.adams import RungeKuttaStart, adams
from kutta.solvers.diffusion.plans.plan import Draft
from tests.solvers.diffusion.exact_starts import errors_with_exact_starts, with_exact_starts
from tests.solvers.diffusion.problems import F64, Case, orders, t1

RHO = kt.diffusion.Rho(7)


def slopes(order, steps):
    return orders(errors_with_exact_starts(t1(), kt.PLMS(order), order - 1, RHO, steps))


def test_order_three_becomes_two_where_steps_are_unequal():
    assert slopes(3, (20, 40, 80, 160, 320, 640)) == pytest.approx([2.65, 2.37, 1.87, 1.90, 1.95], abs=0.03)


def test_order_four_becomes_two_where_steps_are_unequal():
    assert slopes(4, (160, 320)) == pytest.approx([2.0], abs=0.03)


def end_for_polynomial_noise(order, degree, grid):
    """The end state, and the exact one, where the noise is ``kappa^degree`` wherever the state is."""
    schedule, x = kt.diffusion.EDM(start=2.0, end=0.5), torch.ones(1, 1, dtype=F64)
    problem = kt.DiffusionProblem(lambda x, t: t[:, None] ** degree + 0.0 * x, schedule, x)
    exact = 1.0 + (0.5 ** (degree + 1) - 2.0 ** (degree + 1)) / (degree + 1)
    found = with_exact_starts(Case(problem, x, None), kt.PLMS(order), order - 1, grid, 12)
    return float(found), exact


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_exact_for_polynomials_on_equal_steps(order):
    for degree in range(order):
        found, exact = end_for_polynomial_noise(order, degree, kt.diffusion.Rho(1))
        assert found == pytest.approx(exact, abs=1e-10)
    found, exact = end_for_polynomial_noise(order, order, kt.diffusion.Rho(1))
    assert abs(found - exact) > 1e-4


@pytest.mark.parametrize("order", [2, 3, 4])
def test_on_unequal_steps_exact_for_constants_only(order):
    found, exact = end_for_polynomial_noise(order, 0, RHO)
    assert found == pytest.approx(exact, abs=1e-10)
    found, exact = end_for_polynomial_noise(order, 1, RHO)
    assert abs(found - exact) > 1e-4


class OnlyStarts(kt.diffusion.Sampler):
    """Pseudo Runge-Kutta steps all the way."""

    def plan(self, nodes):
        walk = Walk(Draft(nodes), FORMS["noise"])
        for _ in range(nodes.steps):
            RungeKuttaStart().step(walk, 4, adams)
        return walk.draft.plan()


def test_pseudo_runge_kutta_steps_are_those_of_runge_and_kutta_where_time_is_kappa():
    assert orders(t1().errors(OnlyStarts(), (40, 80), grid=RHO))[0] == pytest.approx(4.0, abs=0.2)


def test_weights_are_the_classical_ones():
    case = t1()
    found = nodes(RHO, case.problem.schedule, 6, 5.0, 0.05)
    plan = kt.PLMS(4).plan(found).fixed()
    step = float(found.sigma[6] - found.sigma[5])  # alpha is 1
    weights = {5: 55 / 24, 4: -59 / 24, 3: 37 / 24, 2: -9 / 24}
    assert plan.moves[-1].predictions["noise"] == pytest.approx({k: step * w for k, w in weights.items()})


def test_order_one_is_ddim():
    case = t1()
    assert torch.allclose(case.solve(kt.PLMS(1), 7), case.solve(kt.DDIM(), 7), rtol=1e-13)


@pytest.mark.parametrize(
    ("sampler", "evaluations"),
    [(kt.PLMS(4), 10), (kt.PLMS(4, start="heun"), 11), (kt.PNDM(), 19), (kt.PNDM(2), 13), (kt.PNDM(1), 10)],
)
def test_evaluations(sampler, evaluations):
    assert kt.solve(t1().problem, sampler, steps=10).stats.function_evaluations == evaluations


def test_starts_differ_in_the_first_steps_only():
    found = nodes(RHO, t1().problem.schedule, 8, 5.0, 0.05)
    ramp, started = (
        list(sampler.plan(found).fixed().moves[-1].predictions["noise"].values())
        for sampler in (kt.PLMS(3), kt.PNDM(3))
    )
    assert ramp == pytest.approx(started, rel=1e-13)


def test_fewer_steps_than_history():
    case = t1()
    assert torch.allclose(case.solve(kt.PLMS(4), 1), case.solve(kt.DDIM(), 1))
    assert torch.isfinite(case.solve(kt.PNDM(), 2)).all()


@pytest.mark.parametrize("order", [0, 5, 2.0, "2"])
def test_refused_orders(order):
    with pytest.raises(ValueError, match="order"):
        kt.PLMS(order)


def test_refused_start():
    with pytest.raises(ValueError, match="start must be one of ramp, heun, runge-kutta"):
        kt.PLMS(4, start="euler")
