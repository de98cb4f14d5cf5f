"""Metrics against values by hand, of a field of two waves."""

import math

import pytest
import torch

import kutta as kt
from kutta.operators import metrics

GRID = kt.pde.Grid((32, 48), (2 * math.pi, 2 * math.pi))
X, Y = GRID.points()
# A wave of 1 period along x, and one of 13 periods along y.
TARGET = (torch.sin(X) + 0.5 * torch.cos(13 * Y))[None, None]
OFF = TARGET + 0.1 * torch.sin(5 * X) + 0.02
# Mean squares: of the target 1/2 + 1/8, of the error 0.005 + 0.0004.
ERROR, SIZE = math.sqrt(0.0054), math.sqrt(0.625)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("relative_l2", ERROR / SIZE),
        ("rmse", ERROR),
        ("nrmse", ERROR / SIZE),
        ("vrmse", ERROR / SIZE),
        ("conservation_error", 0.02),
        ("boundary_error", 0.0),
        # Slopes of the error 0.1 * 5 cos, of the target 1 cos and 6.5 sin.
        ("relative_h1", math.sqrt((0.0054 + 0.125) / (0.625 + 0.5 + 6.5**2 / 2))),
        ("published_h1", math.sqrt((0.005 * 26 + 0.0004) / (0.5 * 2 + 0.125 * 170))),
    ],
)
def test_two_waves(name, value):
    found = getattr(metrics, name)(OFF, TARGET, GRID)
    assert found.shape == (1,) and float(found) == pytest.approx(value, rel=1e-6, abs=1e-14)


def test_the_largest_error():
    assert float(metrics.max_error(OFF, TARGET, GRID)) == pytest.approx(0.12, abs=1e-3)


def test_bands_add_up_to_the_whole():
    found = {name: float(one) for name, one in metrics.fourier_errors(OFF, TARGET, GRID).items()}
    assert found == pytest.approx({"low": 0.02, "middle": math.sqrt(0.005), "high": 0.0}, abs=1e-14)
    noise = torch.randn(2, 3, 32, 48, dtype=torch.float64)
    bands = sum(one.square() for one in metrics.fourier_errors(noise, 0 * noise, GRID).values())
    torch.testing.assert_close(bands.sqrt(), metrics.rmse(noise, 0 * noise, GRID))


def test_the_spectrum_has_the_energy_of_each_wave_and_does_not_see_shifts():
    energy = metrics.energy_spectrum(TARGET, GRID)[0]
    assert float(energy[1]) == pytest.approx(0.25) and float(energy[13]) == pytest.approx(0.0625)
    assert float(energy.sum()) == pytest.approx(0.5 * 0.625)
    assert float(metrics.spectrum_distance(TARGET.roll(3, -1), TARGET, GRID)) < 1e-12
    tenfold = metrics.spectrum_distance(math.sqrt(10) * TARGET, TARGET, GRID)
    assert float(tenfold) == pytest.approx(1.0)


def test_slopes_between_walls_are_differences():
    grid = kt.pde.Grid((64, 64), boundary=kt.pde.Neumann())
    x, y = grid.points()
    u = (x * x * y)[None, None]
    # int v^2 + |grad v|^2 of v = x^2 y: 1/15 + 4/9 + 1/5; the target is twice that.
    exact = math.sqrt((1 / 15 + 4 / 9 + 1 / 5) / (4 * (1 / 15 + 4 / 9 + 1 / 5)))
    assert float(metrics.relative_h1(u, 2 * u, grid)) == pytest.approx(exact, rel=1e-12)
    constant = metrics.relative_h1(u + 1.0, u, grid)
    assert float(constant) == pytest.approx(math.sqrt(1.0 / (1 / 15 + 4 / 9 + 1 / 5)), rel=1e-3)


def test_sides_are_the_outermost_points():
    grid = kt.pde.Grid((4, 5), boundary=(kt.pde.Dirichlet(), kt.pde.Periodic()))
    u = torch.zeros(2, 1, 4, 5, dtype=torch.float64)
    u[1, :, 0], u[1, :, 3], u[1, :, 1] = 1.0, 2.0, 7.0
    torch.testing.assert_close(
        metrics.boundary_error(u, 0 * u, grid), torch.tensor([0.0, math.sqrt(2.5)], dtype=torch.float64)
    )


def test_each_sample_counts_by_itself():
    u, target = torch.tensor([[[1.0, 1.0]], [[30.0, 30.0]]]), torch.tensor([[[2.0, 2.0]], [[20.0, 20.0]]])
    torch.testing.assert_close(metrics.relative_l2(u, target, kt.pde.Grid(2)), torch.tensor([0.5, 0.5]))


def test_of_several_channels_the_mean_counts():
    target = torch.stack([TARGET[0, 0], 100 * TARGET[0, 0]])[None]
    u = target.clone()
    u[:, 0] *= 1.2
    assert float(metrics.nrmse(u, target, GRID)) == pytest.approx(0.1)
    assert float(metrics.vrmse(u, target, GRID)) == pytest.approx(0.1, rel=1e-6)


def test_correlation_ends_when_fields_part():
    times = torch.linspace(0.0, 1.0, 5, dtype=torch.float64)
    target = TARGET[:, None].expand(2, 5, 1, 32, 48)
    u = target.clone()
    u[0, 3] = -target[0, 3]
    u[0, 1] = 3.0 * target[0, 1] + 1.0  # neither sizes nor means count
    found = metrics.correlation_time(u, target, times)
    assert found.tolist() == [0.75, math.inf]
    u[1, 2] = math.nan
    assert metrics.correlation_time(u, target, times).tolist() == [0.75, 0.5]


@pytest.mark.parametrize("name", ["relative_l2", "relative_h1", "published_h1", "nrmse", "vrmse"])
def test_all_may_be_losses(name):
    u = OFF.clone().requires_grad_()
    direction = torch.randn_like(TARGET)
    (slope,) = torch.autograd.grad(getattr(metrics, name)(u, TARGET, GRID).mean(), u)
    above, below = (getattr(metrics, name)(OFF + h * direction, TARGET, GRID).mean() for h in (1e-6, -1e-6))
    torch.testing.assert_close((slope * direction).sum(), (above - below) / 2e-6, rtol=1e-6, atol=1e-10)
