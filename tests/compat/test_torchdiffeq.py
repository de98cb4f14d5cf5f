"""The contract of torchdiffeq's calls."""

import math
import warnings

import numpy as np
import pytest
import torch

from kutta.compat import torchdiffeq as face
from kutta.compat.torchdiffeq import SOLVERS, FixedGridODESolver, odeint, odeint_adjoint, odeint_dense, odeint_event

F64 = torch.float64
ADAPTIVE = ("adaptive_heun", "fehlberg2", "bosh3", "tsit5", "dopri5", "dopri8")
GRID = ("euler", "midpoint", "heun2", "heun3", "rk4", "explicit_adams", "implicit_adams", "fixed_adams")
IMPLICIT = (
    "implicit_euler",
    "implicit_midpoint",
    "trapezoid",
    "radauIIA3",
    "radauIIA5",
    "gl4",
    "gl6",
    "sdirk2",
    "trbdf2",
)
LOOSE = ("adaptive_heun", "bosh3")
T = torch.tensor([0.0, 0.3, 0.7, 1.0], dtype=F64)


def decay(t, y):
    return -y


def turn(t, y):
    return torch.stack([y[1], -y[0]])


class Rotation(torch.nn.Module):
    def __init__(self, dtype=F64):
        super().__init__()
        self.rate = torch.nn.Parameter(torch.tensor([[0.0, 1.5], [-1.5, 0.0]], dtype=dtype))
        self.calls = 0

    def forward(self, t, y):
        self.calls += 1
        return y @ self.rate.T + 0.1 * torch.sin(t)


def loose(method):
    return {"rtol": 1e-5, "atol": 1e-7} if method in LOOSE else {}


@pytest.mark.parametrize("method", ADAPTIVE)
@pytest.mark.parametrize("dtype", [torch.float32, F64, torch.complex128])
def test_adaptive_methods_solve_forwards_and_backwards(method, dtype):
    y0 = torch.tensor([1.0, 0.5], dtype=dtype)
    tolerances = {"rtol": 1e-6, "atol": 1e-7}
    for t in (T, -T, T.float()):
        ys = odeint(decay, y0, t, method=method, **tolerances)
        exact = y0 * torch.exp(-t)[:, None]
        assert ys.shape == (4, 2)
        assert ys.dtype == dtype
        torch.testing.assert_close(ys, exact.to(dtype), rtol=2e-4, atol=0)


@pytest.mark.parametrize("method", GRID)
def test_methods_on_a_grid_converge(method):
    y0 = torch.tensor([0.0, 1.0], dtype=F64)
    errors = []
    for size in (0.02, 0.01):
        ys = odeint(turn, y0, T, method=method, options={"step_size": size, "interp": "cubic"})
        errors.append(float((ys[:, 0] - torch.sin(T)).abs().max()))
    assert errors[1] < 0.02
    order = 1 if method == "euler" else 2 if method in ("midpoint", "heun2") else 3
    assert errors[0] / errors[1] > 0.9 * 2**order


@pytest.mark.parametrize("method", ["euler", "midpoint", "heun2", "heun3", "rk4", "adaptive_heun", "bosh3", "dopri5"])
def test_equals_the_installed_torchdiffeq(method):
    peer = pytest.importorskip("torchdiffeq")
    y0 = torch.tensor([0.2, 1.0], dtype=F64)
    exact = method not in ADAPTIVE
    options = {"step_size": 0.07} if exact else {}
    ours = odeint(turn, y0, T, method=method, options=options, **loose(method))
    theirs = peer.odeint(turn, y0, T, method=method, options=options, **loose(method))
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-14 if exact else 1e-3 if loose(method) else 1e-6)


@pytest.mark.parametrize("interp", ["linear", "cubic"])
def test_interpolates_between_grid_points_as_torchdiffeq_does(interp):
    peer = pytest.importorskip("torchdiffeq")
    y0 = torch.tensor([0.2, 1.0], dtype=F64)
    options = {"step_size": 0.25, "interp": interp}
    for t in (T, -T):
        ours = odeint(turn, y0, t, method="rk4", options=options)
        torch.testing.assert_close(ours, peer.odeint(turn, y0, t, method="rk4", options=options))


