"""Banded systems by cyclic reduction: half of the unknowns at a time, all of them at once.

In a tridiagonal system

    a_i x_{i-1} + b_i x_i + c_i x_{i+1} = d_i

the equations of even ``i``, counted from 0, give those unknowns from their neighbours; put into the equations of odd
``i`` they leave a tridiagonal system of half the size. Each halving is a few operations on whole vectors, and there
are ``log2(n)`` of them. A wider band is tridiagonal in blocks of the band's width, and ``a``, ``b``, ``c`` are
matrices.

Source: Hockney, A fast direct solution of Poisson's equation using Fourier analysis, J. ACM 12, 1965; Golub and Van
Loan, Matrix Computations, section 4.5.4, for blocks.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from kutta.autodiff import read
from kutta.solution import Result
from kutta.solvers.algebra.direct.direct import Direct, DirectMethod
from kutta.solvers.algebra.method import Outcome, Watch, norms
from kutta.solvers.algebra.operators.banded import Banded
from kutta.solvers.algebra.operators.linear_operator import Inverse, LinearOperator

MOST_REFINEMENTS = 8


@dataclass(frozen=True)
class CyclicReduction(DirectMethod):
    """Cyclic reduction of a `Banded` matrix, or one for each sample.

    It takes ``O(n p^2)`` operations for ``n`` unknowns and a band of ``p`` diagonals to each side, in ``log2(n / p)``
    sweeps. It chooses no pivots, which is safe where the matrix is definite or its main diagonal dominates. Elsewhere
    steps of iterative refinement, at least one and as many as the growth of the numbers asks for, mend what it has
    spoilt. Where they do not, so that ``|b - A x|`` is more than ``eps^(3/4) (|A| |x| + |b|)``, the result is
    ``SINGULAR``, and `LU` may help, which is the default for such matrices.

    Example:
        >>> import torch, kutta as kt
        >>> bands = torch.tensor([[-1.0], [2.0], [-1.0]], dtype=torch.float64).expand(3, 5)
        >>> problem = kt.LinearProblem(kt.algebra.Banded(bands, (-1, 0, 1)), torch.ones(5, dtype=torch.float64))
        >>> kt.solve(problem, kt.CyclicReduction()).y1
        tensor([2.5000, 4.0000, 4.5000, 4.0000, 2.5000], dtype=torch.float64)
    """

    source = "Hockney 1965"

    def check(self, operator: LinearOperator, b: Tensor) -> None:
        super().check(operator, b)
        if not isinstance(operator, Banded):
            raise ValueError(
                f"CyclicReduction needs a kutta.algebra.Banded operator; got a {type(operator).__name__} operator"
            )

    def factorised(self, operator: LinearOperator, b: Tensor) -> Direct:
        assert isinstance(operator, Banded)
        inverse, growth = reduced(operator)
        steps = refinements(read(growth), torch.finfo(b.dtype).eps)

        def refined(right: Tensor) -> Tensor:
            x = inverse(right)
            for _ in range(steps):
                x = x + inverse(right - operator.apply(x))
            return x

        return Reduced(operator, refined)


@torch.no_grad()
def needs_pivots(operator: Banded) -> bool:
    """Whether elimination without pivots loses more digits than steps of refinement are taken to find again.

    Where the main diagonal dominates, numbers do not grow; else they are looked at.
    """
    diagonals = operator.diagonals.detach()
    bands = Banded(diagonals, operator.offsets)
    main = bands.band(0).abs()
    others = sum((bands.band(offset).abs() for offset in operator.offsets if offset), torch.zeros_like(main))
    if not read(((main < others) | (main == 0.0)).any()):
        return False
    return refinements(read(reduced(bands)[1]), torch.finfo(diagonals.dtype).eps) == MOST_REFINEMENTS


class Reduced(Direct):
    """A solver that may have needed pivots which it did not choose, and so must leave what rounding leaves.

    A residual that is a small part of the right-hand side does not say so: elimination with pivots leaves rounding
    beside ``|A| |x| + |b|``.
    """

    operator: Banded

    def solve(
        self, b: Tensor, guess: Tensor | None = None, floor: Tensor | None = None, watch: Watch | None = None
    ) -> Outcome:
        found = super().solve(b, guess, floor, watch)
        bands = [self.operator.band(offset).detach().abs() for offset in self.operator.offsets]
        largest = torch.stack(bands).sum(0).amax(-1)
        whole = largest * norms(self.operator, found.x) + norms(self.operator, b)
        rough = found.norm > torch.finfo(whole.dtype).eps ** 0.75 * whole
        codes = torch.where(rough & (found.codes == int(Result.SUCCESS)), int(Result.SINGULAR), found.codes)
        return found._replace(codes=codes)


def refinements(growth: float, eps: float) -> int:
    """How many steps of refinement take an elimination to rounding in which numbers have grown by a factor.

    One application of such an inverse is wrong by about ``growth eps``, and each step multiplies by that again.
    """
    wrong = 10.0 * growth * eps
    if not wrong < 0.1:
        return MOST_REFINEMENTS
    return min(max(1, math.ceil(math.log(eps) / math.log(wrong)) - 1), MOST_REFINEMENTS)


class _Ring(NamedTuple):
    """How coefficients are calculated with: those of a tridiagonal matrix are numbers, else they are blocks.

    Attributes:
        times: the product of two coefficients.
        inverse: of a coefficient.
        act: a coefficient times a piece of a vector.
        axes: trailing axes of one coefficient.
    """

    times: Callable[[Tensor, Tensor], Tensor]
    inverse: Callable[[Tensor], Tensor]
    act: Callable[[Tensor, Tensor], Tensor]
    axes: int


_NUMBERS = _Ring(torch.mul, torch.reciprocal, torch.mul, 0)
_BLOCKS = _Ring(
    torch.matmul, lambda block: torch.linalg.inv_ex(block)[0], lambda block, x: (block @ x[..., None])[..., 0], 2
)


class _Level(NamedTuple):
    """One halving: how odd equations take up even ones, and even unknowns follow from odd ones.

    Attributes:
        left, right: what an odd equation takes of the even one before and after it.
        a, c: of the even equations.
        over: the inverse of ``b`` of the even equations.
    """

    left: Tensor
    right: Tensor
    a: Tensor
    c: Tensor
    over: Tensor


def reduced(operator: Banded) -> tuple[Inverse, Tensor]:
    """``b -> A^-1 b``, of which all that does not depend on the right-hand side is done now, and the growth.

    That is the largest coefficient of all halvings over the largest of the matrix, of the worst sample.
    """
    width = max(operator.width, 1)
    n = operator.diagonals.shape[-1]
    if width == 1:
        levels, top, growth = _levels(_NUMBERS, *(operator.band(offset) for offset in (-1, 0, 1)))
        return lambda b: _solve(_NUMBERS, levels, top, b), growth
    levels, top, growth = _levels(_BLOCKS, *_blocks(operator, width))
    missing = -n % width

    def inverse(b: Tensor) -> Tensor:
        pieces = torch.nn.functional.pad(b, (0, missing)).unflatten(-1, (-1, width))
        return _solve(_BLOCKS, levels, top, pieces).flatten(-2)[..., :n]

    return inverse, growth


def _blocks(operator: Banded, width: int) -> tuple[Tensor, Tensor, Tensor]:
    """The block rows ``a, b, c``, ``(..., m, width, width)``, filled up by rows of the unit matrix."""
    n = operator.diagonals.shape[-1]
    missing = -n % width
    padded = [torch.nn.functional.pad(operator.band(offset), (0, missing)) for offset in range(-width, width + 1)]
    padded[width] = padded[width] + (torch.arange(n + missing, device=padded[0].device) >= n)
    rows = torch.stack(padded, -1).unflatten(-2, (-1, width))  # (..., m, width, 2 width + 1)
    # Row i of a block row has its 2 width + 1 entries in columns i, ..., i + 2 width of the three blocks side by side.
    wide = rows.new_zeros(*rows.shape[:-1], 3 * width)
    places = torch.arange(width, device=rows.device)[:, None] + torch.arange(2 * width + 1, device=rows.device)
    wide = wide.scatter(-1, places.expand(rows.shape), rows)
    a, b, c = wide.split(width, -1)
    return a, b, c


def _levels(ring: _Ring, a: Tensor, b: Tensor, c: Tensor) -> tuple[list[_Level], Tensor, Tensor]:
    """All halvings, the inverse of the coefficient that is left, and the growth."""
    where = -1 - ring.axes
    levels, sizes = [], [_size(ring, a, b, c)]
    while b.shape[where] > 1:
        if b.shape[where] % 2 == 0:  # an odd number has an even equation at both ends
            a, b, c = _closed(ring, a, b, c)
        (even_a, odd_a), (even_b, odd_b), (even_c, odd_c) = (_halves(one, where) for one in (a, b, c))
        over = ring.inverse(even_b)
        (over_before, over_after), (a_before, a_after), (c_before, c_after) = (
            _beside(one, where) for one in (over, even_a, even_c)
        )
        left, right = ring.times(odd_a, over_before), ring.times(odd_c, over_after)
        levels.append(_Level(left, right, even_a, even_c, over))
        a, c = -ring.times(left, a_before), -ring.times(right, c_after)
        b = odd_b - ring.times(left, c_before) - ring.times(right, a_after)
        sizes.append(_size(ring, a, b, c))
    return levels, ring.inverse(b), (torch.stack(sizes).amax(0) / sizes[0]).amax()


def _size(ring: _Ring, a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """The largest coefficient of each sample."""
    largest = torch.maximum(torch.maximum(a.detach().abs(), b.detach().abs()), c.detach().abs())
    return largest.flatten(b.dim() - 1 - ring.axes).amax(-1)


def _closed(ring: _Ring, a: Tensor, b: Tensor, c: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """With one more equation, ``x = 0``."""
    zero = torch.zeros_like(b.narrow(-1 - ring.axes, 0, 1))
    one = zero + (torch.eye(b.shape[-1], dtype=b.dtype, device=b.device) if ring.axes else 1.0)
    return tuple(torch.cat([part, end], -1 - ring.axes) for part, end in ((a, zero), (b, one), (c, zero)))  # type: ignore[return-value]


def _halves(x: Tensor, where: int) -> tuple[Tensor, Tensor]:
    """The entries at even and at odd places along an axis, which has an odd number of them."""
    paired, last = x.narrow(where, 0, x.shape[where] - 1), x.narrow(where, -1, 1)
    even, odd = paired.unflatten(where, (-1, 2)).unbind(where)
    return torch.cat([even, last], where), odd


def _beside(even: Tensor, where: int) -> tuple[Tensor, Tensor]:
    """The entries before and after each odd place, of those at even places."""
    count = even.shape[where] - 1
    return even.narrow(where, 0, count), even.narrow(where, 1, count)


def _solve(ring: _Ring, levels: list[_Level], top: Tensor, d: Tensor) -> Tensor:
    """Down the halvings with the right-hand side, and up with the solution."""
    where = -1 - ring.axes // 2
    evens, counts = [], []
    for level in levels:
        counts.append(d.shape[where])
        if d.shape[where] % 2 == 0:
            d = torch.cat([d, torch.zeros_like(d.narrow(where, 0, 1))], where)
        even, odd = _halves(d, where)
        evens.append(even)
        before, after = _beside(even, where)
        d = odd - ring.act(level.left, before) - ring.act(level.right, after)
    x = ring.act(top, d)
    for level, even, count in zip(reversed(levels), reversed(evens), reversed(counts), strict=True):
        none = torch.zeros_like(x.narrow(where, 0, 1))
        before, after = torch.cat([none, x], where), torch.cat([x, none], where)
        at_even = ring.act(level.over, even - ring.act(level.a, before) - ring.act(level.c, after))
        x = _woven(at_even, x, where).narrow(where, 0, count)
    return x


def _woven(even: Tensor, odd: Tensor, where: int) -> Tensor:
    """One more at even places than at odd ones, joined."""
    paired = torch.stack([even.narrow(where, 0, odd.shape[where]), odd], where).flatten(where - 1, where)
    return torch.cat([paired, even.narrow(where, -1, 1)], where)
