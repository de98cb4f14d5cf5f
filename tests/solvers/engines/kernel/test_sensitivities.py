"""Gradients of a kernel are those of the eager engine's accepted steps."""

import pytest
import torch
from torch import nn
from torch.autograd import forward_ad

import kutta as kt
from kutta.solvers.engines.kernel.build import CompilerMissing, compiler
from tests._helpers import F64

try:
    compiler()
except CompilerMissing:  # pragma: no cover
    pytest.skip("needs a C++ compiler", allow_module_level=True)

KERNEL = kt.Kernel()
METHODS = [kt.Tsit5(), kt.RK4(), kt.Dopri8(), kt.Bosh3(), kt.Rosenbrock23(), kt.Rodas5P()]
SAVE = torch.tensor([0.0, 0.3, 1.1, 2.0], dtype=F64)


def predator_prey(t, y, own, shared):
    grow, eat = own.unbind(-1)
    x, z = y.unbind(-1)
    return torch.stack([grow * x - eat * x * z + 0.1 * torch.sin(t), shared[0] * x * z - shared[1] * z], dim=-1)


def together(t, y, own, shared):
    return predator_prey(t, y, own, shared)


def leaves(count=5, dtype=F64):
    generator = torch.Generator().manual_seed(1)
    y0 = 1.0 + torch.rand(count, 2, dtype=F64, generator=generator)
    own = 1.0 + torch.rand(count, 2, dtype=F64, generator=generator)
    shared = torch.tensor([0.8, 1.1], dtype=F64)
    return [one.to(dtype).requires_grad_() for one in (y0, own, shared)]


def loss(sol):
    weights = torch.linspace(-1.0, 2.0, sol.ys.numel(), dtype=sol.ys.dtype).view(sol.ys.shape)
    return (sol.ys.nan_to_num() * weights).sum() + sol.y1.square().sum()


def gradients(f, inputs, engine, method=None, span=(0.0, 2.0), vectorized=False, **options):
    y0, *args = inputs
    options = {"controller": kt.Fixed(0.05), "save_at": SAVE} | options
    problem = kt.EnsembleProblem(f, y0, span, tuple(args), vectorized=vectorized)
    sol = kt.solve(problem, method, engine=engine, **options)
    wanted = [one for one in inputs if one.requires_grad]
    return sol, torch.autograd.grad(loss(sol), wanted)


def agree(inputs, within=1e-11, f=predator_prey, **options):
    sol, found = gradients(f, inputs, KERNEL, **options)
    _, expected = gradients(f, inputs, kt.Eager(), **options)
    assert sol.stats.engine == "kernel"
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=within, atol=within)
        assert one.abs().max() > 1e-3


@pytest.mark.parametrize("vectorized", [False, True], ids=["one", "all"])
@pytest.mark.parametrize("method", METHODS, ids=repr)
def test_every_input(method, vectorized):
    agree(leaves(), method=method, vectorized=vectorized, f=together)


@pytest.mark.parametrize("wanted", [0, 1, 2])
def test_one_input_alone(wanted):
    agree([one.detach().requires_grad_(number == wanted) for number, one in enumerate(leaves())])


def test_adaptive_steps():
    """Step sizes are constants: both engines take the same ones to six digits."""
    agree(leaves(), within=1e-4, controller=kt.PID(), rtol=1e-7, atol=1e-9)


def test_against_finite_differences():
    y0, own, shared = leaves(3)

    def total(value):
        problem = kt.EnsembleProblem(predator_prey, y0.detach(), (0.0, 2.0), (own.detach(), value))
        return loss(kt.solve(problem, kt.Dopri8(), rtol=1e-12, atol=1e-12, save_at=SAVE, engine=KERNEL))

    (found,) = torch.autograd.grad(total(shared), shared)
    with torch.no_grad():
        moves = 1e-5 * torch.eye(2, dtype=F64)
        expected = torch.stack([(total(shared + move) - total(shared - move)) / 2e-5 for move in moves])
    torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-8)


def test_single_precision():
    agree(leaves(dtype=torch.float32), within=2e-4)


def test_one_trajectory_and_a_tree():
    def f(t, y, k):
        return {"x": y["v"], "v": -k * y["x"]}

    def solved(engine, *values):
        k, x = values
        problem = kt.ODEProblem(f, {"x": x, "v": torch.ones(2, dtype=F64)}, (0.0, 2.0), (k,))
        sol = kt.solve(problem, controller=kt.Fixed(0.1), save_at=SAVE, engine=engine)
        return torch.autograd.grad((sol.ys["x"] * sol.ys["v"]).sum() + sol.y1["x"].sum(), values)

    values = (torch.tensor(2.0, dtype=F64, requires_grad=True), torch.rand(2, dtype=F64, requires_grad=True))
    for one, other in zip(solved(KERNEL, *values), solved(kt.Eager(), *values), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("ensemble", [False, True], ids=["one", "many"])
def test_times(ensemble):
    def solved(engine):
        t0, t1 = (torch.tensor(t, dtype=F64, requires_grad=True) for t in (0.1, 1.9))
        save = torch.tensor([0.5, 1.5], dtype=F64, requires_grad=True)
        y0, own, shared = (one.detach() for one in leaves())
        y0, own = (y0, own) if ensemble else (y0[0], own[0])
        kind = kt.EnsembleProblem if ensemble else kt.ODEProblem
        problem = kind(predator_prey, y0, (t0, t1), (own, shared))
        sol = kt.solve(problem, controller=kt.Fixed(0.05), save_at=save, engine=engine)
        return torch.autograd.grad(loss(sol), (t0, t1, save))

    for one, other in zip(solved(KERNEL), solved(kt.Eager()), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-10)


def test_parameters_of_a_module():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 2)).double()
    y0 = torch.rand(6, 2, dtype=F64)

    def solved(engine):
        problem = kt.EnsembleProblem(lambda t, y: net(y), y0, (0.0, 2.0))
        sol = kt.solve(problem, controller=kt.Fixed(0.1), save_at=SAVE, engine=engine)
        return torch.autograd.grad(loss(sol), list(net.parameters()))

    for _ in range(2):
        for one, other in zip(solved(KERNEL), solved(kt.Eager()), strict=True):
            torch.testing.assert_close(one, other, rtol=1e-11, atol=1e-11)
        with torch.no_grad():  # new weights, the same kernel
            for parameter in net.parameters():
                parameter.mul_(1.3)


