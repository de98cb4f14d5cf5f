"""Elliptic operators: what they are, their boundary conditions, their order, and derivatives of solves with them."""

import itertools
import math

import pytest
import torch

import kutta as kt
from tests._helpers import F64, relative_error

P = kt.pde
WALLS = {"Dirichlet": (1.0, 0.0), "Neumann": (0.0, 1.0), "Robin": (2.0, 0.7)}
BOX = (1.0, 1.3, 0.8)


def random(*shape, seed=0):
    return torch.randn(shape, dtype=F64, generator=torch.Generator().manual_seed(seed))


def wall(kind, g=0.0):
    a, b = WALLS[kind]
    return P.Robin(a, b, g) if a and b else P.Dirichlet(g) if a else P.Neumann(g)


MANY = (wall("Dirichlet"), wall("Neumann")), (wall("Robin"), wall("Dirichlet"))
GRIDS = {
    "cells with values": P.Grid((6, 5), BOX[:2], "cell", boundary=P.Dirichlet()),
    "nodes with values": P.Grid((6, 5), BOX[:2], "node", boundary=P.Dirichlet()),
    "cells with slopes": P.Grid((6, 5), BOX[:2], "cell", boundary=P.Neumann()),
    "nodes with slopes": P.Grid((6, 5), BOX[:2], "node", boundary=P.Neumann()),
    "cells with mixtures": P.Grid((6, 5), BOX[:2], "cell", boundary=wall("Robin")),
    "nodes with mixtures": P.Grid((6, 5), BOX[:2], "node", boundary=wall("Robin")),
    "periodic": P.Grid((6, 5), BOX[:2]),
    "periodic cells": P.Grid((6, 5), BOX[:2], "cell"),
    "nodes with all": P.Grid((6, 5), BOX[:2], "node", MANY),
    "cells with all": P.Grid((6, 5), BOX[:2], "cell", tuple(pair[::-1] for pair in MANY)),
    "one axis": P.Grid(7, 1.0, "node", boundary=(wall("Neumann"), wall("Dirichlet"))),
    "three axes": P.Grid((4, 5, 3), BOX, ("periodic", "node", "cell"), (P.Periodic(), wall("Neumann"), MANY[0])),
}
EVERY = pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)


@EVERY
def test_a_constant_coefficient_gives_the_laplacian_of_the_ghosts(grid):
    u = random(3, *grid.shape)
    operator = P.Elliptic(grid, 2.0, 0.3)
    inside = operator.among(torch.ones_like(operator.unknowns(u)), 0.0)
    expected = 0.3 * u - 2.0 * P.laplacian(u, grid) * inside
    assert relative_error(operator.apply(u), expected) < 1e-13
    field = P.Elliptic(grid, torch.full(grid.shape, 2.0, dtype=F64), torch.full(grid.shape, 0.3, dtype=F64))
    assert relative_error(field.apply(u), expected) < 1e-13


@pytest.mark.parametrize("centring", ["cell", "node"])
@pytest.mark.parametrize("kinds", [("Dirichlet", "Neumann"), ("Robin", "Dirichlet"), ("Neumann", "Robin")])
def test_the_source_is_what_boundary_values_add_to_the_laplacian(centring, kinds):
    face = random(2, 5)
    sides = (wall(kinds[0], face), wall(kinds[1], lambda x, t: x[1] * t)), (wall(kinds[1], 0.4), wall(kinds[0]))
    grid = P.Grid((6, 5), BOX[:2], centring, sides)
    zero = torch.zeros(2, 6, 5, dtype=F64)
    operator = P.Elliptic(grid, 3.0)
    inside = operator.among(torch.ones_like(operator.unknowns(zero)), 0.0)
    assert relative_error(operator.source(zero, t=2.0), 3.0 * P.laplacian(zero, grid, t=2.0) * inside) < 1e-13
    f = random(6, 5)
    assert relative_error(operator.right_hand_side(f, 2.0), f * inside[0] + operator.source(zero, 2.0)) < 1e-13


