"""The sums of an exponential step, where the operator is known by its products with vectors only.

A combination ``phi_0(A) v_0 + ... + phi_p(A) v_p`` is the first part of one exponential of a slightly larger operator,

    exp [[A, V], [0, J]] [v_0; e_p],      V = [v_p ... v_1],      J with ones above its diagonal.

Source: Al-Mohy and Higham, Computing the action of the matrix exponential, SIAM J. Sci. Comput. 33, 2011.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor

from kutta.solvers.exponential.krylov import Krylov, enlarged_times, exponential_times
from kutta.solvers.magnitude import magnitude
from kutta.solvers.tableaus.exponential import Weight


@dataclass(frozen=True)
class KrylovSums:
    """The sums of a step of size `dt`, each an exponential for every node in it.

    Attributes:
        linear: the operator.
        krylov: how well its exponentials are computed.
        dt: the size of the step.
    """

    linear: Any
    krylov: Krylov
    dt: float

    def enter(self, y: Tensor) -> Tensor:
        """The state itself."""
        return y

    def leave(self, value: Tensor) -> Tensor:
        """The sum itself."""
        return value

    def combined(self, node: Fraction | None, row: Sequence[Weight], start: Tensor, slopes: Sequence[Tensor]) -> Tensor:
        """See `kutta.solvers.exponential.functions.Sums`."""
        groups: dict[Fraction, dict[int, Tensor]] = defaultdict(dict)
        if node is not None:
            groups[node][0] = start
        for weight, slope in zip(row, slopes, strict=True):
            for part, k, c in weight:
                term = float(part) * self.dt * slope
                groups[c][k] = groups[c][k] + term if k in groups[c] else term
        total = torch.zeros_like(start)
        for c, vectors in groups.items():
            total = total + self._combination(float(c) * self.dt, vectors)
        return total

    def _combination(self, size: float, vectors: dict[int, Tensor]) -> Tensor:
        """``sum_k phi_k(size L) v_k``."""
        if size == 0.0:
            return torch.stack([vector / math.factorial(k) for k, vector in vectors.items()]).sum(0)
        like = next(iter(vectors.values()))

        def product(x: Tensor) -> Tensor:
            return size * self.linear.apply(x.reshape(like.shape)).reshape(-1)

        parts = [vectors.get(k, torch.zeros_like(like)).reshape(-1) for k in range(max(vectors) + 1)]
        unit = magnitude(torch.cat(parts))
        first, *others = [part / unit for part in parts]
        if not others:
            return unit * exponential_times(product, first, self.krylov).reshape(like.shape)
        chain = torch.diag(torch.ones(len(others) - 1, dtype=like.dtype, device=like.device), 1)
        last = torch.zeros_like(chain[0])
        last[-1] = 1.0
        columns = torch.stack([*reversed(others)], -1)
        return unit * enlarged_times(product, columns, chain, first, last, self.krylov).reshape(like.shape)
