"""Coefficients over the course of training."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kutta.regularizers.schedules import Constant, Exponential, Linear, TargetEvaluations, WarmUp

progress = st.floats(0.0, 1.0)
sizes = st.floats(1e-3, 1e3)


@given(sizes, sizes, progress)
def test_exponential_is_linear_in_the_logarithm(start, end, at):
    expected = Linear(math.log(start), math.log(end))(at)
    assert math.log(Exponential(start, end)(at)) == pytest.approx(expected, abs=1e-9)
    assert Exponential(start, end)(0.0) == start and Exponential(start, end)(1.0) == pytest.approx(end)


@given(progress)
def test_warm_up_rises_from_nothing(at):
    coefficient = WarmUp(Constant(2.0), hold=0.1, ramp=0.2)(at)
    assert coefficient == pytest.approx(0.0 if at <= 0.1 else 2.0 if at >= 0.3 else 2.0 * (at - 0.1) / 0.2)


@pytest.mark.parametrize("power", [0.2, 0.5])
def test_a_target_is_reached_and_then_left_alone(power):
    steer = TargetEvaluations(target=50.0, coefficient=0.01, rate=0.2)

    def evaluations(coefficient):
        return 100.0 * (coefficient / 0.01) ** -power

    for step in range(400):
        steer.update(evaluations(steer.coefficient), step / 400)
    assert evaluations(steer.coefficient) == pytest.approx(50.0, rel=0.01)
    before = steer.coefficient
    assert steer.update(1e6, 0.9) == before


def test_a_target_out_of_reach_stops_at_the_limits():
    steer = TargetEvaluations(target=50.0, limits=(1e-2, 1.0))
    assert [steer.update(10_000.0, 0.0) for _ in range(200)][-1] == 1.0
    assert [steer.update(1.0, 0.0) for _ in range(200)][-1] == 1e-2


def test_a_target_resumes():
    steer, other = TargetEvaluations(target=50.0), TargetEvaluations(target=50.0)
    steer.update(80.0, 0.1)
    other.load_state_dict(steer.state_dict())
    assert other.update(60.0, 0.2) == steer.update(60.0, 0.2)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Exponential(0.0, 1.0),
        lambda: WarmUp(Constant(1.0), hold=0.9, ramp=0.2),
        lambda: TargetEvaluations(target=0.0),
        lambda: TargetEvaluations(target=10.0, coefficient=0.0),
    ],
)
def test_what_cannot_be_is_refused(make):
    with pytest.raises(ValueError, match=r"must be positive|need "):
        make()
