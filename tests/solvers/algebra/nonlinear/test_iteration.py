"""Batches: each problem is solved as if it were alone, and keeps its values once it has ended."""

import pytest
import torch

import kutta as kt
from kutta.autodiff import read
from tests._helpers import F64

ROOTS = [kt.Newton(), kt.NewtonKrylov(), kt.Broyden()]
FIXED = [kt.Picard(), kt.Anderson()]
LEAST = [kt.LevenbergMarquardt(), kt.Dogleg(), kt.GaussNewton()]
STARTS = torch.tensor([[0.1, 0.2], [2.0, -1.0], [0.6, 0.9], [-3.0, 5.0]], dtype=F64)


def coupled(x):
    first, second = x[..., 0], x[..., 1]
    return torch.stack([torch.sin(first) + 2.0 * first - 0.3 * second, second + 0.2 * second**3 - 0.1 * first], -1)


def contraction(x):
    return 0.5 * torch.cos(x) + 0.3 * x.flip(-1)


def three_equations(x):
    first, second = x[..., 0], x[..., 1]
    return torch.stack([first - 1.0, second + 0.5 * first**2, first * second - 0.5], -1)


def posed(method, x0, batched):
    if method in ROOTS:
        return kt.RootProblem(coupled, x0, batched=batched)
    if method in FIXED:
        return kt.FixedPointProblem(contraction, x0, batched=batched)
    return kt.LeastSquaresProblem(three_equations, x0, batched=batched)


@pytest.mark.parametrize("method", [kt.Newton(), *FIXED, *LEAST], ids=repr)
def test_a_problem_of_a_batch_is_solved_as_if_it_were_alone(method):
    # Of NewtonKrylov and Broyden a batch shares how exactly systems are solved, and when a new derivative is taken.
    together = kt.solve(posed(method, STARTS, True), method)
    for row, x0 in enumerate(STARTS):
        alone = kt.solve(posed(method, x0, False), method)
        assert int(together.stats.steps[row]) == alone.stats.steps
        torch.testing.assert_close(together.y1[row], alone.y1, rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("method", ROOTS + FIXED + LEAST, ids=repr)
def test_what_has_ended_keeps_its_values_to_the_last_bit(method):
    easy = kt.solve(posed(method, STARTS, True), method, max_steps=1, throw=False)
    at = kt.solve(posed(method, STARTS[:1], True), method, rtol=1e-12).y1
    # The first problem begins at its solution, to within its tolerance; the others go on for long.
    sol = kt.solve(posed(method, torch.cat([at, STARTS[1:]]), True), method)
    steps = int(sol.stats.steps[0])
    short = kt.solve(posed(method, torch.cat([at, STARTS[1:]]), True), method, max_steps=max(steps, 1), throw=False)
    assert steps < int(sol.stats.steps.max())
    assert torch.equal(sol.y1[0], short.y1[0])
    assert easy.result.failed.any()


@pytest.mark.parametrize("method", ROOTS + FIXED + LEAST, ids=repr)
def test_a_problem_that_is_nan_does_no_harm_to_the_others(method):
    whole = kt.solve(posed(method, STARTS, True), method)
    spoilt = STARTS.clone()
    spoilt[1] = float("nan")
    sol = kt.solve(posed(method, spoilt, True), method, throw=False)
    assert [one.name for one in sol.result] == ["SUCCESS", "NON_FINITE", "SUCCESS", "SUCCESS"]
    others = [0, 2, 3]
    torch.testing.assert_close(sol.y1[others], whole.y1[others], rtol=1e-7, atol=1e-9)
    with pytest.raises(kt.NonlinearSolveError, match="NON_FINITE in system 1 after 0 iterations"):
        kt.solve(posed(method, spoilt, True), method)


@pytest.mark.parametrize("method", ROOTS + FIXED + LEAST, ids=repr)
def test_the_largest_number_of_iterations(method):
    sol = kt.solve(posed(method, STARTS, True), method, max_steps=2, throw=False)
    assert sol.stats.steps.max() == 2
    assert "MAX_STEPS" in {one.name for one in sol.result}
    with pytest.raises(kt.NonlinearSolveError, match=r"MAX_STEPS.*raise max_steps, loosen rtol and atol"):
        kt.solve(posed(method, STARTS, True), method, max_steps=2)


def test_an_iteration_reads_as_little_as_it_can(monkeypatch):
    count = 0

    def counted(values):
        nonlocal count
        count += 1
        return read(values)

    for module in ("nonlinear.iteration", "nonlinear.line_search", "unsolved"):
        monkeypatch.setattr(f"kutta.solvers.algebra.{module}.read", counted)
    steps = kt.solve(posed(LEAST[0], STARTS, True)).stats.steps.max()
    assert count == int(steps) + 2  # whether some are running, each time; and whether some have failed
