"""DPM-Solver and DPM-Solver++: orders, equality with the classes of diffusers, fresh noise."""

import pytest
import torch

import kutta as kt
from tests.solvers.diffusion.exact_starts import errors_with_exact_starts
from tests.solvers.diffusion.problems import orders, t1

GRIDS = [kt.diffusion.Rho(7), kt.diffusion.UniformLogSNR()]


@pytest.mark.parametrize("grid", GRIDS, ids=str)
@pytest.mark.parametrize("solver_type", ["midpoint", "heun"])
@pytest.mark.parametrize("kind", [kt.DPMSolver, kt.DPMSolverPP])
def test_two_predictions_have_order_two(kind, solver_type, grid):
    errors = errors_with_exact_starts(t1(), kind(2, solver_type), 1, grid, [160, 320])
    assert orders(errors) == pytest.approx([2], abs=0.1)


def test_heun_is_the_exact_rule():
    """With two predictions it is exact, and with one everything is."""
    case = t1()
    for order in (1, 2):
        exact = case.solve(kt.ExponentialMultistep(order), 20)
        torch.testing.assert_close(case.solve(kt.DPMSolverPP(order, "heun"), 20), exact, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("kind", [kt.DPMSolver, kt.DPMSolverPP])
def test_three_predictions_have_order_two_in_many_steps(kind):
    """Half of a mean is missing from the published weights, so that exact starts do not help."""
    errors = errors_with_exact_starts(t1(), kind(3), 2, GRIDS[0], [320, 640])
    assert orders(errors) == pytest.approx([2], abs=0.1)


@pytest.mark.parametrize("prediction", ["data", "noise"])
@pytest.mark.parametrize(
    ("order", "solver_type"), [(1, "midpoint"), (2, "midpoint"), (2, "heun"), (3, "midpoint"), (3, "heun")]
)
def test_order_of_single_steps_along_a_grid(order, solver_type, prediction):
    sampler = kt.diffusion.DPMSolverSinglestep(order, prediction, solver_type)
    assert orders(t1().errors(sampler, [288, 576], grid=GRIDS[1])) == pytest.approx([order], abs=0.1)


@pytest.mark.parametrize("prediction", ["data", "noise"])
def test_nodes_as_stages_are_stages_between_nodes(prediction):
    """On a grid of equal steps, one that takes all its nodes and one that takes every second."""
    along = t1().solve(kt.diffusion.DPMSolverSinglestep(2, prediction, "heun"), 20, grid=GRIDS[1])
    between = t1().solve(kt.diffusion.Singlestep(2, prediction), 10, grid=GRIDS[1])
    torch.testing.assert_close(along, between, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("eta", [0.5, 1.0])
def test_fresh_noise_comes_from_the_generator(eta):
    case, sampler = t1(), kt.DPMSolverPP(2, eta=eta)

    def solve(seed):
        return case.solve(sampler, 10, generator=torch.Generator().manual_seed(seed))

    assert torch.equal(solve(1), solve(1))
    assert not torch.equal(solve(1), solve(2))


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
def test_every_eta_samples_the_data(eta):
    """One Gaussian: mean and variance of many samples."""
    teacher = kt.diffusion.GaussianMixture([1.0], [[1.5]], [0.25])
    schedule = kt.diffusion.VP()
    x = torch.randn(20_000, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    problem = kt.DiffusionProblem(teacher.model(schedule), schedule, x)
    draws = {"generator": torch.Generator().manual_seed(1)} if eta else {}
    y = kt.solve(problem, kt.DPMSolverPP(2, eta=eta), steps=60, **draws).y1
    assert float(y.mean()) == pytest.approx(1.5, abs=5 * 0.5 / 20_000**0.5)
    assert float(y.var()) == pytest.approx(0.25, rel=0.05)


@pytest.mark.parametrize("kind", [kt.DPMSolver, kt.DPMSolverPP, kt.diffusion.DPMSolverSinglestep])
def test_wrong_arguments_are_refused(kind):
    with pytest.raises(ValueError, match="order must be a whole number from 1 to 3; got 4"):
        kind(4)
    with pytest.raises(ValueError, match='solver_type must be "midpoint" or "heun"; got \'bh2\''):
        kind(2, solver_type="bh2")


@pytest.mark.parametrize("eta", [-0.1, float("inf"), float("nan"), "1", None])
def test_a_wrong_eta_is_refused(eta):
    with pytest.raises(ValueError, match="eta must be a number from 0"):
        kt.DPMSolverPP(2, eta=eta)
