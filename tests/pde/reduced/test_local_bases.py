"""Local bases: travelling fronts, factors, the choice of a basis, reduced solves, and whether they are worth it."""

import pytest
import torch

import kutta as kt
from tests._helpers import F64, difference, gradient, relative_error
from tests.pde.reduced._fronts import fronts, points, waves


def scaled_fronts(count=120, seed=0):
    """Travelling fronts of any size, whose distances say little of their shape."""
    sizes = torch.rand(count, 1, dtype=F64, generator=torch.Generator().manual_seed(seed))
    return fronts(count) * 10.0 ** (2.0 * sizes - 1.0)


def errors_by(train, test):
    """Held-out errors of five modes: by angles, by distances, and with one basis."""
    by_angle = kt.pde.LocalBases(train, 5, modes=5)
    by_distance = kt.pde.LocalBases(train, 5, modes=5, distances=torch.cdist(train, train))
    nearest = torch.cdist(test, train[by_distance.medoids]).argmin(1)
    every = (by_angle.error(test), by_distance.error(test, nearest), kt.pde.POD(train, modes=5).error(test))
    return [float(error.mean()) for error in every]


def test_angles_are_better_than_distances_and_both_than_one_basis():
    u = scaled_fronts()
    angle, distance, one = errors_by(u[::2], u[1::2])
    assert angle < 0.3 * distance and distance < 0.9 * one


def test_fronts_of_one_size():
    # Here distances are as good as angles, since they say the same.
    u = fronts(120)
    angle, distance, one = errors_by(u[::2], u[1::2])
    assert angle <= 1.001 * distance and distance < 0.2 * one


def test_factors_change_nothing():
    u, factors = fronts(60), scaled_fronts(60)[:, :1] / fronts(60)[:, :1]
    signs = torch.where(torch.arange(60) % 3 == 0, -1.0, 1.0).to(F64)[:, None]
    one, other = (kt.pde.LocalBases(v, 5, modes=3) for v in (u, signs * factors * u))
    assert one.medoids.tolist() == other.medoids.tolist() and one.labels.tolist() == other.labels.tolist()
    assert one.choose(-7.0 * u).tolist() == one.labels.tolist()


@pytest.mark.parametrize("dtype", [torch.float32, F64], ids=["float32", "float64"])
def test_each_state_has_the_basis_of_its_cluster(dtype):
    u = fronts(40, dtype=dtype)
    local, test = kt.pde.LocalBases(u, 4, modes=4), fronts(12, first=0.12, dtype=dtype).reshape(3, 4, 200)
    chosen, found = local.choose(test), local.project(test)
    assert chosen.shape == (3, 4) and found.dtype == dtype and len(chosen.unique()) == 4
    for i in range(3):
        for j in range(4):
            torch.testing.assert_close(found[i, j], local.bases[int(chosen[i, j])].project(test[i, j]))
            torch.testing.assert_close(local.project(test[i, j]), found[i, j])
    assert local.error(test).shape == (3, 4) and local.error(test[0, 0]).shape == ()


def test_a_classifiers_choice_is_taken():
    local, test = kt.pde.LocalBases(fronts(40), 4, modes=4), fronts(6)
    torch.testing.assert_close(local.project(test, cluster=2), local.bases[2].project(test))
    torch.testing.assert_close(local.error(test, torch.full((6,), 2)), local.bases[2].error(test))


def test_families_stay_together():
    early, late = fronts(30, last=0.4), fronts(30, first=0.6)
    families = [*early.split(5), *late.split(5)]
    local = kt.pde.LocalBases(families, 2, modes=8)
    assert len(set(local.labels[:6].tolist())) == 1 and len(set(local.labels[6:].tolist())) == 1
    assert local.choose(early[2::5]).unique().tolist() == [int(local.labels[0])]
    assert local.error(torch.cat([early, late])).max() < 0.2


def convection(speed, n=200):
    """``-0.01 u'' + speed u' + u`` by upwind differences, zero at the ends."""
    h = 1.0 / (n + 1)
    bands = torch.tensor([[-0.01 / h**2 - speed / h], [1.0 + 0.02 / h**2 + speed / h], [-0.01 / h**2]], dtype=F64)
    return kt.algebra.Banded(bands.expand(3, n), (-1, 0, 1))


def bumps(centres):
    return torch.exp(-(((points() - centres[:, None]) / 0.03) ** 2))


