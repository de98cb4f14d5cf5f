"""Sketch and project: a linear system by ever new few combinations of its equations.

With a random matrix ``S`` of few columns the next iterate is the nearest one that fulfils ``S^H A x = S^H b``,

    x <- x + V (V^H V)^+ (S^H b - V^H x),    V = A^H S.

A column that is a unit vector takes one equation: then this is the randomised method of Kaczmarz.

Source: Gower and Richtárik, Randomized iterative methods for linear systems, 2015.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from kutta.solvers.algebra.krylov.iteration import Recurrence
from kutta.solvers.algebra.krylov.krylov import Iterative
from kutta.solvers.algebra.krylov.system import System, norm
from kutta.solvers.algebra.method import Goal, LinearMethod, Solver
from kutta.solvers.algebra.operators.linear_operator import LinearOperator

# So many directions are drawn, and multiplied by the operator, at once.
_AT_ONCE = 64


def _gaussian(count: int, n: int, size: int, generator: torch.Generator) -> Tensor:
    """Independent normal numbers, ``(count, size, n)``."""
    return torch.randn(count, size, n, dtype=torch.float64, generator=generator)


def _rows(count: int, n: int, size: int, generator: torch.Generator) -> Tensor:
    """Unit vectors, drawn evenly and without putting back, likewise."""
    chosen = torch.rand(count, n, dtype=torch.float64, generator=generator).argsort(1)[:, :size]
    return torch.nn.functional.one_hot(chosen, n).to(torch.float64)


_SKETCHES: dict[str, Callable[[int, int, int, torch.Generator], Tensor]] = {"gaussian": _gaussian, "rows": _rows}


@dataclass(frozen=True)
class Sketch(LinearMethod):
    """Sketch and project, for any operator that is not singular, known by its products.

        x <- the nearest point with S^T A x = S^T b

    An iteration draws 64 directions, as many sketches as that makes, and projects on one after the other. The error
    falls in every projection, in the mean by a factor that the smallest singular value of ``A`` decides: for systems
    of bad condition it is slow, whatever their signs. Of a batch all systems share the sketches.

    Attributes:
        size: the columns of ``S``: equations, or combinations of such, that are fulfilled at a time.
        kind: ``"gaussian"``: columns of independent normal numbers; or ``"rows"``: unit vectors, which take equations
            as they are; with ``size=1`` the randomised method of Kaczmarz.
        seed: of what is drawn, the same for each solve.

    Source: Gower and Richtárik, Randomized iterative methods for linear systems, 2015; Strohmer and Vershynin, A
    randomized Kaczmarz algorithm with exponential convergence, 2009.

    Example:
        >>> import torch, kutta as kt
        >>> A = torch.tensor([[2.0, 1.0], [1.0, -3.0]], dtype=torch.float64)
        >>> b = torch.tensor([4.0, -5.0], dtype=torch.float64)
        >>> kt.solve(kt.LinearProblem(A, b), kt.Sketch(1, "rows"), rtol=1e-8).y1
        tensor([1.0000, 2.0000], dtype=torch.float64)
    """

    size: int = 8
    kind: str = "gaussian"
    seed: int = 0
    source = "Gower and Richtárik, Randomized iterative methods for linear systems, 2015"

    def __post_init__(self) -> None:
        if isinstance(self.size, bool) or not isinstance(self.size, int) or self.size < 1:
            raise ValueError(f"size must be a positive whole number; got {self.size!r}")
        if self.kind not in _SKETCHES:
            raise ValueError(f"kind must be one of {', '.join(map(repr, _SKETCHES))}; got {self.kind!r}")
        if isinstance(self.seed, bool) or not isinstance(self.seed, int) or self.seed < 0:
            raise ValueError(f"seed must be a whole number of at least 0; got {self.seed!r}")

    def solver(self, operator: LinearOperator, b: Tensor, goal: Goal) -> Solver:
        return Iterative(partial(_Projections, self), operator, None, goal)


class _Projections(Recurrence):
    """The method on its way.

    Attributes:
        draw: the next sketches, ``(count, size, n)``.
        back: ``A^T``.
        matrix: ``A^H`` written out, where that takes no more products than an iteration; or nothing.
    """

    def __init__(self, method: Sketch, system: System, x: Tensor, residual: Tensor):
        self.system, self.x, self.r, self.norm = system, x, residual, norm(residual)
        self.broken = torch.zeros_like(self.norm, dtype=torch.bool)
        size, generator = min(method.size, system.size), torch.Generator().manual_seed(method.seed)
        self.draw = partial(_SKETCHES[method.kind], max(1, _AT_ONCE // size), system.size, size, generator)
        self.back = system.operator.transposed()
        units = torch.eye(system.size, dtype=x.dtype, device=x.device)
        self.matrix = self._images(units[None])[0] if system.size <= _AT_ONCE else None

    def advance(self, running: Tensor) -> None:
        sketches = self.draw().to(self.x.device, self.x.dtype)
        basis, wanted = _orthonormal(self._combined(sketches), torch.einsum("ksn,...n->k...s", sketches, self.r))
        # What is added to x, beginning at zero: its projections lose no digits to those that x has already.
        step = torch.zeros_like(self.x)
        for q, parts in zip(basis, wanted, strict=True):
            missing = parts.unsqueeze(-1) - q.mH @ step.unsqueeze(-1)
            step = step + (q @ missing).squeeze(-1)
        self.x = self.x + torch.where(running, step, 0.0)
        self.r = torch.where(running, self.system.residual(self.x), self.r)
        self.norm = norm(self.r)

    def solution(self) -> Tensor:
        return self.x

    def _combined(self, sketches: Tensor) -> Tensor:
        """``A^H S``, ``(count, *batch, n, size)``."""
        if self.matrix is None:
            return self._images(sketches)
        columns = sketches.mT.reshape(-1, *[1] * len(self.system.lead), *sketches.mT.shape[1:])
        return self.matrix @ columns

    def _images(self, sketches: Tensor) -> Tensor:
        """The same by products, for real ``S``."""
        directions = sketches.flatten(0, 1)
        directions = directions.reshape(-1, *[1] * len(self.system.lead), self.system.size)
        directions = directions.expand(-1, *self.system.lead, self.system.size)

        def image(v: Tensor) -> Tensor:
            return self.system.flat(self.back.apply(self.system.shaped(v)))

        images = torch.func.vmap(image)(directions).conj().resolve_conj()
        return images.unflatten(0, sketches.shape[:2]).movedim(1, -1)


def _orthonormal(v: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
    """Columns ``Q`` that span those of `v`, and ``y`` with ``Q^H x = y`` wherever ``V^H x`` is what is on the right.

    A column that depends on those before says nothing, and is left out.
    """
    q, r = torch.linalg.qr(v)
    size = r.diagonal(dim1=-2, dim2=-1).abs()
    lost = size <= torch.finfo(size.dtype).eps ** 0.75 * size.amax(-1, keepdim=True)
    r = torch.where(lost.unsqueeze(-1), torch.eye(r.shape[-1], dtype=r.dtype, device=r.device), r)
    y = torch.linalg.solve_triangular(r.mH, right.unsqueeze(-1), upper=False).squeeze(-1)
    return torch.where(lost.unsqueeze(-2), 0.0, q), torch.where(lost, 0.0, y)
