"""The compiled engine as users call it: one compilation, its values, and what it refuses."""

import warnings

import pytest
import torch
from torch import nn

import kutta as kt
from kutta.solvers.engines.compiled import store
from kutta.solvers.engines.kernel.build import CompilerMissing, compiler

try:
    compiler()
except CompilerMissing:  # pragma: no cover
    pytest.skip("needs a C++ compiler", allow_module_level=True)

COMPILED = kt.Compiled()
F64 = torch.float64


def driven(t, y, rate):
    pull = torch.sin(y[..., 0])
    return torch.stack([y[..., 1], -rate * pull - 0.1 * y[..., 1] + torch.cos(2.0 * t)], dim=-1)


def start(dtype=F64):
    return torch.randn(5, 2, generator=torch.Generator().manual_seed(0), dtype=F64).to(dtype)


def test_one_compilation_serves_other_values_times_and_tolerances():
    known = len(store._functions)

    def both(rate, span, shift, rtol):
        problem = kt.ODEProblem(driven, start() + shift, span, args=(torch.tensor(rate, dtype=F64),))
        ts = torch.linspace(*span, 9, dtype=F64)
        options = {"rtol": rtol, "atol": rtol, "save_at": ts}
        return kt.solve(problem, **options), kt.solve(problem, engine=COMPILED, **options)

    for case in ((1.0, (0.0, 3.0), 0.0, 1e-6), (2.5, (0.0, 3.0), 0.1, 1e-8), (1.0, (2.0, -1.0), 0.0, 1e-4)):
        eager, compiled = both(*case)
        assert compiled.stats.engine == "compiled"
        assert compiled.stats == kt.Stats(**{**vars(eager.stats), "engine": "compiled"})
        torch.testing.assert_close(compiled.ys, eager.ys, rtol=1e-8, atol=1e-8)
        assert torch.equal(compiled.ts, eager.ts)
    assert len(store._functions) == known + 1


def test_a_module_is_trained_through_it():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 2))
    y0, ts = start(torch.float32), torch.tensor([0.4, 1.0])

    def gradients(engine):
        problem = kt.ODEProblem(lambda t, y: net(y) * torch.cos(t), y0, (0.0, 1.0))
        loss = kt.solve(problem, kt.Bosh3(), rtol=1e-3, atol=1e-3, save_at=ts, engine=engine).ys.square().sum()
        return loss.detach(), torch.autograd.grad(loss, tuple(net.parameters()))

    known = len(store._functions)
    for _ in range(2):
        loss, found = gradients(COMPILED)
        expected_loss, expected = gradients(kt.Eager())
        torch.testing.assert_close(loss, expected_loss, rtol=1e-5, atol=1e-6)
        for one, other in zip(found, expected, strict=True):
            torch.testing.assert_close(one, other, rtol=2e-4, atol=1e-5)
        with torch.no_grad():
            for weight in net.parameters():
                weight.mul_(0.9)
    assert len(store._functions) == known + 2


@pytest.mark.slow
def test_a_number_that_changes_is_compiled_anew():
    def decay(rate):
        return kt.ODEProblem(lambda t, y: -rate * y, torch.ones(3, dtype=F64), (0.0, 1.0))

    for rate in (1.0, 2.0, 1.0):
        found = kt.solve(decay(rate), rtol=1e-9, atol=1e-9, engine=COMPILED).y1
        torch.testing.assert_close(found, torch.full((3,), -rate, dtype=F64).exp(), rtol=1e-7, atol=1e-7)


@pytest.mark.slow
@pytest.mark.parametrize("method", [kt.Tsit5(), kt.Dopri8(), kt.RK4(), kt.Vern7()], ids=lambda m: type(m).__name__)
def test_compiled_gradients_are_those_of_the_eager_engine(method):
    def gradients(engine):
        y0, rate = start().requires_grad_(), torch.tensor(1.5, dtype=F64, requires_grad=True)
        problem = kt.ODEProblem(driven, {"a": y0, "b": y0[:2] * 2.0}, (0.0, 2.0), args=(rate,))
        problem = kt.ODEProblem(
            lambda t, y, rate: {"a": driven(t, y["a"], rate), "b": -y["b"]}, problem.y0, problem.t_span, (rate,)
        )
        ts = torch.linspace(0, 2, 41, dtype=F64)
        sol = kt.solve(problem, method, controller=kt.Fixed(0.2), save_at=ts, engine=engine)
        loss = sol.ys["a"].sin().sum() + sol.ys["b"].square().sum()
        return torch.autograd.grad(loss, (y0, rate))

    for one, other in zip(gradients(COMPILED), gradients(kt.Eager()), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-10)


