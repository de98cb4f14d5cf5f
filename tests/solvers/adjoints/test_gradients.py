"""Gradients of every adjoint against central differences in float64."""

import pytest
import torch
from torch.autograd import forward_ad

import kutta as kt
from tests._helpers import F64, TIGHT, Decay, difference, gradient, relative_error, swing, tensor, turn

# The continuous adjoints are as good as their backward solve; the discrete ones differentiate the
# numerical solution itself, which tight tolerances bring near the exact one.
ADJOINTS = [
    kt.Direct(),
    kt.Recompute(),
    kt.Backsolve(),
    kt.Interpolating(),
    kt.Gauss(),
]
DISCRETE = ADJOINTS[:2]
Y0 = tensor(1.0, 0.2)
SAVE = tensor(0.0, 0.4, 1.1, 1.7, 2.0)
WEIGHTS = torch.linspace(-1.0, 2.0, 10, dtype=F64).view(5, 2)

each_adjoint = pytest.mark.parametrize("adjoint", ADJOINTS, ids=repr)


def net():
    torch.manual_seed(3)
    model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Tanh(), torch.nn.Linear(3, 2)).to(F64)
    return model


def loss_of(adjoint, y0=Y0, pull=None, t0=0.0, t1=2.0, save=None, method=None, **options):
    args = () if pull is None else (pull,)
    problem = kt.ODEProblem(swing, y0, (t0, t1), args)
    options = {"method": method or kt.Dopri8(), "adjoint": adjoint, **TIGHT, **options}
    sol = kt.solve(problem, save_at=save, **options)
    if save is None:
        return (sol.y1**2 * tensor(1.0, 3.0)).sum()
    return (sol.ys**2 * WEIGHTS).sum() + sol.y1.sin().sum()


def check(loss, x, what, adjoint):
    error = relative_error(gradient(loss, x), difference(loss, x))
    print(f"{what:12s} {adjoint}: relative error {error:.1e}")
    assert error < 1e-6


@each_adjoint
def test_to_the_initial_state(adjoint):
    check(lambda y0: loss_of(adjoint, y0=y0), Y0, "y0", adjoint)


@each_adjoint
def test_to_the_initial_state_through_outputs(adjoint):
    check(lambda y0: loss_of(adjoint, y0=y0, save=SAVE), Y0, "y0, outputs", adjoint)


@each_adjoint
def test_to_the_arguments(adjoint):
    check(lambda pull: loss_of(adjoint, pull=pull, save=SAVE), torch.tensor(1.3, dtype=F64), "args", adjoint)


@pytest.mark.parametrize("adjoint", [kt.Backsolve(seminorm=False), kt.Interpolating(seminorm=False)], ids=repr)
def test_to_the_arguments_with_the_full_norm(adjoint):
    check(lambda pull: loss_of(adjoint, pull=pull, save=SAVE), torch.tensor(1.3, dtype=F64), "args", adjoint)


@each_adjoint
def test_to_the_initial_time(adjoint):
    check(lambda t0: loss_of(adjoint, t0=t0), torch.tensor(0.3, dtype=F64), "t0", adjoint)


@each_adjoint
def test_to_the_final_time(adjoint):
    check(lambda t1: loss_of(adjoint, t1=t1), torch.tensor(1.7, dtype=F64), "t1", adjoint)


@each_adjoint
def test_to_the_save_times(adjoint):
    inner = tensor(0.3, 0.4, 1.1, 1.7, 1.9)
    check(lambda ts: loss_of(adjoint, save=ts), inner, "save times", adjoint)


@each_adjoint
def test_to_everything_when_time_runs_backwards(adjoint):
    def loss(x):
        return loss_of(adjoint, y0=x[:2], pull=x[2], t0=x[3], t1=x[4])

    check(loss, tensor(1.0, 0.2, 1.3, 2.0, 0.3), "backwards", adjoint)


@each_adjoint
def test_to_the_parameters_of_a_module(adjoint):
    model = net()
    save = tensor(0.5, 1.0)

    def loss():
        problem = kt.ODEProblem(lambda t, y: model(y) - y * t, Y0, (0.0, 1.0))
        return (kt.solve(problem, kt.Dopri8(), adjoint=adjoint, save_at=save, **TIGHT).ys ** 2).sum()

    grads = torch.cat([g.reshape(-1) for g in torch.autograd.grad(loss(), list(model.parameters()))])
    theta = torch.nn.utils.parameters_to_vector(model.parameters()).detach()
    direction = torch.sin(torch.arange(1, len(theta) + 1, dtype=F64))

    def along(x):
        torch.nn.utils.vector_to_parameters(theta + x * direction, model.parameters())
        return loss()

    slope = difference(along, torch.zeros((), dtype=F64))
    assert relative_error(grads @ direction, slope) < 1e-6


