"""Multigrid: the factors that theory and practice know, whatever the grid, its sides and the coefficient."""

import pytest
import torch

import kutta as kt
from tests._helpers import F64, relative_error
from tests.solvers.algebra.multigrid._grids import P, nodes, random, residual_factors, two_phases
from tests.solvers.test_host_reads import Reads

JACOBI, RED_BLACK = kt.algebra.DampedJacobi(0.8), kt.algebra.RedBlack()


def steps(operator, method=None, rtol=1e-8):
    b = operator.compatible(random(*operator.batch, *operator.grid.shape))
    sol = kt.solve(kt.LinearProblem(operator, b), method, rtol=rtol)
    assert float((operator.apply(sol.y1) - b).norm()) <= 1.01 * rtol * float(b.norm())
    return sol.stats.steps


@pytest.mark.parametrize(("n", "starts"), [(31, 32), (63, 16), (127, 4), pytest.param(511, 1, marks=pytest.mark.slow)])
@pytest.mark.parametrize(("smoother", "factor"), [(JACOBI, 0.345), (RED_BLACK, 0.102)], ids=["Jacobi", "red-black"])
def test_the_factors_of_squares(n, starts, smoother, factor):
    """Those of the thirteenth V(1,1) cycle from random fields; 31^2 points have few levels, and are a little faster."""
    found = residual_factors(P.Elliptic(nodes(n, n)), kt.Multigrid(smoother=smoother), 13, starts)
    assert found[-1] == pytest.approx(factor, rel=0.02 if n > 31 else 0.05)


def test_the_factors_of_cubes():
    """Two Jacobi sweeps leave ``(1 - 4/5 / 3)^2 = 0.538`` of what lies between the grids."""
    jacobi, red_black = (
        [residual_factors(P.Elliptic(nodes(n, n, n)), kt.Multigrid(smoother=one), 13)[-1] for n in (15, 31)]
        for one in (JACOBI, RED_BLACK)
    )
    assert jacobi == pytest.approx([0.490, 0.502], rel=0.02) and max(jacobi) < 0.538
    assert red_black == pytest.approx([0.193, 0.204], rel=0.02)


@pytest.mark.parametrize("kind", ["nodes", "cells", "periodic"])
@pytest.mark.parametrize("sides", [P.Dirichlet(), P.Neumann(), P.Robin(1.0, 1.0)], ids=["value", "slope", "mixture"])
def test_the_factor_does_not_depend_on_the_size(kind, sides):
    if kind == "periodic":
        sides = P.Periodic()
    centring = {"nodes": "node", "cells": "cell", "periodic": "periodic"}[kind]
    most = {"nodes": 0.115, "cells": 0.215, "periodic": 0.115}[kind]
    for n in (24, 48, 96):
        n = n + 1 if kind == "nodes" else n
        found = residual_factors(P.Elliptic(P.Grid((n, n), 1.0, centring, sides)), kt.Multigrid(), 10)
        assert found[-1] < most


@pytest.mark.parametrize("shape", [(5,), (64,), (97,), (37, 50), (64, 3), (29, 31), (6, 6), (13, 18, 21), (1, 40)])
@pytest.mark.parametrize("centring", ["cell", "node", "periodic"])
def test_any_size(shape, centring):
    if centring == "node":
        shape = tuple(max(n, 3) for n in shape)
    sides = {"cell": (P.Dirichlet(), P.Neumann()), "node": (P.Neumann(), P.Dirichlet()), "periodic": P.Periodic()}
    grid = P.Grid(shape, tuple(n / 10 for n in shape), centring, (sides[centring],) * len(shape))
    operator = P.Elliptic(grid)
    assert steps(operator, kt.Multigrid()) < 16
    assert steps(P.Elliptic(grid, 1.0 + random(*shape).abs()), kt.GMRES(kt.Multigrid())) < 20


@pytest.mark.parametrize("cycle", ["V", "W", "F"])
@pytest.mark.parametrize("full", [True, False])
def test_cycles_and_full_multigrid(cycle, full):
    operator = P.Elliptic(nodes(63, 63))
    method = kt.Multigrid(cycle, full=full)
    assert steps(operator, method) <= {"V": 9, "W": 7, "F": 7}[cycle]


