"""Derivatives of what a solver found, whatever it did to find it.

At the solution ``x*`` of ``r(x, theta) = 0``, with ``dr/dx = -A``, the implicit function theorem says
``A dx = dr/dtheta dtheta``. So

    x1 = x* + C r(x*, theta),      x2 = x1 + C r(x1, theta),      x3 = x2 + C r(x2, theta),      C = A^-1,

have the value of ``x*``, since the residual ``r`` is zero, and derivatives that flow through the residual, which
anyone's autograd can differentiate, and through ``C``: one solve with ``A^T`` backwards, one with ``A`` forwards. These
are Newton's steps in the derivatives: ``x1`` has the first of them, ``x2`` also the second, ``x3`` also the third, and
none has the fourth. In a backward pass for first derivatives the cotangents at ``x1`` and ``x2`` cancel, up to the
tolerance of the solve at ``x3``, which is why that one hands its tolerance on.

For a linear system ``r = b - A x``; for roots of ``F``, ``r = -F`` and ``A = dF/dx``; for fixed points of ``T``,
``r = T(x) - x`` and ``A = I - dT/dx``.

Source: Blondel et al., Efficient and modular implicit differentiation, 2022, for the theorem as a rule.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad

from kutta.autodiff import carries_gradient, in_forward_mode, under_transform
from kutta.solvers.algebra.method import Outcome, Solver, norms
from kutta.solvers.algebra.operators.linear_operator import Inverse

# What is said of a solve for a derivative, and of the pass that needs it; it may raise an error.
Report = Callable[[Outcome, str], None]
BACKWARD = "the backward pass, which solves the transposed system"
FORWARD = "a derivative in forward mode, which solves the system again"

CORRECTIONS = 3


def implicit(x: Tensor, residual: Inverse, solver: Solver, report: Report, corrections: int = CORRECTIONS) -> Tensor:
    """The solution with its first derivatives, in reverse and forward mode, and with the second and third ones.

    Args:
        x: what was found, without derivatives.
        residual: ``x -> r(x)``, written with differentiable operations.
        solver: for ``A = -dr/dx``.
        report: told of every iteration that a derivative takes, and in which pass.
        corrections: how many derivatives there are; each takes one more residual.
    """
    if not (torch.is_grad_enabled() or in_forward_mode() or under_transform()):
        return x
    first = residual(x)
    if not (carries_gradient(first) or under_transform()):
        return x
    link = _Link(corrections)
    x = x + _correction(first, solver, report, link, 0)
    for place in range(1, corrections):
        x = x + _correction(residual(x), solver, report, link, place)
    return x


def _correction(residual: Tensor, solver: Solver, report: Report, link: _Link, place: int) -> Tensor:
    """Zero, with the derivatives of ``C r``."""
    if solver.inverse is not None:
        return _without_value(solver.inverse(residual))
    return _Correction.apply(residual, solver, report, link, place)  # type: ignore[return-value]


def _without_value(correction: Tensor) -> Tensor:
    """Zero, with the derivatives of a correction."""
    return correction - correction.detach()


def solved(solver: Solver, b: Tensor, report: Report, way: str, floor: Tensor | None = None) -> Tensor:
    """``A^-1 b``, with derivatives, for the pass that goes this way."""
    with undifferentiated():
        found = solver.solve(b.detach(), None, floor)
    report(found, way)
    return implicit(found.x.detach(), lambda x: b - solver.operator.apply(x), solver, report)


@contextmanager
def undifferentiated() -> Iterator[None]:
    """Nothing in here is put on a tape, or carries tangents."""
    with torch.no_grad(), forward_ad._set_fwd_grad_enabled(False):
        yield


class _Link:
    """What the corrections of one solution know of each other: how many they are, and which residuals are none."""

    floor: Tensor | None = None

    def __init__(self, corrections: int):
        self.corrections = corrections


class _Correction(torch.autograd.Function):
    """``C r`` at ``r = 0`` by iterations: zero, with the derivatives of ``A^-1 r`` in ``r``.

    Arguments: the residual; the solver; the report; the link of all corrections; the place of this one.
    """

    @staticmethod
    def forward(residual: Tensor, *others: Any) -> Tensor:
        return torch.zeros_like(residual)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        _, ctx.solver, ctx.report, ctx.link, ctx.place = inputs

    @staticmethod
    def backward(ctx: Any, cotangent: Tensor) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        # A cotangent is conjugate: what is wanted is A^-H times it.
        right = cotangent.conj().resolve_conj()
        with _explained():
            found = _linked(ctx, ctx.solver.transposed(), right, BACKWARD, begins=ctx.place == ctx.link.corrections - 1)
        return found.conj().resolve_conj(), None, None, None, None

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor, *others: Any) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        with _explained():
            return _linked(ctx, ctx.solver, tangent, FORWARD, begins=ctx.place == 0)

    @staticmethod
    def vmap(info: Any, in_dims: tuple[Any, ...], residual: Tensor, *others: Any) -> tuple[Tensor, int]:
        return _Correction.apply(residual.movedim(in_dims[0], 0), *others), 0  # type: ignore[return-value]


def _linked(ctx: Any, solver: Solver, right: Tensor, way: str, begins: bool) -> Tensor:
    """Solve; the one that begins says what is left, the others leave as much."""
    left: list[Outcome] = []

    def report(found: Outcome, way: str) -> None:
        ctx.report(found, way)
        left.append(found)

    found = solved(solver, right, report, way, None if begins else ctx.link.floor)
    if begins:
        # Twice the norm, since what arrives there is rounded in another way.
        ctx.link.floor = 2.0 * left[0].norm + torch.finfo(right.dtype).eps * norms(solver.operator, right.detach())
    return found


@contextmanager
def _explained() -> Iterator[None]:
    """What torch.func says where it has taken away the tensors of an operator, in other words."""
    try:
        yield
    except RuntimeError as lost:
        if "INTERNAL ASSERT" not in str(lost):
            raise
        raise NotImplementedError(
            "an iterative solve whose operator is itself mapped by torch.func.vmap, or differentiated by two of "
            "torch.func's transforms, has no such derivative, since torch.func takes its tensors away before: use a "
            "direct method such as kutta.LU(), an operator with a batch of its own, or torch.autograd"
        ) from lost