def test_tuples_of_tensors_go_in_and_out():
    y0 = (torch.tensor(1.0, dtype=F64), torch.ones(2, 3, dtype=F64))
    first, second = odeint(lambda t, y: [-y[0], 2 * y[1]], y0, T)
    torch.testing.assert_close(first, torch.exp(-T), rtol=1e-6, atol=0)
    torch.testing.assert_close(second, torch.exp(2 * T)[:, None, None].expand(4, 2, 3), rtol=1e-6, atol=0)


def test_tolerances_of_a_tuple_belong_to_its_tensors():
    y0 = (torch.ones(2, dtype=F64), torch.ones(3, dtype=F64))
    first, second = odeint(lambda t, y: (-y[0], -y[1]), y0, T, rtol=(1e-9, 1e-3), atol=(1e-9, 1e-3))
    assert (first[-1, 0] - math.exp(-1)).abs() < 1e-8
    assert second.shape == (4, 3)
    with pytest.raises(AssertionError, match="same length as the tuple y0; got 3 for 2"):
        odeint(lambda t, y: y, y0, T, rtol=(1e-3, 1e-3, 1e-3))


def test_a_derivative_of_another_dtype_or_shape_is_brought_to_the_state():
    y0 = torch.ones(2, 3)
    ys = odeint(lambda t, y: torch.tensor(-1.0, dtype=F64), y0, T)
    torch.testing.assert_close(ys[-1], torch.zeros(2, 3), rtol=0, atol=1e-6)
    with pytest.raises(ValueError, match=r"shape \(2, 3\).*got shape \(5,\)"):
        odeint(lambda t, y: torch.ones(5), y0, T)


def test_one_time_means_no_step():
    y0 = torch.ones(2, requires_grad=True)
    for method in ("dopri5", "rk4", "scipy_solver"):
        assert odeint(None, y0, T[:1], method=method).shape == (1, 2)


def test_time_arrives_in_the_real_dtype_of_the_state():
    for dtype, real in ((torch.float32, torch.float32), (torch.complex64, torch.float32)):
        for method in ("dopri5", "rk4"):
            seen = set()

            def f(t, y, seen=seen):
                seen.add((t.dtype, t.shape))
                return -y

            odeint(f, torch.ones(1, dtype=dtype), T, method=method)
            assert seen == {(real, ())}


@pytest.mark.parametrize("t", [T, T.flip(0)])
def test_an_adaptive_step_costs_what_it_should(t):
    rotation, steps = Rotation(), []
    rotation.callback_step = lambda t0, y0, dt: steps.append(float(dt))
    with torch.no_grad():
        odeint(rotation, torch.ones(2, dtype=F64), t)
    assert rotation.calls == 2 + 6 * len(steps)
    assert min(steps) > 0


def test_methods_on_a_grid_cost_their_stages():
    for method, stages in (("euler", 1), ("midpoint", 2), ("heun2", 2), ("heun3", 3), ("rk4", 4)):
        rotation = Rotation()
        odeint(rotation, torch.ones(2, dtype=F64), T, method=method, options={"step_size": 0.1})
        assert rotation.calls == 10 * stages


# Options.


def test_max_step_and_first_step_bound_the_steps():
    sizes = []

    def f(t, y):
        return -y

    f.callback_step = lambda t0, y0, dt: sizes.append(float(dt))
    odeint(f, torch.ones(1, dtype=F64), T, options={"max_step": 0.05, "first_step": 0.01})
    assert sizes[0] == pytest.approx(0.01)
    assert max(sizes) <= 0.0501


def test_min_step_accepts_whatever_the_error():
    rejected = []

    def f(t, y):
        return -50 * y

    f.callback_reject_step = lambda t0, y0, dt: rejected.append(dt)
    ys = odeint(f, torch.ones(1, dtype=F64), T, options={"min_step": 0.1})
    assert not rejected
    assert not torch.allclose(ys[-1], torch.exp(torch.tensor(-50.0, dtype=F64)), rtol=0.1)


def test_controller_options_reach_the_controller():
    solver = SOLVERS["dopri5"](decay, torch.ones(1), 1e-3, 1e-6, safety=0.7, ifactor=4.0, dfactor=0.5)
    assert (solver.controller.safety, solver.controller.max_factor, solver.controller.min_factor) == (0.7, 4.0, 0.5)