def test_more_sweeps_and_better_cycles_converge_faster():
    operator = P.Elliptic(nodes(63, 63))
    last = [residual_factors(operator, kt.Multigrid(cycle), 12)[-1] for cycle in "VFW"]
    assert last[0] > 1.2 * last[1] and last[1] == pytest.approx(last[2], rel=0.05)
    sweeps = [residual_factors(operator, kt.Multigrid("W", n, n), 6)[-1] for n in (1, 2, 3)]
    assert sweeps[0] > 1.5 * sweeps[1] > 1.5 * sweeps[2]


def test_full_multigrid_begins_within_the_error_of_the_grid():
    for n in (31, 63, 127):
        grid = nodes(n, n)
        x, y = grid.points()
        exact = torch.sin(torch.pi * x) * torch.sin(2 * torch.pi * y)
        operator = P.Elliptic(grid)
        b = operator.compatible(5 * torch.pi**2 * exact)
        converged = kt.solve(kt.LinearProblem(operator, b)).y1
        solver = kt.Multigrid().solver(operator, b, kt.solvers.algebra.method.Goal())
        first = operator.scattered(solver.cycles.first_guess(operator.gathered(b)), b)
        assert float((first - converged).norm()) < 0.6 * float((converged - exact).norm())


@pytest.mark.parametrize("method", [kt.Multigrid(), kt.CG(kt.Multigrid())], ids=["alone", "preconditioner"])
def test_a_guess_means_nothing_where_the_source_is_zero(method):
    operator = P.Elliptic(P.Grid((16, 16), boundary=P.Dirichlet(), centring="cell"))
    source = random(2, 16, 16)
    source[0] = 0.0
    sol = kt.solve(kt.LinearProblem(operator, source, guess=random(2, 16, 16)), method, rtol=1e-8)
    assert int(sol.stats.steps[0]) == 0 and not bool(sol.y1[0].any()) and int(sol.stats.steps[1]) > 0


def test_a_guess_is_where_it_begins():
    operator = P.Elliptic(nodes(31, 31))
    b = operator.compatible(random(33, 33))
    u = kt.solve(kt.LinearProblem(operator, b)).y1
    kept = u.clone()
    assert kt.solve(kt.LinearProblem(operator, b, guess=u), kt.Multigrid(), rtol=1e-9).stats.steps == 0
    near = kt.solve(kt.LinearProblem(operator, b, guess=u + 1e-6 * random(33, 33)), kt.Multigrid(), rtol=1e-8)
    assert near.stats.steps < kt.solve(kt.LinearProblem(operator, b), kt.Multigrid(full=False), rtol=1e-8).stats.steps
    assert torch.equal(u, kept)


CONTRASTS = [1e-4, 1e4]
SIDES = {
    "values": P.Dirichlet(),
    "slopes": P.Neumann(),
    "mixed": ((P.Neumann(), P.Dirichlet()), (P.Robin(1.0, 0.5), P.Neumann())),
    "periodic": P.Periodic(),
}


@pytest.mark.parametrize("contrast", CONTRASTS)
@pytest.mark.parametrize("sides", SIDES.values(), ids=SIDES)
@pytest.mark.parametrize("shape", [(64, 64), (101, 87)], ids=["64", "odd"])
def test_jumps_of_ten_thousand(shape, sides, contrast):
    operator = P.Elliptic(P.Grid(shape, boundary=sides), two_phases(shape, contrast))
    assert operator.symmetric
    assert steps(operator) < 25


@pytest.mark.parametrize("centring", ["cell", "node"])
def test_jumps_in_three_dimensions_and_at_nodes(centring):
    box, square = (P.Grid(shape, 1.0, centring, P.Dirichlet()) for shape in ((25, 24, 22), (96, 96)))
    for grid in (box, square):
        assert steps(P.Elliptic(grid, two_phases(grid.shape, 1e4))) < 25
    slopes = P.Grid((65, 65), 1.0, centring, (P.Neumann(), P.Dirichlet()))
    assert steps(P.Elliptic(slopes, two_phases((65, 65), 1e4))) < 25