@each_adjoint
def test_to_a_module_given_as_the_right_hand_side(adjoint):
    field = Decay(0.7)
    kt.solve(kt.ODEProblem(field, tensor(2.0), (0.0, 1.0)), adjoint=adjoint, **TIGHT).y1.sum().backward()
    assert abs(float(field.rate.grad) + 2.0 * float(torch.exp(tensor(-0.7)))) < 1e-8


@each_adjoint
def test_of_a_pytree_state(adjoint):
    def f(t, state):
        return {"angle": state["speed"], "speed": -torch.sin(state["angle"]) * (1 + 0.1 * t)}

    def loss(x):
        state = {"angle": x[0], "speed": x[1]}
        sol = kt.solve(kt.ODEProblem(f, state, (0.0, 1.5)), kt.Dopri8(), adjoint=adjoint, save_at=[0.5, 1.5], **TIGHT)
        return (sol.ys["angle"] ** 2).sum() + sol.ys["speed"].sum()

    check(loss, tensor(0.8, -0.3), "pytree", adjoint)


@each_adjoint
def test_of_a_complex_state(adjoint):
    def loss(x):
        z0 = torch.complex(x[0], x[1]).reshape(1)
        sol = kt.solve(
            kt.ODEProblem(lambda t, z, w: 1j * w * z - 0.1 * z * z.abs() ** 2, z0, (0.0, 1.5), (x[2],)),
            kt.Dopri8(),
            adjoint=adjoint,
            **TIGHT,
        )
        return (sol.y1.real + 2 * sol.y1.imag**2).sum()

    check(loss, tensor(0.8, -0.3, 1.2), "complex", adjoint)


@pytest.mark.parametrize("adjoint", ADJOINTS, ids=repr)
def test_to_parameters_of_another_dtype(adjoint):
    rate = torch.tensor(0.7, requires_grad=True)
    problem = kt.ODEProblem(lambda t, y, a: -a.to(F64) * y, tensor(2.0), (0.0, 1.0), (rate,))
    kt.solve(problem, adjoint=adjoint, **TIGHT).y1.sum().backward()
    assert rate.grad.dtype == torch.float32
    assert abs(float(rate.grad) + 2.0 * float(torch.exp(-rate.detach()))) < 1e-6


@each_adjoint
@pytest.mark.parametrize("method", [kt.RK4(), kt.Bosh3(), kt.AdamsBashforth(3)], ids=lambda m: type(m).__name__)
def test_with_fixed_steps_it_converges_to_the_gradient(adjoint, method):
    reference = gradient(lambda y0: loss_of(kt.Direct(), y0=y0, save=SAVE), Y0)
    got = gradient(
        lambda y0: kt_loss_fixed(adjoint, y0, method),
        Y0,
    )
    assert relative_error(got, reference) < 3e-4


def kt_loss_fixed(adjoint, y0, method):
    problem = kt.ODEProblem(swing, y0, (0.0, 2.0))
    sol = kt.solve(problem, method, controller=kt.Fixed(0.02), adjoint=adjoint, save_at=SAVE)
    return (sol.ys**2 * WEIGHTS).sum() + sol.y1.sin().sum()


@each_adjoint
def test_with_jumps_of_the_right_hand_side(adjoint):
    def f(t, y, a):
        return torch.where(t < 0.7, a, -2 * a) * y + 0.1 * torch.sin(t)

    def loss(a):
        controller = kt.PID(jump_ts=[0.7])
        sol = kt.solve(kt.ODEProblem(f, tensor(1.0), (0.0, 1.5), (a,)), controller=controller, adjoint=adjoint, **TIGHT)
        return sol.y1.sum()

    check(loss, tensor(0.9), "jump", adjoint)


def fall(t, y):
    return torch.stack([y[1], -9.81 - 0.1 * y[1]])


def bounce(t, y):
    return torch.stack([torch.zeros_like(y[0]), -0.9 * y[1]])


ZERO = kt.Event(lambda t, y: y[0])
FLOOR = kt.Event(lambda t, y: y[0], change=bounce, direction=-1)
LANDING = kt.Event(lambda t, y: y[0] - 0.05 * torch.sin(t), direction=-1)


