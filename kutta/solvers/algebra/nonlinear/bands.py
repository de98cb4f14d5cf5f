"""Jacobians that are zero far from their diagonal, by few derivatives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from kutta.solvers.algebra.nonlinear.jacobians import along
from kutta.solvers.algebra.operators.banded import Banded


@dataclass(frozen=True)
class Bands:
    """Says that equation ``i`` depends on the unknowns ``i - lower`` to ``i + upper`` only, in the order of the state.

    Unknowns that are ``lower + upper + 1`` apart have no equation in common. So as many derivatives in forward mode as
    that give the whole Jacobian: one along the sum of every such set of unknowns.

    Attributes:
        lower: diagonals below the main one.
        upper: diagonals above it.

    Source: Curtis, Powell, Reid, On the estimation of sparse Jacobian matrices, 1974.

    Example:
        >>> import torch, kutta as kt
        >>> def bratu(x):
        ...     inside = torch.nn.functional.pad(x, (1, 1))
        ...     return (inside[2:] - 2.0 * x + inside[:-2]) * 65.0**2 + torch.exp(x)
        >>> problem = kt.RootProblem(bratu, torch.zeros(64).double(), jacobian=kt.algebra.Bands(1, 1))
        >>> round(float(kt.solve(problem).y1.max()), 4)
        0.1405
    """

    lower: int
    upper: int

    def __post_init__(self) -> None:
        for name in ("lower", "upper"):
            count = getattr(self, name)
            if isinstance(count, bool) or not isinstance(count, int) or count < 0:
                raise ValueError(f"{name} must be a whole number of at least 0; got {count!r}")

    def of(self, f: Callable[[Tensor], Tensor], x: Tensor) -> Banded:
        """The Jacobian of a function of rows ``(B, n)``."""
        n, period = x.shape[1], self.lower + self.upper + 1
        places = torch.arange(n, device=x.device)
        directions = (places % period == torch.arange(period, device=x.device)[:, None]).to(x.dtype)

        # The product with direction p holds, at equation i, the one entry of its row in columns p, p + period, ...
        _, found = along(f, x, directions[:, None].expand(period, *x.shape))
        offsets = [offset for offset in range(-self.lower, self.upper + 1) if abs(offset) < n]
        diagonals = [found[(places + offset) % period, :, places].movedim(0, -1) for offset in offsets]
        return Banded(torch.stack(diagonals, 1), offsets)
