"""Second differences and back."""

import pytest
import torch

import kutta as kt
from tests._helpers import F64, difference, gradient, relative_error

P = kt.pde


def random(shape):
    return torch.randn(shape, dtype=F64, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("accuracy", [2, 4, 6])
@pytest.mark.parametrize("shape", [(8,), (7, 10), (6, 5, 8)], ids=["one axis", "two axes", "three axes"])
def test_on_periodic_grids_it_undoes_the_laplacian_of_any_order(accuracy, shape):
    ops = P.FiniteDifference(accuracy).on(P.Grid(shape, (1.0, 2.0, 0.7)[: len(shape)]))
    f = random((2, *shape))
    f = f - f.mean(tuple(range(1, f.dim())), keepdim=True)
    u = ops.inverse_laplacian(f)
    assert relative_error(ops.laplacian(u), f) < 1e-12
    assert u.sum().abs() < 1e-12


@pytest.mark.parametrize(
    ("left", "right"),
    [(P.Dirichlet(1.0), P.Dirichlet(2.0)), (P.Dirichlet(), P.Neumann(0.5)), (P.Neumann(1.0), P.Dirichlet())],
    ids=["values", "value and slope", "slope and value"],
)
@pytest.mark.parametrize("centring", ["cell", "node"])
def test_between_walls_it_undoes_the_laplacian_and_fulfils_the_conditions(left, right, centring):
    grid = P.Grid((6, 8), 1.0, (centring, "periodic"), ((left, right), P.Periodic()))
    ops = P.FiniteDifference().on(grid)
    f = random((6, 8))
    operator = P.Elliptic(grid)
    inside = operator.unknowns
    assert relative_error(inside(ops.laplacian(ops.inverse_laplacian(f))), inside(f)) < 1e-12


def test_where_slopes_alone_are_given_the_mean_is_zero():
    ops = P.FiniteDifference().on(P.Grid((6, 8), boundary=P.Neumann()))
    f = random((6, 8))
    u = ops.inverse_laplacian(f)
    assert abs(float(u.mean())) < 1e-14
    assert relative_error(ops.laplacian(u), f - f.mean()) < 1e-12


def test_complex_fields_and_gradients():
    ops = P.FiniteDifference(4).on(P.Grid((4, 5)))
    f = torch.complex(random((4, 5)), random((4, 5)).flip(0))
    f = f - f.mean()
    assert relative_error(ops.laplacian(ops.inverse_laplacian(f)), f) < 1e-12
    ask = lambda f: (ops.inverse_laplacian(f) ** 3).sum()  # noqa: E731
    assert relative_error(gradient(ask, f.real), difference(ask, f.real)) < 1e-7


def test_what_has_no_transform_is_refused():
    with pytest.raises(ValueError, match="has accuracy 2; got 4"):
        P.FiniteDifference(4).on(P.Grid(9, boundary=P.Dirichlet())).inverse_laplacian(torch.ones(9))
    with pytest.raises(ValueError, match="no Robin"):
        P.FiniteDifference().on(P.Grid(9, boundary=P.Robin(1.0, 1.0))).inverse_laplacian(torch.ones(9))


def test_a_wall_that_mirrors_is_one_where_slopes_vanish():
    from kutta.pde.waves.transforms import diagonalised

    mirrored, flat = (diagonalised(P.Grid(8, boundary=side), 1.0, 1.0) for side in (P.Wall(), P.Neumann()))
    u = torch.arange(8, dtype=torch.float64)
    assert mirrored is not None
    assert torch.equal(mirrored(u), flat(u))
