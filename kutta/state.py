"""States as users write them, and the one tensor that a method advances.

A single tensor stays as it is. A pytree of tensors is laid out in one flat tensor, each leaf a
slice of its last axis, so that a method costs the same number of operations for both.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from numbers import Number
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils import _pytree as pytree


@dataclass(frozen=True)
class Layout:
    """How a user's state maps to one tensor.

    Attributes:
        spec: the pytree structure.
        shapes: shape of each leaf, without the ensemble axis.
        dtype: the common dtype.
        device: the common device.
        batch: number of trajectories, or ``None`` for a problem with one step size.
    """

    spec: pytree.TreeSpec
    shapes: tuple[torch.Size, ...]
    dtype: torch.dtype
    device: torch.device
    batch: int | None = None

    @property
    def is_single(self) -> bool:
        """Whether the state is one tensor."""
        return self.spec.is_leaf()

    @property
    def sizes(self) -> list[int]:
        """Number of entries of each leaf."""
        return [math.prod(shape) for shape in self.shapes]

    @property
    def real_dtype(self) -> torch.dtype:
        """The dtype of real numbers as precise as the state."""
        return torch.empty((), dtype=self.dtype).real.dtype if self.dtype.is_complex else self.dtype

    def ravel(self, tree: Any) -> Tensor:
        """The one tensor for a state; leading axes beyond the leaves' own are kept."""
        if self.is_single:
            return tree.reshape(self.batch, -1) if self.batch is not None else tree
        leaves = self.spec.flatten_up_to(tree)
        flat = [leaf.reshape(*self._lead(leaf, shape), -1) for leaf, shape in zip(leaves, self.shapes, strict=True)]
        return torch.cat(flat, dim=-1)

    def unravel(self, flat: Tensor, axes: int = 0) -> Any:
        """The user's state for a tensor that may have `axes` further leading axes."""
        if self.is_single:
            lead = flat.shape[: axes + (self.batch is not None)]
            return flat.reshape((*lead, *self.shapes[0]))
        lead = flat.shape[:-1]
        parts = flat.split(self.sizes, dim=-1)
        return pytree.tree_unflatten(
            [part.reshape((*lead, *shape)) for part, shape in zip(parts, self.shapes, strict=True)], self.spec
        )

    def entries(self, values: Tensor, part: Callable[[Any], Any] | None = None) -> Tensor:
        """Anything laid out like the state as ``(n,)``, or ``(b, n)``: all of it, or what ``part(state)`` picks."""
        lead = () if self.batch is None else (values.shape[0],)
        flat = values.reshape(*lead, -1)
        return flat if part is None else flat.index_select(-1, self._places(part))

    def chosen(self, values: Tensor, part: Callable[[Any], Any] | None) -> Any:
        """One for the entries that ``part(state)`` picks, zero for the others; laid out like `values`."""
        if part is None:
            return 1.0
        mask = torch.zeros(sum(self.sizes), dtype=values.dtype, device=values.device)
        mask = mask.index_fill(0, self._places(part), 1.0)
        return mask.view_as(values) if self.batch is None else mask

    def _places(self, part: Callable[[Any], Any]) -> Tensor:
        """Where in the flat state of one trajectory the entries are that ``part(state)`` picks."""
        one = replace(self, batch=None)
        leaves = pytree.tree_leaves(part(one.unravel(torch.arange(sum(self.sizes), device=self.device))))
        return torch.cat([leaf.reshape(-1) for leaf in leaves])

    @staticmethod
    def _lead(leaf: Tensor, shape: torch.Size) -> torch.Size:
        return leaf.shape[: leaf.dim() - len(shape)]


def _as_tensor(leaf: Any, name: str) -> Tensor:
    if isinstance(leaf, Tensor):
        return leaf
    if isinstance(leaf, np.ndarray | np.generic | Number):
        return torch.as_tensor(leaf)
    if type(leaf).__module__.split(".")[0] in ("jax", "jaxlib"):
        raise NotImplementedError(
            f"{name} holds JAX arrays; the Jax engine is not part of this version: pass torch tensors"
        )
    raise TypeError(f"{name} must be a tensor or a pytree of tensors; got a leaf of type {type(leaf).__name__}")


def as_state(y0: Any, name: str = "y0") -> Any:
    """The user's initial state with every leaf a tensor."""
    if isinstance(y0, list | tuple) and y0 and all(isinstance(entry, Number) for entry in y0):
        return torch.as_tensor([entry + 0.0 for entry in y0])
    return pytree.tree_map(lambda leaf: _as_tensor(leaf, name), y0)


def layout_of(y0: Any, ensemble: bool, name: str = "y0") -> Layout:
    """The layout of a state of tensors, after refusing what no method can advance."""
    leaves, spec = pytree.tree_flatten(y0)
    if not leaves:
        raise ValueError(f"{name} is empty: it must hold at least one tensor")
    dtypes, devices = {leaf.dtype for leaf in leaves}, {leaf.device for leaf in leaves}
    if len(dtypes) > 1 or len(devices) > 1:
        raise ValueError(
            f"all tensors of {name} must share one dtype and one device; "
            f"got dtypes {sorted(map(str, dtypes))} on {sorted(map(str, devices))}"
        )
    dtype, device = leaves[0].dtype, leaves[0].device
    if not (dtype.is_floating_point or dtype.is_complex):
        raise TypeError(
            f"{name} must have a floating-point or complex dtype; got {dtype}: try {name}.to(torch.float64)"
        )
    batch = _ensemble_size(leaves, name) if ensemble else None
    if sum(leaf.numel() for leaf in leaves) == 0:
        raise ValueError(f"{name} has no entries; got shapes {[tuple(leaf.shape) for leaf in leaves]}")
    shapes = tuple(leaf.shape[1:] if ensemble else leaf.shape for leaf in leaves)
    return Layout(spec, shapes, dtype, device, batch)


def _ensemble_size(leaves: list[Tensor], name: str) -> int:
    sizes = {leaf.shape[0] if leaf.dim() else None for leaf in leaves}
    if len(sizes) > 1 or None in sizes:
        raise ValueError(
            f"axis 0 of every tensor in {name} must enumerate the trajectories of an EnsembleProblem, or the problems "
            f"of a batch; got shapes {[tuple(leaf.shape) for leaf in leaves]}"
        )
    return next(iter(sizes))  # type: ignore[return-value]
