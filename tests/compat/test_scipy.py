"""The contract of SciPy's solve_ivp."""

import math

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp as scipy_solve_ivp

import kutta as kt
from kutta.compat.scipy import solve_ivp

LOTKA = (1.5, 1.0, 3.0, 1.0)


def lotka_volterra(t, z, a, b, c, d):
    x, y = z
    return [a * x - b * x * y, -c * y + d * x * y]


def oscillator(t, y):
    return [y[1], -y[0]]


def cannon(t, y):
    return [y[2], y[3], 0, -9.8]


def event(function, terminal=None, direction=None):
    if terminal is not None:
        function.terminal = terminal
    if direction is not None:
        function.direction = direction
    return function


@pytest.mark.parametrize("method", ["RK45", "RK23", "DOP853"])
@pytest.mark.parametrize("span", [(0, 5), (5, 0)])
def test_equals_scipy_to_the_tolerance(method, span):
    arguments = {"args": LOTKA, "t_eval": np.linspace(*span, 11), "rtol": 1e-7, "atol": 1e-9}
    ours = solve_ivp(lotka_volterra, span, [10, 5], method, **arguments)
    theirs = scipy_solve_ivp(lotka_volterra, span, [10, 5], method, **arguments)
    exact = scipy_solve_ivp(lotka_volterra, span, [10, 5], "DOP853", args=LOTKA, t_eval=arguments["t_eval"], rtol=1e-12)
    np.testing.assert_array_equal(ours.t, theirs.t)
    assert ours.y.shape == theirs.y.shape
    assert np.abs(ours.y - exact.y).max() < 10 * max(np.abs(theirs.y - exact.y).max(), 1e-7)
    assert ours.nfev < 1.5 * theirs.nfev


def test_the_result_has_scipys_fields():
    ours = solve_ivp(oscillator, (0, 3), [0.0, 1.0])
    theirs = scipy_solve_ivp(oscillator, (0, 3), [0.0, 1.0])
    assert set(ours) == set(theirs)
    assert (ours.t[0], ours.t[-1]) == (0.0, 3.0)
    assert ours.y.shape == (2, len(ours.t))
    assert ours.y.dtype == np.float64
    assert (ours.status, ours.success, ours.message) == (0, True, theirs.message)
    assert (ours.njev, ours.nlu) == (0, 0)
    assert ours.sol is ours.t_events is ours.y_events is None


def test_dense_output_has_scipys_shapes():
    result = solve_ivp(oscillator, (0, 3), np.array([0.0, 1.0]), dense_output=True, rtol=1e-8, atol=1e-10)
    assert result.sol(1.0).shape == (2,)
    times = np.linspace(0, 3, 5)
    np.testing.assert_allclose(result.sol(times)[0], np.sin(times), atol=1e-6)
    assert (result.sol.t_min, result.sol.t_max) == (0.0, 3.0)


def test_events_equal_scipys():
    ground = event(lambda t, y: y[1], terminal=True, direction=-1)
    apex = event(lambda t, y: y[3])
    ours, theirs = (
        solver(cannon, (0, 100), [0.0, 0, 3, 10], events=[ground, apex], dense_output=True)
        for solver in (solve_ivp, scipy_solve_ivp)
    )
    assert (ours.status, ours.message) == (1, theirs.message)
    for mine, other in zip(ours.t_events + ours.y_events, theirs.t_events + theirs.y_events, strict=True):
        assert mine.shape == other.shape
        np.testing.assert_allclose(mine, other, atol=1e-9)
    assert ours.t[-1] == pytest.approx(ours.t_events[0][0])
    assert ours.sol.t_max == pytest.approx(ours.t[-1])


@pytest.mark.parametrize("direction", [-1, 0, 1])
def test_direction_selects_crossings(direction):
    ours, theirs = (
        solver(oscillator, (0, 10), [0.5, 1.0], events=event(lambda t, y: y[0], direction=direction), rtol=1e-8)
        for solver in (solve_ivp, scipy_solve_ivp)
    )
    np.testing.assert_allclose(ours.t_events[0], theirs.t_events[0], atol=1e-5)


def test_terminal_counts_occurrences():
    third = event(lambda t, y, *args: y[0], terminal=3)
    ours, theirs = (
        solver(oscillator, (0, 100), [0.5, 1.0], events=third, rtol=1e-8, t_eval=np.linspace(0, 100, 201))
        for solver in (solve_ivp, scipy_solve_ivp)
    )
    assert ours.status == theirs.status == 1
    assert len(ours.t_events[0]) == 3
    np.testing.assert_allclose(ours.t_events[0], theirs.t_events[0], atol=1e-5)
    np.testing.assert_array_equal(ours.t, theirs.t)


def test_events_that_do_not_happen_are_empty():
    result = solve_ivp(oscillator, (0, 1), [0.5, 1.0], events=lambda t, y: y[0] + 10)
    assert result.t_events[0].shape == result.y_events[0].shape == (0,)