@pytest.mark.parametrize("adjoint", ADJOINTS[1:], ids=repr)
def test_to_arguments_that_are_computed_from_a_leaf(adjoint):
    def loss(x):
        rates = torch.exp(x)
        problem = kt.ODEProblem(lambda t, y, a, b: -a * y + b, Y0, (0.0, 1.0), (rates[0], rates[1] * 2))
        return (kt.solve(problem, kt.Dopri8(), adjoint=adjoint, **TIGHT).y1 ** 2).sum()

    check(loss, tensor(0.3, -0.4), "computed args", adjoint)


@pytest.mark.parametrize("adjoint", ADJOINTS[1:], ids=repr)
@pytest.mark.parametrize("outside", [torch.exp, lambda leaf: leaf + 0.2], ids=["exp", "sum"])
def test_to_what_the_right_hand_side_holds_beside_its_leaf(adjoint, outside):
    """What was computed before the solve hands its gradient on, once, however often it is used."""
    leaf = torch.tensor(0.5, dtype=F64, requires_grad=True)

    def gradient_by(adjoint):
        rate = outside(leaf)
        drive = rate * rate
        problem = kt.ODEProblem(lambda t, y: drive - rate * y + leaf * y.sin(), Y0, (0.0, 1.0))
        y1 = kt.solve(problem, kt.Tsit5(), adjoint=adjoint, rtol=1e-9, atol=1e-9).y1
        return float(torch.autograd.grad(y1.square().sum(), leaf)[0])

    assert gradient_by(adjoint) == pytest.approx(gradient_by(kt.Direct()), rel=1e-7)


@each_adjoint
@pytest.mark.parametrize("method", [kt.Tsit5(), kt.Bosh3(), kt.Vern7()], ids=lambda m: type(m).__name__)
def test_of_an_event_whatever_the_interpolant(adjoint, method):
    tolerance = {"rtol": 1e-9, "atol": 1e-9}

    def loss(x):
        sol = kt.solve(kt.ODEProblem(turn, x, (0.0, 5.0)), method, events=[ZERO], adjoint=adjoint, **tolerance)
        return sol.t1 + sol.y1[1]

    # With y = (r cos(t + a), -r sin(t + a)): t1 = pi / 2 - a and y1 = (0, -r).
    x, y = 1.0, -0.5
    wanted = tensor(-y / 1.25 - x / 1.25**0.5, x / 1.25 - y / 1.25**0.5)
    assert relative_error(gradient(loss, tensor(x, y)), wanted) < 1e-5


@each_adjoint
def test_of_the_time_and_state_of_a_terminal_event(adjoint):
    def loss(x):
        sol = kt.solve(kt.ODEProblem(fall, x, (0.0, 5.0)), kt.Dopri8(), events=[LANDING], adjoint=adjoint, **TIGHT)
        assert sol.result is kt.Result.EVENT
        return sol.t1 + sol.events[0].t ** 2 + 0.3 * sol.y1[1]

    check(loss, tensor(1.0, 0.5), "event", adjoint)


@each_adjoint
def test_through_a_ball_that_bounces(adjoint):
    def loss(x):
        problem = kt.ODEProblem(fall, x, (0.0, 1.7))
        sol = kt.solve(problem, kt.Dopri8(), events=[FLOOR], adjoint=adjoint, save_at=[0.2, 0.8, 1.6], **TIGHT)
        assert len(sol.events) >= 2
        return (sol.ys**2).sum() + sol.y1[1] + sum(record.t for record in sol.events)

    check(loss, tensor(1.0, 0.5), "bounces", adjoint)


@each_adjoint
def test_of_an_event_to_the_arguments_of_its_condition(adjoint):
    height = kt.Event(lambda t, y, level: y[0] - level)

    def loss(level):
        problem = kt.ODEProblem(lambda t, y, level: fall(t, y), tensor(1.0, 0.0), (0.0, 5.0), (level,))
        sol = kt.solve(problem, kt.Dopri8(), events=[height], adjoint=adjoint, **TIGHT)
        return sol.t1 + sol.y1[1]

    check(loss, torch.tensor(0.25, dtype=F64), "level", adjoint)


# Ensembles.

START = torch.tensor([[1.0, 0.2], [0.3, -0.5], [2.0, 0.0]], dtype=F64)
PULLS = tensor(0.8, 1.0, 1.7)


def ensemble_loss(adjoint, y0=START, pulls=PULLS, t0=0.0, t1=2.0, save=None, events=()):
    problem = kt.EnsembleProblem(swing, y0, (t0, t1), (pulls,))
    sol = kt.solve(problem, kt.Dopri8(), adjoint=adjoint, save_at=save, events=events, **TIGHT)
    ys = sol.y1 if save is None else sol.ys
    return (ys**2).sum() + sol.y1[1].sin().sum()


