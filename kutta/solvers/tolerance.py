"""How large a local error is, relative to what the user tolerates."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from kutta.state import Layout

if TYPE_CHECKING:
    from kutta.solvers.controllers import Norm


class Tolerance:
    """The norm ``|error / (atol + rtol * max(|y0|, |y1|))|`` of one step.

    Gives a 0-dimensional tensor, or one number a trajectory, shape ``(b,)``, in an ensemble.

    Attributes:
        rtol: relative tolerance: a float, or a tensor laid out like the state.
        atol: absolute tolerance, likewise.
    """

    def __init__(self, rtol: Any, atol: Any, norm: Norm | None, layout: Layout):
        self.layout, self.norm = layout, norm
        self.rtol, self.atol = _lay_out("rtol", rtol, layout), _lay_out("atol", atol, layout)
        if not bool(torch.as_tensor(self.rtol + self.atol).all()):
            raise ValueError("rtol and atol must not both be zero, for any entry: no error is that small")
        narrow = layout.real_dtype in (torch.float16, torch.bfloat16)
        self.wide = torch.float32 if narrow else None
        # The root mean square is the Euclidean norm over the root of the number of entries, which is
        # multiplied into the tolerances once rather than into each norm.
        root = 1.0 if norm is not None else math.sqrt(sum(layout.sizes))
        self._slope = self.rtol * root
        self._offset = torch.as_tensor(self.atol * root, dtype=self.wide or layout.real_dtype, device=layout.device)

    def take(self, index: Tensor, layout: Layout) -> Tolerance:
        """The tolerances of fewer trajectories."""
        return self._with(layout, lambda value: value[index] if value.dim() == 2 and value.shape[0] > 1 else value)

    def for_rows(self, layout: Layout) -> Tolerance:
        """The tolerances of one problem for several of its states, one a row."""
        return self._with(layout, lambda value: value.reshape(1, -1) if value.dim() else value)

    def with_numbers(self, slope: Tensor, offset: Tensor) -> Tolerance:
        """The same with tensors of one's own in place of `numbers`."""
        other = self._with(self.layout, lambda value: value)
        other._slope, other._offset = slope, offset
        return other

    @property
    def numbers(self) -> tuple[Tensor, Tensor]:
        """What `scale` is computed from: the factor of a state's size, and what is added."""
        return torch.as_tensor(self._slope, dtype=self._offset.dtype), self._offset

    def _with(self, layout: Layout, change: Callable[[Tensor], Tensor]) -> Tolerance:
        other = object.__new__(Tolerance)
        other.__dict__.update(self.__dict__)
        other.layout = layout
        for name in ("rtol", "atol", "_slope", "_offset"):
            value = getattr(self, name)
            if isinstance(value, Tensor):
                setattr(other, name, change(value))
        return other

    def scale(self, size: Tensor) -> Tensor:
        """``atol + rtol * size`` for the absolute values of a state, times what `measure` leaves out."""
        if self.wide is not None:
            size = size.to(self.wide)
        if isinstance(self._slope, Tensor):
            return torch.addcmul(self._offset, size, self._slope)
        return torch.add(self._offset, size, alpha=self._slope)

    def ratio(self, error: Tensor, size0: Tensor, size1: Tensor) -> Tensor:
        """The norm of an error, given the absolute values of the state at both ends."""
        return self.measure(error / self.scale(torch.maximum(size0, size1)))

    def measure(self, scaled: Tensor) -> Tensor:
        """The norm of an error (or of anything of the state's shape) that was divided by `scale`."""
        if self.norm is None:
            return torch.linalg.vector_norm(scaled, dim=None if self.layout.batch is None else 1)
        if self.layout.batch is None:
            return self._checked(self.norm(self.layout.unravel(scaled)))
        trees = (self._row(row) for row in scaled.unbind(0))
        return torch.stack([self._checked(self.norm(tree)) for tree in trees])

    def _row(self, row: Tensor) -> Any:
        one = Layout(self.layout.spec, self.layout.shapes, self.layout.dtype, self.layout.device)
        return row.view(self.layout.shapes[0]) if one.is_single else one.unravel(row)

    @staticmethod
    def _checked(value: Any) -> Tensor:
        value = torch.as_tensor(value)
        if value.numel() != 1:
            raise ValueError(f"norm must return one number; got shape {tuple(value.shape)}")
        return value.reshape(())


def _lay_out(name: str, value: Any, layout: Layout) -> Any:
    """A tolerance as a float, or as a tensor that broadcasts with the state's layout."""
    if isinstance(value, float) and 0.0 <= value < math.inf:
        return value
    value = pytree.tree_map(lambda leaf: leaf.detach() if isinstance(leaf, Tensor) else leaf, value)
    leaves = pytree.tree_leaves(value)
    if not all(isinstance(leaf, int | float | Tensor | np.ndarray | np.generic) for leaf in leaves):
        raise TypeError(f"{name} must be a number, or a tensor or pytree of them; got {value!r}")
    if any(isinstance(leaf, Tensor) and (leaf.is_complex() or not leaf.numel()) for leaf in leaves):
        raise ValueError(f"{name} must hold real numbers, at least one; got {value!r}")
    smallest = min((float(torch.as_tensor(leaf).min()) for leaf in leaves), default=float("nan"))
    if not 0.0 <= smallest < math.inf:
        raise ValueError(f"{name} must be a non-negative number or tensor; got {value!r}")
    if isinstance(value, np.ndarray | np.generic):
        value = torch.as_tensor(value)
    if isinstance(value, int | float):
        return float(value)
    real, device = layout.real_dtype, layout.device
    shapes = [tuple(shape) for shape in layout.shapes]
    lead = () if layout.batch is None else (layout.batch,)
    try:
        if isinstance(value, Tensor):
            value = value.to(device, real)
            if layout.batch is not None and value.shape == (layout.batch,):
                return value[:, None]
            if layout.is_single:
                full = value.expand(*lead, *shapes[0])
                return full.reshape(layout.batch, -1) if lead else full
        parts = layout.spec.flatten_up_to(value) if not isinstance(value, Tensor) else [value] * len(shapes)
        wide = [
            torch.as_tensor(part, dtype=real, device=device).expand(*lead, *shape).reshape(*lead, -1)
            for part, shape in zip(parts, shapes, strict=True)
        ]
        return torch.cat(wide, dim=-1)
    except (RuntimeError, ValueError) as problem:
        raise ValueError(
            f"{name} must be a number, or a tensor or pytree that broadcasts with the state, of shape(s) "
            f"{[lead + shape for shape in shapes]}; got {value!r}"
        ) from problem