@EVERY
@pytest.mark.parametrize("kind", ["number", "field"])
def test_it_is_symmetric_in_the_inner_product_with_volumes(grid, kind):
    coefficient = 2.0 if kind == "number" else 1.0 + random(*grid.shape).abs()
    operator, like = P.Elliptic(grid, coefficient, 0.3), torch.zeros(grid.shape, dtype=F64)
    matrix = operator.dense(like)
    weights = torch.ones_like(like) if operator.weights is None else operator.weights
    weighted = weights.flatten()[:, None] * matrix
    assert torch.allclose(weighted, weighted.mT, atol=1e-11)
    assert operator.symmetric == torch.allclose(matrix, matrix.mT, atol=1e-11)
    assert operator.definite == operator.symmetric
    assert float(torch.linalg.eigvals(matrix).real.min()) > 0.29
    assert torch.allclose(operator.transposed().dense(like), matrix.mT, atol=1e-11)
    assert torch.allclose(operator.diagonal(like), matrix.diagonal().reshape(grid.shape), atol=1e-11)
    moved = 0.7 * torch.eye(len(matrix), dtype=F64) - 0.2 * matrix
    assert torch.allclose(operator.shifted(0.7, -0.2).dense(like), moved, atol=1e-11)
    assert torch.allclose((-operator).shifted(0.7, 0.2).dense(like), moved, atol=1e-11)


def test_what_is_known_of_definiteness():
    grid = P.Grid((6, 5), boundary=P.Dirichlet())
    operator = P.Elliptic(grid)
    assert operator.definite and (-operator).definite
    assert operator.shifted(1.0, 0.1).definite and (-operator).shifted(1.0, -0.1).definite
    assert not operator.shifted(1.0, -0.1).definite
    assert not P.Elliptic(grid, 1.0, -3.0).definite
    assert not P.Elliptic(P.Grid((6, 5), boundary=P.Robin(-1.0, 1.0))).definite


@EVERY
@pytest.mark.parametrize("shift", [0.0, 0.3])
def test_the_fast_inverse_solves(grid, shift):
    operator, b = P.Elliptic(grid, 2.0, shift), random(2, *grid.shape)
    inverse = operator.inverse()
    if any(isinstance(one, P.Robin) for pair in grid.boundary for one in pair):
        assert inverse is None
        return
    u = inverse(b)
    b = operator.compatible(b)
    assert relative_error(operator.apply(u), b) < 1e-12
    if operator.singular:
        assert float(operator.mean(operator.unknowns(u)).abs().max()) < 1e-14
    matrix, turned = (
        kt.algebra.MatrixFree(one.inverse(), axes=grid.dim).dense(b) for one in (operator, operator.transposed())
    )
    assert torch.allclose(turned, matrix.mT, atol=1e-12)


SIDES = list(itertools.product(WALLS, repeat=2))


def exact(x):
    """A field that is no eigenfunction of anything, in as many dimensions as there are coordinates."""
    return sum(torch.sin((1.3 + k) * one + 0.4) + 0.5 * one**2 for k, one in enumerate(x)) + x.prod(0)


def coefficient(x):
    return 1.5 + torch.sin(2.0 * x.sum(0)) + 0.3 * x[0]


def manufactured(shape, centring, sides, a, faces="harmonic"):
    """The largest error, and the spacing, where the solution is `exact`."""

    def value(kind, axis, outward):
        def g(x, t):
            with torch.enable_grad():
                place = x.detach().requires_grad_()
                slope = torch.autograd.grad(exact(place).sum(), place)[0][axis]
            alpha, beta = WALLS[kind]
            return alpha * exact(x) + beta * outward * slope

        return g

    dim, ends = len(shape), list(zip(sides, (-1.0, 1.0), strict=True))
    walls = tuple(tuple(wall(kind, value(kind, axis, outward)) for kind, outward in ends) for axis in range(dim))
    grid = P.Grid(shape, BOX[:dim], centring, walls)
    x = grid.points().requires_grad_()
    u = exact(x)
    slopes = torch.autograd.grad(u.sum(), x, create_graph=True)[0]
    flux = a(x) * slopes if callable(a) else a * slopes
    f = -sum(torch.autograd.grad(flux[axis].sum(), x, retain_graph=True)[0][axis] for axis in range(dim))
    x, u = x.detach(), u.detach()
    operator = P.Elliptic(grid, a(x) if callable(a) else a, faces=faces)
    b = operator.right_hand_side(f.detach())
    if operator.singular:
        b = operator.compatible(b)
    found = P.pad(kt.solve(kt.LinearProblem(operator, b), rtol=1e-9).y1, grid, 0)
    error = found - u
    if operator.singular:
        error = error - operator.mean(error)
    return float(error.abs().max()), grid.spacing[0]


