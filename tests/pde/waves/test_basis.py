"""Waves on a grid: transforms that undo each other, and exact derivatives."""

import itertools
import math

import pytest
import torch

import kutta as kt
from kutta.pde.waves.basis import Basis, shifted
from kutta.pde.waves.kinds import product_of_kinds

P = kt.pde
F64 = torch.float64
KINDS = {"periodic": P.Periodic(), "even": P.Neumann(), "odd": P.Dirichlet()}
ONE_AXIS = [("periodic", "periodic"), ("periodic", "cell"), *itertools.product(["even", "odd"], ["cell", "node"])]


def grid_of(kinds, centrings, shape):
    lengths = (2.0, 1.5, 0.7)[: len(shape)]
    return P.Grid(shape, lengths, centrings, tuple(KINDS[kind] for kind in kinds), origin=(0.3, 0.0, 1.0)[: len(shape)])


def wave(kind, grid, axis, number):
    """A wave along an axis, of the parity of a kind."""
    x = grid.points()[axis] - grid.origin[axis]
    turns = 2.0 if kind == "periodic" else 1.0
    angle = turns * math.pi * number / grid.length[axis] * x
    return torch.sin(angle) if kind == "odd" else torch.cos(angle), turns * math.pi * number / grid.length[axis]


def derivative(basis, c, axis, order):
    symbol, places = basis.symbol(axis, order), basis.places(axis, order)
    return basis.derived(axis, order).backward(shifted(symbol * c, axis - basis.grid.dim, places))


@pytest.mark.parametrize("count", [7, 8])
@pytest.mark.parametrize(("kind", "centring"), ONE_AXIS)
def test_backward_undoes_forward(kind, centring, count):
    grid = grid_of([kind], [centring], (count,))
    u = torch.randn(3, count, dtype=F64)
    if (kind, centring) == ("odd", "node"):
        u[:, 0] = u[:, -1] = 0.0
    basis = Basis(grid, (kind,))
    c = basis.forward(u)
    assert tuple(c.shape[1:]) == basis.shape
    assert torch.allclose(basis.backward(c), u, atol=1e-14)


@pytest.mark.parametrize("order", [1, 2, 3, 4, 5])
@pytest.mark.parametrize(("kind", "centring"), ONE_AXIS)
def test_derivatives_of_waves_are_exact(kind, centring, order):
    grid = grid_of([kind], [centring], (12,))
    basis = Basis(grid, (kind,))
    u, k = wave(kind, grid, 0, 3)
    turned = wave({"odd": "even", "even": "odd"}.get(kind, "odd"), grid, 0, 3)[0]
    if kind == "periodic":
        turned = torch.sin(k * (grid.points()[0] - grid.origin[0]))
    sign = (-1.0) ** (order // 2) * (1.0 if order % 2 == 0 or kind == "odd" else -1.0)
    exact = sign * k**order * (turned if order % 2 else u)
    assert torch.allclose(derivative(basis, basis.forward(u), 0, order), exact, rtol=0, atol=1e-11 * k**order)


@pytest.mark.parametrize(
    "kinds", [("periodic", "even"), ("odd", "periodic"), ("even", "odd"), ("periodic", "odd", "periodic")]
)
def test_several_axes(kinds):
    shape = (6, 8, 5)[: len(kinds)]
    grid = grid_of(kinds, ["cell"] * len(kinds), shape)
    basis = Basis(grid, kinds)
    u, exact = torch.ones((), dtype=F64), []
    for axis, kind in enumerate(kinds):
        one, k = wave(kind, grid, axis, 2)
        u = u * one
        exact.append(-(k**2))
    c = basis.forward(u)
    assert tuple(c.shape) == basis.shape
    assert torch.allclose(basis.backward(c), u, atol=1e-14)
    for axis, factor in enumerate(exact):
        assert torch.allclose(derivative(basis, c, axis, 2), factor * u, atol=1e-11 * abs(factor))


def test_complex_fields_keep_all_coefficients():
    grid = P.Grid((6, 4), (1.0, 2.0))
    u = torch.randn(6, 4, dtype=torch.complex128)
    basis = Basis(grid, ("periodic", "periodic"), real=False)
    assert basis.shape == (6, 4)
    assert torch.allclose(basis.backward(basis.forward(u)), u, atol=1e-14)


def test_the_highest_wave_has_no_odd_derivatives():
    grid = P.Grid(8)
    basis = Basis(grid, ("periodic",))
    u = torch.tensor([1.0, -1.0] * 4, dtype=F64)
    assert derivative(basis, basis.forward(u), 0, 1).abs().max() == 0.0
    assert torch.allclose(derivative(basis, basis.forward(u), 0, 2), -((8 * math.pi) ** 2) * u)


def test_kept_waves_make_products_of_two_exact():
    """With a third of the waves left out, a product's short waves fall on none of those that are kept."""
    grid = P.Grid(12)
    basis = Basis(grid, ("periodic",))
    mask = basis.kept(2 / 3)
    assert mask.tolist() == [True, True, True, True, False, False, False]
    assert basis.kept(1.0) is None
    u = torch.cos(2 * math.pi * 3 * grid.points()[0])
    product = basis.forward(u * u) * mask
    assert torch.allclose(basis.backward(product), torch.full((12,), 0.5, dtype=F64), atol=1e-14)


def test_parities_of_products():
    assert product_of_kinds(("odd", "even", "periodic"), ("odd", "odd", "periodic")) == ("even", "odd", "periodic")


@pytest.mark.parametrize(("kind", "centring"), ONE_AXIS)
def test_transforms_are_differentiable(kind, centring):
    basis = Basis(grid_of([kind], [centring], (6,)), (kind,))
    u = torch.randn(6, dtype=F64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda u: torch.view_as_real(basis.forward(u) + 0j), u)
    assert torch.autograd.gradcheck(lambda u: basis.backward(basis.forward(u)), u)


@pytest.mark.parametrize("shape", [(6, 8), (6, 7), (4, 5, 6)])
def test_coefficients_of_real_fields(shape):
    basis = Basis(P.Grid(shape), ("periodic",) * len(shape))
    c = basis.forward(torch.randn(2, *shape, dtype=F64))
    assert torch.allclose(basis.of_real_fields(c), c, atol=1e-13)
    noise = torch.randn_like(c)
    kept = basis.of_real_fields(noise)
    assert torch.allclose(basis.forward(basis.backward(kept)), kept, atol=1e-13)
    assert torch.allclose(basis.backward(kept), basis.backward(noise), atol=1e-13)
