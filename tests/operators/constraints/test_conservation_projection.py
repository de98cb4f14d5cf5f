"""Projections onto fields of given functionals: exact, nearest, differentiable; and what they refuse."""

import pytest
import torch

import kutta as kt
from kutta.pde.grids.quadrature import quadrature
from tests._helpers import F64

Projection = kt.operators.ConservationProjection
WALL = kt.pde.Neumann()
GRIDS = {
    "periodic": kt.pde.Grid((12, 9), (2.0, 1.0)),
    "cells": kt.pde.Grid((12, 9), boundary=WALL),
    "nodes": kt.pde.Grid((12, 9), (1.0, 3.0), "node", WALL),
    "values at nodes": kt.pde.Grid((12, 9), centring="node", boundary=kt.pde.Dirichlet()),
    "line": kt.pde.Grid(64),
}


def drawn(*shape, seed=0, dtype=F64):
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def off(projection, v, d):
    """``|C v - d|`` relative to what is added up for it."""
    size = projection.functionals.abs() @ v.double().abs().reshape(-1, projection.functionals.shape[1]).mT
    return float(((projection.measure(v) - d).abs().reshape(-1, len(projection.functionals)) / size.mT).max())


def test_it_is_the_nearest_of_all_that_fulfil_the_constraints():
    """The formula, and the optimality: what is added has no part along the null space of ``C``."""
    c, u, d, w = drawn(3, 10), drawn(10, seed=1), drawn(3, seed=2), drawn(10, seed=3).exp()
    v = Projection(c, w)(u, d)
    inverse = torch.diag(1.0 / w)
    formula = u - inverse @ c.mT @ torch.linalg.solve(c @ inverse @ c.mT, c @ u - d)
    torch.testing.assert_close(v, formula, rtol=1e-12, atol=1e-12)
    null = torch.linalg.svd(c).Vh[3:]
    assert float((null @ (w * (v - u))).abs().max()) < 1e-13


@pytest.mark.parametrize("rows", [1, 2, 5])
@pytest.mark.parametrize("batch", [(), (4,), (2, 3)])
def test_constraints_hold_to_rounding(rows, batch):
    c, u, d = drawn(rows, 2, 40), drawn(*batch, 2, 40, seed=1), drawn(*batch, rows, seed=2)
    projection = Projection(c)
    v = projection(u, d)
    assert v.shape == u.shape and off(projection, v, d) < 1e-14
    assert off(projection, projection(u, d[(0,) * len(batch)]), d[(0,) * len(batch)]) < 1e-14


def test_rows_of_any_size_and_nearly_parallel_ones_hold_as_exactly():
    c = drawn(3, 50)
    c = torch.stack([1e8 * c[0], 1e-8 * c[1], c[0] + 1e-5 * c[2]])
    projection, d = Projection(c), torch.tensor([1e8, 1e-8, 2.0], dtype=F64)
    v = projection(drawn(50, seed=1), d)
    assert off(projection, v, d) < 1e-14


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_in_other_dtypes_only_the_field_is_rounded(dtype):
    """No entry is off by more than half of its last digit from the field in float64, and so are not the sums."""
    projection = Projection.totals(GRIDS["cells"], 2)
    u, d = (5.0 + drawn(3, 2, 12, 9)).to(dtype), torch.tensor([2.0, 7.0])
    v, exact = projection(u, d), projection(u.double(), d)
    assert v.dtype == dtype and torch.equal(v, exact.to(dtype))
    assert off(projection, v, d.double()) < 0.5 * torch.finfo(dtype).eps


def test_in_float32_it_stays_exact_in_a_model_that_is_made_one_of_float32():
    model = torch.nn.ModuleList([Projection(drawn(2, 30))]).float()
    u, d = drawn(30, seed=1), drawn(2, seed=2)
    assert off(model[0], model[0](u, d), d) < 1e-14
    assert not model.state_dict()


@pytest.mark.parametrize("name", GRIDS)
def test_totals_are_those_of_the_data(name):
    grid = GRIDS[name]
    before, after = drawn(2, 4, 3, *grid.shape)
    projection = Projection.totals(grid, 3, (0, 2))
    volumes = quadrature(grid)
    v = projection(after, projection.measure(before))
    mass = [(volumes * one).flatten(2).sum(2) for one in (before, v)]
    torch.testing.assert_close(mass[1][:, [0, 2]], mass[0][:, [0, 2]], rtol=1e-12, atol=1e-13)
    assert torch.equal(v[:, 1], after[:, 1])


@pytest.mark.parametrize("name", ["periodic", "cells", "nodes"])
def test_of_a_total_all_points_change_alike(name):
    grid = GRIDS[name]
    u = drawn(1, *grid.shape)
    change = Projection.totals(grid, 1)(u, 1.0) - u
    torch.testing.assert_close(change, change.mean().expand_as(change), rtol=1e-12, atol=1e-12)


def test_values_of_the_boundary_stay():
    grid = GRIDS["values at nodes"]
    u = drawn(2, 1, *grid.shape)
    change = Projection.totals(grid, 1)(u, 3.0) - u
    inside = change[:, :, 1:-1, 1:-1]
    assert torch.equal(change.abs().sum(), inside.abs().sum())
    torch.testing.assert_close(inside, inside.mean((2, 3), keepdim=True).expand_as(inside), rtol=1e-12, atol=1e-12)


def test_weights_say_where_fields_change():
    """Twice the weight, half of the change; none where it is infinite."""
    u, weight = drawn(6), torch.tensor([1.0, 2.0, torch.inf, 1.0, 4.0, 1.0], dtype=F64)
    change = Projection(torch.ones(1, 6, dtype=F64), weight)(u, 10.0) - u
    wanted = change[0] * torch.tensor([1.0, 1.0, 0.0, 1.0, 1.0, 1.0], dtype=F64)
    torch.testing.assert_close(change * weight.clamp(max=10.0), wanted)