@pytest.mark.parametrize("adjoint", DISCRETE, ids=repr)
@pytest.mark.parametrize(
    "what, x, change",
    [
        ("y0", START, lambda x: {"y0": x}),
        ("args", PULLS, lambda x: {"pulls": x, "save": tensor(0.0, 0.5, 2.0)}),
        ("t0", torch.tensor(0.3, dtype=F64), lambda x: {"t0": x}),
        ("t1 of each", tensor(1.0, 1.5, 2.0), lambda x: {"t1": x}),
        ("save times", tensor(0.5, 1.1, 1.9), lambda x: {"save": x}),
        ("save times of each", torch.tensor([[0.5, 0.6, 0.7], [1.1, 1.2, 1.9]], dtype=F64), lambda x: {"save": x}),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_of_ensembles(adjoint, what, x, change):
    check(lambda value: ensemble_loss(adjoint, **change(value)), x, f"ensemble, {what}", adjoint)


@pytest.mark.parametrize("adjoint", DISCRETE, ids=repr)
@pytest.mark.parametrize("event", [FLOOR, LANDING], ids=["bounce", "landing"])
def test_of_events_in_ensembles(adjoint, event):
    def loss(x):
        problem = kt.EnsembleProblem(fall, x, (0.0, 1.3))
        sol = kt.solve(problem, kt.Dopri8(), events=[event], adjoint=adjoint, **TIGHT)
        return (sol.y1**2).sum() + sum((record.t**2).sum() for record in sol.events) + sol.t1.sum()

    check(loss, torch.tensor([[1.0, 0.0], [0.7, 0.5], [30.0, 0.0]], dtype=F64), "ensemble events", adjoint)


# Higher derivatives and functional transformations.


def solved(y0, pull=None, **options):
    options = {"controller": kt.Fixed(0.1)} | options
    args = () if pull is None else (pull,)
    return kt.solve(kt.ODEProblem(swing, y0, (0.0, 1.0), args), kt.RK4(), **options).y1


def test_direct_with_fixed_steps_passes_gradgradcheck():
    x = tensor(1.0, 0.2).requires_grad_()
    pull = torch.tensor(1.3, dtype=F64, requires_grad=True)
    assert torch.autograd.gradgradcheck(solved, (x, pull))


def test_second_derivatives_to_times_are_those_of_the_flow():
    def end(t):
        return kt.solve(kt.ODEProblem(turn, tensor(1.0, 0.0), (0.0, t)), kt.Dopri8(), **TIGHT).y1[0]

    t = torch.tensor(0.8, dtype=F64, requires_grad=True)
    (first,) = torch.autograd.grad(end(t), t, create_graph=True)
    (second,) = torch.autograd.grad(first, t)
    t, first = t.detach(), first.detach()
    assert abs(float(first) + float(torch.sin(t))) < 1e-9
    assert abs(float(second) + float(torch.cos(t))) < 1e-9


def test_hessian_with_adaptive_steps():
    def loss(y0):
        return loss_of(kt.Direct(), y0=y0)

    got = torch.autograd.functional.hessian(loss, Y0)
    wanted = torch.stack([difference(lambda y, i=i: gradient(loss, y)[i], Y0, 1e-4) for i in range(2)])
    assert relative_error(got, wanted) < 1e-6


JACOBIAN = {
    "jacrev": torch.func.jacrev,
    "jacfwd": torch.func.jacfwd,
}


@pytest.mark.parametrize("transform", JACOBIAN)
@pytest.mark.parametrize("adaptive", [False, True])
def test_jacobians(transform, adaptive):
    def end(y0):
        if not adaptive:
            return solved(y0)
        return kt.solve(kt.ODEProblem(swing, y0, (0.0, 2.0)), kt.Dopri8(), **TIGHT).y1

    wanted = torch.stack([difference(lambda y, i=i: end(y)[i], Y0) for i in range(2)])
    assert relative_error(JACOBIAN[transform](end)(Y0), wanted) < 1e-8


def test_jvp_is_the_directional_derivative():
    direction = tensor(0.3, -0.7)
    value, tangent = torch.func.jvp(solved, (Y0,), (direction,))
    assert torch.equal(value, solved(Y0))
    assert relative_error(tangent, torch.func.jacrev(solved)(Y0) @ direction) < 1e-12


def test_forward_mode_without_functions():
    direction = tensor(0.3, -0.7)
    with forward_ad.dual_level():
        tangent = forward_ad.unpack_dual(solved(forward_ad.make_dual(Y0, direction))).tangent
    assert relative_error(tangent, torch.func.jacrev(solved)(Y0) @ direction) < 1e-12


def test_forward_mode_to_arguments():
    pull = torch.tensor(1.3, dtype=F64)
    _, tangent = torch.func.jvp(lambda p: solved(Y0, p), (pull,), (torch.ones_like(pull),))
    wanted = torch.stack([difference(lambda p, i=i: solved(Y0, p)[i], pull) for i in range(2)])
    assert relative_error(tangent, wanted) < 1e-8


@pytest.mark.parametrize("which", ["t0", "t1", "save"])
def test_forward_mode_to_times(which):
    def end(t):
        span = (t if which == "t0" else 0.1, t if which == "t1" else 1.0)
        save = t.reshape(1) if which == "save" else None
        return kt.solve(kt.ODEProblem(swing, Y0, span), kt.Dopri8(), save_at=save, **TIGHT).ys[-1]

    t = torch.tensor(0.6, dtype=F64)
    _, tangent = torch.func.jvp(end, (t,), (torch.ones_like(t),))
    wanted = torch.stack([difference(lambda p, i=i: end(p)[i], t) for i in range(2)])
    assert relative_error(tangent, wanted) < 1e-6


def test_forward_mode_through_an_event():
    def landing(x):
        return kt.solve(kt.ODEProblem(fall, x, (0.0, 5.0)), kt.Dopri8(), events=[LANDING], **TIGHT).t1

    x = tensor(1.0, 0.5)
    _, tangent = torch.func.jvp(landing, (x,), (tensor(1.0, 0.0),))
    assert abs(float(tangent - difference(landing, x)[0])) < 1e-6


def test_vmap_over_initial_states():
    got = torch.func.vmap(lambda y: kt.solve(kt.ODEProblem(swing, y, (0.0, 2.0)), **TIGHT).y1)(START)
    wanted = torch.stack([kt.solve(kt.ODEProblem(swing, y, (0.0, 2.0)), **TIGHT).y1 for y in START])
    assert relative_error(got, wanted) < 1e-9


def test_vmap_of_gradients():
    def loss(y):
        return (kt.solve(kt.ODEProblem(swing, y, (0.0, 2.0)), **TIGHT).y1 ** 2).sum()

    got = torch.func.vmap(torch.func.grad(loss))(START)
    wanted = torch.stack([gradient(loss, y) for y in START])
    assert relative_error(got, wanted) < 1e-8


@pytest.mark.parametrize("adjoint", ADJOINTS[1:], ids=repr)
def test_transformations_with_another_adjoint_are_refused(adjoint):
    with pytest.raises(NotImplementedError, match="need adjoint=Direct"):
        torch.func.grad(lambda y: kt.solve(kt.ODEProblem(turn, y, (0.0, 1.0)), adjoint=adjoint).y1.sum())(Y0)


@pytest.mark.parametrize("adjoint", ADJOINTS[1:], ids=repr)
def test_double_backward_of_another_adjoint_is_refused(adjoint):
    y0 = Y0.clone().requires_grad_()
    loss = (kt.solve(kt.ODEProblem(swing, y0, (0.0, 1.0)), adjoint=adjoint).y1 ** 2).sum()
    (first,) = torch.autograd.grad(loss, y0, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        first.sum().backward()


@pytest.mark.parametrize("adjoint", ADJOINTS[2:], ids=repr)
def test_continuous_adjoints_refuse_ensembles(adjoint):
    problem = kt.EnsembleProblem(turn, START.clone().requires_grad_(), (0.0, 1.0))
    with pytest.raises(NotImplementedError, match="does not differentiate ensembles"):
        kt.solve(problem, adjoint=adjoint)


def test_solving_without_gradient_leaves_no_tape():
    sol = kt.solve(kt.ODEProblem(turn, Y0, (0.0, 1.0)), save_at=[0.5, 1.0])
    assert not sol.ys.requires_grad and not sol.y1.requires_grad


def test_two_solves_in_a_row_share_a_tape():
    def loss(y0):
        half = kt.solve(kt.ODEProblem(swing, y0, (0.0, 1.0)), kt.Dopri8(), **TIGHT).y1
        return (kt.solve(kt.ODEProblem(swing, half, (1.0, 2.0)), kt.Dopri8(), **TIGHT).y1 ** 2).sum()

    assert relative_error(gradient(loss, Y0), difference(loss, Y0)) < 1e-8
