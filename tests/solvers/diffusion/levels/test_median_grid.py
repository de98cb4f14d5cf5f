"""Grids of the steps that samples chose: for any sampler, with any number of steps."""

from dataclasses import replace

import pytest
import torch

import kutta as kt
from tests.solvers.diffusion.problems import F64, t1, t2

median_grid = kt.diffusion.median_grid


def tried(case, **options):
    return kt.solve(case.problem, kt.AdaptiveMultistep(3), save_at="steps", **options)


def test_samples_that_share_their_steps_give_them_back():
    sol = kt.solve(t1().problem, kt.AdaptiveMultistep(shared=0.9), atol=1e-3, save_at="steps")
    found = median_grid(sol, t1().problem.schedule)
    assert torch.allclose(found, sol.ts[:, 0], rtol=1e-12)


def test_a_replay_on_samples_that_were_not_seen():
    """Calibrated on other starts, it is as good as the best usual grid with many steps; with few, its start is slow."""
    schedule, x = t1().problem.schedule, 5.0 * torch.randn(64, 2, dtype=F64, generator=torch.Generator().manual_seed(5))
    calibrated = kt.solve(replace(t1().problem, x=x), kt.AdaptiveMultistep(3), atol=1e-2, save_at="steps")
    method = kt.ExponentialMultistep(3, corrector=True)
    grids = kt.diffusion.Rho(), kt.diffusion.UniformLogSNR()
    for steps, factor in ((12, 2.5), (24, 1.5), (48, 1.1)):
        replayed = t1().error(kt.solve(t1().problem, method, grid=median_grid(calibrated, schedule, steps)).y1)
        usual = min(t1().error(t1().solve(method, steps, grid=grid)) for grid in grids)
        assert replayed < factor * usual


def test_the_number_of_steps_is_the_median_or_as_asked_for():
    sol = tried(t1(), atol=1e-3)
    schedule = t1().problem.schedule
    assert len(median_grid(sol, schedule)) == int(sol.stats.accepted.median()) + 1
    for steps in (1, 7, 100):
        found = median_grid(sol, schedule, steps)
        assert found.shape == (steps + 1,) and found.dtype == F64
        assert (float(found[0]), float(found[-1])) == (5.0, 0.05) and bool((torch.diff(found) < 0).all())


def test_on_a_schedule_of_training_steps():
    case = t2(7.5)
    found = median_grid(tried(case, atol=0.1), case.problem.schedule)
    assert (float(found[0]), float(found[-1])) == (999.0, 0.0)
    sol = kt.solve(case.problem, kt.DPMSolverPP(2), grid=found)
    assert case.rms(sol.y1) < 0.1 and sol.stats.steps == len(found) - 1


def test_ends_that_lie_infinitely_far_are_nodes_of_their_own():
    schedule = kt.diffusion.RectifiedFlow()
    x = torch.randn(8, 2, dtype=F64, generator=torch.Generator().manual_seed(1))
    problem = kt.DiffusionProblem(t1().teacher.model(schedule, "flow"), schedule, x, prediction="flow")
    sol = kt.solve(problem, kt.AdaptiveMultistep(), atol=1e-2, save_at="steps")
    found = median_grid(sol, schedule, 20)
    assert found.shape == (21,) and (float(found[0]), float(found[-1])) == (1.0, 0.0)
    assert torch.allclose(schedule.log_snr(found[[1, -2]]), torch.tensor([-7.0, 7.0], dtype=F64))
    exact = kt.solve(problem, kt.Vern9(), rtol=1e-10, atol=1e-10).y1
    assert float((kt.solve(problem, kt.ExponentialMultistep(2), grid=found).y1 - exact).abs().mean()) < 0.05
    with pytest.raises(ValueError, match="steps must be a whole number, 3 or more here"):
        median_grid(sol, schedule, 2)


def test_what_holds_no_steps_is_refused():
    schedule = t1().problem.schedule
    for sol in (kt.solve(t1().problem, kt.AdaptiveMultistep()), kt.solve(t1().problem, kt.DDIM(), save_at="steps")):
        with pytest.raises(ValueError, match='save_at="steps"'):
            median_grid(sol, schedule)


def test_samples_that_did_not_arrive_are_refused():
    sol = tried(t1(), atol=1e-6, max_steps=10, throw=False)
    with pytest.raises(ValueError, match="led all samples to one end"):
        median_grid(sol, t1().problem.schedule)


@pytest.mark.parametrize("steps", [0, -3, 2.5, "ten"])
def test_numbers_of_steps_that_are_none_are_refused(steps):
    with pytest.raises(ValueError, match="steps must be a whole number"):
        median_grid(tried(t1(), atol=0.1), t1().problem.schedule, steps)


def test_a_schedule_of_something_else_is_refused():
    with pytest.raises(ValueError, match=r"times of VP.* must lie between 0 and 1; got 5"):
        median_grid(tried(t1(), atol=0.1), kt.diffusion.VP())
    vp = kt.diffusion.VP(end=0.01)
    sol = tried(replace(t1(), problem=replace(t1().problem, model=t1().teacher.model(vp), schedule=vp)), atol=0.1)
    with pytest.raises(ValueError, match=r"VE.* has other noise at the times of the solution"):
        median_grid(sol, kt.diffusion.VE())


def test_an_equal_schedule_with_other_ends_is_the_same():
    sol = tried(t1(), atol=0.1)
    assert torch.equal(median_grid(sol, kt.diffusion.EDM()), median_grid(sol, t1().problem.schedule))
