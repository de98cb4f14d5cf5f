"""Gauss and Seidel's method on the two colours of a chess board."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from kutta.solvers.algebra.multigrid.network import Stencil
from kutta.solvers.algebra.multigrid.smoothers.smoother import Smoother, Step, checkered, scaled_by


@dataclass(frozen=True)
class RedBlack(Smoother):
    """Gauss and Seidel's sweep, first through the red points and then through the black ones.

    Points of one colour are not joined to each other, so that all of them are taken at once. (Around a periodic axis
    with an odd number of points two are.) Sweeps after a coarser grid go through black points first, as the transposed
    sweep does.

    Example:
        >>> import torch, kutta as kt
        >>> operator = kt.pde.Elliptic(kt.pde.Grid((64, 64), boundary=kt.pde.Dirichlet()))
        >>> problem = kt.LinearProblem(operator, torch.ones(64, 64, dtype=torch.float64))
        >>> kt.solve(problem, kt.Multigrid(smoother=kt.algebra.RedBlack()), rtol=1e-8).stats.steps < 12
        True
    """

    def steps(self, stencil: Stencil) -> Sequence[Step]:
        inverse, red = stencil.diagonal.reciprocal(), checkered(stencil, range(-len(stencil.network.shape), 0))
        return [scaled_by(torch.where(red, inverse, 0.0)), scaled_by(torch.where(red, 0.0, inverse))]
