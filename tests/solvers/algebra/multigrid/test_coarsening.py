"""Coarser networks: the discretisation on the coarser grid, chains of resistors, and the way between the two."""

import pytest
import torch

from kutta.solvers.algebra.multigrid.coarsening import coarsened
from tests._helpers import F64
from tests.solvers.algebra.multigrid._grids import P, random

CASES = {
    "cells with values": ("cell", P.Dirichlet(), 16, 8),
    "cells with slopes": ("cell", P.Neumann(), 16, 8),
    "cells with mixtures": ("cell", P.Robin(2.0, 0.7), 16, 8),
    "nodes with values": ("node", P.Dirichlet(), 17, 9),
    "nodes with slopes": ("node", P.Neumann(), 17, 9),
    "nodes with mixtures": ("node", P.Robin(2.0, 0.7), 17, 9),
    "nodes with both": ("node", (P.Neumann(), P.Dirichlet()), 17, 9),
    "periodic": ("periodic", P.Periodic(), 16, 8),
}
EVERY = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


def network(centring, sides, shape, a=2.0, shift=0.3):
    pair = sides if isinstance(sides, tuple) else (sides, sides)
    return P.Elliptic(P.Grid(shape, 1.0, centring, (pair,) * len(shape)), a, shift).network()


def dense(network):
    like = torch.zeros(network.shape, dtype=F64)
    stencil = network.stencil(like)
    return torch.stack(
        [stencil.apply(unit.reshape(network.shape)).flatten() for unit in torch.eye(like.numel(), dtype=F64)]
    )


@EVERY
@pytest.mark.parametrize("dim", [1, 2])
def test_half_of_the_points_give_the_network_of_the_coarser_grid(case, dim):
    """Four times as many volumes to a point, in units of those of the finer grid."""
    centring, sides, fine, coarse = case
    found = network(centring, sides, (fine,) * dim)
    for axis in range(dim):
        found, _ = coarsened(found, axis)
    expected = network(centring, sides, (coarse,) * dim)
    assert torch.allclose(dense(found), 2.0**dim * dense(expected), rtol=1e-12, atol=1e-10)


@pytest.mark.parametrize("kind", [kind for kind in CASES if "cells" not in kind])
@pytest.mark.parametrize("odd", [0, 1])
def test_on_a_line_of_nodes_without_a_shift_the_coarser_network_is_the_galerkin_product(kind, odd):
    """``P^T K P = K_c``, whatever the coefficient and the number of points."""
    centring, sides, n, _ = CASES[kind]
    a = torch.exp(3.0 * random(n + odd))
    fine = network(centring, sides, (n + odd,), a, 0.0)
    coarse, transfer = coarsened(fine, 0)
    weights = transfer.interpolate_(
        torch.zeros(coarse.shape[0], fine.shape[0], dtype=F64), torch.eye(coarse.shape[0], dtype=F64)
    )
    product = weights @ dense(fine) @ weights.mT
    assert torch.allclose(product, dense(coarse), rtol=1e-10, atol=1e-10)


@EVERY
def test_potentials_between_coarse_points_are_those_of_the_chain(case):
    """With a current through the ends alone, what is interpolated carries it everywhere."""
    centring, sides, n, _ = case
    if isinstance(sides, P.Periodic):
        return
    fine = network(centring, sides, (n,), torch.exp(3.0 * random(n)), 0.0)
    coarse, transfer = coarsened(fine, 0)
    links, coarse_links = fine.chains[0].links[1:-1], coarse.chains[0].links[1:-1]
    potential = torch.cat([torch.zeros(1, dtype=F64), (1.0 / coarse_links).cumsum(0)])
    u = transfer.interpolate_(torch.zeros(fine.shape, dtype=F64), potential)
    current = (links * u.diff())[2:-2]
    assert torch.allclose(current, torch.ones_like(current))


@pytest.mark.parametrize("shape", [(11, 8), (8, 11), (7, 9), (4, 5)])
@pytest.mark.parametrize("kind", list(CASES))
def test_restriction_is_the_transpose_of_interpolation(shape, kind):
    centring, sides, *_ = CASES[kind]
    fine = network(centring, sides, shape, torch.exp(random(*shape)))
    for axis in (0, 1):
        coarse, transfer = coarsened(fine, axis)
        u, v = random(3, *fine.shape), random(3, *coarse.shape, seed=1)
        up = transfer.interpolate_(torch.zeros_like(u), v)
        assert torch.allclose((up * u).sum(), (transfer.restricted(u) * v).sum())
        assert torch.allclose(dense(coarse), dense(coarse).mT)


@pytest.mark.parametrize("shape", [(16, 15), (9, 22)])
@pytest.mark.parametrize("kind", list(CASES))
def test_a_number_and_a_field_of_it_coarsen_alike(shape, kind):
    """Numbers stay on the host, where most of the weights are found to be all the same."""
    centring, sides, *_ = CASES[kind]
    number, field = (network(centring, sides, shape, a) for a in (2.0, torch.full(shape, 2.0, dtype=F64)))
    for axis in (0, 1, 0, 1):
        (number, by_number), (field, by_field) = coarsened(number, axis), coarsened(field, axis)
        assert torch.allclose(dense(number), dense(field))
        u = random(*field.shape)
        fine = list(u.shape)
        fine[axis] = by_field.fine
        like = torch.zeros(fine, dtype=F64)
        up = [
            one.at_work(uniform, u).interpolate_(like.clone(), u)
            for one, uniform in ((by_number, True), (by_field, False))
        ]
        assert torch.allclose(*up)


def test_constants_stay_constant():
    """Where nothing leads to the ground, interpolated constants are constants, and coarser networks have them too."""
    for centring, shape in (("cell", (13, 10)), ("node", (12, 9)), ("periodic", (7, 12))):
        sides = P.Periodic() if centring == "periodic" else P.Neumann()
        fine = network(centring, sides, shape, torch.exp(2.0 * random(*shape)), 0.0)
        for axis in (0, 1):
            coarse, transfer = coarsened(fine, axis)
            ones = torch.ones(coarse.shape, dtype=F64)
            up = transfer.interpolate_(torch.zeros(fine.shape, dtype=F64), ones)
            assert torch.allclose(up, torch.ones_like(up))
            fine = coarse
        assert float(fine.stencil(ones).apply(ones).abs().max()) < 1e-9


def test_the_whole_of_a_shift_is_kept():
    """Nodes on sides with slopes and lone cells too: sums of volumes do not change."""
    for centring, shape in (("cell", (13, 10)), ("node", (12, 9)), ("node", (13, 8)), ("periodic", (7, 12))):
        sides = P.Periodic() if centring == "periodic" else P.Neumann()
        fine = network(centring, sides, shape, 1.0, 1.0)
        total = float(fine.ground.expand(fine.shape).sum())
        for axis in (0, 1, 0):
            fine, _ = coarsened(fine, axis)
            assert float(fine.ground.expand(fine.shape).sum()) == pytest.approx(total)