def observed_order(shapes, *case):
    (e1, h1), (e2, h2) = (manufactured(shape, *case) for shape in shapes)
    return math.log(e1 / e2) / math.log(h1 / h2)


@pytest.mark.parametrize("centring", ["cell", "node"])
@pytest.mark.parametrize("sides", SIDES, ids=["and".join(pair) for pair in SIDES])
@pytest.mark.parametrize("kind", ["number", "field"])
def test_solutions_on_squares_are_of_second_order(centring, sides, kind):
    a = coefficient if kind == "field" else 2.0
    assert observed_order([(40, 44), (80, 88)], centring, sides, a) == pytest.approx(2.0, abs=0.15)


@pytest.mark.parametrize("centring", ["cell", "node"])
@pytest.mark.parametrize("sides", [("Dirichlet", "Neumann"), ("Robin", "Robin"), ("Neumann", "Neumann")])
def test_solutions_on_lines_and_in_boxes_are_of_second_order(centring, sides):
    assert observed_order([(64,), (128,)], centring, sides, coefficient) == pytest.approx(2.0, abs=0.15)
    assert observed_order([(16, 18, 14), (32, 36, 28)], centring, sides, coefficient) == pytest.approx(2.0, abs=0.15)


def test_arithmetic_means_are_of_second_order_too():
    case = ("cell", ("Dirichlet", "Robin"), coefficient, "arithmetic")
    assert observed_order([(40, 44), (80, 88)], *case) == pytest.approx(2.0, abs=0.15)


@pytest.mark.parametrize("dim", [1, 2, 3])
@pytest.mark.parametrize("kind", ["number", "field"])
def test_periodic_solutions_are_of_second_order(dim, kind):
    def error(n):
        grid = P.Grid((n,) * dim)
        x = (2 * torch.pi * grid.points()).requires_grad_()
        u = torch.sin(x).prod(0) + torch.cos(x.sum(0))
        a = 1.5 + torch.sin(x[0]) if kind == "field" else torch.ones_like(x[0])
        slopes = torch.autograd.grad(u.sum(), x, create_graph=True)[0]
        flux = a * slopes
        f = -sum(torch.autograd.grad(flux[k].sum(), x, retain_graph=True)[0][k] for k in range(dim))
        operator = P.Elliptic(grid, a.detach() if kind == "field" else 1.0)
        b = operator.compatible(4 * torch.pi**2 * f.detach())
        return float((kt.solve(kt.LinearProblem(operator, b), rtol=1e-9).y1 - u.detach()).abs().max())

    coarse = {1: 64, 2: 32, 3: 16}[dim]
    assert math.log2(error(coarse) / error(2 * coarse)) == pytest.approx(2.0, abs=0.15)


@pytest.mark.parametrize("centring", ["cell", "node"])
def test_layers_have_the_exact_flux(centring):
    """``u' = -q / a``: between the middles of cells harmonic means are exact where the coefficient jumps on faces."""
    n = 20
    grid = P.Grid(n, 1.0, centring, boundary=(P.Dirichlet(1.0), P.Dirichlet(0.0)))
    a = torch.where(grid.points()[0] < 0.4, 1e-4, 1.0).to(F64)
    operator = P.Elliptic(grid, a)
    u = P.pad(
        kt.solve(kt.LinearProblem(operator, operator.right_hand_side(torch.zeros(n, dtype=F64))), rtol=1e-12).y1,
        grid,
        0,
    )
    h = grid.spacing[0]
    resistance = h * (1 / a[:-1] + 1 / a[1:]) / 2
    flux = (u[:-1] - u[1:]) / resistance
    ends = h * (a[0].reciprocal() + a[-1].reciprocal()) / 2 if centring == "cell" else 0.0
    expected = 1.0 / (float(resistance.sum()) + float(ends))
    assert torch.allclose(flux, torch.full_like(flux, expected), rtol=1e-8)


