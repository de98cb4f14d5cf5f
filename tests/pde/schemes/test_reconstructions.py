"""From cells to faces: exact for polynomials, mirror images of themselves, and of their order."""

import pytest
import torch

import kutta as kt
from tests._helpers import F64, slopes_of

P = kt.pde
EVERY = {"constant": P.PiecewiseConstant(), "MUSCL": P.MUSCL(), "WENO5": P.WENO5()}


def both(reconstruction, padded):
    scale = reconstruction.scale(-1, padded)
    return reconstruction.from_left(padded, -1, scale), reconstruction.from_right(padded, -1, scale)


@pytest.mark.parametrize("name", EVERY)
def test_mirrors(name):
    padded = torch.randn(3, 20, dtype=F64, generator=torch.Generator().manual_seed(0))
    left, right = both(EVERY[name], padded)
    assert left.shape == right.shape == (3, 20 - 2 * EVERY[name].width + 1)
    mirrored_left, mirrored_right = both(EVERY[name], padded.flip(-1))
    assert torch.allclose(mirrored_left.flip(-1), right, rtol=1e-14, atol=1e-14)
    assert torch.allclose(mirrored_right.flip(-1), left, rtol=1e-14, atol=1e-14)


@pytest.mark.parametrize(("name", "degree"), [("constant", 0), ("MUSCL", 1), ("WENO5", 2)])
def test_exact_for_averages_of_polynomials(name, degree):
    ends = torch.linspace(0.0, 1.0, 16, dtype=F64)
    averages = ends.pow(degree + 1).diff() / ((degree + 1) * ends.diff())
    width = EVERY[name].width
    for found in both(EVERY[name], averages):
        assert torch.allclose(found, ends[width:-width].pow(degree), rtol=0, atol=1e-13)


@pytest.mark.parametrize(("name", "order"), [("constant", 1), ("MUSCL", 2), ("WENO5", 5)])
def test_order(name, order):
    counts, errors = (20, 40, 80), []
    for count in counts:
        ends = torch.linspace(0.5, 1.5, count + 1, dtype=F64)
        averages = (ends.exp().diff() + ends.sin().diff()) / ends.diff()
        width = EVERY[name].width
        exact = (ends.exp() + ends.cos())[width:-width]
        errors.append(float((both(EVERY[name], averages)[0] - exact).abs().mean()))
    assert slopes_of(errors, counts)[-1] == pytest.approx(order, abs=0.15)


def test_weno_knows_no_unit():
    padded = torch.randn(20, dtype=F64, generator=torch.Generator().manual_seed(0))
    for unit in (1e-8, 1e8):
        assert torch.allclose(both(P.WENO5(), unit * padded)[0], unit * both(P.WENO5(), padded)[0], rtol=1e-12, atol=0)


def test_weno_leaves_out_what_jumps():
    step = (torch.arange(40) >= 20).to(F64)
    for found in both(P.WENO5(), step):
        assert float(found.min()) > -2e-3 and float(found.max()) < 1 + 2e-3


def test_refusals():
    with pytest.raises(ValueError, match=r"limiter must be one of 'minmod', .*got 'koren'"):
        P.MUSCL("koren")
