"""Networks of sub-fields: exact ones, gradients, and what coarser sub-fields cost."""

import math

import pytest
import torch

import kutta as kt
from kutta.operators.layers.spectral import SpectralConvolution
from kutta.operators.operator import Operator

COUNT, DT = 24, 0.1
GRID = kt.pde.Grid(COUNT)


class Shift(Operator):
    """To the next point of a sub-field."""

    def __init__(self, in_channels=1, out_channels=1, dim=1):
        super().__init__()
        self.in_channels, self.out_channels, self.dim = in_channels, out_channels, dim

    def transform(self, a, grid):
        return a.roll(1, -1)


class Waves(Operator):
    """A linear map that commutes with shifts."""

    def __init__(self, modes):
        super().__init__()
        self.in_channels = self.out_channels = self.dim = 1
        self.modes, self.convolution = modes, SpectralConvolution(1, 1, (modes,)).double()

    def transform(self, a, grid):
        return self.convolution(a)


def advection(speed):
    return kt.pde.PDEProblem(
        kt.pde.Advection(speed), GRID, torch.zeros(COUNT, dtype=torch.float64), (0.0, 1.0), kt.pde.PseudoSpectral()
    )


def smooth(count, decay=3.0, seed=0):
    """Fields of which high waves have little."""
    g = torch.Generator().manual_seed(seed)
    c = torch.randn(count, 1, COUNT // 2 + 1, dtype=torch.complex128, generator=g)
    c = c * torch.exp(-torch.arange(COUNT // 2 + 1) / decay)
    c[..., -1] = 0.0
    return torch.fft.irfft(c, COUNT, norm="forward")


@pytest.mark.parametrize("s", [2, 3])
def test_shifts_by_sub_grid_points_are_exact(s):
    """Of a field that moves ``s`` points a step, every sub-field moves by one of its own."""
    model, u = kt.operators.NeuralStagger(Shift, {}, (s,)), smooth(3)
    assert torch.equal(model(u, GRID), u.roll(s, -1))


@pytest.mark.parametrize("s", [2, 3])
def test_their_residual_is_zero(s):
    """By the midpoint rule the wave ``k`` moves ``s h`` in a step if ``tan(k s h / 2) = k v dt / 2``."""
    k = 2 * math.pi
    speed = 2 * math.tan(k * s / COUNT / 2) / (k * DT)
    model, u = kt.operators.NeuralStagger(Shift, {}, (s,)), torch.sin(k * GRID.points() + 0.3)[None]
    residual = kt.operators.SchemeResidual(advection(speed), DT)(u, model.states(u, GRID))
    assert residual.shape == (1, 1, 1, COUNT) and residual.abs().max() < 1e-13
    assert kt.operators.SchemeResidual(advection(1.1 * speed), DT)(u, model.states(u, GRID)).abs().max() > 1e-2


def test_steps_of_the_rule_have_no_residual_at_any_time():
    """Of ``u' = -lambda(t) u``, whose steps are known."""
    problem = kt.pde.PDEProblem(
        lambda ops, t, u: -t * u, GRID, torch.zeros(COUNT, dtype=torch.float64), (1.0, 2.0), kt.pde.FiniteDifference()
    )
    states = [smooth(2)]
    for q in range(3):
        half = 0.5 * DT * (1.0 + (q + 0.5) * DT)
        states.append((1 - half) / (1 + half) * states[-1])
    residual = kt.operators.SchemeResidual(problem, DT)(states[0], torch.stack(states[1:], 1))
    assert residual.shape == (2, 3, 1, COUNT) and residual.abs().max() < 1e-14


def test_the_gradient_of_the_loss_is_that_of_finite_differences():
    torch.manual_seed(0)
    of_each = {"in_channels": 1, "out_channels": 1, "modes": (6,), "width": 4, "layers": 2, "lift": 4, "project": 4}
    model, u = kt.operators.NeuralStagger("FNO", of_each, (2,), times=2).double(), smooth(2)
    residual = kt.operators.SchemeResidual(kt.pde.Burgers(0.01).problem(GRID, u[0, 0], (0.0, 1.0)), DT)

    def loss():
        return residual(u, model.states(u, GRID)).square().mean()

    weight = model.parts[3].spectral[0].weight
    (gradient,) = torch.autograd.grad(loss(), weight)
    direction, h = torch.randn_like(weight), 1e-6
    with torch.no_grad():
        weight += h * direction
        above = loss()
        weight -= 2 * h * direction
        below = loss()
    torch.testing.assert_close((gradient * direction).sum(), (above - below) / (2 * h), rtol=1e-6, atol=1e-9)


def test_trained_without_solutions_the_error_grows_with_the_stagger():
    """Sub-fields know the less of high waves the coarser they are."""
    speed = 0.7
    residual, k = kt.operators.SchemeResidual(advection(speed), DT), 2 * math.pi * torch.arange(COUNT // 2 + 1)
    factor = torch.polar(torch.ones_like(k), -2 * torch.atan(0.5 * k * speed * DT)).to(torch.complex128)
    errors = []
    for s in (1, 2, 4):
        torch.manual_seed(0)
        model = kt.operators.NeuralStagger(Waves, {"modes": COUNT // s}, (s,))
        optimizer = torch.optim.LBFGS(model.parameters(), max_iter=60, line_search_fn="strong_wolfe")
        u, test = smooth(200), smooth(50, seed=1)

        def loss(model=model, optimizer=optimizer, u=u):
            optimizer.zero_grad()
            value = residual(u, model.states(u, GRID)).square().mean()
            value.backward()
            return value

        optimizer.step(loss)
        found, exact = model(test, GRID).detach(), torch.fft.irfft(factor * torch.fft.rfft(test), COUNT)
        errors.append(float((found - exact).norm() / exact.norm()))
    assert errors[0] < 1e-3 and errors[0] < 0.1 * errors[1] and errors[1] < 0.5 * errors[2] < 0.5


def test_times_and_offsets_have_networks_of_their_own():
    of_each = {"in_channels": 2, "out_channels": 2, "width": 2, "layers": 1, "sweeps": (1, 1)}
    model = kt.operators.NeuralStagger("MgNO", of_each, (2, 3), times=2)
    walls, a = kt.pde.Grid((8, 9), boundary=kt.pde.Dirichlet()), torch.randn(2, 2, 8, 9)
    u = model.states(a, walls)
    own = model.parts[(1 * 3 + 2) * 2 + 1]
    expected = own(a[..., 1::2, 2::3], kt.pde.Grid((4, 3), boundary=kt.pde.Dirichlet()))
    torch.testing.assert_close(u[:, 1, :, 1::2, 2::3], expected)


def test_what_makes_no_stagger_is_refused():
    with pytest.raises(ValueError, match=r"the name of an operator in kutta\.operators; got 'Grid'"):
        kt.operators.NeuralStagger("Grid", {}, (2,))
    with pytest.raises(TypeError, match="the name of an operator or a class of them; got 3"):
        kt.operators.NeuralStagger(3, {}, (2,))
    with pytest.raises(
        ValueError, match=r"stagger must have an entry for each of the 1 axes of the networks; got \(2, 2\)"
    ):
        kt.operators.NeuralStagger(Shift, {}, (2, 2))
    with pytest.raises(TypeError, match="problem must be such as"):
        kt.operators.SchemeResidual(GRID, DT)
