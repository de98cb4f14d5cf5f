"""A solver in the precision of networks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from kutta.operators.comparison.other_fields import with_fields
from kutta.operators.scope import parts_of
from kutta.solution import Solution
from kutta.solvers.answer import Answer


@dataclass(frozen=True)
class SinglePrecision(Answer):
    """A method that solves in float32 (complex64), and answers in float64 (complex128).

    Networks compute in float32. At errors of some percent solvers can as well, and it would be unfair not to let them.

    Attributes:
        method: that solves; by default what `kutta.solve` takes.

    Example:
        >>> import torch, kutta as kt
        >>> from kutta.operators.comparison.single_precision import SinglePrecision
        >>> problem = kt.pde.Poisson().problem(kt.pde.Grid((32, 32), boundary=kt.pde.Dirichlet()), 1.0)
        >>> exact, found = kt.solve(problem).y1, kt.solve(problem, SinglePrecision(), rtol=1e-4).y1
        >>> found.dtype, bool((found - exact).norm() < 1e-3 * exact.norm())
        (torch.float64, True)
    """

    method: Any = None

    def answer(self, problem: Any, given: dict[str, Any], solve: Callable[..., Solution]) -> Solution:
        _, grid = parts_of(problem)
        solution = solve(with_fields(problem, grid, _single), self.method, **given)
        wanted = torch.complex128 if solution.y1.is_complex() else torch.float64
        return replace(solution, ys=solution.ys.to(wanted), y1=solution.y1.to(wanted), interpolant=None)


def _single(u: Tensor) -> Tensor:
    return u.to(torch.complex64 if u.is_complex() else torch.float32)
