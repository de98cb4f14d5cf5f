"""Proper orthogonal decomposition: it is the best there is, in every inner product; and the reduced models."""

import pytest
import torch

import kutta as kt
from kutta.solvers.algebra.operators.linear_operator import LinearOperator
from tests._helpers import F64, difference, gradient, relative_error
from tests.pde.reduced._fronts import points, waves


def energy(shape, strength=0.5):
    """``strength - laplace`` on states of two axes, zero around them."""

    def apply(u):
        padded = torch.nn.functional.pad(u, (1, 1, 1, 1))
        around = padded[..., 2:, 1:-1] + padded[..., :-2, 1:-1] + padded[..., 1:-1, 2:] + padded[..., 1:-1, :-2]
        return (4.0 + strength) * u - around

    return kt.algebra.MatrixFree(apply, axes=2, symmetric=True, definite=True)


def weights(shape):
    return 0.5 + torch.rand(shape, dtype=F64, generator=torch.Generator().manual_seed(3))


INNERS = {"euclidean": None, "number": 0.25, "weights": weights((9, 8)), "operator": energy((9, 8))}


def matrix_of(inner, like):
    n = like.numel()
    if inner is None or isinstance(inner, float):
        return (1.0 if inner is None else inner) * torch.eye(n, dtype=F64)
    return inner.dense(like) if isinstance(inner, LinearOperator) else torch.diag(inner.flatten())


@pytest.mark.parametrize("name", INNERS)
def test_modes_are_orthonormal_and_lose_the_least(name):
    inner, snapshots = INNERS[name], waves()
    basis, w = kt.pde.POD(snapshots, modes=3, inner=inner), matrix_of(INNERS[name], waves()[0])
    flat, modes = snapshots.flatten(1), basis.modes.flatten(1)
    torch.testing.assert_close(modes @ w @ modes.mT, torch.eye(3, dtype=F64), rtol=0, atol=1e-12)
    left = flat - basis.project(snapshots).flatten(1)
    lost = ((left @ w) * left).sum()
    assert lost == pytest.approx(float((basis.singular_values[3:] ** 2).sum()), rel=1e-10)
    # The theorem of Eckart and Young, with a square root of W.
    root = torch.linalg.cholesky(w)
    values = torch.linalg.svdvals(flat @ root)
    torch.testing.assert_close(basis.singular_values, values[: len(basis.singular_values)], rtol=1e-9, atol=0)
    whole = ((flat @ w) * flat).sum(1)
    torch.testing.assert_close(basis.error(snapshots), (((left @ w) * left).sum(1) / whole).sqrt())


def test_snapshots_span_so_many_modes():
    basis = kt.pde.POD(waves(modes=4))
    assert basis.modes.shape == (4, 9, 8) and basis.error(waves(modes=4)).max() < 1e-13
    assert kt.pde.POD(waves(count=3)).modes.shape[0] == 3


@pytest.mark.parametrize("part", [0.5, 0.9, 0.999, 1.0])
def test_the_energy_says_how_many_modes(part):
    basis = kt.pde.POD(waves(), energy=part)
    held = (basis.singular_values**2).cumsum(0) / (basis.singular_values**2).sum()
    count = len(basis.modes)
    assert held[count - 1] >= part - 1e-15 and (count == 1 or held[count - 2] < part)


def test_small_singular_values_are_not_lost_by_squaring():
    # A family with a mode of size 1e-11 beside one of size 1: its square would be below the rounding.
    q, _ = torch.linalg.qr(waves(count=2, modes=2).flatten(1).mT)
    snapshots = torch.stack([q[:, 0], q[:, 0] + 1e-11 * q[:, 1]])
    basis = kt.pde.POD(snapshots)
    assert len(basis.modes) == 2 and basis.error(q[:, 1]) < 1e-3


def test_a_reference_is_taken_off_and_put_back():
    snapshots, reference = waves() + 5.0, torch.full((9, 8), 5.0, dtype=F64)
    basis = kt.pde.POD(snapshots, modes=6, reference=reference)
    assert basis.error(snapshots).max() < 1e-12 and basis.error(reference) == 0.0
    torch.testing.assert_close(basis.project(reference), reference)
    torch.testing.assert_close(basis.expand(basis.coefficients(snapshots)), snapshots)
    assert kt.pde.POD(snapshots, modes=6).error(snapshots).max() > 1e-4


