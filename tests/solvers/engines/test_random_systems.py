"""Random right-hand sides: every engine gives what the eager one gives."""

import functools

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import kutta as kt
from kutta.solvers.engines.compiled import store
from kutta.solvers.engines.kernel.build import CompilerMissing, compiler
from tests._helpers import F64

try:
    compiler()
except CompilerMissing:  # pragma: no cover
    pytest.skip("needs a C++ compiler", allow_module_level=True)

# Functions that are continuous and stay in range for arguments of any size, so that rounding stays rounding.
OF_ONE = {
    "sin": torch.sin,
    "cos": torch.cos,
    "tanh": torch.tanh,
    "atan": torch.atan,
    "erf": torch.erf,
    "neg": torch.neg,
    "abs": torch.abs,
    "sigmoid": torch.sigmoid,
    "bell": lambda x: torch.exp(-x * x),
    "root": lambda x: torch.sqrt(x * x + 0.3),
    "log": lambda x: torch.log(1.0 + x**2),
    "log1p": lambda x: torch.log1p(x.abs()),
    "softplus": torch.nn.functional.softplus,
    "clamp": lambda x: x.clamp(-0.7, 0.4),
    "leaky": lambda x: torch.where(x > 0.0, x, 0.25 * x),
    "cube": lambda x: torch.tanh(x) ** 3,
    "reciprocal": lambda x: 1.0 / (1.5 + torch.cos(x)),
    "power": lambda x: (1.1 + torch.sin(x)) ** 1.7,
    "gelu": torch.nn.functional.gelu,
    "expm1": lambda x: torch.expm1(-x.abs()),
}
OF_TWO = {
    "add": torch.add,
    "sub": torch.sub,
    "mul": lambda x, y: torch.tanh(x) * y,
    "max": torch.maximum,
    "min": torch.minimum,
    "div": lambda x, y: x / (1.0 + y.abs()),
    "atan2": lambda x, y: torch.atan2(torch.sin(x), 1.2 + torch.cos(y)),
    "hypot": lambda x, y: torch.sqrt(x * x + y * y + 0.1),
    "twice": lambda x, y: (x - y) * (x - y).tanh() + (x - y),
}
OF_ALL = {
    "sum": lambda xs: torch.stack(xs).sum(),
    "mean": lambda xs: torch.stack(xs).mean(0),
    "norm": lambda xs: torch.linalg.vector_norm(torch.stack(xs) + 0.01),
    "largest": lambda xs: torch.stack(xs).amax(),
    "softmax": lambda xs: torch.softmax(torch.stack(xs), 0)[0],
    "turned": lambda xs: torch.stack(xs).roll(1)[0],
    "running": lambda xs: torch.cumsum(torch.stack(xs), 0)[-1],
    "product": lambda xs: torch.cos(torch.stack(xs)).prod(),
    "matrix": lambda xs: (torch.outer(torch.stack(xs), torch.stack(xs)) @ torch.stack(xs)).tanh().sum(),
}


def expressions(size):
    leaves = st.one_of(
        st.integers(0, size - 1).map(lambda i: ("y", i)),
        st.integers(0, 2).map(lambda i: ("p", i)),
        st.just(("t",)),
        st.sampled_from([-1.5, 0.25, 0.5, 1.0, 2.0, 3.0]).map(lambda c: ("c", c)),
    )

    def grown(inner):
        return st.one_of(
            st.tuples(st.sampled_from(sorted(OF_ONE)), inner),
            st.tuples(st.sampled_from(sorted(OF_TWO)), inner, inner),
            st.tuples(st.sampled_from(sorted(OF_ALL)), inner, inner, inner),
        )

    return st.recursive(leaves, grown, max_leaves=12)


systems = st.integers(1, 4).flatmap(lambda size: st.lists(expressions(size), min_size=size, max_size=size))


def value(expression, t, y, p):
    name, *parts = expression
    if name == "c":
        return torch.full_like(y[0], parts[0])
    if name in ("y", "p"):
        return (y if name == "y" else p)[parts[0]]
    if name == "t":
        return t + 0.0 * y[0]
    arguments = [value(part, t, y, p) for part in parts]
    return OF_ALL[name](arguments) if name in OF_ALL else (OF_ONE | OF_TWO)[name](*arguments)


