"""Gray and Scott: ``u_t = Du laplace(u) - u v^2 + F (1 - u)``, ``v_t = Dv laplace(v) + u v^2 - (F + k) v``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from kutta.pde.coefficients import check_not_negative, check_number
from kutta.pde.equations.evolution import Evolution
from kutta.pde.grids.grid import Grid
from kutta.pde.schemes.scheme import Discretisation, Field, Scheme


@dataclass(frozen=True, eq=False)
class GrayScott(Evolution):
    """A substance `v` that makes more of itself from another, `u`, which is fed: spots that divide, stripes, waves.

        du/dt = Du laplace(u) - u v^2 + F (1 - u)
        dv/dt = Dv laplace(v) + u v^2 - (F + k) v

    Walls that let nothing through are ``Neumann()``; those of a reservoir are
    ``Dirichlet(torch.tensor([[1.0], [0.0]]))`` in two dimensions, with an axis of components before those of the face.

    Attributes:
        feed: ``F``.
        kill: ``k``.
        diffusivities: ``Du`` and ``Dv``. With the defaults of all three there are spots about 0.1 wide; with
            ``F = 0.03`` and ``k = 0.062`` they divide, with ``F = 0.035`` and ``k = 0.06`` there are stripes.

    Source: Gray and Scott, Autocatalytic reactions in the isothermal, continuous stirred tank reactor, Chemical
    Engineering Science 39, 1984; Pearson, Complex patterns in a simple system, Science 261, 1993.

    Example:
        >>> import torch, kutta as kt
        >>> grid = kt.pde.Grid((32, 32), 0.5)
        >>> def spot(x):
        ...     v = 0.3 * torch.exp(-300 * ((x - 0.25) ** 2).sum(0))
        ...     return torch.stack([1 - 2 * v, v])
        >>> problem = kt.pde.GrayScott(0.035, 0.06).problem(grid, spot, (0.0, 200.0))
        >>> sol = kt.solve(problem, kt.ETDRK4(), controller=kt.Fixed(4.0))
        >>> tuple(sol.y1.shape), bool(sol.y1[1].mean() > 2 * problem.u0[1].mean())
        ((2, 32, 32), True)
    """

    feed: Any = 0.035
    kill: Any = 0.065
    diffusivities: Sequence[Any] = (2e-5, 1e-5)
    components: ClassVar[tuple[str, ...]] = ("u", "v")
    degree: ClassVar[int] = 3
    numbers: ClassVar[tuple[str, ...]] = ("feed", "kill")

    def __post_init__(self) -> None:
        if len(self.diffusivities) != 2:
            raise ValueError(f"diffusivities must be two, of u and of v; got {self.diffusivities!r}")

    def check(self, grid: Grid, scheme: Scheme, u0: Tensor) -> None:
        super().check(grid, scheme, u0)
        for place, one in enumerate(self.diffusivities):
            check_number(f"diffusivities[{place}]", one)
            check_not_negative(f"diffusivities[{place}]", one)

    def linear(self, ops: Discretisation, u: Field) -> Field:
        losses = (-self.feed, -(self.feed + self.kill))
        return ops.weighted(ops.laplacian(u), self.diffusivities) + ops.weighted(u, losses)

    def nonlinear(self, ops: Discretisation, t: Any, u: Field) -> Field:
        u, v = ops.split(u)
        rate = u * v * v
        return ops.join([self.feed - rate, rate])
