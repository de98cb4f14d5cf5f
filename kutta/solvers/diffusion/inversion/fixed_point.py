"""Fixed points for a batch, each sample on its own: Anderson's acceleration of Picard's iteration, with a safeguard."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from kutta.solvers.algebra.nonlinear.fixed_points.mixing import mixed

# A residual that grows by more than this throws its sample back to its best state so far.
_GROWTH = 2.0
# How much bolder a sample gets when its residual falls, and how cautious it can become when not.
_RECOVERY, _CAUTION = 1.25, 1.0 / 16.0
# The largest residual has to fall by this factor in so many evaluations, or the iteration ends.
_PROGRESS, _PATIENCE = 0.9, 12


def fixed_point(
    residual: Callable[[Tensor], Tensor], z: Tensor, memory: int, tolerance: float, most: int
) -> tuple[Tensor, float, int]:
    """Make ``residual(z)`` zero by ``z + residual(z)``, mixed with what was learned from earlier iterations.

    With the differences ``dR`` of the last residuals and ``dZ`` of their states, the next state is

        z - dZ g + d (r - dR g),   g = argmin |r - dR g|

    with ``d = 1``, as long as all goes well. A sample whose residual does not fall takes half of `d` from then on, and
    less and less cautious steps when it falls again. One whose residual grows much goes back to its best state, and
    forgets its history. When the largest residual of a sample has hardly fallen for 12 evaluations, that is the end.

    Args:
        residual: of the equation, in units of the state.
        z: the first guess, ``(B, ...)``.
        memory: how many differences are kept; with none it is Picard's iteration.
        tolerance: of the residual, relative to the state, in the root mean square over the entries of a sample.
        most: evaluations at most.

    Returns:
        the state, the largest residual of a sample before the last change, and the number of evaluations. Samples whose
        first residual is not finite are NaN.

    Source: Anderson, Iterative procedures for nonlinear integral equations, 1965; Walker and Ni, Anderson acceleration
    for fixed-point iterations, 2011.
    """
    best, best_r, least = z, torch.zeros_like(z), torch.full((len(z),), torch.inf, dtype=z.dtype, device=z.device)
    damping, history, before = torch.ones_like(least), [], None
    largest, count, mark, since = math.inf, 0, math.inf, 0
    while count < most and since < _PATIENCE:
        r, count = residual(z), count + 1
        size = relative(r, z)
        good, better = size <= _GROWTH * least, size < least
        damping = torch.where(better, _RECOVERY * damping, 0.5 * damping).clamp(_CAUTION, 1.0)
        z, r = _where(good, z, best), _where(good, r, best_r)
        if before is not None:
            # Of a sample that goes back nothing is kept.
            history = [tuple(_where(good, one, torch.zeros_like(one)) for one in pair) for pair in history]
            history = [*history, (_where(good, z - before[0], 0 * z), _where(good, r - before[1], 0 * r))]
            history = history[max(len(history) - memory, 0) :]
        best, best_r, least = _where(better, z, best), _where(better, r, best_r), torch.where(better, size, least)
        before = z, r
        z = z + _mixed(history, r, damping)
        largest = float(least.max())
        mark, since = (largest, 0) if largest < _PROGRESS * mark else (mark, since + 1)
        if largest <= tolerance or largest == math.inf:
            break
    return _where(torch.isfinite(least), best + best_r, torch.full_like(z, torch.nan)), largest, count


def _mixed(history: list[tuple[Tensor, Tensor]], r: Tensor, damping: Tensor) -> Tensor:
    """``d (r - dR g) - dZ g`` with ``g`` of the least squares problem, sample by sample."""
    damping = damping.reshape(-1, *[1] * (r.dim() - 1))
    if not history:
        return damping * r
    moves, changes = (torch.stack([_rows(pair[i]) for pair in history], 1) for i in (0, 1))  # (B, m, D)
    along, across = (part.reshape(r.shape) for part in mixed(moves, changes, _rows(r)))
    return damping * along - across


def relative(r: Tensor, x: Tensor) -> Tensor:
    """The root mean square of `r` relative to that of `x`, sample by sample."""
    return _size(r) / _size(x).clamp(min=torch.finfo(x.dtype).tiny)


def _size(x: Tensor) -> Tensor:
    return _rows(x).square().mean(1).sqrt()


def _rows(x: Tensor) -> Tensor:
    return x.reshape(len(x), -1)


def _where(chosen: Tensor, one: Tensor, other: Tensor) -> Tensor:
    return torch.where(chosen.reshape(-1, *[1] * (one.dim() - 1)), one, other)