@pytest.mark.parametrize("centring", ["cell", "node"])
@pytest.mark.parametrize("sides", SIDES, ids=["and".join(pair) for pair in SIDES])
def test_parabolas_fulfil_the_equations_of_nodes_and_lines_those_of_cells(centring, sides):
    """Cells look at values half a spacing away with one-sided slopes, which are exact for straight lines alone."""
    square = 0.0 if centring == "cell" and sides != ("Neumann", "Neumann") else 0.7

    def p(x):
        return 0.3 + 1.1 * x + square * x**2

    def slope(x):
        return 1.1 + 2 * square * x

    walls = [
        wall(kind, WALLS[kind][0] * p(place) + WALLS[kind][1] * outward * slope(place))
        for kind, place, outward in zip(sides, (0.0, 1.0), (-1.0, 1.0), strict=True)
    ]
    grid = P.Grid(9, 1.0, centring, boundary=tuple(walls))
    operator, u = P.Elliptic(grid, 1.7), p(grid.points()[0])
    residual = operator.right_hand_side(torch.full((9,), -1.7 * 2 * square, dtype=F64)) - operator.apply(u)
    assert float(residual.abs().max()) < 1e-11


SOLVES = {
    "default": None,
    "multigrid": kt.Multigrid(),
    "preconditioned": kt.CG(kt.Multigrid()),
    "general": kt.GMRES(kt.Multigrid()),
}


def mixed(centring, g, a, shift=0.0):
    """An operator on a grid with every kind of side, with boundary values that may be differentiated."""
    kinds = (P.Dirichlet(g), P.Neumann(0.5 * g)), (P.Robin(1.0, 0.5, 0.3), P.Dirichlet(lambda x, t: x[0]))
    grid = P.Grid((9, 11), BOX[:2], centring, kinds)
    return P.Elliptic(grid, a, shift)


@pytest.mark.parametrize("centring", ["cell", "node"])
@pytest.mark.parametrize("method", SOLVES.values(), ids=SOLVES)
def test_gradients_reach_coefficient_shift_boundary_and_source(centring, method):
    if centring == "node" and isinstance(method, kt.CG):
        pytest.skip("nodes with slopes are not symmetric")
    inputs = [1.0 + random(9, 11).abs(), random(11, seed=1), random(9, 11, seed=2), torch.tensor(0.4, dtype=F64)]
    inputs = [one.requires_grad_() for one in inputs]
    aim = random(9, 11, seed=3)

    def loss(a, g, f, shift):
        operator = mixed(centring, g, a, shift)
        problem = kt.LinearProblem(operator, operator.right_hand_side(f))
        return (aim * kt.solve(problem, method, rtol=1e-13).y1).sum().sin()

    found = torch.autograd.grad(loss(*inputs), inputs)
    for place, gradient in enumerate(found):
        way = random(*gradient.shape, seed=7)

        def moved(step, place=place, way=way):
            changed = [one.detach() + step * way if n == place else one.detach() for n, one in enumerate(inputs)]
            return float(loss(*changed))

        # The fourth-order difference of a step at which rounding and truncation are alike.
        h = 1e-3
        difference = (8 * (moved(h) - moved(-h)) - (moved(2 * h) - moved(-2 * h))) / (12 * h)
        assert float((gradient * way).sum()) == pytest.approx(difference, rel=1e-6)


