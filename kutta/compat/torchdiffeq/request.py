"""What a call asks for, after its checks and with the state as one tensor."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from kutta.compat.torchdiffeq.solvers import SOLVERS
from kutta.compat.torchdiffeq.states import (
    CALLBACKS,
    Shapes,
    StateFunction,
    flatten,
    largest_root_mean_square,
    root_mean_square,
    unflatten,
)


@dataclass
class Request:
    """A checked call.

    Attributes:
        func: the right-hand side as a function of one tensor, with the user's callbacks.
        y0: the initial state as one tensor.
        t: output times.
        rtol: relative tolerance.
        atol: absolute tolerance.
        method: name of the method.
        options: its options, with the norm as a function of one tensor.
        event_fn: the event as a function of one tensor that is positive at the start.
        shapes: shapes of a tuple state; ``None`` for a tensor.
    """

    func: StateFunction
    y0: Tensor
    t: Tensor
    rtol: Any
    atol: Any
    method: str
    options: dict[str, Any]
    event_fn: Callable[[Tensor, Tensor], Tensor] | None
    shapes: Shapes | None

    def solver(self) -> Any:
        """The solver that the request names."""
        return SOLVERS[self.method](func=self.func, y0=self.y0, rtol=self.rtol, atol=self.atol, **self.options)

    def solution(self, ys: Tensor) -> Any:
        """The states in the user's structure, time first."""
        return ys if self.shapes is None else unflatten(ys, self.shapes, ys.shape[:1])


def prepare(
    func: Callable[..., Any],
    y0: Any,
    t: Tensor,
    rtol: Any,
    atol: Any,
    method: str | None,
    options: dict[str, Any] | None,
    event_fn: Callable[..., Any] | None = None,
) -> Request:
    """Check the arguments of a call.

    Raises:
        ValueError: for an unknown method, and for an event with other than two times.
        AssertionError, TypeError: for times or states that cannot be used.
    """
    if event_fn is not None and len(t) != 2:
        raise ValueError(f"We require len(t) == 2 when in event handling mode, but got len(t)={len(t)}.")
    method = "dopri5" if method is None else method
    if method not in SOLVERS:
        names = '", "'.join(SOLVERS)
        raise ValueError(f'Invalid method "{method}". Must be one of {{"{names}"}}.')
    is_tuple = not isinstance(y0, Tensor)
    assert not is_tuple or isinstance(y0, tuple), (
        f"y0 must be either a torch.Tensor or a tuple; got {type(y0).__name__}"
    )
    _check_times(t)
    shapes = [part.shape for part in y0] if is_tuple else None
    rtol, atol = _tolerance("rtol", rtol, shapes), _tolerance("atol", atol, shapes)
    if event_fn is not None:
        event_fn = _positive_at_start(event_fn, t[0], y0, shapes)
    state = flatten(y0) if is_tuple else y0
    options = {**(options or {})}
    options["norm"] = _norm(options.get("norm"), shapes)
    if t.device != state.device:
        warnings.warn("t is not on the same device as y0. Coercing to y0.device.", stacklevel=3)
        t = t.to(state.device)
    _check_callbacks(func, method)
    return Request(StateFunction(func, shapes), state, t, rtol, atol, method, options, event_fn, shapes)


def _check_times(t: Any) -> None:
    assert isinstance(t, Tensor), f"t must be a torch.Tensor; got {type(t).__name__}"
    if not torch.is_floating_point(t):
        raise TypeError(f"`t` must be a floating point Tensor but is a {t.type()}")
    assert t.dim() == 1, f"t must be one dimensional; got shape {tuple(t.shape)}"
    gaps = torch.diff(t.detach())
    assert (gaps > 0).all() or (gaps < 0).all(), "t must be strictly increasing or decreasing"


def _tolerance(name: str, value: Any, shapes: Shapes | None) -> Any:
    """A number or tensor; for a tuple state possibly one tolerance a tensor, spread over its entries."""
    if isinstance(value, Tensor):
        assert not value.requires_grad, f"{name} cannot require gradient"
    if shapes is None or not _is_sequence(value):
        return value
    parts = tuple(value)
    assert len(parts) == len(shapes), (
        f"If using tupled {name} it must have the same length as the tuple y0; got {len(parts)} for {len(shapes)}"
    )
    return torch.cat([torch.as_tensor(part).expand(shape.numel()) for part, shape in zip(parts, shapes, strict=True)])


def _is_sequence(value: Any) -> bool:
    return value.dim() > 0 if isinstance(value, Tensor) else hasattr(value, "__iter__")


def _norm(norm: Any, shapes: Shapes | None) -> Callable[[Tensor], Any]:
    if shapes is None:
        return root_mean_square if norm is None else norm
    own = largest_root_mean_square if norm is None else norm
    return lambda flat: own(unflatten(flat, shapes))


def _positive_at_start(
    event_fn: Callable[..., Any], t0: Tensor, y0: Any, shapes: Shapes | None
) -> Callable[[Tensor, Tensor], Tensor]:
    """One function for all entries of an event: positive at the start, zero at the first crossing."""
    with torch.no_grad():
        signs = torch.sign(event_fn(t0, y0))

    def smallest(t: Tensor, y: Tensor) -> Tensor:
        return torch.min(event_fn(t, y if shapes is None else unflatten(y, shapes)) * signs)

    return smallest


def _check_callbacks(func: Any, method: str) -> None:
    given = {name for name in CALLBACKS if getattr(func, name, None) is not None}
    unknown = given - SOLVERS[method].valid_callbacks()
    if unknown:
        warnings.warn(f"Solver '{method}' does not support callbacks {unknown}", stacklevel=4)