def test_a_board_of_squares():
    """Corners at which four regions meet; the hardest case of jumps along grid lines."""
    x, y = (8 * P.Grid((64, 64), boundary=P.Dirichlet()).points()).long()
    a = torch.where((x + y) % 2 == 0, 1e4, 1.0).to(F64)
    assert steps(P.Elliptic(P.Grid((64, 64), boundary=P.Dirichlet()), a)) < 25


@pytest.mark.parametrize("length", [(1.0, 0.1), (1.0, 30.0), (0.01, 1.0)])
@pytest.mark.parametrize("centring", ["cell", "node"])
def test_stretched_points(length, centring):
    """Semicoarsening: only along the strong couplings until they are as weak as the others."""
    grid = P.Grid((65, 65), length, centring, P.Dirichlet())
    assert steps(P.Elliptic(grid), kt.Multigrid()) < 12
    assert steps(P.Elliptic(grid, 1.0 + random(65, 65).abs())) < 16


def test_stretched_points_in_three_dimensions():
    grid = P.Grid((33, 17, 20), (1.0, 0.03, 7.0), boundary=P.Dirichlet())
    assert steps(P.Elliptic(grid), kt.Multigrid()) < 14


def test_a_shift_makes_it_easier():
    grid = P.Grid((64, 64), boundary=P.Neumann())
    found = [steps(P.Elliptic(grid, 1.0, shift), kt.Multigrid(full=False)) for shift in (1.0, 1e4, 1e6)]
    assert found[0] >= found[1] >= found[2] and found[2] < 5
    field = P.Elliptic(grid, 1.0, 1e4 * random(64, 64).abs())
    assert steps(field) < 12
    assert steps(P.Elliptic(grid).shifted(1.0, 1e-3), kt.Multigrid()) < 10
    negative = -P.Elliptic(nodes(31, 31))
    assert steps(negative, kt.Multigrid()) < 10 and steps(negative, kt.CG(kt.Multigrid())) < 10


@pytest.mark.parametrize(
    "smoother",
    [RED_BLACK, JACOBI, kt.algebra.Chebyshev(2), kt.algebra.Lines(1)],
    ids=["red-black", "Jacobi", "Chebyshev", "lines"],
)
@pytest.mark.parametrize("cycle", ["V", "W"])
@pytest.mark.parametrize("sides", [P.Dirichlet(), P.Neumann()], ids=["values", "slopes"])
def test_as_a_preconditioner_it_is_symmetric_and_positive(smoother, cycle, sides):
    grid = P.Grid((13, 11), boundary=sides)
    operator, like = P.Elliptic(grid, two_phases((13, 11), 10.0)), torch.zeros(13, 11, dtype=F64)
    inverse = kt.Multigrid(cycle, 2, 2, smoother).preconditioner(operator, like)
    matrix = inverse.dense(like)
    assert inverse.symmetric
    assert torch.allclose(matrix, matrix.mT, atol=1e-12)
    least, *_ = torch.linalg.eigvalsh(matrix).tolist()
    assert least > (-1e-12 if operator.singular else 0.0)


@pytest.mark.parametrize("sides", [P.Dirichlet(), P.Neumann(), P.Robin(1.0, 0.3)], ids=["values", "slopes", "mixture"])
def test_the_transposed_preconditioner_is_the_transpose(sides):
    grid = P.Grid((9, 8), 1.0, "node", (sides, P.Neumann()))
    operator, like = P.Elliptic(grid, two_phases((9, 8), 10.0)), torch.zeros(9, 8, dtype=F64)
    inverse = kt.Multigrid().preconditioner(operator, like)
    assert torch.allclose(inverse.transposed().dense(like), inverse.dense(like).mT, atol=1e-13)


def test_samples_of_a_batch_do_not_meet():
    operator = P.Elliptic(nodes(31, 31))
    b = operator.compatible(random(3, 33, 33) * torch.tensor([1.0, 1e-8, 1e3], dtype=F64)[:, None, None])
    b[1] = 0.0
    together = kt.solve(kt.LinearProblem(operator, b), kt.Multigrid(), rtol=1e-9)
    assert together.stats.steps[1] == 0
    for one, right in zip(together.y1, b, strict=True):
        assert torch.equal(one, kt.solve(kt.LinearProblem(operator, right), kt.Multigrid(), rtol=1e-9).y1)