@pytest.mark.parametrize("method", [None, kt.Multigrid()], ids=["default", "multigrid"])
def test_forward_mode_agrees_with_reverse_mode(method):
    a, g, f = 1.0 + random(9, 11).abs(), random(11, seed=1), random(9, 11, seed=2)

    def solution(a, g, f):
        operator = mixed("cell", g, a)
        return kt.solve(kt.LinearProblem(operator, operator.right_hand_side(f)), method, rtol=1e-13).y1

    ways = [random(*one.shape, seed=9) for one in (a, g, f)]
    _, tangent = torch.func.jvp(solution, (a, g, f), tuple(ways))
    _, pull = torch.func.vjp(solution, a, g, f)
    back = random(9, 11, seed=4)
    assert float((tangent * back).sum()) == pytest.approx(
        float(sum((one * way).sum() for one, way in zip(pull(back), ways, strict=True))), rel=1e-9
    )


@pytest.mark.parametrize("method", [None, kt.Multigrid(), kt.GMRES(kt.Multigrid())], ids=["fast", "multigrid", "gmres"])
@pytest.mark.parametrize("centring", ["cell", "node"])
def test_gradients_of_solutions_with_mean_zero(method, centring):
    """Whatever reaches the solution, its mean does not."""
    operator = P.Elliptic(P.Grid((9, 8), BOX[:2], centring, P.Neumann()))
    b = operator.compatible(random(9, 8)).requires_grad_()
    options = {} if method is None else {"rtol": 1e-12}
    u = kt.solve(kt.LinearProblem(operator, b), method, **options).y1
    assert relative_error(operator.apply(u.detach()), b.detach()) < 1e-10
    assert float(operator.mean(u.detach()).abs().max()) < 1e-12
    (gradient,) = torch.autograd.grad(u[2, 3], b)
    unit = torch.zeros(9, 8, dtype=F64)
    unit[2, 3] = 1.0
    inverse = kt.algebra.MatrixFree(operator.inverse(), axes=2).dense(unit)
    assert torch.allclose(gradient.flatten(), inverse[19], atol=1e-10)


def test_second_derivatives():
    a = (1.0 + random(6).abs()).requires_grad_()
    grid = P.Grid(6, 1.0, boundary=(P.Dirichlet(1.0), P.Robin(1.0, 1.0, 2.0)))

    def loss(a):
        operator = P.Elliptic(grid, a)
        b = operator.right_hand_side(torch.ones(6, dtype=F64))
        return (kt.solve(kt.LinearProblem(operator, b), kt.CG(kt.Multigrid()), rtol=1e-13).y1 ** 2).sum()

    assert torch.autograd.gradgradcheck(loss, (a,), eps=1e-5, atol=1e-5, fast_mode=True)


def test_a_batch_of_coefficients_is_a_batch_of_solves():
    grid = P.Grid((12, 10), boundary=(P.Dirichlet(1.0), P.Neumann()))
    a, f = 1.0 + 5.0 * random(3, 12, 10).abs(), random(12, 10)
    operator = P.Elliptic(grid, a)
    for method in (None, kt.Multigrid()):
        together = kt.solve(kt.LinearProblem(operator, operator.right_hand_side(f)), method, rtol=1e-11)
        assert together.y1.shape == (3, 12, 10) and together.stats.steps.shape == (3,)
        for one, coefficient in zip(together.y1, a, strict=True):
            alone = P.Elliptic(grid, coefficient)
            problem = kt.LinearProblem(alone, alone.right_hand_side(f))
            assert relative_error(one, kt.solve(problem, method, rtol=1e-11).y1) < 1e-9
    mapped = torch.func.vmap(
        lambda a: (
            kt.solve(
                kt.LinearProblem(P.Elliptic(grid, a), P.Elliptic(grid, a).right_hand_side(f)),
                kt.Multigrid(),
                rtol=1e-11,
            ).y1
        )
    )(a)
    assert relative_error(mapped, together.y1) < 1e-9