def test_steps_end_on_step_t_and_jump_t():
    starts = []

    def f(t, y):
        return torch.where(t < 0.5, -y, y)

    f.callback_accept_step = lambda t0, y0, dt: starts.append(float(t0))
    options = {"jump_t": torch.tensor([0.5]), "step_t": torch.tensor([0.25, 3.0])}
    ys = odeint(f, torch.ones(1, dtype=F64), T, options=options)
    assert 0.25 in starts
    assert any(abs(start - 0.5) < 1e-12 for start in starts)
    torch.testing.assert_close(ys[-1], torch.ones(1, dtype=F64), rtol=1e-6, atol=0)
    with pytest.raises(ValueError, match="must not have any repeated elements"):
        odeint(f, torch.ones(1), T, options={"jump_t": torch.tensor([0.5]), "step_t": torch.tensor([0.5])})


def test_too_many_steps_fail_with_an_assertion():
    with pytest.raises(AssertionError, match=r"max_num_steps exceeded \(3>=3\)"):
        odeint(decay, torch.ones(1), torch.tensor([0.0, 100.0]), options={"max_num_steps": 3})


def test_a_singularity_fails_with_an_assertion():
    with pytest.raises(AssertionError, match=r"underflow in dt|non-finite values in state"):
        odeint(lambda t, y: y**2, torch.ones(1, dtype=F64), torch.tensor([0.0, 2.0]))


def test_on_a_grid_a_bad_entry_leaves_the_others_alone():
    y0 = torch.tensor([1.0, float("nan")], dtype=F64)
    ys = odeint(decay, y0, T, method="rk4", options={"step_size": 0.01})
    assert ys[-1, 0] == pytest.approx(math.exp(-1))
    assert torch.isnan(ys[1:, 1]).all()


def test_grid_constructor_gets_the_times_of_each_interval():
    asked = []

    def grid(func, y0, t):
        asked.append(t.tolist())
        return torch.linspace(float(t[0]), float(t[-1]), 11, dtype=t.dtype)

    y0 = torch.tensor(1.0, dtype=F64, requires_grad=True)
    options = {"grid_constructor": grid}
    t = torch.tensor([0.0, 1.0], dtype=F64)
    y1 = odeint_adjoint(lambda t, y: y, y0, t, method="euler", options=options, adjoint_params=())[1]
    y1.backward()
    assert asked == [[0.0, 1.0], [1.0, 0.0]]
    assert y1.item() == pytest.approx(1.1**10)
    assert y0.grad.item() == pytest.approx(1.1**10)


def test_a_grid_with_other_ends_is_refused():
    with pytest.raises(AssertionError, match="the grid must start and end where t does"):
        odeint(decay, torch.ones(1), T, method="euler", options={"grid_constructor": lambda f, y0, t: t[:-1]})
    with pytest.raises(ValueError, match="mutually exclusive"):
        odeint(decay, torch.ones(1), T, method="euler", options={"grid_constructor": lambda *a: T, "step_size": 0.1})


@pytest.mark.parametrize("method", GRID)
@pytest.mark.parametrize("perturb", [True, False])
def test_perturb_avoids_the_ends_of_steps(method, perturb):
    seen = []

    def f(t, y):
        seen.append(t.item())
        return -y

    options = {"step_size": 0.25, "perturb": perturb}
    odeint(f, torch.ones(2), torch.tensor([0.0, 1.0]), method=method, options=options)
    assert (0.0 in seen) != perturb
    assert (0.25 in seen) != perturb
    assert min(seen) >= 0.0
    assert max(seen) <= 1.0


def test_unknown_options_are_warned_about():
    for method, name in (("dopri5", "Dopri5Solver"), ("rk4", "RK4"), ("scipy_solver", "ScipyWrapperODESolver")):
        with pytest.warns(UserWarning, match=f"{name}: Unexpected arguments {{'wrong': 1}}"):
            odeint(decay, torch.ones(1), T, method=method, options={"wrong": 1})


def test_a_solver_of_ones_own_can_be_registered(monkeypatch):
    class TwoHalves(FixedGridODESolver):
        order = 1

        def _step_func(self, func, t0, dt, t1, y0):
            slope = func(t0, y0)
            half = y0 + 0.5 * dt * slope
            return 0.5 * dt * (slope + func(t0 + 0.5 * dt, half)), slope

    monkeypatch.setitem(SOLVERS, "two_halves", TwoHalves)
    ys = odeint(decay, torch.ones(1, dtype=F64), T, method="two_halves", options={"step_size": 0.1})
    assert ys[-1].item() == pytest.approx(0.95**20)


