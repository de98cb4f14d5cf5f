"""What flows through the faces between cells, with as much diffusion as stability asks for."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from kutta.pde.schemes.reconstructions import Reconstruction
from kutta.pde.schemes.scheme import Law


class NumericalFlux:
    """A rule for the flux through faces."""

    def through_faces(
        self, law: Law, padded: Tensor, axis: int, reconstruction: Reconstruction, dim: int, dims: tuple[int, ...]
    ) -> Tensor:
        """The flux of a law through the ``N + 1`` faces along an axis.

        Args:
            law: with its flux and speed.
            padded: the state with its ghosts along the axis.
            axis: of the grid.
            reconstruction: from cells to faces.
            dim: the axis, as it stands in the shape of the state.
            dims: all axes of the grid, likewise.
        """
        raise NotImplementedError


@dataclass(frozen=True)
class Rusanov(NumericalFlux):
    """``(F(u-) + F(u+)) / 2 - s (u+ - u-) / 2``, with the faster speed ``s`` of both sides of the face.

    The states at the faces are reconstructed; the flux is of order 2 at most in several dimensions, or where the law is
    not linear. Source: Rusanov, The calculation of the interaction of non-stationary shock waves with barriers, USSR
    Comput. Math. Math. Phys. 1, 1961.
    """

    def through_faces(
        self, law: Law, padded: Tensor, axis: int, reconstruction: Reconstruction, dim: int, dims: tuple[int, ...]
    ) -> Tensor:
        scale = reconstruction.scale(dim, padded)
        left, right = reconstruction.from_left(padded, dim, scale), reconstruction.from_right(padded, dim, scale)
        speed = torch.maximum(law.speed(left, axis), law.speed(right, axis))
        return 0.5 * (law.flux(left, axis) + law.flux(right, axis) - speed * (right - left))


@dataclass(frozen=True)
class LaxFriedrichs(NumericalFlux):
    """The flux is split into what moves right and what moves left, ``(F(u) + s u) / 2`` and ``(F(u) - s u) / 2``.

    Both parts are reconstructed from their own side, ``s`` being the fastest speed on the grid. The difference of such
    fluxes is a derivative of the order of the reconstruction at the points, in any number of dimensions. Source: Shu
    and Osher, Efficient implementation of essentially non-oscillatory shock-capturing schemes II, J. Comput. Phys. 83,
    1989.
    """

    def through_faces(
        self, law: Law, padded: Tensor, axis: int, reconstruction: Reconstruction, dim: int, dims: tuple[int, ...]
    ) -> Tensor:
        flux = law.flux(padded, axis)
        carried = law.speed(padded, axis).amax(dims, keepdim=True) * padded
        right, left = 0.5 * (flux + carried), 0.5 * (flux - carried)
        scale = reconstruction.scale(dim, right, left)
        return reconstruction.from_left(right, dim, scale) + reconstruction.from_right(left, dim, scale)