def test_what_an_optimiser_changes_is_seen():
    grid = P.Grid(8, boundary=P.Dirichlet())
    a, b = torch.ones(8, dtype=F64), torch.ones(8, dtype=F64)
    operator = P.Elliptic(grid, a)
    before = kt.solve(kt.LinearProblem(operator, b), rtol=1e-12).y1
    a.mul_(2.0)
    assert relative_error(kt.solve(kt.LinearProblem(operator, b), rtol=1e-12).y1, before / 2.0) < 1e-11


def test_two_losses_of_one_operator():
    grid = P.Grid(8, boundary=P.Dirichlet())
    a = torch.ones(8, dtype=F64, requires_grad=True)
    operator, b = P.Elliptic(grid, a), torch.ones(8, dtype=F64)
    first, second = (
        torch.autograd.grad(kt.solve(kt.LinearProblem(operator, b), rtol=1e-12).y1.sum(), a)[0] for _ in range(2)
    )
    assert torch.equal(first, second)


def test_nodes_on_dirichlet_sides_are_no_unknowns():
    grid = P.Grid((7, 6), boundary=P.Dirichlet(2.0), centring="node")
    for operator in (P.Elliptic(grid), P.Elliptic(grid, torch.ones(7, 6, dtype=F64)), P.Elliptic(grid, 1.0, 0.5)):
        b = operator.right_hand_side(random(7, 6))
        u = kt.solve(kt.LinearProblem(operator, b), rtol=1e-10).y1
        assert float(u[0].abs().max()) == 0.0
        assert P.pad(u, grid, 0)[0].tolist() == [2.0] * 6
    marked = b.clone()
    marked[0] = 3.0  # there the operator is its shift
    for method in (None, kt.Multigrid(), kt.CG(kt.Multigrid())):
        options = {} if method is None else {"rtol": 1e-12}
        u = kt.solve(kt.LinearProblem(operator, marked), method, **options).y1
        assert relative_error(u[0], torch.full((6,), 6.0, dtype=F64)) < 1e-9


NULL_SPACES = {
    "nodes with values": (GRIDS["nodes with values"], 0.0),
    "nodes with values and a shift that is a field": (GRIDS["nodes with values"], torch.zeros(6, 5, dtype=F64)),
    "nodes with values and a shift in places": (GRIDS["nodes with values"], torch.eye(6, 5, dtype=F64)),
    "nodes with all": (GRIDS["nodes with all"], 0.0),
    "cells with slopes": (GRIDS["cells with slopes"], 0.0),
    "nodes with slopes": (GRIDS["nodes with slopes"], 0.0),
    "periodic": (GRIDS["periodic"], 0.0),
}
DIRECT = {
    "LU": kt.LU(),
    "Cholesky": kt.Cholesky(),
    "SOR": kt.SOR(1.2),
    "SSOR": kt.SOR(1.2, symmetric=True),
    "CG with SSOR": kt.CG(kt.SOR(1.2, symmetric=True)),
    "GMRES with LU": kt.GMRES(kt.LU()),
    "Multigrid": kt.Multigrid(),
    "default": None,
}


@pytest.mark.parametrize("grid, shift", NULL_SPACES.values(), ids=NULL_SPACES)
@pytest.mark.parametrize("method", DIRECT.values(), ids=DIRECT)
def test_every_method_leaves_the_null_space_out(grid, shift, method):
    """What the equations say nothing of is zero: nodes that are data without a shift, and the mean between slopes."""
    operator, aim = P.Elliptic(grid, 1.0 + random(6, 5).abs(), shift), random(6, 5, seed=1)
    if isinstance(method, kt.Cholesky | kt.CG) and not operator.symmetric:
        pytest.skip("nodes with slopes are not symmetric")
    right = operator.compatible(random(6, 5, seed=2)).requires_grad_()
    options = {} if method is None or method.direct else {"rtol": 1e-13}
    u = kt.solve(kt.LinearProblem(operator, right), method, **options).y1
    regular = operator.regular().dense(right.detach())
    assert relative_error(u.detach().flatten(), torch.linalg.solve(regular, right.detach().flatten())) < 1e-10
    assert relative_error(u.detach(), operator.compatible(u.detach())) < 1e-10
    (gradient,) = torch.autograd.grad((aim * u).sum(), right)
    wanted = torch.linalg.solve(regular.mT, operator.transposed().compatible(aim).flatten())
    assert relative_error(gradient.flatten(), wanted) < 1e-9


