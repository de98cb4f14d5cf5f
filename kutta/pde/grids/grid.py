"""Where a field lives: a box, the points in it, and what holds at its sides."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from numbers import Integral, Real
from typing import Any

import torch
from torch import Tensor

from kutta.pde.grids.boundary import Boundary, Condition, Periodic

AXES = ("x", "y", "z")
CENTRINGS = ("periodic", "cell", "node")
Sides = tuple[Boundary, Boundary]


@dataclass(frozen=True, eq=False)
class Grid:
    """A box with equally spaced points, of one to three dimensions.

    With ``N`` points on an axis of length ``L`` that begins at 0, point ``i`` lies at

        periodic   i L / N              h = L / N
        cell       (i + 1/2) L / N      h = L / N
        node       i L / (N - 1)        h = L / (N - 1)

    so that periodic axes leave out the right end, which is the left one, cells are seen at their middles, and nodes
    include both ends. At nodes on a `Dirichlet` boundary the value is what the boundary says, and no unknown.

    Attributes:
        shape: the number of points of each axis.
        length: of each axis; by default 1.
        centring: ``"periodic"``, ``"cell"`` or ``"node"``, one for all axes or one for each. By default
            ``"periodic"`` where the boundary is, and ``"cell"`` elsewhere.
        boundary: one for all sides; or one for each axis, where an entry may be a pair, for its left and right side.
            With one axis, the pair alone will do.
        origin: where each axis begins; by default 0.

    Raises:
        ValueError, TypeError: for what does not fit together.

    Example:
        >>> import kutta as kt
        >>> walls = (kt.pde.Dirichlet(1.0), kt.pde.Neumann())
        >>> grid = kt.pde.Grid((64, 32), (2.0, 1.0), boundary=(kt.pde.Periodic(), walls))
        >>> grid.centring, grid.spacing
        (('periodic', 'cell'), (0.03125, 0.03125))
        >>> grid.points().shape
        torch.Size([2, 64, 32])
    """

    shape: tuple[int, ...]
    length: tuple[float, ...] | float = 1.0
    centring: tuple[str, ...] | str | None = None
    boundary: Any = field(default_factory=Periodic)
    origin: tuple[float, ...] | float = 0.0
    # What `kutta.pde.grids.padding` has computed for the sides.
    ghosts: dict[Any, Any] = field(init=False, repr=False, default_factory=dict)

    def __post_init__(self) -> None:
        shape = _entries(self.shape, 1)
        if not 1 <= len(shape) <= 3:
            raise ValueError(f"shape must have one to three entries, one for each axis; got {self.shape!r}")
        boundary = _sides(self.boundary, len(shape))
        centring = _centrings(self.centring, boundary)
        for axis, (count, kind) in enumerate(zip(shape, centring, strict=True)):
            least = 3 if kind == "node" else 1
            if isinstance(count, bool) or not isinstance(count, Integral) or count < least:
                raise ValueError(f"shape[{axis}] must be a whole number of at least {least}; got {count!r}")
        shape = tuple(map(int, shape))
        length, origin = (_numbers(name, getattr(self, name), len(shape)) for name in ("length", "origin"))
        if min(length) <= 0.0:
            raise ValueError(f"length must be positive; got {self.length!r}")
        for name, value in (
            ("shape", shape),
            ("length", length),
            ("centring", centring),
            ("boundary", boundary),
            ("origin", origin),
        ):
            object.__setattr__(self, name, value)

    @property
    def dim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    @property
    def spacing(self) -> tuple[float, ...]:
        """The distance between neighbours along each axis."""
        counts = (n - (kind == "node") for n, kind in zip(self.shape, self.centring, strict=True))  # type: ignore[arg-type]
        return tuple(length / count for length, count in zip(self.length, counts, strict=True))  # type: ignore[arg-type]

    def axis_points(self, axis: int, dtype: torch.dtype = torch.float64, device: Any = None) -> Tensor:
        """The places along one axis, ``(N,)``."""
        shift = 0.5 if self.centring[axis] == "cell" else 0.0  # type: ignore[index]
        places = torch.arange(self.shape[axis], dtype=torch.float64, device=device) + shift
        return (self.origin[axis] + self.spacing[axis] * places).to(dtype)  # type: ignore[index]

    def points(self, dtype: torch.dtype = torch.float64, device: Any = None) -> Tensor:
        """The coordinates of all points, ``(d, *shape)``."""
        axes = [self.axis_points(axis, dtype, device) for axis in range(self.dim)]
        return torch.stack(torch.meshgrid(*axes, indexing="ij"))

    def face(self, axis: int, side: int, dtype: torch.dtype = torch.float64, device: Any = None) -> Tensor:
        """The coordinates of the face at a side of an axis, ``(d, *face)``, where its axis is left out.

        Args:
            axis: which.
            side: 0 for the left one, 1 for the right one.
            dtype: of the coordinates.
            device: likewise.
        """
        axes = [self.axis_points(one, dtype, device) for one in range(self.dim)]
        axes[axis] = torch.tensor([self.origin[axis] + side * self.length[axis]], dtype=dtype, device=device)  # type: ignore[index]
        return torch.stack(torch.meshgrid(*axes, indexing="ij")).squeeze(axis + 1)

    @property
    def periodic(self) -> bool:
        """Whether all axes are."""
        return all(isinstance(left, Periodic) for left, _ in self.boundary)


def _sides(boundary: Any, dim: int) -> tuple[Sides, ...]:
    entries = (boundary,) * dim if isinstance(boundary, Boundary) else boundary
    if dim == 1 and isinstance(entries, Sequence) and len(entries) == 2:
        entries = (entries,)
    if not isinstance(entries, Sequence) or len(entries) != dim:
        raise ValueError(
            f"boundary must be one such as kutta.pde.Periodic(), or one for each of the {dim} axes; got {boundary!r}"
        )
    return tuple(_pair(entry, axis) for axis, entry in enumerate(entries))


def _pair(entry: Any, axis: int) -> Sides:
    pair = (entry, entry) if isinstance(entry, Boundary) else entry
    if not isinstance(pair, Sequence) or len(pair) != 2 or not all(isinstance(one, Boundary) for one in pair):
        raise TypeError(f"boundary[{axis}] must be such as kutta.pde.Dirichlet(), or a pair of them; got {entry!r}")
    left, right = pair
    if isinstance(left, Periodic) != isinstance(right, Periodic):
        raise ValueError(f"boundary[{axis}] must be Periodic() at both sides or at none; got {entry!r}")
    return left, right


def _centrings(centring: Any, boundary: tuple[Sides, ...]) -> tuple[str, ...]:
    wraps = [isinstance(left, Periodic) for left, _ in boundary]
    if centring is None:
        return tuple("periodic" if wrap else "cell" for wrap in wraps)
    kinds = (centring,) * len(wraps) if isinstance(centring, str) else tuple(centring)
    if len(kinds) != len(wraps) or any(kind not in CENTRINGS for kind in kinds):
        raise ValueError(
            f"centring must be one of {', '.join(map(repr, CENTRINGS))}, or one for each of the {len(wraps)} axes; "
            f"got {centring!r}"
        )
    for axis, (kind, wrap) in enumerate(zip(kinds, wraps, strict=True)):
        if wrap and kind == "node":
            raise ValueError(
                f"axis {axis} is periodic, and its two ends are one point: use centring 'periodic' or 'cell'"
            )
        if kind == "periodic" and not wrap:
            raise ValueError(
                f"centring 'periodic' of axis {axis} needs the boundary Periodic(); got {boundary[axis]!r}"
            )
    return kinds


def _entries(value: Any, dim: int) -> tuple[Any, ...]:
    """One entry for each axis, or the same one for all."""
    try:
        return tuple(value)
    except TypeError:
        return (value,) * dim


def _numbers(name: str, value: Any, dim: int) -> tuple[float, ...]:
    values = _entries(value, dim)
    if len(values) != dim or not all(
        isinstance(one, Real) and not isinstance(one, bool) and math.isfinite(one) for one in values
    ):
        raise ValueError(f"{name} must be a finite number, or one for each of the {dim} axes; got {value!r}")
    return tuple(float(one) for one in values)


def conditions(grid: Grid) -> list[tuple[int, int, Condition]]:
    """The sides that are not periodic: axis, side (0 left, 1 right) and condition."""
    return [
        (axis, side, one)
        for axis, pair in enumerate(grid.boundary)
        for side, one in enumerate(pair)
        if isinstance(one, Condition)
    ]