# Errors.


def test_wrong_arguments_are_refused_as_in_torchdiffeq():
    y0 = torch.ones(1)
    with pytest.raises(ValueError, match=r'Invalid method "rk99"\. Must be one of {"dopri8", "dopri5"'):
        odeint(decay, y0, T, method="rk99")
    with pytest.raises(AssertionError, match=r"y0 must be either a torch\.Tensor or a tuple"):
        odeint(decay, [1.0], T)
    with pytest.raises(AssertionError, match=r"t must be a torch.Tensor"):
        odeint(decay, y0, [0.0, 1.0])
    with pytest.raises(TypeError, match="`t` must be a floating point Tensor"):
        odeint(decay, y0, torch.tensor([0, 1]))
    with pytest.raises(AssertionError, match="t must be one dimensional"):
        odeint(decay, y0, T[None])
    for t in ([0.0, 0.0, 1.0], [0.0, 1.0, 0.5]):
        with pytest.raises(AssertionError, match="t must be strictly increasing or decreasing"):
            odeint(decay, y0, torch.tensor(t))
    with pytest.raises(AssertionError, match="rtol cannot require gradient"):
        odeint(decay, y0, T, rtol=torch.tensor(1e-3, requires_grad=True))
    with pytest.raises(ValueError, match=r"We require len\(t\) == 2 when in event handling mode, but got len\(t\)=4"):
        odeint(decay, y0, T, event_fn=lambda t, y: y - 1)


@pytest.mark.parametrize("method", IMPLICIT)
def test_implicit_methods_name_the_release_they_wait_for(method):
    with pytest.raises(NotImplementedError, match=f"'{method}' needs an implicit solver.*stiff"):
        odeint(decay, torch.ones(1), T, method=method)


def test_adjoint_arguments_are_refused_as_in_torchdiffeq():
    with pytest.raises(ValueError, match=r"func must be an instance of nn\.Module"):
        odeint_adjoint(decay, torch.ones(1), T)
    with pytest.raises(ValueError, match="If `adjoint_method != method`"):
        odeint_adjoint(Rotation(), torch.ones(2), T, method="rk4", options={"step_size": 0.1}, adjoint_method="dopri5")


def test_all_names_are_there():
    assert set(SOLVERS) == {*ADAPTIVE, *GRID, *IMPLICIT, "scipy_solver"}
    assert set(face.__all__) <= set(dir(face))
    assert face.__version__


# Callbacks.


@pytest.mark.parametrize("method", [*ADAPTIVE, "rk4", "explicit_adams"])
def test_callbacks_see_every_step(method):
    counts = {"step": 0, "accept_step": 0, "reject_step": 0}
    rotation = Rotation(torch.float32)

    def counter(name):
        def callback(t0, y0, dt):
            assert t0.dim() == dt.dim() == 0
            assert y0.shape == (2,)
            assert dt > 0
            counts[name] += 1

        return callback

    grid = method in GRID
    for name in ["step"] if grid else counts:
        setattr(rotation, f"callback_{name}", counter(name))
    options = {"step_size": 0.1} if grid else {}
    odeint(rotation, torch.tensor([1.0, 2.0]), T.flip(0), method=method, options=options, rtol=1e-4, atol=1e-5)
    assert counts["step"] == 10 if grid else counts["accept_step"] + counts["reject_step"] > 0


@pytest.mark.parametrize("method", ["dopri5", "bosh3", "euler"])
def test_adjoint_callbacks_see_the_backward_steps(method):
    counts = {"step": 0, "accept_step": 0, "reject_step": 0}
    rotation = Rotation(torch.float32)

    def counter(name):
        def callback(t0, y0, dt):
            assert isinstance(y0, tuple)
            counts[name] += 1

        return callback

    for name in ["step"] if method == "euler" else counts:
        setattr(rotation, f"callback_{name}_adjoint", counter(name))
    options = {"step_size": 0.1} if method == "euler" else None
    t = torch.tensor([0.0, 1.0])
    ys = odeint_adjoint(rotation, torch.ones(2), t, method=method, options=options, rtol=1e-4, atol=1e-5)
    assert counts["step"] == 0
    ys.sum().backward()
    if method == "euler":
        assert counts["step"] == 10
    else:
        assert counts["step"] == counts["accept_step"] + counts["reject_step"] > 0