def test_the_regular_operator_adds_the_null_space():
    for grid, shift in NULL_SPACES.values():
        operator, like = P.Elliptic(grid, 2.0, shift), random(6, 5)
        matrix, regular = operator.dense(like), operator.regular().dense(like)
        assert torch.linalg.matrix_rank(matrix) < len(matrix) == torch.linalg.matrix_rank(regular)
        found = (regular @ operator.compatible(like).flatten()).reshape(6, 5)
        assert relative_error(found, operator.apply(operator.compatible(like))) < 1e-13
        assert torch.allclose(operator.transposed().regular().dense(like), regular.mT)
        assert (-operator).regular().dense(like).allclose(-regular)
    shifted = P.Elliptic(GRIDS["nodes with values"], 2.0, 0.3)
    assert shifted.regular() is shifted


def test_data_on_the_right_counts_for_nothing_without_a_shift():
    operator, b = P.Elliptic(GRIDS["nodes with values"]), torch.ones(6, 5, dtype=F64)
    solutions = [
        kt.solve(kt.LinearProblem(operator, b), method).y1 for method in (None, kt.LU(), kt.Cholesky(), kt.Multigrid())
    ]
    for one in solutions:
        assert relative_error(one, solutions[0]) < 1e-5
        assert float(one[0].abs().max()) == float(one[:, -1].abs().max()) == 0.0


def test_matrices_of_batches_are_regular_too():
    a, b = 1.0 + random(3, 6, 5).abs(), random(6, 5)
    operator = P.Elliptic(GRIDS["nodes with values"], a)
    together = kt.solve(kt.LinearProblem(operator, operator.right_hand_side(b)), kt.LU()).y1
    for one, coefficient in zip(together, a, strict=True):
        alone = P.Elliptic(GRIDS["nodes with values"], coefficient)
        assert relative_error(one, kt.solve(kt.LinearProblem(alone, alone.right_hand_side(b)), kt.LU()).y1) < 1e-12


@pytest.mark.parametrize("kind", ["number", "field"])
def test_it_can_be_compiled(kind):
    """As a part of right-hand sides, in one graph."""
    grid = P.Grid((9, 8), boundary=(P.Dirichlet(), P.Periodic()))
    operator, u = P.Elliptic(grid, 2.0 if kind == "number" else 1.0 + random(9, 8).abs()), random(9, 8)
    compiled = torch.compile(operator.apply, backend="aot_eager", fullgraph=True)
    assert relative_error(compiled(u), operator.apply(u)) < 1e-14


@pytest.mark.parametrize("centring", ["cell", "node"])
@pytest.mark.parametrize("kind", ["number", "field"])
def test_implicit_steps_of_diffusion(centring, kind):
    """A wave between mixed sides, by the steps of an IMEX method with an elliptic system in each stage."""
    grid = P.Grid((17, 16), 1.0, centring, ((P.Dirichlet(), P.Neumann()), P.Neumann()))
    a = 1.0 if kind == "number" else torch.ones(17, 16, dtype=F64)
    linear = -P.Elliptic(grid, a)
    x, h = grid.points()[0], grid.spacing[0]
    wave = torch.sin(torch.pi / 2 * x)
    rate = (2 * math.cos(math.pi / 2 * h) - 2) / h**2
    problem = kt.SplitODEProblem(linear, lambda t, y: torch.zeros_like(y), wave, (0.0, 0.5))
    found = kt.solve(problem, kt.ARS443(), controller=kt.Fixed(0.02)).y1
    assert relative_error(found, math.exp(0.5 * rate) * wave) < 1e-4


