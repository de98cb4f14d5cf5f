"""Chebyshev's iteration: the polynomial that is smallest over the eigenvalues to smooth."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from kutta.solvers.algebra.multigrid.network import Stencil
from kutta.solvers.algebra.multigrid.smoothers.smoother import Smoother, Step, scaled_by


@dataclass(frozen=True)
class Chebyshev(Smoother):
    """Jacobi sweeps whose dampings are the reciprocal roots of a Chebyshev polynomial.

    The eigenvalues of ``D^-1 K`` lie below 2, since no row of a network's ``K`` sums to less than zero. Of those above
    ``lower`` a sweep of degree ``k`` leaves at most ``1 / T_k((2 + lower) / (2 - lower))``. It knows no order of the
    points, which suits GPUs.

    Attributes:
        degree: the number of dampings in a sweep, at most 8.
        lower: the smallest eigenvalue to smooth; by default ``1 / d`` in ``d`` dimensions, what a grid of half the
            points along every axis cannot show.

    Example:
        >>> import torch, kutta as kt
        >>> operator = kt.pde.Elliptic(kt.pde.Grid((64, 64), boundary=kt.pde.Dirichlet()))
        >>> problem = kt.LinearProblem(operator, torch.ones(64, 64, dtype=torch.float64))
        >>> kt.solve(problem, kt.Multigrid(smoother=kt.algebra.Chebyshev(3)), rtol=1e-8).stats.steps < 12
        True
    """

    degree: int = 2
    lower: float | None = None

    def __post_init__(self) -> None:
        if isinstance(self.degree, bool) or not isinstance(self.degree, int) or not 1 <= self.degree <= 8:
            raise ValueError(f"degree must be a whole number from 1 to 8; got {self.degree!r}")
        if self.lower is not None and not 0.0 < self.lower < 2.0:
            raise ValueError(f"lower must be a number between 0 and 2; got {self.lower!r}")

    def steps(self, stencil: Stencil) -> Sequence[Step]:
        lower = 1.0 / len(stencil.network.shape) if self.lower is None else self.lower
        middle, half = (2.0 + lower) / 2, (2.0 - lower) / 2
        roots = [middle + half * math.cos(math.pi * (k + 0.5) / self.degree) for k in range(self.degree)]
        return [scaled_by(1.0 / (root * stencil.diagonal)) for root in roots]