def test_computed_inputs():
    """Tensors that are computed from others pass gradients on, through arguments and closures."""
    theta = torch.tensor([0.7, 0.2], dtype=F64, requires_grad=True)

    def solved(engine):
        rate = theta.exp()
        starts, k = torch.ones(3, 1, dtype=F64), 2 * rate[1]
        problem = kt.EnsembleProblem(lambda t, y, k: -rate[0] * y * k, starts, (0.0, 1.0), (k,))
        return torch.autograd.grad(kt.solve(problem, controller=kt.Fixed(0.1), engine=engine).y1.sum(), theta)

    torch.testing.assert_close(solved(KERNEL), solved(kt.Eager()), rtol=1e-12, atol=1e-12)


def test_forward_mode():
    y0, own, shared = (one.detach() for one in leaves())
    moves = [torch.randn_like(one) for one in (y0, own, shared)]

    def solved(engine):
        with forward_ad.dual_level():
            y, p, q = (forward_ad.make_dual(one, move) for one, move in zip((y0, own, shared), moves, strict=True))
            problem = kt.EnsembleProblem(predator_prey, y, (0.0, 2.0), (p, q))
            sol = kt.solve(problem, controller=kt.Fixed(0.05), save_at=SAVE, engine=engine)
            return forward_ad.unpack_dual(sol.ys).tangent

    torch.testing.assert_close(solved(KERNEL), solved(kt.Eager()), rtol=1e-11, atol=1e-11)


def test_a_trajectory_that_fails_leaves_the_others_their_gradients():
    k = torch.tensor(1.0, dtype=F64, requires_grad=True)
    y0 = torch.tensor([[0.2], [2.0], [0.3]], dtype=F64)

    def solved(engine, starts):
        problem = kt.EnsembleProblem(lambda t, y, k: k * y * y, starts, (0.0, 1.0), (k,))
        sol = kt.solve(problem, save_at=[0.0, 0.7, 1.0], rtol=1e-8, atol=1e-10, throw=False, engine=engine)
        return sol, torch.autograd.grad(sol.ys.nan_to_num().sum(), k)[0]

    sol, found = solved(KERNEL, y0)
    assert sol.result.failed.tolist() == [False, True, False] and bool(sol.ys[-1, 1].isnan())
    assert bool(torch.isfinite(found))
    torch.testing.assert_close(found, solved(kt.Eager(), y0)[1], rtol=1e-5, atol=1e-5)


def test_no_gradients_asked_for():
    y0, own, shared = leaves()
    with torch.no_grad():
        sol = kt.solve(kt.EnsembleProblem(predator_prey, y0, (0.0, 1.0), (own, shared)), engine=KERNEL)
    assert not sol.ys.requires_grad


def test_second_derivatives_are_refused():
    y0, own, shared = leaves()
    sol = kt.solve(kt.EnsembleProblem(predator_prey, y0, (0.0, 1.0), (own, shared)), engine=KERNEL)
    with pytest.raises(NotImplementedError, match="first derivatives only"):
        torch.autograd.grad(sol.y1.sum(), shared, create_graph=True)


@pytest.mark.parametrize(
    "f",
    [
        lambda t, y, k: -k.detach() * y,
        lambda t, y, k: -k * y.detach() + 0 * y,
        lambda t, y, k: -torch.where(y > 0, k, k).detach() * y * k,
    ],
)
@pytest.mark.parametrize("vectorized", [False, True], ids=["one", "all"])
def test_stopped_gradients_are_refused(f, vectorized):
    k, y0 = torch.tensor(1.0, dtype=F64, requires_grad=True), torch.ones(2, 1, dtype=F64)
    problem = kt.EnsembleProblem(f, y0, (0.0, 1.0), (k,), vectorized=vectorized)
    with pytest.raises(NotImplementedError, match="autograd finds another gradient"):
        kt.solve(problem, engine=KERNEL)
    with torch.no_grad():
        kt.solve(problem, engine=KERNEL)


def test_too_many_directions():
    weight = torch.randn(20, 20, dtype=F64, requires_grad=True)
    problem = kt.EnsembleProblem(lambda t, y: weight @ y, torch.ones(3, 20, dtype=F64), (0.0, 1.0))
    with pytest.raises(NotImplementedError, match="400 directions"):
        kt.solve(problem, engine=KERNEL)


def test_other_adjoints_are_refused():
    y0, own, shared = leaves()
    problem = kt.EnsembleProblem(predator_prey, y0, (0.0, 1.0), (own, shared))
    with pytest.raises(NotImplementedError, match=r"got adjoint=Backsolve\(\)"):
        kt.solve(problem, engine=KERNEL, adjoint=kt.Backsolve())
    with torch.no_grad():
        kt.solve(problem, engine=KERNEL, adjoint=kt.Backsolve())


def test_torch_func_is_refused():
    def total(y0):
        return kt.solve(kt.EnsembleProblem(lambda t, y: -y, y0, (0.0, 1.0)), engine=KERNEL).y1.sum()

    with pytest.raises(NotImplementedError, match="transformations"):
        torch.func.grad(total)(torch.ones(2, 1))
