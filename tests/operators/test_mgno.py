"""The multigrid neural operator: its weights, its linear cycle, and classical multigrid as one of its cases."""

import pytest
import torch
from torch.nn import functional

import kutta as kt
from kutta.operators.layers.multigrid_cycle import MultigridCycle

LAPLACE = torch.tensor([[0.0, -1.0, 0.0], [-1.0, 4.0, -1.0], [0.0, -1.0, 0.0]], dtype=torch.float64)
BILINEAR = torch.outer(torch.tensor([1.0, 2.0, 1.0]), torch.tensor([1.0, 2.0, 1.0])).double()


def test_there_are_as_many_weights_as_in_the_paper():
    assert kt.operators.MgNO(1, 1).parameter_count == 572_661


@pytest.mark.parametrize("true_residual", [False, True])
@pytest.mark.parametrize("boundary", [kt.pde.Periodic(), kt.pde.Dirichlet(2.0), kt.pde.Neumann(1.0)])
def test_cycles_are_linear(boundary, true_residual):
    torch.manual_seed(0)
    cycle = MultigridCycle(2, 3, 2, (1, 2, 2), (1, 1), true_residual).double()
    grid, (f, g) = kt.pde.Grid((12, 18), boundary=boundary), torch.randn(2, 4, 2, 12, 18, dtype=torch.float64)
    combined = cycle(2.0 * f - 3.0 * g, grid)
    torch.testing.assert_close(combined, 2.0 * cycle(f, grid) - 3.0 * cycle(g, grid), rtol=1e-12, atol=1e-12)


def classical(levels: int) -> MultigridCycle:
    """V(1, 1) for ``-laplace(u)`` with damped Jacobi, full weighting and bilinear prolongation."""
    cycle = MultigridCycle(1, 1, 2, (*[1] * (levels - 1), 20), [1] * (levels - 1), True, kernel=3).double()
    with torch.no_grad():
        for parameter in cycle.parameters():
            parameter.zero_()
        for level in range(levels):
            square = 4.0 ** (level - levels)  # of the spacing
            sweeps = [cycle.before[level], *([cycle.after[level]] if level < levels - 1 else [])]
            for one in sweeps:
                for smoother in one.smoothers:
                    smoother.weight[0, 0, 1, 1] = 0.8 * square / 4.0
                for operator in one.operators:
                    operator.weight[0, 0] = LAPLACE / square
            if level < levels - 1:
                cycle.operators[level].weight[0, 0] = LAPLACE / square
                cycle.restrictions[level].weight[0, 0] = BILINEAR / 16.0
                cycle.prolongations[level].weight[0, 0] = BILINEAR / 4.0
    return cycle


@pytest.mark.parametrize("levels", [5, 6, 7])
def test_with_classical_weights_it_is_classical_multigrid(levels):
    """The residual falls by 0.345 a cycle on all grids, as that of V(1, 1) with Jacobi damped by 4/5 does."""
    count = 2**levels + 1
    grid = kt.pde.Grid((count, count), boundary=kt.pde.Dirichlet(), centring="node")
    cycle, inside = (
        classical(levels),
        functional.pad(torch.ones(1, 1, count - 2, count - 2, dtype=torch.float64), [1] * 4),
    )
    u = torch.zeros_like(inside)
    f, norms = inside * torch.randn(inside.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0)), []
    with torch.no_grad():
        for _ in range(13):
            residual = f - inside * functional.conv2d(u, LAPLACE[None, None] * 4.0**levels, padding=1)
            norms.append(residual.norm())
            u = u + inside * cycle(residual, grid)
    factors = [float(after / before) for before, after in zip(norms[-4:], norms[-3:], strict=False)]
    assert sum(factors) / len(factors) == pytest.approx(0.345, rel=0.02)


def test_a_trained_smoother_beats_damped_jacobi():
    """One channel, and only the smoothers learn: to make a random residual smaller."""
    levels = 3
    count = 2**levels + 1
    grid = kt.pde.Grid((count, count), boundary=kt.pde.Dirichlet(), centring="node")
    inside = functional.pad(torch.ones(1, 1, count - 2, count - 2, dtype=torch.float64), [1] * 4)
    generator = torch.Generator().manual_seed(0)

    def reduction(cycle, u):
        def residual(u):
            return inside * functional.conv2d(u, LAPLACE[None, None] * 4.0**levels, padding=1)

        error = u
        for _ in range(3):
            error = error - inside * cycle(residual(error), grid)
        return (residual(error).norm() / residual(u).norm()) ** (1 / 3)

    cycle = classical(levels)
    smoothers = [one.weight for part in (cycle.before, cycle.after) for sweep in part for one in sweep.smoothers]
    # A weight of a level has the size of its squared spacing.
    scales = [one.detach().abs().amax() for one in smoothers]
    optimizer = torch.optim.Adam(
        [{"params": [one], "lr": 0.03 * float(s)} for one, s in zip(smoothers, scales, strict=True)]
    )
    test = inside * torch.randn(16, 1, count, count, dtype=torch.float64, generator=generator)
    before = reduction(cycle, test).item()
    for _ in range(40):
        batch = inside * torch.randn(16, 1, count, count, dtype=torch.float64, generator=generator)
        optimizer.zero_grad()
        reduction(cycle, batch).backward()
        optimizer.step()
    assert reduction(cycle, test).item() < 0.8 * before


def test_boundary_conditions_hold_in_every_layer():
    """On a periodic grid shifts by coarsest cells go through; odd fields stay odd between walls that hold 0."""
    torch.manual_seed(0)
    model = kt.operators.MgNO(1, 1, width=4, layers=2, sweeps=(1, 1, 1)).double()
    a, grid = torch.randn(1, 1, 16, 24, dtype=torch.float64), kt.pde.Grid((16, 24))
    torch.testing.assert_close(
        model(a.roll((4, 8), (-2, -1)), grid), model(a, grid).roll((4, 8), (-2, -1)), rtol=1e-12, atol=1e-12
    )
    cycle = MultigridCycle(1, 2, 1, (1, 1)).double()
    wall, doubled = kt.pde.Grid(8, boundary=kt.pde.Dirichlet()), kt.pde.Grid(16, 2.0)
    f = torch.randn(1, 1, 8, dtype=torch.float64)
    # The fine sweeps see the continued field; coarse ones, whose cells straddle no wall, too.
    one = cycle.before[0].smoothers[0]
    odd = torch.cat([f, -f.flip(-1)], -1)
    torch.testing.assert_close(one(f, wall), one(odd, doubled)[..., :8], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("shape", [(13, 22), (17, 31), (64, 8)])
def test_grids_of_any_size_do(shape):
    model = kt.operators.MgNO(1, 1, width=4, layers=1, sweeps=(1, 1, 1, 1))
    for boundary in (kt.pde.Periodic(), kt.pde.Dirichlet()):
        assert model(torch.randn(1, 1, *shape), kt.pde.Grid(shape, boundary=boundary)).shape == (1, 1, *shape)


def test_what_makes_no_cycle_is_refused():
    with pytest.raises(ValueError, match="6 levels need at least 32 points along axis 1; the grid has 16"):
        kt.operators.MgNO(1, 1, width=2)(torch.zeros(1, 1, 64, 16), kt.pde.Grid((64, 16)))
    with pytest.raises(ValueError, match="after must have an entry for each level but the coarsest"):
        kt.operators.MgNO(1, 1, sweeps=(1, 1), after=(1, 1))
    with pytest.raises(ValueError, match="kernel must be 3 or 4; got 5"):
        kt.operators.MgNO(1, 1, kernel=5)
