"""The equation of Navier and Stokes for the vorticity of a plane flow, ``w_t + u . grad w = nu laplace(w) + curl f``.

The velocity ``(u, v)`` has the stream function ``psi``: ``laplace(psi) = -w``, ``u = psi_y``, ``v = -psi_x``, so that
``w = v_x - u_y`` and nothing is compressed. What the flow transports has several forms,

    u w_x + v w_y  =  (d_xx - d_yy)(u v) + d_xy (v^2 - u^2)  =  w_x psi_y - w_y psi_x.

For sums of waves all are one, and the second takes four transforms, where the first takes five. Of differences, the
mean of three forms of the last one keeps energy and enstrophy, as the flow does without viscosity.

Source of that mean: Arakawa, Computational design for long-term numerical integration of the equations of fluid motion:
two-dimensional incompressible flow, J. Comput. Phys. 1, 1966.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from kutta.pde.equations.evolution import Evolution
from kutta.pde.grids.finite import check_finite
from kutta.pde.grids.grid import Grid
from kutta.pde.grids.padding import check_field
from kutta.pde.grids.values import is_number
from kutta.pde.schemes.pseudo_spectral import PseudoSpectral, WaveSpace
from kutta.pde.schemes.scheme import Discretisation, Field, Scheme


@dataclass(frozen=True, eq=False)
class NavierStokesVorticity(Evolution):
    """``dw/dt + u . grad w = div(nu grad w) - curl(d u) + curl f``: flow that nothing compresses, on a periodic box.

    The mean of the vorticity is zero on such a box; a mean of `w` makes no velocity. Nor does the mean of the velocity
    follow from `w`: it is zero here.

    Attributes:
        viscosity: ``nu``: a number, or a tensor at the points of the grid.
        drag: ``d``, of the bottom, which takes energy from the longest waves, likewise; by default 0. With a number the
            drag is ``d w``; of a tensor the mean acts so.
        forcing: the force ``f`` per mass: a tensor ``(2, *grid.shape)``, or a function of ``(x, t)`` that returns one.
            The tensor is transformed once, what the function returns at every evaluation.

    Example:
        A vortex array of Taylor and Green decays as ``exp(-2 nu t)``:

        >>> import torch, kutta as kt
        >>> def vortices(x):
        ...     return 2 * torch.cos(x[0]) * torch.cos(x[1])
        >>> grid = kt.pde.Grid((32, 32), 2 * torch.pi)
        >>> problem = kt.pde.NavierStokesVorticity(0.1).problem(grid, vortices, (0.0, 1.0))
        >>> sol = kt.solve(problem, kt.ETDRK4(), controller=kt.Fixed(0.1))
        >>> bool(torch.allclose(sol.y1, vortices(grid.points()) * torch.exp(torch.tensor(-0.2, dtype=torch.float64))))
        True
    """

    viscosity: Any
    drag: Any = 0.0
    forcing: Tensor | Callable[..., Any] | None = None
    components: ClassVar[tuple[str, ...]] = ("w",)
    dimensions: ClassVar[tuple[int, ...]] = (2,)
    degree: ClassVar[int] = 2
    fields: ClassVar[tuple[str, ...]] = ("viscosity", "drag")
    diffusive: ClassVar[tuple[str, ...]] = ("viscosity",)

    def __post_init__(self) -> None:
        if not (self.forcing is None or isinstance(self.forcing, Tensor) or callable(self.forcing)):
            raise TypeError(f"forcing must be a tensor (2, *grid.shape) or a function of (x, t); got {self.forcing!r}")

    def check(self, grid: Grid, scheme: Scheme, u0: Tensor) -> None:
        super().check(grid, scheme, u0)
        if not grid.periodic:
            raise ValueError(
                f"NavierStokesVorticity needs Periodic() on both axes; got {grid.boundary!r}: for walls use "
                "kutta.pde.NavierStokes"
            )
        if isinstance(self.forcing, Tensor):
            _check_force(self.forcing, grid.shape)
            check_finite("forcing", self.forcing)

    def linear(self, ops: Discretisation, u: Field) -> Field:
        decay = ops.diffusion(u, self.viscosity)
        return decay if isinstance(self.drag, int | float) and self.drag == 0 else decay - _dragged(ops, u, self.drag)

    def nonlinear(self, ops: Discretisation, t: Any, u: Field) -> Field:
        transport = _transport_for(ops)(ops, u)
        if self.forcing is None:
            return -transport
        if isinstance(self.forcing, Tensor):
            return _curl(ops, *ops.split(ops.constant(self.forcing, u))) - transport
        along_x, along_y = ops.evaluated(self._force, t, u)
        return _curl(ops, ops.data(along_x, u), ops.data(along_y, u)) - transport

    def _force(self, x: Tensor, t: Any) -> tuple[Tensor, ...]:
        """Along both axes, at points and a time."""
        force = torch.as_tensor(self.forcing(x, t))  # type: ignore[operator]
        _check_force(force, tuple(x.shape[1:]))
        return force.unbind()

    def stream_function(self, w: Tensor, grid: Grid) -> Tensor:
        """``psi`` of mean zero with ``laplace(psi) = -w``, by waves.

        Args:
            w: the vorticity, ``(..., *grid.shape)``.
            grid: periodic.
        """
        ops = _waves(w, grid)
        return ops.leave(_stream_function(ops, ops.enter(w)))

    def velocity(self, w: Tensor, grid: Grid) -> Tensor:
        """``(psi_y, -psi_x)``, with an axis of two components before those of space.

        Args:
            w: the vorticity, ``(..., *grid.shape)``.
            grid: periodic.
        """
        ops = _waves(w, grid)
        field = ops.enter(w)
        return torch.stack([ops.leave(_velocity_x(ops, field)), ops.leave(_velocity_y(ops, field))], -3)


def _transport_for(ops: Discretisation) -> Callable[[Discretisation, Field], Field]:
    """The form that suits the operations."""
    if ops.pointwise:
        return transport_by_gradients
    return transport_by_products if ops.product_rule else transport_by_arakawa


def transport_by_gradients(ops: Discretisation, w: Field) -> Field:
    """``u w_x + v w_y``."""
    w_x, w_y = ops.gradient(w)
    return _velocity_x(ops, w) * w_x + _velocity_y(ops, w) * w_y


def transport_by_products(ops: Discretisation, w: Field) -> Field:
    """``(d_xx - d_yy)(u v) + d_xy (v^2 - u^2)``, the curl of the divergence of the flow of momentum."""
    u, v = ops.image(_velocity_x, w), ops.image(_velocity_y, w)
    return ops.image(_curl_of_shear, u * v) + ops.image(_mixed, v * v - u * u)


def transport_by_arakawa(ops: Discretisation, w: Field) -> Field:
    """``w_x psi_y - w_y psi_x``, the mean of what derivatives of the factors, and of products, make of it."""
    psi = _stream_function(ops, w)
    (w_x, w_y), (psi_x, psi_y) = ops.gradient(w), ops.gradient(psi)
    factors = w_x * psi_y - w_y * psi_x
    of_vorticity = ops.derivative(w * psi_y, 0) - ops.derivative(w * psi_x, 1)
    of_stream = ops.derivative(psi * w_x, 1) - ops.derivative(psi * w_y, 0)
    return (factors + of_vorticity + of_stream) / 3.0


def _stream_function(ops: Discretisation, w: Field) -> Field:
    return -ops.inverse_laplacian(w)


def _velocity_x(ops: Discretisation, w: Field) -> Field:
    return ops.derivative(_stream_function(ops, w), 1)


def _velocity_y(ops: Discretisation, w: Field) -> Field:
    return -ops.derivative(_stream_function(ops, w), 0)


def _curl_of_shear(ops: Discretisation, shear: Field) -> Field:
    return ops.derivative(shear, 0, 2) - ops.derivative(shear, 1, 2)


def _mixed(ops: Discretisation, u: Field) -> Field:
    return ops.derivative(ops.derivative(u, 0), 1)


def _curl(ops: Discretisation, along_x: Field, along_y: Field) -> Field:
    return ops.derivative(along_y, 0) - ops.derivative(along_x, 1)


def _waves(w: Tensor, grid: Grid) -> WaveSpace:
    check_field("w", w, grid)
    return PseudoSpectral().on(grid).like(w)


def _dragged(ops: Discretisation, w: Field, drag: Any) -> Field:
    """``curl(d u)``: the mean of the drag acts on the vorticity, and what differs from it on the velocity."""
    if is_number(drag):
        return drag * w
    mean = drag.mean((-2, -1), keepdim=True)
    rest = (drag - mean).expand(*drag.shape[:-2], *ops.grid.shape)
    along_x, along_y = rest * _velocity_x(ops, w), rest * _velocity_y(ops, w)
    return mean * w + ops.derivative(along_y, 0) - ops.derivative(along_x, 1)


def _check_force(force: Tensor, shape: tuple[int, ...]) -> None:
    if tuple(force.shape) != (2, *shape):
        raise ValueError(
            f"forcing must have the shape {(2, *shape)}, its two components at the points; got {tuple(force.shape)}"
        )
