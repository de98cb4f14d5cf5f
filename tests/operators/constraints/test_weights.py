"""Residuals by weights: first and second derivatives against those that PyTorch finds."""

import pytest
import torch

import kutta as kt
from kutta.operators.constraints.continuity import Coupled, faces_of
from kutta.operators.constraints.sampled_points import everywhere
from kutta.operators.constraints.space_time import SpaceTime
from kutta.operators.constraints.weights import Residual
from kutta.operators.constraints.weights_of_experts import rows_at
from kutta.solvers.algebra.nonlinear.block_chain import BlockChain
from tests._helpers import F64, relative_error
from tests.operators.constraints._networks import MEASURES, pointwise, random_fields, transported

GENERATOR = torch.Generator().manual_seed(0)
PLANE = kt.pde.Grid((6, 6), 6.0)
PROBLEMS = {
    "transport": pointwise(transported),
    "sorption": kt.operators.data.diffusion_sorption(16).draw(2, torch.Generator().manual_seed(0)),
    "vorticity": kt.pde.NavierStokesVorticity(0.01).problem(
        PLANE, torch.rand(2, 6, 6, dtype=F64, generator=GENERATOR), (0.0, 1.0)
    ),
}


def basis_of(problem):
    """Three functions at nine times, or in the plane at five."""
    if problem.grid.dim == 2:
        return torch.rand(3, 5, 2, 6, 6, dtype=F64, generator=torch.Generator().manual_seed(1))
    return 0.1 * random_fields(3).movedim(0, 2)


def posed(problem, measure, shares=None):
    """The residual, and rows for experts everywhere."""
    basis = basis_of(problem)
    space_time = SpaceTime(problem, basis.shape[1] - 1)
    shares = torch.ones(1, 1, *space_time.whole_grid.shape, dtype=F64) if shares is None else shares(space_time)
    rows = rows_at(everywhere(shares[:, :, 1:]), space_time, basis)
    measure = None if measure is None else measure.on(space_time)
    return Residual(space_time, 1e-3, measure), rows, basis, shares


def derivatives(residual, w, parts):
    """Jacobians and Hessians of half the sum of squares, each problem alone."""
    jacobians, hessians = [], []
    for number, one in enumerate(w):
        own = tuple(part[number : number + 1] for part in parts)
        ask = lambda v, own=own: residual(v[None], *own)[0]  # noqa: E731
        jacobians.append(torch.autograd.functional.jacobian(ask, one))
        hessians.append(torch.autograd.functional.hessian(lambda v, ask=ask: 0.5 * ask(v).square().sum(), one))
    return torch.stack(jacobians), torch.stack(hessians)


@pytest.mark.parametrize("name", PROBLEMS)
@pytest.mark.parametrize("measure", MEASURES)
def test_first_and_second_derivatives(name, measure):
    residual, rows, basis, _ = posed(PROBLEMS[name], MEASURES[measure])
    w = torch.randn(2, len(basis), dtype=F64, generator=torch.Generator().manual_seed(2))
    jacobians, hessians = derivatives(residual.residual, w, rows.parts)
    found = residual.jacobian(w, *rows.parts)
    assert relative_error(found, jacobians) < 1e-12
    curvature = residual.curvature(w, *rows.parts)
    assert float(curvature.abs().max()) > 1e-9
    assert relative_error(curvature, hessians - found.mT @ found) < 1e-7


def test_slopes_at_faces_are_those_along_the_whole_axis():
    """At nodes there is one distance less than there are points; time has nodes."""
    grid = kt.pde.Grid((5, 9), (1.0, 3.0), ("node", "cell"), kt.pde.Neumann())
    for counts, wanted in (((2, 1), 4.0), ((1, 3), 9.0)):
        faces = faces_of(kt.operators.Boxes(counts).shares(torch.zeros(1), grid), grid)
        assert faces.steepness.unique().tolist() == pytest.approx([wanted])


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize(("counts", "is_chain"), [((1, 3), True), ((3, 1), True), ((2, 2), False)])
def test_experts_that_agree(measure, counts, is_chain):
    boxes, problem = kt.operators.Boxes(counts, 0.3), PROBLEMS["sorption"]
    residual, rows, basis, shares = posed(
        problem, MEASURES[measure], lambda space_time: boxes.shares(torch.zeros(1), space_time.whole_grid)
    )
    coupled = Coupled(residual, faces_of(shares, residual.space_time.whole_grid), 2.0)
    asked = coupled.problem(coupled.rows(rows, basis), torch.zeros(2, boxes.experts * len(basis), dtype=F64))
    w = torch.randn(asked.x0.shape, dtype=F64, generator=torch.Generator().manual_seed(2))
    jacobians, hessians = derivatives(asked.residual, w, asked.args)
    found = asked.jacobian(w, *asked.args)
    assert isinstance(found, BlockChain) == is_chain
    dense = found.dense() if is_chain else found
    assert relative_error(dense, jacobians) < 1e-12
    assert relative_error(asked.curvature(w, *asked.args), hessians - dense.mT @ dense) < 1e-7
