"""Clusters around medoids: partitioning around medoids (PAM), by building and swapping."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Medoids(NamedTuple):
    """Clusters of things.

    Attributes:
        medoids: which thing stands for each cluster, ``(K,)``.
        labels: which cluster each thing is in, ``(m,)``.
        cost: the sum of the distances of all to their medoid.
    """

    medoids: Tensor
    labels: Tensor
    cost: float


def k_medoids(distances: Tensor, clusters: int, restarts: int = 5, seed: int = 0) -> Medoids:
    """Clusters with the least sum of distances to their medoids, as far as swaps find them.

    The medoids are first built one by one, each where the sum falls most; then the one swap of a medoid for another
    thing that lowers the sum most is made, until there is none. Restarts swap from medoids at random. The best is kept.

    Args:
        distances: between things, ``(m, m)``; they need not obey the triangle inequality.
        clusters: how many.
        restarts: how often to begin at random, besides.
        seed: of these.

    Returns:
        the clusters, in the order of their medoids.

    Raises:
        ValueError: for distances that are not square or not finite, or clusters that are not from 1 to ``m``.

    Source:
        Kaufman and Rousseeuw, Finding groups in data, 1990; the sums over all swaps at once: Schubert and Rousseeuw,
        Fast and eager k-medoids clustering, 2021.

    Example:
        >>> import torch, kutta as kt
        >>> x = torch.tensor([0.0, 0.1, 0.2, 5.0, 5.1])
        >>> found = kt.pde.k_medoids((x[:, None] - x).abs(), 2)
        >>> found.medoids.tolist(), found.labels.tolist()
        ([1, 3], [0, 0, 0, 1, 1])
    """
    if distances.dim() != 2 or distances.shape[0] != distances.shape[1] or not bool(torch.isfinite(distances).all()):
        raise ValueError(f"distances must be a square matrix of finite numbers; got shape {tuple(distances.shape)}")
    m = len(distances)
    if isinstance(clusters, bool) or not isinstance(clusters, int) or not 1 <= clusters <= m:
        raise ValueError(f"clusters must be a whole number from 1 to {m}, the number of things; got {clusters!r}")
    generator = torch.Generator().manual_seed(seed)
    starts = [_build(distances, clusters)]
    starts += [torch.randperm(m, generator=generator)[:clusters].to(distances.device) for _ in range(restarts)]
    found = [_swapped(distances, start) for start in starts]
    medoids = min(found, key=lambda one: _cost(distances, one)).sort().values
    return Medoids(medoids, distances[:, medoids].argmin(1), _cost(distances, medoids))


def _cost(distances: Tensor, medoids: Tensor) -> float:
    return float(distances[:, medoids].amin(1).sum())


def _build(distances: Tensor, clusters: int) -> Tensor:
    """Medoids one by one, each where the sum of distances falls most."""
    nearest, medoids = torch.full_like(distances[0], torch.inf), []
    for _ in range(clusters):
        sums = torch.minimum(distances, nearest[:, None]).sum(0)
        sums[medoids] = torch.inf
        medoids.append(int(sums.argmin()))
        nearest = torch.minimum(nearest, distances[:, medoids[-1]])
    return torch.tensor(medoids, device=distances.device)


def _swapped(distances: Tensor, medoids: Tensor) -> Tensor:
    """After swaps, until none helps."""
    while True:
        changes = _changes(distances, medoids)
        best = int(changes.argmin())
        # What is no more than rounding would go round in circles.
        if changes.view(-1)[best] >= -1e-6 * distances[:, medoids].amin(1).sum():
            return medoids
        medoids = medoids.clone()
        medoids[best // len(distances)] = best % len(distances)


def _changes(distances: Tensor, medoids: Tensor) -> Tensor:
    """What the sum changes by, for each medoid and each thing in its place, ``(K, m)``.

    A thing goes to the new medoid if that is nearer than its own; things of the old one go there or to their second.
    """
    near, order = distances[:, medoids].sort(1)
    first = near[:, :1]
    second = near[:, 1:2] if len(medoids) > 1 else torch.full_like(first, torch.inf)
    gained = (distances - first).clamp_max(0.0)
    moved = torch.minimum(distances, second) - first
    belongs = torch.nn.functional.one_hot(order[:, 0], len(medoids)).to(distances.dtype)
    return gained.sum(0) + belongs.mT @ (moved - gained)
