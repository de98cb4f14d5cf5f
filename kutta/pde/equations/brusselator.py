"""The Brusselator, ``u_t = B + u^2 v - (A + 1) u + alpha laplace(u) + f``, ``v_t = A u - u^2 v + alpha laplace(v)``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from kutta.pde.coefficients import for_components, forcing
from kutta.pde.equations.evolution import Evolution
from kutta.pde.schemes.scheme import Discretisation, Field


@dataclass(frozen=True, eq=False)
class Brusselator(Evolution):
    """A chemical clock that diffuses: the rest ``u = B, v = A / B`` is unstable for ``A > 1 + B^2``.

        du/dt = B + u^2 v - (A + 1) u + alpha laplace(u) + f(x, t)
        dv/dt = A u - u^2 v + alpha laplace(v)

    Attributes:
        a: ``A``.
        b: ``B``.
        diffusivity: ``alpha``, of both.
        source: ``f``: a number, a tensor at the points, or a function of ``(x, t)``.

    Source: Prigogine and Lefever, Symmetry breaking instabilities in dissipative systems, J. Chem. Phys. 48, 1968; with
    the defaults and a source as a test problem, Hairer and Wanner, Solving ordinary differential equations II, 1996.

    Example:
        A drop falls into it at ``t = 1.1``:

        >>> import torch, kutta as kt
        >>> def start(x):
        ...     return torch.stack([22 * x[1] * (1 - x[1]) ** 1.5, 27 * x[0] * (1 - x[0]) ** 1.5])
        >>> def drop(x, t):
        ...     inside = (x[0] - 0.3) ** 2 + (x[1] - 0.6) ** 2 <= 0.01
        ...     return 5.0 * (inside & (torch.as_tensor(t) >= 1.1))
        >>> equation = kt.pde.Brusselator(source=drop)
        >>> problem = equation.problem(kt.pde.Grid((16, 16)), start, (0.0, 1.2), kt.pde.FiniteDifference())
        >>> tuple(kt.solve(problem, kt.ROCK4(), rtol=1e-4).y1.shape)
        (2, 16, 16)
    """

    a: Any = 3.4
    b: Any = 1.0
    diffusivity: Any = 0.1
    source: float | Any | Callable[..., Any] = 0.0
    components: ClassVar[tuple[str, ...]] = ("u", "v")
    degree: ClassVar[int] = 3
    numbers: ClassVar[tuple[str, ...]] = ("a",)
    fields: ClassVar[tuple[str, ...]] = ("b", "diffusivity", "source")
    functions: ClassVar[tuple[str, ...]] = ("source",)
    diffusive: ClassVar[tuple[str, ...]] = ("diffusivity",)

    def linear(self, ops: Discretisation, u: Field) -> Field:
        spread = ops.diffusion(u, for_components(self.diffusivity, ops.grid))
        return spread + ops.weighted(u, (-(self.a + 1.0), 0.0))

    def nonlinear(self, ops: Discretisation, t: Any, u: Field) -> Field:
        u, v = ops.split(u)
        met, source = u * v, forcing(self.source, ops, t, u)
        made = self.b + u * met
        return ops.join([made if source is None else made + source, u * (self.a - met)])