def slope(system, t, y, p):
    return torch.stack([2.0 * torch.tanh(value(expression, t, y, p)) for expression in system])


def solved(system, engine, method=None, **options):
    generator = torch.Generator().manual_seed(0)
    y0 = torch.randn(5, len(system), dtype=F64, generator=generator).requires_grad_()
    p = torch.randn(5, 3, dtype=F64, generator=generator).requires_grad_()
    problem = kt.EnsembleProblem(functools.partial(slope, system), y0, (0.0, 1.5), (p,), batched_args=(True,))
    sol = kt.solve(problem, method, save_at=[0.4, 1.5], engine=engine, **options)
    weights = torch.linspace(0.5, 1.5, sol.ys.numel(), dtype=F64).view(sol.ys.shape)
    return sol.ys.detach(), torch.autograd.grad((sol.ys * weights).sum(), (y0, p), allow_unused=True)


def agree(system, method, within, **options):
    eager, gradients = solved(system, kt.Eager(), method, **options)
    kernel, found = solved(system, kt.Kernel(), method, **options)
    torch.testing.assert_close(kernel, eager, rtol=within, atol=within)
    for one, other in zip(found, gradients, strict=True):
        other = torch.zeros_like(one) if other is None else other
        torch.testing.assert_close(one, other, rtol=100 * within, atol=100 * within)


def agree_compiled(system):
    """One trajectory; the gradient by the loop backwards."""
    p = torch.randn(3, dtype=F64, generator=torch.Generator().manual_seed(1))

    def solved_by(engine):
        y0 = torch.randn(len(system), dtype=F64, generator=torch.Generator().manual_seed(0)).requires_grad_()
        q = p.clone().requires_grad_()
        problem = kt.ODEProblem(functools.partial(slope, system), y0, (0.0, 1.5), (q,))
        sol = kt.solve(problem, kt.Tsit5(), controller=kt.Fixed(0.1), save_at=[0.4, 1.5], engine=engine)
        grads = torch.autograd.grad(sol.ys.sum(), (y0, q), allow_unused=True)
        return sol, [torch.zeros(0) if one is None else one for one in grads]

    (eager, expected), (compiled, found) = solved_by(kt.Eager()), solved_by(kt.Compiled())
    assert compiled.stats.engine == "compiled"
    torch.testing.assert_close(compiled.ys, eager.ys, rtol=1e-10, atol=1e-10)
    for one, other in zip(found, expected, strict=True):
        other = torch.zeros_like(one) if not other.numel() else other
        torch.testing.assert_close(one if one.numel() else torch.zeros_like(other), other, rtol=1e-8, atol=1e-8)


FEW = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow], "derandomize": True}


@settings(max_examples=8, **FEW)
@given(systems)
def test_fixed_steps_are_the_same_to_rounding(system):
    agree(system, kt.Tsit5(), 1e-11, controller=kt.Fixed(0.1))


@settings(max_examples=8, **FEW)
@given(systems)
def test_the_loops_that_are_compiled_are_right(system):
    """Run by PyTorch operation by operation, since compiling takes ten seconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "native", lambda function, examples: function)
        patch.setattr(store, "_functions", {})
        agree_compiled(system)


@pytest.mark.slow
@settings(max_examples=5, **FEW)
@given(systems)
def test_compiled_loops(system):
    agree_compiled(system)


@pytest.mark.slow
@settings(max_examples=60, **FEW)
@given(systems)
def test_many_of_them(system):
    agree(system, kt.Tsit5(), 1e-10, controller=kt.Fixed(0.1))


@pytest.mark.slow
@settings(max_examples=20, **FEW)
@given(systems)
def test_adaptive_steps_give_the_tolerance(system):
    """Non-smooth ones too: each engine is as close to the truth as it was asked to be."""
    truth, _ = solved(system, kt.Eager(), kt.Dopri8(), rtol=1e-11, atol=1e-11)
    for engine in (kt.Eager(), kt.Kernel()):
        found, _ = solved(system, engine, rtol=1e-7, atol=1e-7)
        assert (found - truth).abs().max() < 1e-4


@pytest.mark.slow
@settings(max_examples=20, **FEW)
@given(systems)
def test_rosenbrock_steps_are_the_same_to_rounding(system):
    agree(system, kt.Rodas5P(), 1e-9, controller=kt.Fixed(0.1))
