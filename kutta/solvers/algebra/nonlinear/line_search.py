"""How far to go along a direction in which ``|F|^2``, or another merit, falls.

Source: Dennis and Schnabel, Numerical methods for unconstrained optimization and nonlinear equations, 1983, section
6.3.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from kutta.autodiff import read
from kutta.solvers.algebra.nonlinear.equations import Equations
from kutta.solvers.algebra.nonlinear.iteration import chosen
from kutta.solvers.magnitude import magnitude

# The part of what the slope foretells that a step has to gain; and how much shorter each trial may become.
_LEAST_GAIN, _SHORTEST, _LONGEST = 1e-4, 0.1, 0.5
_TRIALS = 30


class Reached(NamedTuple):
    """Where a search has led.

    Attributes:
        x: the unknowns, ``(B, n)``: as they were, where nothing was gained.
        r: what was computed there, ``(B, k)``: ``F``.
        part: of the direction, ``(B,)``.
        gained: whether the merit, ``|F|^2``, fell enough.
    """

    x: Tensor
    r: Tensor
    part: Tensor
    gained: Tensor


def search(equations: Equations, x: Tensor, r: Tensor, d: Tensor, running: Tensor) -> Reached:
    """The first of ever shorter parts of Newton's step along which ``|F|^2`` falls enough.

    Along it ``|F|^2 / 2`` falls by ``|F|^2`` at first.

    Args:
        equations: ``F``.
        x: where it begins.
        r: ``F(x)``.
        d: Newton's step, or nearly so.
        running: problems that take a step.
    """
    unit = magnitude(r)
    r = r / unit
    slope = -2.0 * _half_square(r)

    def path(part: Tensor) -> Tensor:
        return x + part[:, None] * d

    reached = backtrack(lambda point: equations(point) / unit, _half_square, path, x, r, slope, running)
    return reached._replace(r=reached.r * unit)


def backtrack(
    look: Callable[[Tensor], Tensor],
    merit: Callable[[Tensor], Tensor],
    path: Callable[[Tensor], Tensor],
    x: Tensor,
    r: Tensor,
    slope: Tensor,
    running: Tensor,
) -> Reached:
    """The first of ever shorter steps that gains enough: the whole one, then the least point of a parabola.

    Args:
        look: what the merit is made of at a point, ``(B, k)``.
        merit: of that, ``(B,)``.
        path: the point after a part of the step, ``(B,)``; a line, or a curve.
        x: where it begins.
        r: what the merit is made of there.
        slope: of the merit along the path, ``(B,)``.
        running: problems that take a step.
    """
    value = merit(r)
    part = torch.ones_like(value)
    reached = Reached(x, r, torch.zeros_like(value), torch.zeros_like(running))
    left = running & (slope < 0.0)
    for _ in range(_TRIALS):
        point = torch.where(left[:, None], path(part), reached.x)
        there = look(point)
        now = merit(there)
        enough = left & (now <= value + _LEAST_GAIN * part * slope)
        reached = Reached(
            chosen(enough, point, reached.x),
            chosen(enough, there, reached.r),
            torch.where(enough, part, reached.part),
            reached.gained | enough,
        )
        left = left & ~enough
        if not read(left.any().reshape(1))[0]:
            break
        least = -0.5 * slope * part.square() / (now - value - slope * part)
        least = torch.where(torch.isfinite(least), least, _SHORTEST * part)
        part = torch.where(left, least.clamp(_SHORTEST * part, _LONGEST * part), part)
    return reached


def _half_square(r: Tensor) -> Tensor:
    return 0.5 * r.abs().square().sum(1)
