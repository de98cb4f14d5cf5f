"""Stabilised biconjugate gradients."""

import pytest
import torch

import kutta as kt
from tests._helpers import F64, relative_error, tensor
from tests.solvers.algebra._systems import exact, general, random, solved


@pytest.mark.parametrize("dtype", [torch.float32, F64, torch.complex64, torch.complex128], ids=str)
def test_solutions(dtype):
    matrix, b = general(40, dtype=dtype), random(3, 40, dtype=dtype)
    sol = solved(matrix, b, kt.BiCGSTAB())
    assert sol.y1.dtype == dtype and relative_error(sol.y1, exact(matrix, b)) < 1e-4


def test_iterations_are_the_different_eigenvalues():
    turn = torch.linalg.qr(random(24, 24))[0] + 0.3 * torch.triu(random(24, 24, seed=1), 1)
    matrix = torch.linalg.solve(turn, torch.diag(tensor(1.0, 2.0, 4.0).repeat(8)) @ turn)
    sol = solved(matrix, random(2, 24), kt.BiCGSTAB(), rtol=1e-9)
    assert sol.stats.steps.tolist() == [3, 3]


def test_systems_of_a_batch_end_on_their_own():
    matrices = torch.stack([2.0 * torch.eye(20, dtype=F64), general(20), general(20) + torch.diag(random(20))])
    b = random(3, 20)
    whole = solved(matrices, b, kt.BiCGSTAB(), rtol=1e-8)
    steps = whole.stats.steps.tolist()
    assert steps[0] == 1 < steps[1]
    for place in range(3):
        alone = solved(matrices[place], b[place], kt.BiCGSTAB(), rtol=1e-8)
        assert alone.stats.steps == steps[place]
        torch.testing.assert_close(alone.y1, whole.y1[place], rtol=1e-7, atol=1e-7)


def test_breakdown_is_named():
    # r A r = 0 for every r.
    turn = tensor((0.0, 1.0), (-1.0, 0.0))
    with pytest.raises(kt.LinearSolveError, match=r"BREAKDOWN after 1 iterations.*use kutta.GMRES"):
        solved(turn, tensor(1.0, 2.0), kt.BiCGSTAB())
    sol = solved(torch.stack([turn, torch.eye(2, dtype=F64)]), tensor(1.0, 2.0), kt.BiCGSTAB(), throw=False)
    assert [one.name for one in sol.result] == ["BREAKDOWN", "SUCCESS"]


def test_preconditioners():
    scale = torch.logspace(0, 5, 50, dtype=F64)
    matrix, b = scale * general(50), random(2, 50)
    for given in (kt.algebra.Diagonal(1.0 / scale), kt.SOR()):
        sol = solved(matrix, b, kt.BiCGSTAB(given), rtol=1e-8)
        assert int(sol.stats.steps.max()) < 20
        assert bool(((b - sol.y1 @ matrix.mT).norm(dim=-1) <= 1e-8 * b.norm(dim=-1)).all())
