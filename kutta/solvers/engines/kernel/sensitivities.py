"""Gradients of a kernel: sensitivities that are integrated beside the state.

    d/dt y = f(t, y, p),    d/dt S = f_y S + f_p,    S = dy / d(y0, p)

The step sizes are chosen by ``y`` alone and are constants, so that ``S`` is the derivative of the numbers
that the method gives: what `Direct` finds, to rounding. See Dickinson and Gelinas, Sensitivity analysis of
ordinary differential equation systems, Journal of Computational Physics 21, 1976.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from kutta.solution import Result
from kutta.solvers.engines.kernel.refusal import refuse
from kutta.solvers.engines.kernel.right_hand_side import Cast, Numbers, RightHandSide, is_real
from kutta.solvers.engines.kernel.work import Work
from kutta.solvers.engines.tracing.derivative import Input, jacobian

Place = tuple[bool, int]
Run = Callable[[Tensor, Tensor, Tensor], Work]


def directions(numbers: Numbers, size: int, of_start: bool) -> tuple[Input, ...]:
    """What a solve is differentiated by: the initial state, if it is, and inputs of the right-hand side."""
    start = [("y", place) for place in range(size)] if of_start else []
    return (*start, *(one for one, _ in numbers.differentiated))


def with_start(y0: Tensor, count: int, of_start: bool) -> Tensor:
    """Initial states ``(n, D)`` followed by their sensitivities in `count` directions, ``(n, D + D count)``."""
    n, size = y0.shape
    start = y0.new_zeros(size, count)
    if of_start:
        start[:, :size] = torch.eye(size, dtype=y0.dtype, device=y0.device)
    return torch.cat([y0, start.reshape(1, -1).expand(n, -1)], dim=1)


class Differentiated(torch.autograd.Function):
    """States at the output times and at the end as functions of initial states and parameters.

    Takes the initial states ``(n, D)``, own ``(n, own)`` and shared parameters ``(shared,)``; whether the
    initial states are differentiated by; the places of the parameters that are; what runs the kernel; and
    a list that the finished `Work` is put into.
    """

    @staticmethod
    def forward(
        y0: Tensor, own: Tensor, shared: Tensor, of_start: bool, places: list[Place], run: Run, done: list[Work]
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        size, count = y0.shape[1], len(places) + (y0.shape[1] if of_start else 0)
        work = run(with_start(y0, count, of_start), own, shared)
        done.append(work)
        (ys, slopes), (y1, slopes1) = (
            (rows[..., :size], rows[..., size:].unflatten(-1, (size, count))) for rows in (work.ys, work.y1)
        )
        # Near a singularity derivatives overflow, and at times that were not reached there are none. What the
        # trajectories share keeps a finite gradient.
        failed = (work.codes >= int(Result.MAX_STEPS))[:, None, None]
        slopes1 = torch.where(failed, slopes1.nan_to_num(0.0, 0.0, 0.0), slopes1)
        slopes = torch.where(failed | ys.isnan()[..., None], slopes.nan_to_num(0.0, 0.0, 0.0), slopes)
        return ys.contiguous(), y1.contiguous(), slopes, slopes1

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        y0, own, shared, ctx.of_start, ctx.places, _, _ = inputs
        ctx.shapes = y0.shape, own.shape, shared.shape
        ctx.save_for_backward(*output[2:])
        ctx.save_for_forward(*output[2:])
        ctx.mark_non_differentiable(*output[2:])

    @staticmethod
    def backward(ctx: Any, grad: Tensor, grad1: Tensor, *_: Any) -> tuple[Any, ...]:
        if torch.is_grad_enabled():
            raise NotImplementedError("Kernel() gives first derivatives only: for create_graph=True use engine=Eager()")
        slopes, slopes1 = ctx.saved_tensors
        total = torch.einsum("tnd,tndp->np", grad, slopes) + torch.einsum("nd,ndp->np", grad1, slopes1)
        shape, own_shape, shared_shape = ctx.shapes
        first = shape[1] if ctx.of_start else 0
        start = total[:, :first] if ctx.of_start else None
        own, shared = total.new_zeros(own_shape), total.new_zeros(shared_shape)
        for column, (is_own, place) in zip(total[:, first:].unbind(1), ctx.places, strict=True):
            if is_own:
                own[:, place] = column
            else:
                shared[place] = column.sum()
        return start, own, shared, None, None, None, None

    @staticmethod
    def jvp(ctx: Any, *moves: Any) -> tuple[Any, ...]:
        slopes, slopes1 = ctx.saved_tensors
        start, own, shared = moves[:3]
        columns = [own[:, place] if is_own else shared[place].expand(len(slopes1)) for is_own, place in ctx.places]
        move = torch.stack(columns, dim=1) if columns else slopes1.new_zeros(len(slopes1), 0)
        if ctx.of_start:
            move = torch.cat([start, move], dim=1)
        moved = (torch.einsum("...ndp,np->...nd", one, move) for one in (slopes, slopes1))
        return (*moved, None, None)


def check_gradients(cast: Cast, f: RightHandSide, tensors: tuple[Tensor, ...]) -> None:
    """Compare the derivative of the traced operations with what autograd finds, at the first state and beside it.

    They differ where `f` stops gradients or replaces them, which its operations do not show.

    Raises:
        Unsuited: where they differ.
    """
    for shift in (0.0, 0.0731, -0.0417):  # a state of zeros, say, hides most of what there is
        _check_gradients_at(cast, f, tensors, shift)


def _check_gradients_at(cast: Cast, f: RightHandSide, tensors: tuple[Tensor, ...], shift: float) -> None:
    rows = 2 if cast.vectorized else None
    t, y, args = pytree.tree_map(lambda leaf: _leaf(leaf, shift), cast.examples(rows))
    own = [is_own for _, is_own in cast.parameters]
    inputs = {
        "y": [(leaf, True) for leaf in pytree.tree_leaves(y)],
        "parameter": list(zip(filter(is_real, pytree.tree_leaves(args)), own, strict=True)),
        "captured": [(tensor, False) for tensor in f.reached(tensors)],
    }
    with torch.enable_grad():
        parts = pytree.tree_leaves(cast.problem.f(t, y, *args))
        slope = torch.cat([part.reshape(rows or 1, -1) for part in parts], dim=1)[0]
        weights = torch.cos(torch.arange(len(slope), dtype=slope.dtype, device=slope.device))
        total = slope @ weights + sum(0.0 * leaf.sum() for leaf, _ in inputs["y"])
    asked = [leaf for group in inputs.values() for leaf, _ in group]
    grads = iter(torch.autograd.grad(total, [one for one in asked if one.requires_grad], allow_unused=True))

    def alone(leaf: Tensor, has_rows: bool) -> Tensor:
        return (leaf[0] if rows and has_rows else leaf).detach().reshape(-1).to("cpu", torch.float64)

    values: dict[str, Any] = {"t": t.detach().reshape(-1)[:1].tolist()}
    places, found = [], []
    for name, group in inputs.items():
        values[name] = torch.cat([torch.zeros(0, device="cpu"), *(alone(*one) for one in group)]).tolist()
        first = 0
        for leaf, has_rows in group:
            size = alone(leaf, has_rows).numel()
            if leaf.requires_grad:
                grad = next(grads)
                found.append(alone(torch.zeros_like(leaf) if grad is None else grad, has_rows))
                places += [(name, first + place) for place in range(size)]
            first += size
    outputs = jacobian(f.program, places).evaluate(values)
    slopes = torch.tensor(outputs[len(slope) :], dtype=torch.float64, device="cpu").reshape(len(slope), -1)
    _compare(weights.to("cpu", torch.float64) @ slopes, torch.cat(found), torch.finfo(slope.dtype).eps ** 0.5)


def _compare(traced: Tensor, taped: Tensor, within: float) -> None:
    difference = (traced - taped).abs()  # where a derivative is infinite or undefined there is nothing to compare
    if bool((difference > 10 * within * (1.0 + traced.abs() + taped.abs())).any()):
        refuse(
            "cannot differentiate f, of which autograd finds another gradient than its operations have (a detach, "
            f"no_grad or autograd function of its own; largest difference {difference.nan_to_num().max():.3g})"
        )


def _leaf(value: Any, shift: float) -> Any:
    """A parameter or a state to differentiate by, moved by a part of its size, no two entries alike."""
    if not is_real(value):
        return value
    flat = value.detach().reshape(-1)
    places = torch.arange(1, flat.numel() + 1, dtype=flat.dtype, device=flat.device)
    moved = flat + shift * (1.0 + flat.abs()) * (1.0 + torch.sin(places) / 3.0)
    return moved.reshape(value.shape).requires_grad_()