@pytest.mark.parametrize("dtype", [torch.float32, F64], ids=["float32", "float64"])
def test_batches_and_dtypes(dtype):
    basis, u = kt.pde.POD(waves(dtype=dtype), modes=4), waves(seed=1, count=6, dtype=dtype).reshape(2, 3, 9, 8)
    assert basis.coefficients(u).shape == (2, 3, 4) and basis.project(u).dtype == dtype
    torch.testing.assert_close(basis.project(u)[1, 2], basis.project(u[1, 2]))
    torch.testing.assert_close(basis.project(basis.project(u)), basis.project(u))


@pytest.mark.parametrize("with_reference", [False, True], ids=["plain", "reference"])
def test_galerkin_is_the_best_in_the_energy(with_reference):
    operator, u = energy((9, 8)), waves(seed=1, count=5)
    reference = waves(seed=2)[0] if with_reference else None
    basis = kt.pde.POD(waves(), modes=4, inner=operator, reference=reference)
    found = basis.solve(operator, operator.apply(u))
    torch.testing.assert_close(found, basis.project(u), rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(basis.galerkin(operator), torch.eye(4, dtype=F64), rtol=0, atol=1e-12)


def test_least_squares_have_the_least_residual():
    generator = torch.Generator().manual_seed(0)
    matrix = torch.randn(50, 50, dtype=F64, generator=generator)
    operator, b = kt.algebra.Dense(matrix), torch.randn(50, dtype=F64, generator=generator)
    basis = kt.pde.POD(torch.randn(8, 50, dtype=F64, generator=generator), modes=5)
    residual = b - operator.apply(basis.solve(operator, b, least_squares=True))
    # It is orthogonal to all that the operator makes of the modes.
    assert (operator.apply(basis.modes) @ residual).abs().max() < 1e-11 * b.norm()
    assert residual.norm() < (b - operator.apply(basis.solve(operator, b))).norm()


@pytest.mark.parametrize("least_squares", [False, True], ids=["galerkin", "least_squares"])
def test_a_solution_within_the_modes_is_found(least_squares):
    operator, u = energy((9, 8)), waves(seed=1, count=6).reshape(2, 3, 9, 8)
    basis = kt.pde.POD(u.flatten(0, 1))
    torch.testing.assert_close(basis.solve(operator, operator.apply(u), least_squares), u, rtol=1e-9, atol=1e-9)


def test_one_operator_a_sample():
    matrices = torch.eye(30, dtype=F64) + 0.1 * torch.rand(4, 30, 30, dtype=F64)
    basis, b = kt.pde.POD(torch.rand(6, 30, dtype=F64)), torch.rand(4, 30, dtype=F64)
    for least_squares in (False, True):
        found = basis.solve(kt.algebra.Dense(matrices), b, least_squares)
        for k in range(4):
            one = basis.solve(kt.algebra.Dense(matrices[k]), b[k], least_squares)
            torch.testing.assert_close(found[k], one)


@pytest.mark.parametrize("least_squares", [False, True], ids=["galerkin", "least_squares"])
def test_gradients_of_reduced_solves(least_squares):
    basis, u = kt.pde.POD(waves(), modes=3), waves(seed=1)[0]
    weight = waves(seed=2)[0]

    def to_right(b):
        return (weight * basis.solve(energy((9, 8)), b, least_squares)).sum()

    def to_strength(strength):
        return (weight * basis.solve(energy((9, 8), strength), u, least_squares)).sum()

    assert relative_error(gradient(to_right, u), difference(to_right, u)) < 1e-7
    strength = torch.tensor(0.5, dtype=F64)
    assert relative_error(gradient(to_strength, strength), difference(to_strength, strength)) < 1e-7


def test_gradients_of_projections():
    basis, u = kt.pde.POD(waves(), modes=3, inner=weights((9, 8)), reference=waves()[3]), waves(seed=1)[0]

    def loss(u):
        return (basis.project(u) ** 2).sum() + basis.coefficients(u).exp().sum() + basis.error(u)

    assert relative_error(gradient(loss, u), difference(loss, u)) < 1e-7
    assert not basis.modes.requires_grad


def test_the_heat_equation_with_four_modes():
    """A reduced model of a new system, between those that the modes were made of."""
    x = points(101)[1:-1]
    bands = 1e4 * torch.tensor([[-1.0], [2.0], [-1.0]], dtype=F64).expand(3, 99)

    def system(shift):
        return kt.algebra.Banded(bands, (-1, 0, 1), definite=True).shifted(shift, 1.0)

    b = torch.exp(-20.0 * (x - 0.3) ** 2)
    snapshots = torch.stack([kt.solve(kt.LinearProblem(system(s), b)).y1 for s in (1.0, 10.0, 100.0, 1000.0)])
    exact = kt.solve(kt.LinearProblem(system(40.0), b)).y1
    assert relative_error(kt.pde.POD(snapshots).solve(system(40.0), b), exact) < 1e-3


def test_wrong_input_is_refused():
    bad = waves()
    bad[2, 0, 0] = float("nan")
    with pytest.raises(ValueError, match="snapshots must be finite; snapshot 2 is not"):
        kt.pde.POD(bad)
    with pytest.raises(TypeError, match="real floating-point"):
        kt.pde.POD(torch.ones(3, 4, dtype=torch.int64))
    for wrong in (torch.ones(3), torch.ones(0, 4)):
        with pytest.raises(ValueError, match="snapshots must have shape"):
            kt.pde.POD(wrong)
    with pytest.raises(ValueError, match="must not all be zero"):
        kt.pde.POD(torch.zeros(3, 4))
    with pytest.raises(ValueError, match="give one of them"):
        kt.pde.POD(waves(), modes=2, energy=0.9)
    for wrong in (0, 7, 2.0, True):
        with pytest.raises(ValueError, match="modes must be a whole number from 1 to 6"):
            kt.pde.POD(waves(), modes=wrong)
    for wrong in (0.0, 1.1):
        with pytest.raises(ValueError, match="energy must lie in"):
            kt.pde.POD(waves(), energy=wrong)
    with pytest.raises(ValueError, match="inner must be positive definite"):
        kt.pde.POD(waves(), inner=-1.0)
    basis = kt.pde.POD(waves(), modes=2)
    for wrong in (torch.ones(8, 9, dtype=F64), torch.ones(9, 8), torch.ones(8, dtype=F64)):
        with pytest.raises(ValueError, match=r"u must be of shape \(..., 9, 8\) and torch.float64"):
            basis.project(wrong)
    with pytest.raises(TypeError, match="give it axes="):
        basis.solve(kt.algebra.MatrixFree(lambda u: u), waves()[0])
    with pytest.raises(TypeError, match="give it axes="):
        kt.pde.POD(waves(), inner=kt.algebra.MatrixFree(lambda u: u))


def test_derivatives_of_errors_of_nothing_and_of_what_is_held():
    snapshots = waves(12)
    basis = kt.pde.POD(snapshots, modes=2)
    for u in (0.0 * snapshots[0], basis.modes[0]):
        state = u.clone().requires_grad_()
        (slope,) = torch.autograd.grad(basis.error(state), state)
        assert bool(torch.isfinite(slope).all())
    assert float(basis.error(0.0 * snapshots[0])) == 0.0


def test_weights_that_are_zero_where_all_snapshots_vanish():
    u = torch.zeros(6, 10, dtype=F64)
    u[:, :4] = torch.randn(6, 4, dtype=F64, generator=torch.Generator().manual_seed(0))
    weights = torch.zeros(10, dtype=F64)
    weights[:4] = torch.tensor([1.0, 2.0, 3.0, 4.0])
    basis, part = kt.pde.POD(u, inner=weights), kt.pde.POD(u[:, :4], inner=weights[:4])
    assert basis.modes.shape == (4, 10) and relative_error(basis.singular_values, part.singular_values) < 1e-12
    assert float(basis.error(u).max()) < 1e-7
    with pytest.raises(ValueError, match="inner must be positive definite on the snapshots"):
        kt.pde.POD(u, inner=1.0 - (weights > 0).double())
