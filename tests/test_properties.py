"""Properties that hold for any problem of a kind."""

import math

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import kutta as kt
from tests._helpers import F64, TIGHT, relative_error, swing, tensor

few = settings(deadline=None, max_examples=12)
seeds = st.integers(0, 10_000)
small = st.floats(-2.0, 2.0)
METHODS = st.sampled_from([kt.Tsit5(), kt.Dopri5(), kt.Dopri8(), kt.Vern7(), kt.Vern9(), kt.Rodas5P()])


def matrix(seed, size=3):
    return torch.randn(size, size, dtype=F64, generator=torch.Generator().manual_seed(seed))


@few
@given(seeds, st.floats(-2.0, 2.0), METHODS)
def test_a_linear_system_is_its_matrix_exponential(seed, t, method):
    a, y0 = matrix(seed), matrix(seed + 1)[0]
    y1 = kt.solve(kt.ODEProblem(lambda s, y: a @ y, y0, (0.0, t)), method, rtol=1e-9, atol=1e-11).y1
    assert relative_error(y1, torch.linalg.matrix_exp(a * t) @ y0) < 1e-7


@few
@given(small, small, st.floats(0.1, 3.0))
def test_there_and_back_again(q, p, length):
    start = tensor(q, p)
    there = kt.solve(kt.ODEProblem(swing, start, (0.0, length)), **TIGHT).y1
    back = kt.solve(kt.ODEProblem(swing, there, (length, 0.0)), **TIGHT).y1
    assert float((back - start).abs().max()) < 1e-7


@few
@given(small, small, st.sampled_from([2.0**-20, 0.25, 8.0, 2.0**30]))
def test_units_of_the_state_do_not_matter(q, p, unit):
    def f(t, y, unit):
        return unit * swing(t, y / unit)

    plain = kt.solve(kt.ODEProblem(f, tensor(q, p), (0.0, 2.0), (1.0,)), rtol=1e-6, atol=1e-8)
    other = kt.solve(kt.ODEProblem(f, unit * tensor(q, p), (0.0, 2.0), (unit,)), rtol=1e-6, atol=unit * 1e-8)
    if float(tensor(q, p).norm()) > 1e-3:  # Hairer's first step has absolute thresholds
        assert other.stats.steps == plain.stats.steps
        assert relative_error(other.y1 / unit, plain.y1) < 1e-12


@few
@given(small, small, st.sampled_from([2.0**-12, 0.5, 1024.0]))
def test_units_of_time_do_not_matter(q, p, unit):
    def f(t, y, unit):
        return swing(t / unit, y) / unit

    plain = kt.solve(kt.ODEProblem(f, tensor(q, p), (0.0, 2.0), (1.0,)), kt.RK4(), controller=kt.Fixed(2**-5))
    other = kt.solve(
        kt.ODEProblem(f, tensor(q, p), (0.0, 2.0 * unit), (unit,)), kt.RK4(), controller=kt.Fixed(unit * 2**-5)
    )
    assert torch.allclose(other.y1, plain.y1, rtol=1e-13, atol=1e-13)


@few
@given(seeds, st.integers(1, 6))
def test_an_ensemble_is_its_members(seed, size):
    y0 = torch.randn(size, 2, dtype=F64, generator=torch.Generator().manual_seed(seed))
    ends = torch.randn(size, dtype=F64, generator=torch.Generator().manual_seed(seed + 1))
    family = kt.solve(kt.EnsembleProblem(swing, y0, (0.0, ends)), rtol=1e-7, atol=1e-9)
    for row in range(size):
        alone = kt.solve(kt.ODEProblem(swing, y0[row], (0.0, float(ends[row]))), rtol=1e-7, atol=1e-9)
        assert torch.allclose(family.y1[row], alone.y1, rtol=1e-9, atol=1e-10)
        assert int(family.stats.accepted[row]) == alone.stats.accepted


@few
@given(st.permutations(range(5)))
def test_the_order_of_the_members_does_not_matter(order):
    y0 = torch.linspace(-2.0, 2.0, 10, dtype=F64).view(5, 2)
    ends = tensor(1.0, -2.0, 0.5, 0.0, 3.0)
    plain = kt.solve(kt.EnsembleProblem(swing, y0, (0.0, ends)))
    mixed = kt.solve(kt.EnsembleProblem(swing, y0[list(order)], (0.0, ends[list(order)])))
    assert torch.allclose(mixed.y1, plain.y1[list(order)], rtol=1e-12, atol=1e-14)
    assert torch.equal(mixed.stats.steps, plain.stats.steps[list(order)])


@few
@given(st.lists(st.floats(0.0, 2.0), min_size=1, max_size=8))
def test_save_times_of_any_kind_give_the_solution(times):
    times = sorted(times)
    sol = kt.solve(kt.ODEProblem(lambda t, y: -y + t, tensor(1.0), (0.0, 2.0)), save_at=times, **TIGHT)
    wanted = [2 * math.exp(-t) + t - 1 for t in times]
    assert sol.ts.tolist() == times and torch.allclose(sol.ys[:, 0], tensor(*wanted), atol=1e-8)


@few
@given(st.floats(0.05, 3.0), st.floats(-1.0, 1.0))
def test_an_event_is_where_the_solution_says(level, speed):
    fall = kt.ODEProblem(lambda t, y: torch.stack([y[1], -9.81 + 0 * y[1]]), tensor(level + 0.1, speed), (0.0, 9.0))
    sol = kt.solve(fall, events=[kt.Event(lambda t, y: y[0], direction=-1)], **TIGHT)
    height = level + 0.1
    assert abs(float(sol.t1) - (speed + math.sqrt(speed**2 + 2 * 9.81 * height)) / 9.81) < 1e-9


@few
@given(small, small)
def test_a_splitting_is_reversible(q, p):
    def f(t, state):
        return state[1], -torch.sin(state[0])

    start = (tensor(q), tensor(p))
    for method in (kt.VelocityVerlet(), kt.Yoshida4(), kt.KahanLi6()):
        there = kt.solve(kt.ODEProblem(f, start, (0.0, 2.0)), method, controller=kt.Fixed(0.125)).y1
        back = kt.solve(kt.ODEProblem(f, there, (2.0, 0.0)), method, controller=kt.Fixed(0.125)).y1
        assert max(abs(float(a - b)) for a, b in zip(back, start, strict=True)) < 1e-12
