"""Random functions of one variable: Gaussian fields, drawn at nodes and known between them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from kutta.operators.operator import check_counts

if TYPE_CHECKING:
    from jaxtyping import Float

# What is added to the diagonal of a covariance, as a part of the variance, until it has a Cholesky factor.
FIRST_JITTER, LAST_JITTER = 1e-13, 1e-8


@dataclass(frozen=True, eq=False)
class SampledFunctions:
    """Functions that are cubic between equally spaced nodes.

    Between two nodes each is the cubic through the nearest four, whose error is of order ``h^4``.

    Attributes:
        values: at the nodes, ``(n, N)`` with ``N >= 4``, or with components ``(n, N, *c)``.
        left: the first node.
        right: the last one.

    Example:
        >>> import torch, kutta as kt
        >>> nodes = torch.linspace(0.0, 2.0, 81, dtype=torch.float64)
        >>> sines = kt.operators.data.SampledFunctions(torch.sin(nodes)[None], 0.0, 2.0)
        >>> bool((sines(torch.tensor([0.512])) - 0.489921).abs().max() < 1e-6)
        True
    """

    values: Tensor
    left: float
    right: float

    def __post_init__(self) -> None:
        if self.values.dim() < 2 or self.values.shape[1] < 4:
            raise ValueError(f"values must be those at 4 nodes or more, (n, N, ...); got {tuple(self.values.shape)}")
        if not self.left < self.right:
            raise ValueError(f"left must be less than right; got {self.left!r} and {self.right!r}")

    def __len__(self) -> int:
        return len(self.values)

    def __call__(self, x: Float[Tensor, " *places"]) -> Tensor:
        """Values at places.

        Args:
            x: ``(P,)``, the same for all functions; or ``(n, P)``, of each function its own. Beyond the nodes the outer
                cubics go on.

        Returns:
            ``(n, P, *c)``.
        """
        first, weights = self._cubics(x.to(self.values.dtype))
        components = [1] * (self.values.dim() - 2)
        return sum(  # type: ignore[return-value]
            weight.view(*weight.shape, *components) * self._at(first + shift) for shift, weight in enumerate(weights)
        )

    def at(self, t: Tensor) -> Tensor:
        """Values at one place that all functions share, ``(n, *c)``; for right-hand sides."""
        return self(t.reshape(1))[:, 0]

    def _at(self, nodes: Tensor) -> Tensor:
        if nodes.dim() == 1:
            return self.values[:, nodes]
        return self.values[torch.arange(len(self), device=nodes.device)[:, None], nodes]

    def _cubics(self, x: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """The first of the four nodes of each place, and Lagrange's polynomials of all four there."""
        count = self.values.shape[1]
        steps = (x - self.left) * ((count - 1) / (self.right - self.left))
        first = (steps.floor().long() - 1).clamp(0, count - 4)
        s = steps - first
        a, b, c, d = s, s - 1.0, s - 2.0, s - 3.0
        return first, (b * c * d / -6.0, a * c * d / 2.0, a * b * d / -2.0, a * b * c / 6.0)


def random_functions(
    count: int,
    scale: float = 0.2,
    left: float = 0.0,
    right: float = 1.0,
    nodes: int = 1000,
    generator: torch.Generator | None = None,
) -> SampledFunctions:
    """Gaussian random functions with mean zero and the covariance ``exp(-|x - x'|^2 / (2 scale^2))``.

    Args:
        count: how many.
        scale: the length on which they vary.
        left: where they begin.
        right: where they end.
        nodes: at which they are drawn; between them they are cubic.
        generator: where the numbers come from; by default PyTorch's global one.

    Returns:
        the functions, float64.

    Raises:
        ValueError: for sizes or a scale that are not positive.

    Example:
        >>> import torch, kutta as kt
        >>> functions = kt.operators.data.random_functions(2000, generator=torch.Generator().manual_seed(0))
        >>> u = functions(torch.tensor([0.3, 0.5]))
        >>> bool(((u[:, 0] * u[:, 1]).mean() - 0.6065).abs() < 0.05)  # exp(-1/2)
        True
    """
    check_counts(count=count, nodes=nodes)
    if not scale > 0.0:
        raise ValueError(f"scale must be positive; got {scale!r}")
    drawn = torch.randn(count, nodes, dtype=torch.float64, generator=generator)
    return SampledFunctions(drawn @ _factor(scale / (right - left), nodes).mT, left, right)


@lru_cache(maxsize=8)
def _factor(scale: float, nodes: int) -> Tensor:
    """Cholesky's factor of the covariance at equally spaced nodes in ``[0, 1]``.

    Eigenvalues of smooth covariances fall below rounding, so that a little has to be added.
    """
    x = torch.linspace(0.0, 1.0, nodes, dtype=torch.float64)
    covariance = torch.exp((x[:, None] - x).square() / (-2.0 * scale**2))
    jitter = FIRST_JITTER
    while jitter <= LAST_JITTER:
        factor, failed = torch.linalg.cholesky_ex(covariance + jitter * torch.eye(nodes, dtype=torch.float64))
        if not failed:
            return factor
        jitter *= 10.0
    raise ValueError(f"{nodes} nodes are too many for a scale of {scale:g} of the length: take fewer")
