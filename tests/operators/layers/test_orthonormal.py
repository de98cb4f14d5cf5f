"""Orthonormal transforms against direct sums and fast ones."""

import pytest
import scipy.fft
import torch

import kutta as kt
from kutta.operators.layers import orthonormal

PERIODIC, NEUMANN, DIRICHLET = kt.pde.Periodic(), kt.pde.Neumann(), kt.pde.Dirichlet()
MIXED = (DIRICHLET, NEUMANN)
SIDES = {"periodic": PERIODIC, "slopes": NEUMANN, "values": DIRICHLET, "mixed": (MIXED, PERIODIC)}
EACH = pytest.mark.parametrize("sides", SIDES.values(), ids=SIDES)


def grid_of(sides, shape=(12, 17)):
    return kt.pde.Grid(shape, boundary=sides)


def field(shape=(12, 17)):
    return torch.randn(2, 3, *shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


@EACH
def test_sums_of_squares_stay_and_the_way_back_leads_to_the_field(sides):
    a, grid = field(), grid_of(sides)
    c = orthonormal.forward(a, grid, grid.shape)
    torch.testing.assert_close(c.square().sum(), a.square().sum(), rtol=1e-12, atol=0.0)
    torch.testing.assert_close(orthonormal.backward(c, grid, grid.shape), a, rtol=0.0, atol=1e-12)


@EACH
def test_the_gradient_of_the_transform_is_its_inverse(sides):
    grid, a = grid_of(sides), field().requires_grad_()
    weights = torch.randn(2, 3, 5, 7, dtype=torch.float64)
    (gradient,) = torch.autograd.grad((weights * orthonormal.forward(a, grid, (5, 7))).sum(), a)
    torch.testing.assert_close(gradient, orthonormal.backward(weights, grid, (5, 7)), rtol=0.0, atol=1e-12)


def test_cosines_are_those_of_a_direct_sum():
    a, grid = field((9,)), kt.pde.Grid(9, boundary=NEUMANN)
    j = torch.arange(9, dtype=torch.float64)
    matrix = (2 / 9) ** 0.5 * torch.cos(torch.pi / 9 * torch.outer(j, j + 0.5))
    matrix[0] /= 2**0.5
    torch.testing.assert_close(orthonormal.forward(a, grid, (9,)), a @ matrix.mT, rtol=0.0, atol=1e-12)


@pytest.mark.parametrize(("sides", "fast"), [(NEUMANN, scipy.fft.dctn), (DIRICHLET, scipy.fft.dstn)])
def test_with_few_waves_they_are_the_lowest_of_the_fast_transform(sides, fast):
    a = field()
    expected = torch.from_numpy(fast(a.numpy(), type=2, norm="ortho", axes=(-2, -1)))[..., :5, :7]
    torch.testing.assert_close(orthonormal.forward(a, grid_of(sides), (5, 7)), expected, rtol=0.0, atol=1e-12)


def test_around_a_periodic_axis_cosines_stand_before_sines():
    grid = kt.pde.Grid(12)
    x = 2 * torch.pi * grid.points()[0]
    waves = torch.stack([torch.ones_like(x), x.cos(), x.sin(), (2 * x).cos(), (2 * x).sin()])
    norms = torch.tensor([12.0, 6.0, 6.0, 6.0, 6.0], dtype=torch.float64).sqrt()
    torch.testing.assert_close(orthonormal.forward(waves, grid, (5,)), torch.diag(norms), rtol=0.0, atol=1e-12)


def test_waves_may_be_chosen_by_their_numbers():
    a, grid = field(), grid_of(NEUMANN)
    chosen = orthonormal.forward(a, grid, ((0, 3, 11), 4))
    torch.testing.assert_close(chosen, orthonormal.forward(a, grid, grid.shape)[..., [0, 3, 11], :4])


def test_the_sides_of_each_axis_choose_its_waves():
    robin = kt.pde.Robin(1.0, 1.0)
    grid = kt.pde.Grid((4, 4, 4), boundary=(PERIODIC, DIRICHLET, (NEUMANN, robin)))
    assert [orthonormal.kind_along(grid, axis) for axis in range(3)] == ["periodic", "odd", "even"]
    nodes = kt.pde.Grid(5, boundary=DIRICHLET, centring="node")
    assert orthonormal.kind_along(nodes, 0) == "even"
