"""Residuals in space and time: zero for solutions of backward differences, sums for sums of fields."""

import pytest
import torch

import kutta as kt
from kutta.operators.constraints.space_time import SpaceTime
from kutta.operators.constraints.time_differences import backward_differences
from kutta.pde.grids.given import filled, where_unknown
from tests._helpers import F64

WALLS = (kt.pde.Dirichlet(1.0), kt.pde.Robin(1.0, 5e-4))
MOVING = (kt.pde.Dirichlet(lambda x, t: torch.sin(torch.as_tensor(t))), kt.pde.Neumann())


def driven(ops, t, u):
    return 0.1 * ops.laplacian(u) + torch.sin(3.0 * ops.points(u)[0] * t) - u**2


def carried(ops, t, u):
    return 0.1 * ops.laplacian(u) - ops.derivative_of(lambda v: v**3, u, 0)


def test_backward_differences_are_exact_for_squares_and_converge_as_the_second_power():
    t = torch.linspace(0.0, 1.0, 11, dtype=F64)
    assert torch.allclose(backward_differences(t**2, -1, 0.1)[1:], 2.0 * t[2:], atol=1e-13)
    errors = []
    for steps in (20, 40, 80):
        t = torch.linspace(0.0, 1.0, steps + 1, dtype=F64)
        found = backward_differences(torch.exp(t), -1, 1.0 / steps)[1:]
        errors.append(float((found - torch.exp(t[2:])).abs().max()))
    orders = torch.tensor(errors).log2().diff().neg()
    assert bool((orders - 2.0).abs().max() < 0.15)


def test_what_backward_differences_solve_has_no_residual():
    grid = kt.pde.Grid(32, boundary=WALLS)
    u0 = torch.stack([0.1 + 0.05 * torch.cos(torch.pi * grid.points()[0]), torch.full((32,), 0.15, dtype=F64)])
    problem = kt.pde.DiffusionSorption().problem(grid, u0, (0.0, 100.0))
    space_time, f, h, states = SpaceTime(problem, 8), problem.as_ode().f, 12.5, [u0]
    for step in range(8):
        weights = (1.0, -1.0, 0.0) if step == 0 else (1.5, -2.0, 0.5)
        known = weights[1] * states[-1] + weights[2] * states[-2] if step else weights[1] * states[-1]

        def equations(u, known=known, weights=weights, step=step):
            return weights[0] * u + known - h * f(space_time.times[step + 1], u)

        states.append(kt.solve(kt.RootProblem(equations, states[-1], batched=True), kt.Newton(), rtol=1e-12).y1)
    residual = space_time.residual_of(torch.stack(states))
    assert residual.shape == (8, 2, 32)
    assert float(residual.abs().max()) < 1e-8


@pytest.mark.parametrize("equation", [driven, carried])
def test_times_sources_and_moving_walls_are_those_of_each_step(equation):
    grid = kt.pde.Grid(17, centring="node", boundary=MOVING)
    generator = torch.Generator().manual_seed(0)
    problem = kt.pde.PDEProblem(equation, grid, torch.rand(3, 17, generator=generator, dtype=F64), (0.0, 1.0))
    space_time, f = SpaceTime(problem, 10), problem.as_ode().f
    u = torch.rand(11, 3, 17, generator=generator, dtype=F64)
    u = torch.stack([filled(grid, one, t) for one, t in zip(u, space_time.times, strict=True)])
    slopes = torch.stack([f(t, one) for t, one in zip(space_time.times[1:], u[1:], strict=True)])
    exact = where_unknown(grid, backward_differences(u, -3, 0.1) - slopes)
    assert float((space_time.residual_of(u) - exact).abs().max()) < 1e-12


@pytest.mark.parametrize("kind", ["walls", "plane"])
def test_images_of_sums_are_sums_of_images(kind):
    generator = torch.Generator().manual_seed(0)
    if kind == "walls":
        grid = kt.pde.Grid(16, boundary=WALLS)
        problem = kt.pde.DiffusionSorption().problem(
            grid, torch.rand(2, 16, generator=generator, dtype=F64), (0.0, 9.0)
        )
    else:
        grid = kt.pde.Grid((8, 8), 6.0)
        u0 = torch.rand(2, 8, 8, generator=generator, dtype=F64)
        problem = kt.pde.NavierStokesVorticity(0.01).problem(grid, u0, (0.0, 1.0))
    space_time = SpaceTime(problem, 4)
    basis = space_time.zero_at_sides(torch.rand(3, 5, 2, *grid.shape, generator=generator, dtype=F64))
    w, constant = torch.tensor([0.5, -1.0, 2.0], dtype=F64), space_time.constant
    sums = space_time.images(constant) + torch.einsum("k,ik...->i...", w, space_time.images_of_changes(basis))
    whole = space_time.images(constant + torch.einsum("k,k...->...", w, basis))
    assert torch.allclose(sums, whole, atol=1e-9 * float(whole.abs().max()))


def test_coefficients_differ_between_samples():
    grid = kt.pde.Grid(16)
    u0 = torch.sin(2.0 * torch.pi * grid.points()[0]).expand(2, 16)
    nu = torch.tensor([[0.01], [0.1]], dtype=F64)
    space_time = SpaceTime(kt.pde.Burgers(nu).problem(grid, u0, (0.0, 1.0)), 3)
    both = space_time.residual_of(space_time.constant)
    for sample in range(2):
        alone = SpaceTime(kt.pde.Burgers(nu[sample, 0]).problem(grid, u0[:1], (0.0, 1.0)), 3)
        assert torch.allclose(alone.residual_of(alone.constant)[:, 0], both[:, sample], atol=1e-10)


def test_what_is_next_to_walls():
    def walls(grid):
        return SpaceTime(kt.pde.Heat(0.1).problem(grid, torch.zeros(grid.shape), (0.0, 1.0)), 2).walls.long().tolist()

    assert walls(kt.pde.Grid(4)) == [0, 0, 0, 0]
    assert walls(kt.pde.Grid(4, boundary=kt.pde.Neumann())) == [1, 0, 0, 1]
    assert walls(kt.pde.Grid(5, centring="node", boundary=kt.pde.Dirichlet())) == [0, 1, 0, 1, 0]


def test_what_is_refused():
    grid = kt.pde.Grid(8)
    with pytest.raises(ValueError, match="at most one axis of samples"):
        SpaceTime(kt.pde.Heat(0.1).problem(grid, torch.zeros(2, 3, 8), (0.0, 1.0)), 2)
    with pytest.raises(TypeError, match="real fields"):
        SpaceTime(kt.pde.Heat(0.1).problem(grid, torch.zeros(8, dtype=torch.complex128), (0.0, 1.0)), 2)
    cube = kt.pde.Grid((4, 4, 4))
    with pytest.raises(NotImplementedError, match=r"at most 2 dimensions in space, .* got 3"):
        SpaceTime(kt.pde.Heat(0.1).problem(cube, torch.zeros(4, 4, 4), (0.0, 1.0)), 2)
    with pytest.raises(TypeError, match="problem must be such as"):
        SpaceTime(grid, 2)  # type: ignore[arg-type]