def test_moments_on_a_grid():
    """Mass and centre of mass of a line, kept at once."""
    grid = GRIDS["line"]
    x = grid.points()
    projection = Projection.inner_products(grid, torch.stack([torch.ones_like(x), x]))
    u = projection(drawn(5, 1, 64), torch.tensor([1.0, 0.25]))
    found = torch.stack([u.mean((1, 2)), (u * x).mean((1, 2))], 1)
    torch.testing.assert_close(found, torch.tensor([1.0, 0.25], dtype=F64).expand(5, 2), rtol=1e-13, atol=1e-14)


def test_once_is_enough():
    projection, d = Projection(drawn(3, 2, 20)), drawn(4, 3, seed=2)
    once = projection(drawn(4, 2, 20, seed=1), d)
    torch.testing.assert_close(projection(once, d), once, rtol=1e-14, atol=1e-14)


def test_gradients_are_those_of_a_projection():
    projection = Projection(drawn(2, 3, 4), drawn(4, seed=3).exp())
    u, d = drawn(5, 3, 4, seed=1).requires_grad_(), drawn(5, 2, seed=2).requires_grad_()
    assert torch.autograd.gradcheck(projection, (u, d))
    assert torch.autograd.gradgradcheck(projection, (u, d))
    (slope,) = torch.autograd.grad(projection.measure(projection(u, d)).square().sum(), u)
    assert float(slope.abs().max()) < 1e-12  # what is conserved does not depend on what came


def test_a_field_that_is_not_finite_leaves_the_others_alone():
    projection, u = Projection(drawn(1, 8)), drawn(3, 8, seed=1)
    broken = u.clone()
    broken[1, 0] = float("nan")
    assert torch.equal(projection(broken, 1.0)[[0, 2]], projection(u, 1.0)[[0, 2]])


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (lambda c: torch.stack([c[0], c[1], c[0] - 3.0 * c[1]]), "row 2 is a combination of those before it: leave"),
        (lambda c: torch.stack([c[0], c[0], c[1]]), "row 1 is a combination"),
        (lambda c: torch.stack([c[0], 0.0 * c[1]]), "row 1 is zero at all of them"),
        (lambda c: c.repeat(3, 1), "no more than entries of a state, 8; got 9: some are redundant"),
        (lambda c: c[0], r"functionals must have the shape \(m, \*state\).*got \(8,\)"),
        (lambda c: c[:0], "one row or more"),
        (lambda c: c.to(torch.complex128), "real floating-point numbers; got torch.complex128"),
        (lambda c: c.long(), "real floating-point numbers; got torch.int64"),
        (lambda c: c.tolist(), "got list"),
        (lambda c: c / torch.tensor([1.0, 0.0, 1.0])[:, None], "functionals must be finite; row 1 is not"),
    ],
)
def test_functionals_that_do_not_do_are_refused(rows, message):
    with pytest.raises((TypeError, ValueError), match=message):
        Projection(rows(drawn(3, 8)))


def test_dependent_rows_of_float32_are_found_in_spite_of_their_rounding():
    c = drawn(2, 100, dtype=torch.float32)
    with pytest.raises(ValueError, match="row 2 is a combination"):
        Projection(torch.cat([c, (c[:1] + c[1:]) / 3.0]))


@pytest.mark.parametrize(
    ("weight", "message"),
    [(0.0, "positive"), (-torch.ones(8), "its smallest value is -1"), (torch.ones(7), "must broadcast with a state"),
     (float("nan"), "positive"), (torch.full((8,), torch.inf), "row 0 is zero at all of them"), (1j, "must be real")],
)  # fmt: skip
def test_weights_that_do_not_do_are_refused(weight, message):
    with pytest.raises((TypeError, ValueError), match=message):
        Projection(drawn(3, 8), weight)


@pytest.mark.parametrize(
    ("u", "d", "message"),
    [
        (drawn(4, 7), 1.0, r"u must have the shape \(..., 8\) of states; got \(4, 7\)"),
        (torch.zeros(()), 1.0, r"got \(\)"),
        (torch.zeros(8).long(), 1.0, "got torch.int64"),
        (drawn(8).tolist(), 1.0, "got list"),
        (drawn(4, 8), drawn(2), r"d must have a value for each functional, \(4, 3\), or \(3,\) for all states"),
        (drawn(4, 8), drawn(5, 3), r"got the shape \(5, 3\)"),
        (drawn(8), drawn(4, 3), r"got the shape \(4, 3\)"),
        (drawn(4, 8), 1j * drawn(3), "d must be real"),
    ],
)
def test_fields_and_values_that_do_not_fit_are_refused(u, d, message):
    with pytest.raises((TypeError, ValueError), match=message):
        Projection(drawn(3, 8))(u, d)


def test_an_empty_batch_is_one():
    assert Projection(drawn(3, 8))(torch.zeros(0, 8), drawn(3)).shape == (0, 8)


@pytest.mark.parametrize("conserved", [(), (2,), (0, 0), (-1,)])
def test_channels_that_there_are_not_are_refused(conserved):
    with pytest.raises(ValueError, match="conserved must be different channels out of 0 to 1"):
        Projection.totals(GRIDS["line"], 2, conserved)


def test_fields_of_another_grid_are_refused():
    with pytest.raises(ValueError, match=r"fields must have the shape \(m, channels, 64\); got \(1, 1, 63\)"):
        Projection.inner_products(GRIDS["line"], torch.ones(1, 1, 63))