def test_tuple_states_reach_callbacks_as_tuples():
    shapes = []

    def f(t, y):
        return y[0], -y[1]

    f.callback_step = lambda t0, y0, dt: shapes.append(tuple(part.shape for part in y0))
    odeint(f, (torch.ones(()), torch.ones(2, 2)), T)
    assert set(shapes) == {((), (2, 2))}


def test_callbacks_that_a_method_does_not_call_are_warned_about():
    for method, name in (("euler", "callback_accept_step"), ("scipy_solver", "callback_step")):
        rotation = Rotation(torch.float32)
        setattr(rotation, name, lambda t0, y0, dt: None)
        with pytest.warns(UserWarning, match=f"Solver '{method}' does not support callbacks"):
            odeint(rotation, torch.ones(2), T, method=method)


# Norms.


def test_norm_gets_the_state_in_the_users_structure():
    shapes = set()

    def norm(state):
        parts = state if isinstance(state, tuple) else (state,)
        shapes.add((type(state), *(part.shape for part in parts)))
        return torch.stack([part.abs().max() for part in parts]).max()

    for y0 in (torch.ones(()), torch.ones(2, 2)):
        odeint(decay, y0, T, options={"norm": norm})
    odeint(lambda t, y: (y[0], y[1]), (torch.ones(()), torch.ones(2, 2)), T, options={"norm": norm})
    assert shapes == {(torch.Tensor, ()), (torch.Tensor, (2, 2)), (tuple, (), (2, 2))}


@pytest.mark.parametrize("tupled", [False, True])
@pytest.mark.parametrize("kind", ["default", "seminorm", "own"])
def test_adjoint_norm_gets_the_augmented_state(tupled, kind):
    params = (torch.rand(7, requires_grad=True), torch.rand((), requires_grad=True))
    seen = set()

    def own(parts):
        assert isinstance(parts, tuple)
        seen.add(tuple(part.shape for part in parts))
        return torch.stack([part.abs().max() for part in parts]).max()

    norm = {"default": {}, "seminorm": {"norm": "seminorm"}, "own": {"norm": own}}[kind]
    y0 = (torch.ones(()), torch.ones(2, 2)) if tupled else torch.ones(2, 2)
    f = (lambda t, y: tuple(y)) if tupled else (lambda t, y: y)
    ys = odeint_adjoint(f, y0, torch.tensor([0.0, 1.0]), adjoint_params=params, adjoint_options=norm)
    first = ys[0] if tupled else ys
    node = first.grad_fn.next_functions[0][0].next_functions[0][0] if tupled else first.grad_fn
    if kind != "own":
        inner = node.adjoint_options["norm"]

        def spy(parts):
            seen.add(tuple(part.shape for part in parts))
            t, y, adj_y, *rest = parts
            sizes = [t.abs(), *(part.square().mean().sqrt() for part in rest if kind == "default")]
            pieces = [y[:1], y[1:], adj_y[:1], adj_y[1:]] if tupled else [y, adj_y]
            sizes += [piece.square().mean().sqrt() for piece in pieces]
            torch.testing.assert_close(inner(parts), torch.stack(sizes).max())
            return inner(parts)

        node.adjoint_options["norm"] = spy
    first.sum().backward()
    state = ([(), (2, 2)] if kind == "own" else [(5,)]) if tupled else [(2, 2)]
    assert seen == {((), *state, *state, (7,), ())}


def test_seminorm_saves_evaluations():
    calls = []
    for norm in ({}, {"norm": "seminorm"}):
        torch.manual_seed(0)
        net = torch.nn.Sequential(torch.nn.Linear(2, 64), torch.nn.Tanh(), torch.nn.Linear(64, 2)).to(F64)
        count = [0]

        class Net(torch.nn.Module):
            def __init__(self, net=net, count=count):
                super().__init__()
                self.net, self.count = net, count

            def forward(self, t, y):
                self.count[0] += 1
                return self.net(y)

        ys = odeint_adjoint(Net(), torch.ones(2, dtype=F64), T, adjoint_options=norm)
        count[0] = 0
        ys.sum().backward()
        calls.append(count[0])
    assert calls[1] <= calls[0]