@pytest.mark.parametrize("least_squares", [False, True], ids=["galerkin", "least_squares"])
def test_a_coarse_solution_chooses_the_basis_of_a_solve(least_squares):
    operator = convection(0.2)
    centres, new = torch.linspace(0.1, 0.9, 60, dtype=F64), torch.linspace(0.13, 0.87, 8, dtype=F64)
    snapshots, exact = (kt.solve(kt.LinearProblem(operator, bumps(c))).y1 for c in (centres, new))
    local, one = kt.pde.LocalBases(snapshots, 5, modes=6), kt.pde.POD(snapshots, modes=6)
    # Cheap: every tenth value, with straight lines between them.
    coarse = torch.nn.functional.interpolate(exact[:, None, ::10], 200, mode="linear")[:, 0]
    found = local.solve(operator, bumps(new), near=coarse, least_squares=least_squares)
    torch.testing.assert_close(
        found, local.solve(operator, bumps(new), cluster=local.choose(coarse), least_squares=least_squares)
    )
    without = one.solve(operator, bumps(new), least_squares)
    assert relative_error(found, exact) < 0.05 and relative_error(found, exact) < 0.2 * relative_error(without, exact)


def test_gradients_through_the_chosen_bases():
    coarse, u = fronts(40, width=0.1)[:, ::10], fronts(2, first=0.25, last=0.6)[:, ::10]
    local, weight = kt.pde.LocalBases(coarse, 4, modes=4), torch.linspace(-1.0, 1.0, 40, dtype=F64).reshape(2, 20)
    for loss in (
        lambda v: (weight * local.project(v)).sum(),
        lambda v: (weight * local.solve(convection(0.1, 20), v, cluster=torch.tensor([1, 2]))).sum(),
    ):
        assert relative_error(gradient(loss, u), difference(loss, u)) < 1e-7


def test_local_bases_are_worth_it_for_fronts():
    u = fronts(120)
    train, test = u[::2], u[1::2]
    local = kt.pde.LocalBases(train, 5, modes=5)
    worth = local.worth(train, test)
    errors = [
        float(kt.pde.POD(train, modes=n).error(test).mean()) for n in (5, worth.global_modes - 1, worth.global_modes)
    ]
    assert worth.global_error == pytest.approx(errors[0]) and errors[1] > worth.local_error >= errors[2]
    assert worth.best_error <= worth.local_error < worth.global_error
    assert worth.gain == pytest.approx((worth.global_modes / 5) ** 3 * worth.best_error / worth.local_error)
    assert worth.worth_it and not local.worth(train, test, factor=1e9).worth_it
    # A classifier that is always wrong takes it all back.
    wrong = (local.choose(test) + 2) % 5
    assert not local.worth(train, test, cluster=wrong).worth_it


def test_local_bases_are_not_worth_it_for_few_modes():
    train, test = waves(count=40, modes=3), waves(count=40, modes=3)[::2] + 0.1 * waves(count=20, modes=3)
    assert not kt.pde.LocalBases(train, 3, modes=3).worth(train, test).worth_it


def test_clusters_that_span_little():
    # Multiples of one state have one mode, whatever is asked for.
    multiples = torch.linspace(1.0, 2.0, 10, dtype=F64)[:, None] * torch.cos(150.0 * points())
    local = kt.pde.LocalBases(torch.cat([fronts(20, first=0.2, last=0.25), multiples]), 2, modes=4)
    assert sorted(len(basis.modes) for basis in local.bases) == [1, 4]


def test_wrong_input_is_refused():
    u = fronts(20)
    local = kt.pde.LocalBases(u, 3, energy=0.99)
    with pytest.raises(ValueError, match="clusters must be a whole number from 1 to 20"):
        kt.pde.LocalBases(u, 21)
    with pytest.raises(ValueError, match="distances must be those of the 20 snapshots; got 5"):
        kt.pde.LocalBases(u, 2, distances=torch.ones(5, 5))
    with pytest.raises(ValueError, match="cluster must be from 0 to 2"):
        local.project(u, cluster=3)
    for wrong in (u[:, 1:], u.float()):
        with pytest.raises(ValueError, match=r"u must be of shape \(..., 200\) and torch.float64"):
            local.choose(wrong)
    for given in ({}, {"near": u, "cluster": 1}):
        with pytest.raises(ValueError, match="give one"):
            local.solve(convection(0.1), u, **given)
    with pytest.raises(ValueError, match="one operator for all right-hand sides"):
        local.solve(kt.algebra.Dense(torch.eye(200, dtype=F64).expand(2, 200, 200)), u[:2], cluster=0)


def test_a_zero_state_counts_without_error():
    u = scaled_fronts()
    local, held_out = kt.pde.LocalBases(u[::2], 3, modes=4), u[1::2].clone()
    held_out[5] = 0.0
    worth = local.worth(u[::2], held_out)
    one = kt.pde.POD(u[::2], modes=4).error(held_out).mean()
    assert worth.global_error == pytest.approx(float(one), rel=1e-6)


def test_clusters_must_be_whole_numbers():
    u = scaled_fronts()
    with pytest.raises(TypeError, match=r"cluster must hold whole numbers; got torch.float32"):
        kt.pde.LocalBases(u, 2, modes=3).project(u[:2], cluster=torch.tensor([0.0, 1.0]))
