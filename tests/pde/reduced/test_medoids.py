"""k-medoids: the best of all choices on small sets, and the sums over swaps."""

from itertools import combinations

import pytest
import torch

import kutta as kt
from kutta.pde.reduced.medoids import _changes
from tests._helpers import F64


def apart(points):
    return torch.cdist(points, points)


def cloud(m, seed=0):
    return torch.rand(m, 2, dtype=F64, generator=torch.Generator().manual_seed(seed))


def cost(distances, medoids):
    return float(distances[:, list(medoids)].amin(1).sum())


@pytest.mark.parametrize("clusters", [1, 2, 3])
@pytest.mark.parametrize("seed", [0, 1, 2, 3])
def test_the_best_of_all_choices_is_found(seed, clusters):
    distances = apart(cloud(14, seed))
    found = kt.pde.k_medoids(distances, clusters)
    best = min(cost(distances, some) for some in combinations(range(14), clusters))
    assert found.cost == pytest.approx(best, rel=1e-12) == cost(distances, found.medoids.tolist())
    assert found.labels.tolist() == distances[:, found.medoids].argmin(1).tolist()


@pytest.mark.parametrize("medoids", [[4], [0, 7], [1, 5, 9]], ids=["one", "two", "three"])
def test_changes_are_those_of_every_swap(medoids):
    distances = apart(cloud(12)) ** 2
    changes = _changes(distances, torch.tensor(medoids))
    for i in range(len(medoids)):
        for new in range(12):
            swapped = [*medoids[:i], new, *medoids[i + 1 :]]
            assert float(changes[i, new]) == pytest.approx(cost(distances, swapped) - cost(distances, medoids))


def test_clusters_that_are_apart_are_told_apart():
    centres = torch.tensor([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]], dtype=F64)
    things = torch.cat([cloud(20, seed) + centre for seed, centre in enumerate(centres)])
    found = kt.pde.k_medoids(apart(things), 3)
    assert found.labels.tolist() == [0] * 20 + [1] * 20 + [2] * 20


def test_equal_things_and_as_many_clusters_as_things():
    found = kt.pde.k_medoids(torch.zeros(5, 5), 2)
    assert found.cost == 0.0 and len(set(found.medoids.tolist())) == 2
    assert kt.pde.k_medoids(apart(cloud(6)), 6).medoids.tolist() == list(range(6))


def test_wrong_input_is_refused():
    for wrong in (torch.ones(3), torch.ones(3, 4), torch.full((2, 2), float("nan"))):
        with pytest.raises(ValueError, match="square matrix of finite numbers"):
            kt.pde.k_medoids(wrong, 1)
    for clusters in (0, 5, 1.0, True):
        with pytest.raises(ValueError, match="clusters must be a whole number from 1 to 4"):
            kt.pde.k_medoids(torch.ones(4, 4), clusters)