def test_parameters_without_gradient_are_left_out_with_a_warning():
    rotation = Rotation()
    rotation.frozen = torch.nn.Parameter(torch.ones(3), requires_grad=False)
    seen = []

    def norm(parts):
        seen.append(len(parts))
        return parts[1].abs().max()

    with pytest.warns(UserWarning, match="An adjoint parameter was passed without requiring gradient"):
        ys = odeint_adjoint(rotation, torch.ones(2, dtype=F64), T, adjoint_options={"norm": norm})
    ys.sum().backward()
    assert set(seen) == {4}


# Gradients.


@pytest.mark.parametrize("method", [*ADAPTIVE, *GRID])
@pytest.mark.parametrize("reverse", [False, True])
def test_odeint_is_differentiable_in_state_and_times(method, reverse):
    y0 = torch.tensor([1.0, 0.5], dtype=F64, requires_grad=True)
    t = torch.tensor([0.0, 0.4, 0.5], dtype=F64)
    t = (t.flip(0) if reverse else t).requires_grad_()
    f = Rotation()

    def run(y0, t):
        # Central differences see the error of an adaptive solve, which a second-order pair makes large.
        tolerances = {"rtol": 1e-7, "atol": 1e-9} if method == "fehlberg2" else loose(method)
        return odeint(f, y0, t, method=method, **tolerances)

    # Adams methods take the gradient of the continuous solution, and this grid is coarse.
    torch.autograd.gradcheck(run, (y0, t), atol=1e-3 if "adams" in method else 1e-4, rtol=1e-3)


@pytest.mark.parametrize("interp", ["linear", "cubic"])
def test_on_a_grid_the_gradient_is_that_of_the_discrete_solution(interp):
    y0 = torch.tensor([1.0, 0.5], dtype=F64, requires_grad=True)
    t = torch.tensor([0.0, 0.45, 1.0], dtype=F64, requires_grad=True)
    f = Rotation()
    options = {"step_size": 0.3, "interp": interp}
    torch.autograd.gradcheck(lambda y0, t: odeint(f, y0, t, method="heun2", options=options), (y0, t))


@pytest.mark.parametrize("shape", [(), (2,)])
@pytest.mark.parametrize("method", ["rk4", "dopri5"])
def test_times_are_differentiated_for_every_dtype_and_shape(shape, method):
    y0 = torch.ones(shape, requires_grad=True)
    t = torch.tensor([0.0, 0.5, 1.0], dtype=F64, requires_grad=True)
    odeint(decay, y0, t, method=method, rtol=1e-5, atol=1e-6).sum().backward()
    assert t.grad[-1].item() == pytest.approx(-math.exp(-1) * y0.numel(), rel=0.02)


