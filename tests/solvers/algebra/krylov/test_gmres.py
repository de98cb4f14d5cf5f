"""Generalised minimal residuals for any operator."""

import pytest
import torch

import kutta as kt
from tests._helpers import F64, relative_error, tensor
from tests.solvers.algebra._systems import exact, general, random, solved


@pytest.mark.parametrize("dtype", [torch.float32, F64, torch.complex64, torch.complex128], ids=str)
@pytest.mark.parametrize("restart", [1, 5, 30, 500])
def test_solutions(dtype, restart):
    matrix, b = general(40, dtype=dtype), random(3, 40, dtype=dtype)
    sol = solved(matrix, b, kt.GMRES(restart=restart))
    assert sol.y1.dtype == dtype and relative_error(sol.y1, exact(matrix, b)) < 1e-4


def test_it_ends_after_as_many_iterations_as_there_are_unknowns():
    shift = torch.roll(torch.eye(12, dtype=F64), 1, 0)
    b = torch.nn.functional.one_hot(torch.tensor(0), 12).double()
    assert solved(shift, b, kt.GMRES(), rtol=1e-10).stats.steps == 12
    # It gets nowhere before, so that with a restart it never does.
    assert solved(shift, b, kt.GMRES(restart=11), max_steps=60, throw=False).result is kt.Result.MAX_STEPS


def test_each_residual_is_the_smallest_of_its_krylov_space():
    matrix, b = random(12, 12), random(12)
    powers = [b]
    for k in range(1, 12):
        sol = solved(matrix, b, kt.GMRES(), rtol=1e-15, max_steps=k, throw=False)
        space = torch.linalg.qr(torch.stack(powers, -1))[0]
        best = torch.linalg.lstsq(matrix @ space, b[:, None]).solution
        smallest = float((b - (matrix @ space @ best)[:, 0]).norm())
        assert sol.stats.residual_norms == pytest.approx(smallest, rel=1e-6)
        powers.append(matrix @ powers[-1] / powers[-1].norm())


def test_systems_of_a_batch_end_on_their_own():
    matrices = torch.stack([torch.eye(20, dtype=F64), general(20), random(20, 20)])
    b = random(3, 20)
    whole = solved(matrices, b, kt.GMRES(restart=12), rtol=1e-8, max_steps=3000, throw=False)
    steps = whole.stats.steps.tolist()
    assert steps[0] == 1 < steps[1] < steps[2]
    for place in range(2):
        alone = solved(matrices[place], b[place], kt.GMRES(restart=12), rtol=1e-8)
        assert alone.stats.steps == steps[place]
        torch.testing.assert_close(alone.y1, whole.y1[place], rtol=1e-9, atol=1e-9)


def test_preconditioners_at_the_right_leave_the_residual_as_it_is():
    scale = torch.logspace(0, 5, 50, dtype=F64)
    matrix, b = scale * general(50), random(2, 50)
    for given in (kt.algebra.Diagonal(1.0 / scale), lambda r: r / scale, kt.SOR(), kt.LU()):
        sol = solved(matrix, b, kt.GMRES(given), rtol=1e-9)
        assert int(sol.stats.steps.max()) < 30
        assert bool(((b - sol.y1 @ matrix.mT).norm(dim=-1) <= 1e-9 * b.norm(dim=-1)).all())


def test_singular_systems_are_named():
    matrix = torch.diag(tensor(0.0, 1.0, 2.0, 3.0))
    sol = solved(matrix, torch.ones(4, dtype=F64), kt.GMRES(), throw=False)
    assert sol.result is kt.Result.SINGULAR and bool(torch.isfinite(sol.y1).all())
    assert relative_error(solved(matrix, tensor(0.0, 1.0, 2.0, 3.0), kt.GMRES(), rtol=1e-10).y1[1:], torch.ones(3)) < (
        1e-9
    )
    zero = solved(torch.zeros(3, 3), torch.ones(3), kt.GMRES(), throw=False)
    assert zero.result is kt.Result.SINGULAR and zero.y1.tolist() == [0.0, 0.0, 0.0]


def test_options_are_checked():
    for restart in (0, 2.0, True):
        with pytest.raises(ValueError, match="restart must be a positive whole number"):
            kt.GMRES(restart=restart)
