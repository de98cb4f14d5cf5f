"""Whole lines at once, every second one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from kutta.solvers.algebra.multigrid.network import Network, Stencil
from kutta.solvers.algebra.multigrid.smoothers.smoother import Smoother, Step, checkered
from kutta.solvers.algebra.operators.banded import Banded
from kutta.solvers.algebra.operators.linear_operator import Inverse


@dataclass(frozen=True)
class Lines(Smoother):
    """Solves along all lines of an axis, first the red ones and then the black ones.

    It suits couplings that are much stronger along that axis, whichever grids are coarsened. Lines are solved by cyclic
    reduction. The axis must not be periodic.

    Attributes:
        axis: along which, counted from the first axis of the grid, or from the end if negative.

    Example:
        >>> import torch, kutta as kt
        >>> operator = kt.pde.Elliptic(kt.pde.Grid((64, 64), (1.0, 0.1), boundary=kt.pde.Dirichlet()))
        >>> problem = kt.LinearProblem(operator, torch.ones(64, 64, dtype=torch.float64))
        >>> kt.solve(problem, kt.Multigrid(smoother=kt.algebra.Lines(1)), rtol=1e-8).stats.steps < 12
        True
    """

    axis: int

    def __post_init__(self) -> None:
        if isinstance(self.axis, bool) or not isinstance(self.axis, int):
            raise TypeError(f"axis must be a whole number; got {self.axis!r}")

    def check(self, network: Network) -> None:
        dim = len(network.shape)
        if not -dim <= self.axis < dim:
            raise ValueError(f"axis must be one of the {dim} of the grid; got {self.axis}")
        if network.chains[self.axis].periodic:
            raise ValueError(f"Lines solves along axes that do not wrap around; axis {self.axis} is periodic")

    def steps(self, stencil: Stencil) -> Sequence[Step]:
        dim = len(stencil.network.shape)
        axis = self.axis - dim if self.axis >= 0 else self.axis
        solve = _line_solver(stencil, axis)
        red = checkered(stencil, [one for one in range(-dim, 0) if one != axis])

        def among(kept: Tensor) -> Step:
            return lambda u, r: u.add_(solve(torch.where(kept, r, 0.0)))

        return [among(red), among(~red)] if dim > 1 else [among(red)]


def _line_solver(stencil: Stencil, axis: int) -> Inverse:
    """``r -> T^-1 r`` with the parts ``T`` of ``K`` that lie along an axis."""
    between, diagonal = stencil.between[axis], stencil.diagonal
    inner = -torch.as_tensor(between, dtype=diagonal.dtype, device=diagonal.device)
    shape = list(diagonal.shape)
    shape[axis] -= 1
    inner = inner.expand(shape)
    nothing = torch.zeros_like(diagonal.narrow(axis, 0, 1))
    bands = [torch.cat([nothing, inner], axis), diagonal, torch.cat([inner, nothing], axis)]
    rows = torch.stack([band.movedim(axis, -1) for band in bands], -2)
    inverse = Banded(rows, (-1, 0, 1)).inverse() if shape[axis] else None
    if inverse is None:
        return lambda r: r / diagonal
    return lambda r: inverse(r.movedim(axis, -1)).movedim(-1, axis)