@pytest.mark.parametrize("method", ["dopri5", "bosh3", "rk4", "scipy_solver"])
def test_adjoint_gradients_equal_those_through_the_solver(method):
    def grads(interface, method, **tolerances):
        f = Rotation()
        y0 = torch.tensor([1.0, 0.5], dtype=F64, requires_grad=True)
        t = T.clone().requires_grad_()
        options = {"step_size": 0.01} if method == "rk4" else None
        ys = interface(f, y0, t, method=method, options=options, **tolerances)
        (ys * torch.linspace(1, 2, ys.numel(), dtype=F64).view_as(ys)).sum().backward()
        return y0.grad, t.grad, f.rate.grad

    wanted = grads(odeint, "dopri5", rtol=1e-10, atol=1e-12)
    for one, other in zip(grads(odeint_adjoint, method, rtol=1e-7, atol=1e-9), wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_adjoint_of_a_tuple_equals_that_of_a_tensor():
    rotation = Rotation()

    def as_tuple(t, y):
        slope = rotation(t, torch.cat(y))
        return slope[:1], slope[1:]

    start = torch.tensor([1.0, 0.5], dtype=F64)
    grads = []
    for f, y0 in ((rotation, (start,)), (as_tuple, (start[:1], start[1:]))):
        y0 = tuple(part.clone().requires_grad_() for part in y0)
        state = y0[0] if f is rotation else y0
        ys = odeint_adjoint(f, state, T, adjoint_params=(rotation.rate,))
        rotation.zero_grad()
        (ys if f is rotation else torch.cat(ys, dim=-1)).square().sum().backward()
        grads.append((torch.cat([part.grad for part in y0]), rotation.rate.grad.clone()))
    for one, other in zip(*grads, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-7)


def test_adjoint_of_a_constant_derivative_is_zero_for_its_parameters():
    param = torch.ones(2, requires_grad=True)
    y0 = torch.ones(2, requires_grad=True)
    odeint_adjoint(lambda t, y: torch.ones_like(y), y0, T, adjoint_params=(param,)).sum().backward()
    assert torch.equal(param.grad, torch.zeros(2))
    torch.testing.assert_close(y0.grad, torch.full((2,), 4.0))


def test_gradients_of_gradients_pass_through_odeint():
    y0 = torch.tensor([1.0, 0.5], dtype=F64, requires_grad=True)
    torch.autograd.gradgradcheck(lambda y0: odeint(lambda t, y: -(y**2), y0, T, method="rk4"), (y0,))


def test_vmap_maps_the_face():
    y0 = torch.rand(3, 2, dtype=F64)
    mapped = torch.func.vmap(lambda y: odeint(turn, y, T))(y0)
    for row, start in zip(mapped, y0, strict=True):
        torch.testing.assert_close(row, odeint(turn, start, T), rtol=1e-6, atol=1e-7)


# Events.


@pytest.mark.parametrize("method", [*ADAPTIVE, *GRID])
@pytest.mark.parametrize("reverse", [False, True])
def test_events_end_the_solve(method, reverse):
    y0 = torch.tensor([0.0, 1.0], dtype=F64)
    t = torch.tensor([0.0, -1.0 if reverse else 1.0], dtype=F64)
    options = {"step_size": 0.01, "interp": "cubic"} if method in GRID else {}
    sign = -1.0 if reverse else 1.0
    event_t, ys = odeint(
        turn, y0, t, method=method, options=options, event_fn=lambda t, y: y[0] - sign * 0.5, **loose(method)
    )
    assert ys.shape == (2, 2)
    tolerance = 1e-2 if method == "euler" else 1e-4
    assert event_t.item() == pytest.approx(sign * math.pi / 6, rel=tolerance)
    assert ys[1, 0].item() == pytest.approx(sign * 0.5, rel=1e-6)
    assert torch.equal(ys[0], y0)


def test_the_first_entry_of_an_event_that_crosses_wins():
    y0 = torch.tensor([0.0, 1.0], dtype=F64)
    event_t, _ = odeint(turn, y0, T[:2], event_fn=lambda t, y: torch.stack([y[0] - 0.9, 0.8 - y[1], y[0] + 5]))
    assert event_t.item() == pytest.approx(math.acos(0.8))


def test_an_event_at_the_start_ends_at_once():
    y0 = torch.tensor([0.0, 1.0], dtype=F64)
    for method, options in (("dopri5", None), ("rk4", {"step_size": 0.1})):
        event_t, ys = odeint(turn, y0, T[:2], method=method, options=options, event_fn=lambda t, y: y[0])
        assert event_t == 0
        assert torch.equal(ys, torch.stack([y0, y0]))


def test_an_event_on_a_grid_needs_its_step_size():
    with pytest.raises(AssertionError, match="requires `step_size`"):
        odeint(decay, torch.ones(1), T[:2], method="rk4", event_fn=lambda t, y: y - 0.5)
    with pytest.raises(NotImplementedError, match="scipy_solver has no event handling"):
        odeint(decay, torch.ones(1), T[:2], method="scipy_solver", event_fn=lambda t, y: y - 0.5)


def test_an_event_that_never_comes_is_named(monkeypatch):
    monkeypatch.setattr("kutta.compat.torchdiffeq.fixed_grid.MAX_EVENT_STEPS", 50)
    with pytest.raises(RuntimeError, match="the event did not happen before"):
        odeint(lambda t, y: torch.ones_like(y), torch.ones(1), T[:2], event_fn=lambda t, y: y + 1)
    with pytest.raises(RuntimeError, match="Reached maximum number of iterations 50"):
        odeint(
            lambda t, y: y,
            torch.zeros(1),
            T[:2],
            method="euler",
            options={"step_size": 1.0},
            event_fn=lambda t, y: y + 1,
        )


@pytest.mark.parametrize("interface", [odeint, odeint_adjoint])
@pytest.mark.parametrize("reverse_time", [False, True])
def test_event_times_are_differentiable(interface, reverse_time):
    sign = -1.0 if reverse_time else 1.0
    params = {"adjoint_params": ()} if interface is odeint_adjoint else {}

    def run(y0, t0):
        event_t, ys = odeint_event(
            lambda t, y: -sign * y * (1 + 0.1 * t),
            y0,
            t0,
            event_fn=lambda t, y: y[0] - 0.5 + 0.1 * t,
            reverse_time=reverse_time,
            odeint_interface=interface,
            rtol=1e-10,
            atol=1e-12,
            **params,
        )
        return event_t, ys[-1]

    y0 = torch.tensor([1.0, 2.0], dtype=F64, requires_grad=True)
    t0 = torch.tensor(0.1, dtype=F64, requires_grad=True)
    torch.autograd.gradcheck(run, (y0, t0), atol=1e-6)


def test_event_gradients_reach_parameters_and_tuples():
    gravity = torch.tensor(9.81, dtype=F64, requires_grad=True)
    height = torch.tensor(2.0, dtype=F64, requires_grad=True)
    y0 = (height, torch.zeros((), dtype=F64))
    event_t, (heights, speeds) = odeint_event(
        lambda t, y: (y[1], -gravity), y0, torch.tensor(0.0), event_fn=lambda t, y: y[0]
    )
    fall = math.sqrt(2 * 2.0 / 9.81)
    assert event_t.item() == pytest.approx(fall, rel=1e-6)
    assert speeds[-1].item() == pytest.approx(-9.81 * fall, rel=1e-6)
    assert abs(heights[-1].item()) < 1e-6
    to_gravity, to_height = torch.autograd.grad(event_t, (gravity, height))
    assert to_gravity.item() == pytest.approx(-fall / (2 * 9.81), rel=1e-5)
    assert to_height.item() == pytest.approx(fall / 4, rel=1e-5)


# The rest.


def test_dense_output_is_a_function_of_time():
    y0 = torch.tensor([0.0, 1.0], dtype=F64)
    solution = odeint_dense(turn, y0, torch.tensor(0.0, dtype=F64), torch.tensor(2.0, dtype=F64))
    times = torch.linspace(0, 2, 7, dtype=F64)
    torch.testing.assert_close(solution(times)[:, 0], torch.sin(times), rtol=0, atol=1e-6)
    assert solution(torch.tensor(0.5)).shape == (2,)
    first, second = odeint_dense(lambda t, y: (y[1], -y[0]), (y0[0], y0[1:]), 0.0, 2.0)(1.0)
    assert first.item() == pytest.approx(math.sin(1), abs=1e-6)
    assert second.shape == (1,)
    with pytest.raises(ValueError, match="needs an adaptive method"):
        odeint_dense(turn, y0, 0.0, 1.0, method="rk4")


@pytest.mark.parametrize("solver", ["RK45", "DOP853", "Radau", "LSODA"])
def test_scipys_methods_are_at_hand(solver):
    y0 = torch.ones(2, 2)
    for t in (T, T.flip(0)):
        ys = odeint(decay, y0, t, method="scipy_solver", options={"solver": solver}, rtol=1e-6, atol=1e-8)
        assert ys.dtype == torch.float32
        torch.testing.assert_close(ys, (torch.exp(t[0] - t).float())[:, None, None].expand(4, 2, 2))


def test_dopri8_reaches_tight_tolerances():
    ys = odeint(turn, torch.tensor([0.0, 1.0], dtype=F64), T, method="dopri8", rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(ys[:, 0].numpy(), np.sin(T.numpy()), atol=1e-12)


def test_max_order_sets_the_order_of_adams_methods():
    errors = []
    for order in (2, 4):
        options = {"step_size": 0.05, "max_order": order}
        ys = odeint(turn, torch.tensor([0.0, 1.0], dtype=F64), T, method="explicit_adams", options=options)
        errors.append(float((ys[-1, 0] - math.sin(1)).abs()))
    assert errors[1] < errors[0] / 10


def test_nothing_is_warned_about_without_reason():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for method in (*ADAPTIVE, *GRID, "scipy_solver"):
            ys = odeint_adjoint(Rotation(), torch.ones(2, dtype=F64), T, method=method, rtol=1e-3, atol=1e-4)
            ys.sum().backward()
