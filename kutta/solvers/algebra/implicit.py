"""Derivatives of what a solver found, whatever it did to find it.

At the solution ``x*`` of ``r(x, theta) = 0``, with ``dr/dx = -A``, the implicit function theorem says
``A dx = dr/dtheta dtheta``. So

    x1 = x* + C r(x*, theta),      x2 = x1 + C r(x1, theta),      C = A^-1,

have the value of ``x*``, since the residual ``r`` is zero, and derivatives that flow through the residual, which
anyone's autograd can differentiate, and through ``C``: one solve with ``A^T`` backwards, one with ``A`` forwards. These
are Newton's steps in the derivatives: ``x1`` has the first of them, ``x2`` also the second. In a backward pass for
first derivatives the cotangents at ``x1`` cancel, up to the tolerance of the solve at ``x2``, which is why that one
hands its tolerance on.

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

# What is said of a solve for a derivative; it may raise an error.
Report = Callable[[Outcome], None]


def implicit(x: Tensor, residual: Inverse, solver: Solver, report: Report) -> Tensor:
    """The solution with its first and second derivatives, in reverse and forward mode.

    Args:
        x: what was found, without derivatives.
        residual: ``x -> r(x)``, written with differentiable operations.
        solver: for ``A = -dr/dx``.
        report: told of every iteration that a derivative takes.
    """
    if not (torch.is_grad_enabled() or in_forward_mode() or under_transform()):
        return x
    first = residual(x)
    if not (carries_gradient(first) or under_transform()):
        return x
    if solver.inverse is not None:
        x = x + _without_value(solver.inverse(first))
        return x + _without_value(solver.inverse(residual(x)))
    link = _Link()
    x = x + _Correction.apply(first, solver, report, link, False)  # type: ignore[operator]
    return x + _Correction.apply(residual(x), solver, report, link, True)  # type: ignore[operator]


def _without_value(correction: Tensor) -> Tensor:
    """Zero, with the derivatives of a correction."""
    return correction - correction.detach()


def solved(solver: Solver, b: Tensor, report: Report, floor: Tensor | None = None) -> Tensor:
    """``A^-1 b``, with derivatives."""
    with undifferentiated():
        found = solver.solve(b.detach(), None, floor)
    report(found)
    return implicit(found.x.detach(), lambda x: b - solver.operator.apply(x), solver, report)


@contextmanager
def undifferentiated() -> Iterator[None]:
    """Nothing in here is put on a tape, or carries tangents."""
    with torch.no_grad(), forward_ad._set_fwd_grad_enabled(False):
        yield


class _Link:
    """What the two corrections of one solution tell each other: up to where the residual is no residual."""

    floor: Tensor | None = None

    def take(self) -> Tensor | None:
        floor, self.floor = self.floor, None
        return floor


class _Correction(torch.autograd.Function):
    """``C r`` at ``r = 0`` by iterations: zero, with the derivatives of ``A^-1 r`` in ``r``.

    Arguments: the residual; the solver; the report; the link of the two; whether it is the second of them.
    """

    @staticmethod
    def forward(residual: Tensor, *others: Any) -> Tensor:
        return torch.zeros_like(residual)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        _, ctx.solver, ctx.report, ctx.link, ctx.second = inputs

    @staticmethod
    def backward(ctx: Any, cotangent: Tensor) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        # A cotangent is conjugate: what is wanted is A^-H times it.
        right = cotangent.conj().resolve_conj()
        with _explained():
            found = _linked(ctx, ctx.solver.transposed(), right, begins=ctx.second)
        return found.conj().resolve_conj(), None, None, None, None

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor, *others: Any) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        with _explained():
            return _linked(ctx, ctx.solver, tangent, begins=not ctx.second)

    @staticmethod
    def vmap(info: Any, in_dims: tuple[Any, ...], residual: Tensor, *others: Any) -> tuple[Tensor, int]:
        return _Correction.apply(residual.movedim(in_dims[0], 0), *others), 0  # type: ignore[return-value]


def _linked(ctx: Any, solver: Solver, right: Tensor, begins: bool) -> Tensor:
    """Solve; the one that begins says what is left, the other one leaves as much."""
    left: list[Outcome] = []

    def report(found: Outcome) -> None:
        ctx.report(found)
        left.append(found)

    found = solved(solver, right, report, None if begins else ctx.link.take())
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