def test_a_scalar_coefficient_can_be_learned():
    a = torch.tensor(2.0, dtype=F64, requires_grad=True)
    u = kt.solve(kt.LinearProblem(P.Elliptic(GRIDS["cells with all"], a), random(6, 5)), rtol=1e-12).y1
    (gradient,) = torch.autograd.grad(u.sum(), a)
    assert float(gradient) == pytest.approx(float(-u.detach().sum() / 2.0), rel=1e-9)


def test_complex_states():
    grid, b = GRIDS["cells with values"], torch.complex(random(6, 5), random(6, 5, seed=1))
    for operator in (P.Elliptic(grid), P.Elliptic(grid, torch.ones(6, 5, dtype=F64))):
        u = P.Elliptic(grid).inverse()(b)
        assert relative_error(operator.apply(u), b) < 1e-13


def test_float32():
    grid = P.Grid((33, 20), boundary=(P.Dirichlet(1.0), P.Neumann()))
    for a in (2.0, torch.rand(33, 20) + 0.5):
        operator = P.Elliptic(grid, a)
        b = operator.right_hand_side(torch.ones(33, 20))
        u = kt.solve(kt.LinearProblem(operator, b), rtol=1e-5).y1
        assert u.dtype == torch.float32
        assert relative_error(operator.apply(u), b) < 1e-3


GRID = P.Grid((6, 5), boundary=P.Dirichlet())
FIELD = torch.ones(6, 5, dtype=F64)


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        ((None,), TypeError, "grid must be a kutta.pde.Grid"),
        ((GRID, 0.0), ValueError, "coefficient must be positive everywhere; its smallest value is 0"),
        ((GRID, -FIELD), ValueError, "coefficient must be positive everywhere; its smallest value is -1"),
        ((GRID, FIELD / 0.0), ValueError, "coefficient must be finite"),
        ((GRID, math.nan), ValueError, "coefficient must be finite"),
        ((GRID, torch.where(FIELD.cumsum(0) > 3, math.nan, FIELD)), ValueError, "coefficient must be finite"),
        ((GRID, FIELD.mT), ValueError, r"coefficient must have the shape \(..., 6, 5\); got \(5, 6\)"),
        ((GRID, FIELD[0]), ValueError, "coefficient must have the shape"),
        ((GRID, FIELD.long()), TypeError, "coefficient must have a real floating-point dtype"),
        ((GRID, "1"), TypeError, "coefficient must be a number or a tensor; got str"),
        ((GRID, True), TypeError, "coefficient must be a number or a tensor; got bool"),
        ((GRID, 1.0, math.inf), ValueError, "shift must be finite"),
        ((GRID, 1.0, FIELD[:3]), ValueError, "shift must have the shape"),
        ((GRID, 1.0, 0.0, "geometric"), ValueError, "faces must be one of 'harmonic', 'arithmetic'; got 'geometric'"),
        ((P.Grid(4, 4.0, boundary=P.Robin(2.0, -1.0)),), ValueError, "determines no value at the spacing 1"),
    ],
    ids=range(15),
)
def test_what_does_not_fit_is_refused(arguments, error, match):
    with pytest.raises(error, match=match):
        P.Elliptic(*arguments)


@pytest.mark.parametrize(
    ("operator", "b", "error", "match"),
    [
        (P.Elliptic(GRID), torch.ones(7, 5), ValueError, r"a state must have the shape \(..., 6, 5\); got \(7, 5\)"),
        (P.Elliptic(GRID, FIELD), torch.ones(6, 5), TypeError, "coefficient is torch.float64 on cpu, and the state"),
        (P.Elliptic(P.Grid((6, 5))), FIELD, ValueError, "b must have mean zero"),
        (P.Elliptic(GRID), FIELD / 0.0, kt.SolveError, "NON_FINITE|not finite"),
        (P.Elliptic(GRID, FIELD), FIELD / 0.0, kt.SolveError, "NON_FINITE|not finite"),
    ],
    ids=["shape", "dtype", "mean", "infinite", "infinite with a field"],
)
def test_what_cannot_be_solved_is_refused(operator, b, error, match):
    with pytest.raises(error, match=match):
        kt.solve(kt.LinearProblem(operator, b))
