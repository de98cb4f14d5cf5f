"""Momentum for any deterministic sampler: heavy ball, Nesterov's variant, and several velocities at once.

They are damped by `beta`, of which 1 is no momentum: the smaller it is, the larger the steps at which a stiff model,
such as one under strong guidance, does not diverge. The price is accuracy: **with any beta below 1 the order is 1**,
whatever that of the base.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from numpy.polynomial import polynomial
from torch import Tensor

from kutta.solvers.diffusion.levels.grids import Nodes
from kutta.solvers.diffusion.momentum.velocity import with_momentum
from kutta.solvers.diffusion.plans.plan import Level, Plan, Weight
from kutta.solvers.diffusion.plans.sampler import Sampler


@dataclass(frozen=True)
class Momentum(Sampler):
    """A sampler whose predictions give way to velocities. One of one's own derives from this and gives `recursion`.

    Attributes:
        base: a sampler without noise. Times that it brings are those of the whole.
    """

    base: Sampler

    def __post_init__(self) -> None:
        if not isinstance(self.base, Sampler):
            raise TypeError(f"base must be a sampler such as kutta.DDIM(); got {self.base!r}")

    @property
    def times(self) -> Tensor | None:
        return self.base.times

    def plan(self, nodes: Nodes) -> Plan:
        return with_momentum(self.base.plan(nodes), self.recursion, self.base)

    def recursion(self, levels: Sequence[Level]) -> tuple[Sequence[Weight], Sequence[Weight]]:
        """The weights of earlier velocities and those of averaged predictions, newest first.

        Args:
            levels: from the first one that has a velocity to the end of the step that wants one.
        """
        raise NotImplementedError


@dataclass(frozen=True)
class HeavyBall(Momentum):
    """Polyak's heavy ball: a sliding average of the predictions that the base steps with.

    ``v_{n+1} = (1 - beta) v_n + beta F_n`` with ``v_0 = F_0``, and `v` takes the place of `F` in the step.

    Attributes:
        base: a sampler without noise.
        beta: damping, in ``(0, 1]``. Suggested for classifier-free guidance of 7.5, 15 and 22.5: 0.9, 0.8 and 0.6.

    Source: Wizadwongsa et al., Diffusion sampling with momentum for mitigating divergence artifacts, 2024.

    Example:
        >>> import torch, kutta as kt
        >>> teacher = kt.diffusion.GaussianMixture([0.5, 0.5], [[-2.0], [2.0]], [0.1, 0.1])
        >>> schedule = kt.diffusion.EDM(start=10.0, end=0.01)
        >>> problem = kt.DiffusionProblem(teacher.model(schedule), schedule, torch.tensor([[4.0], [-9.0]]))
        >>> sol = kt.solve(problem, kt.HeavyBall(kt.DDIM(), beta=0.8), steps=20)
        >>> sol.y1.sign().flatten().tolist(), sol.stats.function_evaluations
        ([1.0, -1.0], 20)
    """

    beta: float = 0.8

    def __post_init__(self) -> None:
        super().__post_init__()
        check_damping("beta", self.beta)

    def recursion(self, levels: Sequence[Level]) -> tuple[Sequence[Weight], Sequence[Weight]]:
        return (1.0 - self.beta,), (self.beta,)


@dataclass(frozen=True)
class Nesterov(Momentum):
    """Nesterov's momentum: the velocity is looked at one step ahead.

    ``v_{n+1} = (1 - beta) v_n + beta F_n``, and ``u_n = (1 - beta) v_{n+1} + beta F_n`` takes the place of `F`;
    without `v` it is ``u_n = (1 - beta) u_{n-1} + beta ((2 - beta) F_n - (1 - beta) F_{n-1})``. It helps more than
    `HeavyBall` where the model makes states oscillate.

    Attributes:
        base: a sampler without noise.
        beta: damping, in ``(0, 1]``.

    Source: Wizadwongsa et al., Diffusion sampling with momentum for mitigating divergence artifacts, 2024.
    """

    beta: float = 0.8

    def __post_init__(self) -> None:
        super().__post_init__()
        check_damping("beta", self.beta)

    def recursion(self, levels: Sequence[Level]) -> tuple[Sequence[Weight], Sequence[Weight]]:
        kept = 1.0 - self.beta
        return (kept,), (self.beta * (1.0 + kept), -self.beta * kept)


@dataclass(frozen=True)
class AggregatedMomentum(Momentum):
    """The weighted mean of several velocities, each damped in its own way.

    Each velocity follows ``v_i = (1 - beta_i) v_i + beta_i F_n``, and ``sum_i w_i v_i`` takes the place of `F`. With
    the shift ``E F_n = F_{n-1}`` that is ``sum_i w_i beta_i / (1 - (1 - beta_i) E)`` applied to `F`: over a common
    denominator, a recursion.

    Attributes:
        base: a sampler without noise.
        betas: dampings, in ``(0, 1]``.
        weights: of the velocities; they sum to 1. Equal ones by default.

    Source: Lucas et al., Aggregated momentum: stability through passive damping, 2019.
    """

    betas: tuple[float, ...] = (1.0, 0.5)
    weights: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.betas:
            raise ValueError("betas must hold one damping or more; got none")
        for index, beta in enumerate(self.betas):
            check_damping(f"betas[{index}]", beta)
        if len(self._shares) != len(self.betas) or abs(sum(self._shares) - 1.0) > 1e-9:
            raise ValueError(f"weights must be {len(self.betas)} numbers that sum to 1; got {self.weights!r}")

    @property
    def _shares(self) -> tuple[float, ...]:
        return self.weights if self.weights is not None else (1.0 / len(self.betas),) * len(self.betas)

    def recursion(self, levels: Sequence[Level]) -> tuple[Sequence[Weight], Sequence[Weight]]:
        factors = [(1.0, beta - 1.0) for beta in self.betas]  # 1 - (1 - beta) E, powers ascending
        averages: Any = 0.0
        for index, (share, beta) in enumerate(zip(self._shares, self.betas, strict=True)):
            averages = polynomial.polyadd(averages, share * beta * _product(factors[:index] + factors[index + 1 :]))
        return (-_product(factors)[1:]).tolist(), averages.tolist()


def _product(factors: Sequence[Sequence[float]]) -> Any:
    total: Any = polynomial.polyone
    for factor in factors:
        total = polynomial.polymul(total, factor)
    return total


def check_damping(name: str, beta: Any) -> None:
    """Raise an error unless it is a number in ``(0, 1]``."""
    if isinstance(beta, bool) or not isinstance(beta, int | float) or not 0.0 < beta <= 1.0:
        raise ValueError(f"{name} must be a number above 0 and not above 1, which is no momentum; got {beta!r}")
