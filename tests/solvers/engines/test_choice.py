"""What runs when nobody says what shall run, and whether it is told."""

import pytest
import torch

import kutta as kt
from kutta.solvers.engines.kernel import build
from tests._helpers import F64

try:
    build.compiler()
except build.CompilerMissing:  # pragma: no cover
    pytest.skip("needs a C++ compiler", allow_module_level=True)


def decay(t, y, k):
    return -k * y


def ensemble(count=1000, f=decay, size=1, **changes):
    k = torch.linspace(0.5, 2.0, count, dtype=F64)
    return kt.EnsembleProblem(f, torch.ones(count, size, dtype=F64), (0.0, 1.0), (k,), **changes)


def ran(problem, **options):
    stats = kt.solve(problem, **options).stats
    return stats.engine, stats.reason


def test_many_small_systems():
    assert ran(ensemble()) == ("kernel", "1,000 small systems")
    sol, eager = kt.solve(ensemble(), rtol=1e-8), kt.solve(ensemble(), rtol=1e-8, engine=kt.Eager())
    torch.testing.assert_close(sol.y1, eager.y1, rtol=1e-9, atol=1e-9)
    assert ran(ensemble(), engine=kt.Eager()) == ("eager", "engine= says so")
    assert ran(ensemble(), engine=kt.Kernel()) == ("kernel", "engine= says so")


@pytest.mark.parametrize(
    ("problem", "options", "reason"),
    [
        (ensemble(999), {}, "fewer than 1,000 trajectories"),
        (kt.ODEProblem(lambda t, y: -y, torch.ones(2000), (0.0, 1.0)), {}, "one step size for all"),
        (ensemble(size=101), {}, "up to 100 entries; got 101"),
        (ensemble(), {"dense": True}, "no dense"),
        (ensemble(f=lambda t, y, k: -torch.special.bessel_j0(y)), {}, "cannot trace f: there is no rule"),
    ],
)
def test_what_speaks_against_it(problem, options, reason):
    engine, why = ran(problem, **options)
    assert engine == "eager" and reason in why


def test_gradients_in_few_directions_and_in_many():
    few, many = torch.ones(1, dtype=F64, requires_grad=True), torch.ones(10, 10, dtype=F64, requires_grad=True)
    assert ran(ensemble(f=lambda t, y, k: -few * y))[0] == "kernel"
    engine, why = ran(ensemble(f=lambda t, y, k: -(many @ y), size=10))
    assert engine == "eager" and "100 directions to differentiate in" in why
    assert ran(ensemble(f=lambda t, y, k: -few * y), adjoint=kt.Recompute())[0] == "kernel"
    with pytest.raises(NotImplementedError, match="does not differentiate ensembles"):
        ran(ensemble(f=lambda t, y, k: -few * y), adjoint=kt.Backsolve())


def test_without_a_compiler(monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    build.compiler.cache_clear()
    try:
        engine, why = ran(ensemble(f=lambda t, y, k: -k * torch.sin(3.25 * y)))
    finally:
        monkeypatch.undo()
        build.compiler.cache_clear()
    assert engine == "eager" and "CXX" in why


def test_a_failure_tells_too():
    problem = ensemble(f=lambda t, y, k: k * y * y * 1e3)
    with pytest.raises(kt.SolveError) as failure:
        kt.solve(problem)
    assert failure.value.solution.stats.reason == "1,000 small systems"
