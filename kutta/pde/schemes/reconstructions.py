"""From cells to faces: what a field is at both sides of every face.

Each reconstruction is one formula, the value at the right end of a cell from the cells around it, and serves the left
end in a mirror.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from kutta.pde.schemes.limiters import LIMITERS


class Reconstruction:
    """A formula for values at faces.

    Attributes:
        width: how many ghosts it needs at each side; it takes ``2 width - 1`` cells.
    """

    width: ClassVar[int]

    def at_right_end(self, cells: Sequence[Tensor], scale: Any) -> Tensor:
        """The value at the right end of a cell.

        Args:
            cells: that cell in the middle, with its neighbours from left to right: a field for each.
            scale: what `scale` says of the fields.
        """
        raise NotImplementedError

    def scale(self, dim: int, *fields: Tensor) -> Any:
        """What the formula has to know of whole fields; one for all that meet at faces, so that mirrors stay mirrors.

        Args:
            dim: the axis along which faces are wanted.
            fields: with their ghosts.
        """
        return None

    def from_left(self, padded: Tensor, dim: int, scale: Any) -> Tensor:
        """The values at the left sides of all ``N + 1`` faces of a field with its ghosts."""
        faces = padded.shape[dim] - 2 * self.width + 1
        return self.at_right_end([padded.narrow(dim, place, faces) for place in range(2 * self.width - 1)], scale)

    def from_right(self, padded: Tensor, dim: int, scale: Any) -> Tensor:
        """Those at the right sides."""
        faces, places = padded.shape[dim] - 2 * self.width + 1, range(2 * self.width - 1, 0, -1)
        return self.at_right_end([padded.narrow(dim, place, faces) for place in places], scale)


@dataclass(frozen=True)
class PiecewiseConstant(Reconstruction):
    """The value of the cell: order 1, and as robust as can be."""

    width: ClassVar[int] = 1

    def at_right_end(self, cells: Sequence[Tensor], scale: Any) -> Tensor:
        return cells[0]


@dataclass(frozen=True)
class MUSCL(Reconstruction):
    """A limited slope in every cell: order 2 where solutions are smooth, without new extrema where they are not.

    Source: van Leer, Towards the ultimate conservative difference scheme V, J. Comput. Phys. 32, 1979.

    Attributes:
        limiter: of the slope: ``"van Leer"``, ``"minmod"``, ``"van Albada"``, ``"monotonised central"`` or
            ``"superbee"``; see `kutta.pde.schemes.limiters`.
    """

    limiter: str = "van Leer"
    width: ClassVar[int] = 2

    def __post_init__(self) -> None:
        if self.limiter not in LIMITERS:
            raise ValueError(f"limiter must be one of {', '.join(map(repr, LIMITERS))}; got {self.limiter!r}")

    def at_right_end(self, cells: Sequence[Tensor], scale: Any) -> Tensor:
        left, middle, right = cells
        return middle + 0.5 * LIMITERS[self.limiter](middle - left, right - middle)


@dataclass(frozen=True)
class WENO5(Reconstruction):
    """A weighted mean of three parabolas that leaves out those with a jump: order 5 where solutions are smooth.

    The weights are those of Borges, Carmona, Costa and Don (An improved weighted essentially non-oscillatory scheme for
    hyperbolic conservation laws, J. Comput. Phys. 227, 2008): with the optimal ones ``d``, the measures of smoothness
    ``beta`` of Jiang and Shu and ``tau = |beta_0 - beta_2|``,

        w_k ~ d_k (1 + (tau / (beta_k + eps))^2),      d = 1/10, 6/10, 3/10.

    Here ``eps = V / N^4 + u m^2``, with the variance ``V`` of the field along the axis, its mean ``m`` and the rounding
    unit ``u``. So the scheme knows no unit of measurement, has its order at extrema too, and takes no rounding errors
    for jumps (Don and Borges, Accuracy of the weighted essentially non-oscillatory conservative finite difference
    schemes, J. Comput. Phys. 250, 2013, on ``N^-4``).
    """

    width: ClassVar[int] = 3

    def scale(self, dim: int, *fields: Tensor) -> Tensor:
        """``eps``."""
        info, count = torch.finfo(fields[0].dtype), fields[0].shape[dim]
        total = info.tiny
        for one in fields:
            mean = one.mean(dim, keepdim=True)
            spread = (one - mean).square().mean(dim, keepdim=True)
            total = total + spread / count**4 + info.eps * mean**2
        return total  # type: ignore[return-value]

    def at_right_end(self, cells: Sequence[Tensor], scale: Any) -> Tensor:
        a, b, c, d, e = cells
        parabolas = (2.0 * a - 7.0 * b + 11.0 * c) / 6, (-b + 5.0 * c + 2.0 * d) / 6, (2.0 * c + 5.0 * d - e) / 6
        roughness = (
            13 / 12 * (a - 2.0 * b + c) ** 2 + (a - 4.0 * b + 3.0 * c) ** 2 / 4,
            13 / 12 * (b - 2.0 * c + d) ** 2 + (b - d) ** 2 / 4,
            13 / 12 * (c - 2.0 * d + e) ** 2 + (3.0 * c - 4.0 * d + e) ** 2 / 4,
        )
        whole = (roughness[0] - roughness[2]).abs()
        weights = [
            best * (1.0 + (whole / (one + scale)) ** 2) for best, one in zip((0.1, 0.6, 0.3), roughness, strict=True)
        ]
        total = sum(weight * value for weight, value in zip(weights, parabolas, strict=True))
        return total / (weights[0] + weights[1] + weights[2])
