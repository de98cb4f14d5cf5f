"""Damped Jacobi: all points at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kutta.solvers.algebra.multigrid.network import Stencil
from kutta.solvers.algebra.multigrid.smoothers.smoother import Smoother, Step, scaled_by


@dataclass(frozen=True)
class DampedJacobi(Smoother):
    """``u <- u + omega D^-1 (f - K u)`` with the diagonal ``D``.

    On squares with as strong couplings along both axes ``omega = 4/5`` is the best: a sweep leaves at most 3/5 of what
    a coarser grid cannot show.

    Attributes:
        damping: ``omega``, above 0 and below 2.

    Example:
        >>> import torch, kutta as kt
        >>> operator = kt.pde.Elliptic(kt.pde.Grid((32, 32), boundary=kt.pde.Dirichlet()))
        >>> problem = kt.LinearProblem(operator, torch.ones(32, 32))
        >>> sol = kt.solve(problem, kt.Multigrid(smoother=kt.algebra.DampedJacobi(0.8)), rtol=1e-4)
        >>> bool(sol.stats.residual_norms < 1e-4 * 32)
        True
    """

    damping: float = 0.8

    def __post_init__(self) -> None:
        if isinstance(self.damping, bool) or not isinstance(self.damping, int | float) or not 0 < self.damping < 2:
            raise ValueError(f"damping must be a number between 0 and 2; got {self.damping!r}")

    def steps(self, stencil: Stencil) -> Sequence[Step]:
        return [scaled_by(self.damping / stencil.diagonal)]