def branch(t, y):
    return -y if float(y.sum()) > 0 else y


def test_what_cannot_be_compiled_runs_in_the_eager_engine():
    problem = kt.ODEProblem(branch, torch.ones(2), (0.0, 1.0))
    with pytest.warns(UserWarning, match=r"(?s)cannot compile f: .* The eager engine solves instead"):
        sol = kt.solve(problem, engine=COMPILED)
    assert sol.stats.engine == "eager"
    with pytest.warns(UserWarning, match="shape"), pytest.raises(ValueError, match="state's shape"):
        kt.solve(kt.ODEProblem(lambda t, y: y[:1], torch.ones(2), (0.0, 1.0)), engine=COMPILED)


def event(t, y):
    return y[0]


@pytest.mark.parametrize(
    ("problem", "options", "why"),
    [
        (kt.EnsembleProblem(driven, torch.ones(2, 2), (0.0, 1.0)), {}, "EnsembleProblem"),
        (kt.ODEProblem(driven, torch.ones(2, dtype=torch.complex64), (0.0, 1.0)), {}, "fixed steps for complex states"),
        (kt.ODEProblem(driven, torch.ones(2, dtype=torch.bfloat16), (0.0, 1.0)), {}, "float32 and float64"),
        (None, {"method": kt.AdamsBashforth(2), "controller": kt.Fixed(0.1)}, "Runge-Kutta"),
        (None, {"events": [kt.Event(event)]}, "events"),
        (None, {"dense": True}, "dense"),
        (None, {"diagnostics": True}, "diagnostics"),
        (None, {"penalties": {"error": kt.regularizers.ErrorEstimate()}}, "penalties"),
        (None, {"save_at": "steps"}, "save_at"),
        (None, {"controller": kt.PID(step_ts=(0.5,))}, "times to land on"),
        (None, {"controller": kt.StepTo((0.0, 1.0))}, "times to land on"),
        (None, {"controller": kt.PID(norm=kt.max_norm)}, "norm"),
        (None, {"adjoint": kt.Gauss()}, "adjoint"),
    ],
)
def test_what_is_not_there_is_refused_by_name(problem, options, why):
    problem = problem or kt.ODEProblem(lambda t, y: -y, torch.ones(2), (0.0, 1.0))
    with pytest.raises(NotImplementedError, match=why) as caught:
        kt.solve(problem, engine=COMPILED, **options)
    assert "use engine=Eager()" in str(caught.value)


def test_transformations_are_refused():
    def end(y0):
        return kt.solve(kt.ODEProblem(lambda t, y: -y, y0, (0.0, 1.0)), engine=COMPILED).y1.sum()

    with pytest.raises(NotImplementedError, match=r"torch\.func"):
        torch.func.grad(end)(torch.ones(2))
    with torch.autograd.forward_ad.dual_level(), pytest.raises(NotImplementedError, match="forward mode"):
        end(torch.autograd.forward_ad.make_dual(torch.ones(2), torch.ones(2)))


def test_hostile_input_is_refused_as_by_every_engine():
    problem = kt.ODEProblem(lambda t, y: -y, torch.ones(2), (0.0, 1.0))
    with pytest.raises(ValueError, match="sorted"):
        kt.solve(problem, engine=COMPILED, save_at=[1.0, 0.5])
    with pytest.raises(TypeError, match="parentheses"):
        kt.solve(problem, engine=kt.Compiled)
    with warnings.catch_warnings(), pytest.raises(ValueError, match="rtol"):
        warnings.simplefilter("error")
        kt.solve(problem, engine=COMPILED, rtol=-1.0)
