"""Random fields: their covariance, and the same one on all grids."""

import math

import pytest
import torch

import kutta as kt
from kutta.operators.data.gaussian_fields import GaussianField, two_phase

KINDS = {"periodic": kt.pde.Periodic(), "odd": kt.pde.Dirichlet(), "even": kt.pde.Neumann()}


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("kind", KINDS)
def test_the_covariance_is_the_inverse_of_an_elliptic_operator(kind):
    """``s^2 (tau^2 - laplace)^-2`` applied to a smooth function, against the mean of ``u (u, f)``."""
    grid = kt.pde.Grid(64, 2.0, boundary=KINDS[kind])
    u = GaussianField(alpha=2.0, tau=4.0, scale=16.0, constant=True).draw(grid, 40_000, seeded())
    x = grid.points()[0]
    k = {"periodic": 2.0 * math.pi / 2.0, "odd": math.pi / 2.0, "even": math.pi / 2.0}[kind]
    f = torch.sin(k * x) if kind == "odd" else torch.cos(k * x)
    found = (u * (u @ f * (2.0 / 64))[:, None]).mean(0)
    expected = 256.0 / (k**2 + 16.0) ** 2 * f
    assert float((found - expected).abs().max() / expected.abs().max()) < 0.05


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_numbers_make_the_same_field_on_all_grids(kind):
    field = GaussianField(modes=9)
    coarse, fine = (
        field.draw(kt.pde.Grid(shape, (1.0, 2.0), "cell", KINDS[kind]), 2, seeded()) for shape in ((15, 19), (45, 57))
    )
    torch.testing.assert_close(fine[:, 1::3, 1::3], coarse, rtol=0.0, atol=1e-12)


def test_sides_hold():
    grid = kt.pde.Grid((17, 17), boundary=kt.pde.Dirichlet(), centring="node")
    u = GaussianField().draw(grid, 3, seeded())
    assert float(u[:, [0, -1]].abs().max()) < 1e-12 and float(u[:, 8, 8].abs().min()) > 0.0


def test_smoother_fields_have_weaker_short_waves():
    grid = kt.pde.Grid(128)
    rough, smooth = (GaussianField(alpha=alpha, tau=5.0).draw(grid, 500, seeded()) for alpha in (1.0, 3.0))
    strengths = [torch.fft.rfft(u).abs().square().mean(0) for u in (rough, smooth)]
    falls = [float(s[2] / s[32]) for s in strengths]
    k = [2 * math.pi * n for n in (2, 32)]
    exact = (k[1] ** 2 + 25.0) / (k[0] ** 2 + 25.0)
    assert falls[0] == pytest.approx(exact, rel=0.2) and falls[1] == pytest.approx(exact**3, rel=0.2)


def test_two_materials():
    phases = two_phase(torch.tensor([-1.0, 0.0, 2.0], dtype=torch.float64))
    assert phases.tolist() == [3.0, 12.0, 12.0] and phases.dtype == torch.float64


@pytest.mark.parametrize(("name", "value"), [("alpha", -1.0), ("tau", 0.0), ("scale", math.inf), ("tau", "3")])
def test_what_is_no_positive_number_is_refused(name, value):
    with pytest.raises(ValueError, match=f"{name} must be a positive number"):
        GaussianField(**{name: value})
