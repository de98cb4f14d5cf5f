"""Errors and times of a whole study."""

import math

import pytest
import torch

import kutta as kt
from kutta.operators import metrics
from kutta.surrogate_study.study import error_at_sides


def test_errors_are_those_of_the_predictions(done):
    test = done.parts.test
    for one in done.outcomes:
        torch.testing.assert_close(one.predicted, one.trained.model(test.inputs, test.scope.grid))
        found = float(metrics.relative_l2(one.predicted, test.outputs, test.scope.grid).mean())
        assert one.errors["relative L2"] == pytest.approx(found, rel=1e-5)


def test_a_network_is_beside_the_fastest_method_that_is_as_exact(done):
    for one in done.outcomes:
        assert one.classical.error <= one.row.error
        rivals = [row for row in done.classical if row.error <= one.row.error]
        assert one.classical.seconds == min(row.seconds for row in rivals)
        assert one.speedup == pytest.approx(one.classical.seconds / one.row.seconds)


def test_it_pays_after_what_it_cost(done):
    for one in done.outcomes:
        saved = one.classical.seconds - one.row.seconds
        if saved > 0.0:
            cost = one.pays_after * saved
            assert cost == pytest.approx(done.parts.paid + one.trained.seconds)
        else:
            assert math.isinf(one.pays_after)


def test_the_method_of_the_data_is_the_last_one_and_has_no_error(done):
    assert done.reference is done.classical[-1] and done.reference.error < 1e-12
    assert done.reference.error <= min(row.error for row in done.classical[:-1])


def test_without_time_the_baseline_is_the_mean(darcy):
    name, errors = darcy.baseline
    u = darcy.parts.training.outputs.mean(0).expand_as(darcy.parts.test.outputs)
    grid = darcy.parts.test.scope.grid
    assert name == "mean solution" and errors["error at the sides"] > 0.0
    assert errors["relative L2"] == pytest.approx(
        float(metrics.relative_l2(u, darcy.parts.test.outputs, grid).mean()), rel=1e-5
    )


def test_in_time_the_baseline_is_that_nothing_changes(burgers):
    name, errors = burgers.baseline
    test = burgers.parts.test
    assert name == "persistence" and errors["error at the sides"] == 0.0
    assert errors["relative L2"] == pytest.approx(
        float(metrics.relative_l2(test.inputs, test.outputs, test.scope.grid).mean()), rel=1e-5
    )


def test_errors_at_the_sides_are_in_units_of_the_solution():
    grid = kt.pde.Grid((8, 8), boundary=kt.pde.Dirichlet())
    u = torch.full((2, 1, 8, 8), 4.0)
    off = u.clone()
    off[..., 3:5, 3:5] = 0.0
    torch.testing.assert_close(error_at_sides(off, u, grid), torch.zeros(2))
    torch.testing.assert_close(error_at_sides(1.25 * u, u, grid), torch.full((2,), 0.25))