def test_it_says_when_it_does_not_converge():
    grid = P.Grid((32, 32), boundary=P.Dirichlet())
    operator = P.Elliptic(grid, 1.0, -100.0)  # beyond the first eigenvalue
    with pytest.raises(kt.LinearSolveError):
        kt.solve(kt.LinearProblem(operator, random(32, 32)), kt.Multigrid(), rtol=1e-8, max_steps=50)
    assert (
        relative_error(operator.apply(kt.solve(kt.LinearProblem(operator, random(32, 32))).y1), random(32, 32)) < 1e-9
    )
    tight = kt.solve(kt.LinearProblem(P.Elliptic(grid), random(32, 32)), kt.Multigrid(), rtol=1e-30, throw=False)
    assert tight.result == kt.Result.STAGNATION


def test_float32_goes_as_far_as_it_can():
    operator = P.Elliptic(nodes(63, 63))
    b = operator.compatible(random(65, 65)).float()
    sol = kt.solve(kt.LinearProblem(operator, b), kt.Multigrid(), rtol=1e-5)
    assert sol.y1.dtype == torch.float32 and sol.stats.steps < 8


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"cycle": "X"}, ValueError, "cycle must be one of 'V', 'W', 'F'; got 'X'"),
        ({"pre": -1}, ValueError, "pre must be a whole number of at least 0; got -1"),
        ({"post": 1.5}, ValueError, "post must be a whole number"),
        ({"pre": 0, "post": 0}, ValueError, "must not both be 0"),
        ({"smoother": kt.algebra.RedBlack}, TypeError, r"write RedBlack\(\) with its parentheses"),
        ({"smoother": "jacobi"}, TypeError, "smoother must be such as"),
        ({"full": 1}, TypeError, "full must be True or False; got 1"),
    ],
    ids=range(7),
)
def test_options_that_are_none(options, error, match):
    with pytest.raises(error, match=match):
        kt.Multigrid(**options)


@pytest.mark.parametrize("method", [kt.Multigrid(), kt.CG(kt.Multigrid())], ids=["alone", "preconditioner"])
def test_operators_without_a_grid_are_refused(method):
    with pytest.raises(ValueError, match=r"Multigrid needs an operator on a grid, such as kutta.pde.Elliptic"):
        kt.solve(kt.LinearProblem(kt.algebra.Dense(torch.eye(4), definite=True), torch.ones(4)), method)
    grid = P.Grid((8, 8), boundary=P.Dirichlet())
    with pytest.raises(TypeError, match="Multigrid solves real systems"):
        kt.solve(kt.LinearProblem(P.Elliptic(grid), torch.ones(8, 8, dtype=torch.complex128)), kt.Multigrid())


def test_the_default_for_elliptic_operators():
    grid, field = P.Grid((8, 8), boundary=P.Dirichlet()), torch.ones(8, 8)
    cases = {
        kt.algebra.ExactInverse: P.Elliptic(grid),
        kt.CG: P.Elliptic(grid, field),
        kt.GMRES: P.Elliptic(P.Grid((8, 8), 1.0, "node", P.Neumann()), field),
    }
    for method, operator in cases.items():
        assert type(kt.algebra.default_method(operator)) is method


@pytest.mark.parametrize("kind", ["number", "field"])
def test_cycles_wait_for_no_device(kind):
    a = 1.0 if kind == "number" else two_phases((40, 33), 100.0)
    operator, b = P.Elliptic(P.Grid((40, 33), boundary=P.Dirichlet()), a), random(40, 33)
    cycle = kt.Multigrid("W").preconditioner(operator, b)
    with Reads() as counted:
        cycle.apply(b)
    assert counted.count == 0
    if kind == "field":  # conductances of numbers are on the host
        with Reads() as counted:
            found = kt.solve(kt.LinearProblem(operator, b), kt.Multigrid(), rtol=1e-6)
        assert counted.count <= found.stats.steps + 8