def test_complex_states_are_solved():
    matrix = np.array([[-0.25 + 0.14j, 0, 0.33], [0.25 + 0.58j, -0.2, 0], [0, 0.2 + 0.4j, -0.1 + 0.97j]])
    ours, theirs = (
        solver(lambda t, y: matrix @ y, [0, 5], np.array([10 + 0j, 20, 30]), rtol=1e-8)
        for solver in (solve_ivp, scipy_solve_ivp)
    )
    assert ours.y.dtype == np.complex128
    np.testing.assert_allclose(ours.y[:, -1], theirs.y[:, -1], rtol=1e-6)


def test_vectorized_functions_get_columns():
    def f(t, y):
        assert y.shape == (2, 1)
        return -y

    assert solve_ivp(f, (0, 1), [1.0, 2.0], vectorized=True, rtol=1e-6).y[0, -1] == pytest.approx(
        math.exp(-1), rel=1e-5
    )


def test_tensors_go_in_and_come_out_with_gradients():
    y0 = torch.tensor([1.0, 2.0], dtype=torch.float64, requires_grad=True)
    rate = torch.tensor(0.5, dtype=torch.float64, requires_grad=True)
    half = event(lambda t, y, rate: y[0] - 0.5, terminal=True)
    result = solve_ivp(
        lambda t, y, rate: -rate * y, (0, 10), y0, kt.Tsit5(), args=(rate,), events=half, rtol=1e-9, atol=1e-12
    )
    assert isinstance(result.y, torch.Tensor)
    to_rate, to_y0 = torch.autograd.grad(result.t_events[0][0], (rate, y0))
    assert to_rate.item() == pytest.approx(-math.log(2) / 0.25, rel=1e-6)
    assert to_y0.tolist() == pytest.approx([2.0, 0.0], rel=1e-6)


def test_step_limits_are_kept():
    result = solve_ivp(oscillator, (0, 1), [0.0, 1.0], first_step=0.01, max_step=0.05)
    steps = np.diff(result.t)
    assert steps[0] == pytest.approx(0.01)
    assert steps.max() < 0.0501


def test_a_failure_is_a_status():
    result = solve_ivp(lambda t, y: y**2, (0, 2), [1.0])
    assert (result.status, result.success) == (-1, False)
    assert "STEP_UNDERFLOW" in result.message or "NON_FINITE" in result.message
    assert result.t[-1] == pytest.approx(1.0, abs=1e-2)
    assert result.y.shape == (1, len(result.t))


def test_no_output_times_give_no_outputs():
    result = solve_ivp(oscillator, (0, 1), [0.0, 1.0], t_eval=[])
    assert result.t.shape == (0,)
    assert result.y.shape == (2, 0)


@pytest.mark.parametrize("method", ["Radau", "BDF", "LSODA"])
def test_methods_for_stiff_problems_name_the_release_they_wait_for(method):
    with pytest.raises(NotImplementedError, match=rf"'{method}' is not part of this version: .*Rodas5P\(\)"):
        solve_ivp(oscillator, (0, 1), [0.0, 1.0], method)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"method": "RK99"}, "`method` must be one of"),
        ({"y0": [[0.0, 1.0]]}, "`y0` must be 1-dimensional"),
        ({"t_eval": [[0.5]]}, "`t_eval` must be 1-dimensional"),
        ({"t_eval": [0.5, 2.0]}, "Values in `t_eval` are not within `t_span`"),
        ({"t_eval": [0.5, 0.2]}, "Values in `t_eval` are not properly sorted"),
        ({"atol": [1e-3] * 3}, "`atol` has wrong shape"),
        ({"atol": -1.0}, "`atol` must be positive"),
        ({"max_step": -1.0}, "`max_step` must be positive"),
        ({"first_step": 0.0}, "`first_step` must be positive"),
        ({"first_step": 3.0}, "`first_step` exceeds bounds"),
        ({"events": event(lambda t, y: y[0], terminal=-1)}, "`terminal` attribute"),
    ],
)
def test_wrong_arguments_are_refused_as_in_scipy(change, message):
    arguments = {"fun": oscillator, "t_span": (0, 1), "y0": [0.0, 1.0], **change}
    with pytest.raises(ValueError, match=message):
        solve_ivp(**arguments)


def test_further_arguments_must_be_a_tuple():
    with pytest.raises(TypeError, match=r"write args=\(2.0,\)"):
        solve_ivp(lambda t, y, a: -a * y, (0, 1), [1.0], args=2.0)


def test_options_without_effect_are_warned_about():
    with pytest.warns(UserWarning, match="no effect for a chosen solver: `jac`"):
        solve_ivp(oscillator, (0, 1), [0.0, 1.0], jac=None)
    with pytest.warns(UserWarning, match="`rtol` is too small"):
        solve_ivp(oscillator, (0, 0.01), [0.0, 1.0], rtol=1e-20)
