"""Several small bases in place of one, each for a cluster of states that point the same way."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from kutta.pde.reduced.angles import Families, angles, spans
from kutta.pde.reduced.inner import Inner, weighted
from kutta.pde.reduced.medoids import k_medoids
from kutta.pde.reduced.pod import POD
from kutta.solvers.algebra.operators.linear_operator import LinearOperator


class Worth(NamedTuple):
    """Whether local bases are worth it, on states that they were not made of.

    Attributes:
        local_error: mean relative error of projection, in the basis that is chosen for each state.
        best_error: the same in the best basis for each state.
        global_error: of one basis with as many modes as the largest local one.
        global_modes: how many modes one basis needs for an error of no more than `local_error`.
        gain: the modelled costs of one basis of that many modes, over those of the local ones, times
            ``best_error / local_error``, the penalty for wrong choices.
        worth_it: whether the gain is large enough.
    """

    local_error: float
    best_error: float
    global_error: float
    global_modes: int
    gain: float
    worth_it: bool


class LocalBases:
    """A basis for each cluster of states, where clusters are made by angle.

    States that differ by a factor need the same mode, so states are told apart by `angles` and not by distance, and
    gathered around medoids; each cluster has its own `POD`. A new state is projected, or a system reduced, with the
    basis of the medoid to which a cheap first solution has the smallest angle; or with that of any other classifier's
    choice.

    Args:
        snapshots: states, ``(m, *state)``; or a list of families ``(s, *state)``, such as trajectories, which stay
            together. Take a reference state off first, if there is one.
        clusters: how many.
        modes: of each basis, at most what its cluster spans; or
        energy: instead, as for `POD`.
        inner: likewise.
        distances: between the snapshots, ``(m, m)``; by default their `angles`.
        restarts: of `k_medoids`.
        seed: likewise.

    Attributes:
        bases: a `POD` for each cluster.
        medoids: which snapshots stand for the clusters, ``(K,)``.
        labels: in which cluster each snapshot is, ``(m,)``.

    Example:
        >>> import torch, kutta as kt
        >>> x = torch.linspace(0.0, 1.0, 200, dtype=torch.float64)
        >>> fronts = torch.tanh((x - torch.linspace(0.1, 0.9, 100, dtype=torch.float64)[:, None]) / 0.02)
        >>> train, test = fronts[::2], fronts[1::2]
        >>> one, local = kt.pde.POD(train, modes=5), kt.pde.LocalBases(train, clusters=5, modes=5)
        >>> errors = one.error(test).mean(), local.error(test).mean()
        >>> bool(errors[1] < 0.5 * errors[0])
        True
        >>> local.worth(train, test).worth_it
        True
    """

    def __init__(
        self,
        snapshots: Families,
        clusters: int,
        modes: int | None = None,
        energy: float | None = None,
        inner: Inner = None,
        distances: Tensor | None = None,
        restarts: int = 5,
        seed: int = 0,
    ):
        found = k_medoids(angles(snapshots, inner) if distances is None else distances, clusters, restarts, seed)
        if len(found.labels) != len(snapshots):
            raise ValueError(f"distances must be those of the {len(snapshots)} snapshots; got {len(found.labels)}")
        self.inner, self.medoids, self.labels = inner, found.medoids, found.labels
        self.bases = [
            _basis(_joined(snapshots, torch.nonzero(found.labels == k)[:, 0]), modes, energy, inner)
            for k in range(clusters)
        ]
        self._spans = spans([_joined(snapshots, medoid[None]) for medoid in found.medoids], inner)

    def choose(self, u: Tensor) -> Tensor:
        """The cluster of each state ``(..., *state)``: that of the medoid with the smallest angle, ``(...)``."""
        self.bases[0].check("u", u)
        flat = weighted(u, self.inner).flatten(u.dim() - self._axes)
        held = [((flat @ span.flatten(1).mT) ** 2).sum(-1) for span in self._spans]
        return torch.stack(held, -1).argmax(-1)

    def project(self, u: Tensor, cluster: Tensor | None = None) -> Tensor:
        """What the chosen basis holds of each state.

        Args:
            u: states, ``(..., *state)``.
            cluster: of each, ``(...)``; by default what `choose` says of it.
        """
        return self._each(lambda basis, one: basis.project(one), u, self._chosen(u, cluster), u.shape)

    def error(self, u: Tensor, cluster: Tensor | None = None) -> Tensor:
        """``|u - P u| / |u|`` of each state with its basis, ``(...)``."""
        shape = u.shape[: u.dim() - self._axes]
        return self._each(lambda basis, one: basis.error(one), u, self._chosen(u, cluster), shape)

    def solve(
        self,
        operator: LinearOperator,
        b: Tensor,
        near: Tensor | None = None,
        cluster: Tensor | None = None,
        least_squares: bool = False,
    ) -> Tensor:
        """The solutions of ``A u = b`` in the bases of their clusters, as `POD.solve`.

        Args:
            operator: ``A``, one for all right-hand sides.
            b: right-hand sides, ``(..., *state)``.
            near: cheap solutions, such as those on a coarse grid brought to this one, which choose the clusters; or
            cluster: these themselves, ``(...)``, such as a classifier's.
            least_squares: whether to take the smallest residual instead of Galerkin's method.
        """
        if (near is None) == (cluster is None):
            raise ValueError("solve needs a cheap solution to choose the cluster by, near=, or the cluster=; give one")
        if operator.batch:
            raise ValueError("local bases need one operator for all right-hand sides; solve one at a time")
        chosen = self._chosen(b if near is None else near.expand(b.shape), cluster)
        return self._each(lambda basis, one: basis.solve(operator, one, least_squares), b, chosen, b.shape)

    def worth(
        self,
        snapshots: Families,
        held_out: Tensor,
        cluster: Tensor | None = None,
        exponent: float = 3.0,
        factor: float = 2.0,
    ) -> Worth:
        """Compare with one basis on states that neither was made of.

        Solving a reduced model of ``n`` modes is taken to cost ``n^exponent``.

        Args:
            snapshots: those that these bases were made of.
            held_out: others, ``(m, *state)``.
            cluster: of each of them, such as a classifier's; by default what `choose` says of the state itself.
            exponent: of the costs.
            factor: the least gain that is worth it.
        """
        every = [basis.error(held_out) for basis in self.bases]
        local, best = float(self.error(held_out, cluster).mean()), float(torch.stack(every).amin(0).mean())
        n = max(len(basis.modes) for basis in self.bases)
        one = POD(_joined(snapshots, torch.arange(len(snapshots))), inner=self.inner)
        means = _errors_by_count(one, held_out)
        needed = int((means > local).sum()) + 1
        needed, at_n = min(needed, len(means)), min(n, len(means))
        gain = (needed / n) ** exponent * (best / local if local > 0.0 else 1.0)
        return Worth(local, best, float(means[at_n - 1]), needed, gain, gain >= factor)

    @property
    def _axes(self) -> int:
        return self.bases[0].modes.dim() - 1

    def _chosen(self, u: Tensor, cluster: Tensor | None) -> Tensor:
        batch = u.shape[: u.dim() - self._axes]
        if cluster is None:
            return self.choose(u.detach())
        cluster = torch.as_tensor(cluster, device=u.device)
        if cluster.is_floating_point() or cluster.is_complex() or cluster.dtype == torch.bool:
            raise TypeError(f"cluster must hold whole numbers; got {cluster.dtype}")
        if bool(((cluster < 0) | (cluster >= len(self.bases))).any()):
            raise ValueError(f"cluster must be from 0 to {len(self.bases) - 1}; got {cluster.tolist()}")
        return cluster.expand(batch)

    def _each(self, function: Callable[[POD, Tensor], Tensor], u: Tensor, cluster: Tensor, shape: torch.Size) -> Tensor:
        """A function of states, each with its own basis."""
        flat, chosen = u.reshape(-1, *u.shape[u.dim() - self._axes :]), cluster.reshape(-1)
        places = [torch.nonzero(chosen == k)[:, 0] for k in range(len(self.bases))]
        parts = [function(basis, flat[place]) for basis, place in zip(self.bases, places, strict=True)]
        return torch.cat(parts)[torch.cat(places).argsort()].reshape(shape)


def _joined(snapshots: Families, members: Tensor) -> Tensor:
    """The states of some snapshots, or of some families."""
    if isinstance(snapshots, Tensor):
        return snapshots[members]
    return torch.cat([snapshots[int(k)] for k in members])


def _basis(snapshots: Tensor, modes: int | None, energy: float | None, inner: Inner) -> POD:
    """The basis of a cluster, which may span less than is asked for."""
    return POD(snapshots, None if modes is None else min(modes, len(POD(snapshots, inner=inner).modes)), energy, inner)


def _errors_by_count(basis: POD, u: Tensor) -> Tensor:
    """Mean relative errors with the first mode, the first two, ..."""
    held = (basis.coefficients(u) ** 2).cumsum(-1)
    whole = (basis.norm(u) ** 2).unsqueeze(-1)
    return ((whole - held).clamp_min(0.0) / torch.where(whole > 0.0, whole, 1.0)).sqrt().mean(0)
