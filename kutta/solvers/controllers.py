"""Step-size control: from the size of the local error to the next step size.

A trial step of size ``h`` is accepted when ``r = norm(error / (atol + rtol * max(|y0|, |y1|))) <= 1``.
The next step size is ``h * factor`` with

    factor = safety * r_n^(-b1/k) * r_{n-1}^(-b2/k) * r_{n-2}^(-b3/k),

    b1 = proportional + integral + derivative,  b2 = -(proportional + 2 derivative),  b3 = derivative,

``k`` being the local order of the error estimate (Soderlind, Automatic control and adaptive
time-stepping, Numerical Algorithms 31, 2002). The formulas take Python numbers, for a problem with
one step size, as well as tensors with one entry a trajectory.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from numbers import Real
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

Number = Any  # a float, or a tensor with one entry a trajectory
Norm = Callable[[Any], Tensor]

# Ratios are kept within this range, so that a vanishing error or an infinite one is just small or large.
SMALLEST_RATIO, LARGEST_RATIO = 1e-10, 1e10


def tame(ratio: Number) -> Number:
    """The error ratio without zero, infinity and NaN."""
    if isinstance(ratio, Tensor):
        return ratio.nan_to_num(nan=LARGEST_RATIO).clamp(SMALLEST_RATIO, LARGEST_RATIO)
    return min(max(ratio, SMALLEST_RATIO), LARGEST_RATIO) if ratio == ratio else LARGEST_RATIO


def _clip(value: Number, low: float, high: float) -> Number:
    return value.clamp(low, high) if isinstance(value, Tensor) else min(max(value, low), high)


@dataclass(frozen=True)
class Controller:
    """What every controller shares: times to land on.

    Attributes:
        step_ts: times at which a step must end exactly.
        jump_ts: times at which `f` is discontinuous: a step ends there and the next one starts afresh.
        max_step: the largest size of a step from where it starts, a function ``(t, y) -> size`` of time and state, such
            as a Courant-Friedrichs-Lewy condition. Read from the device before each step; no gradient flows through it.
            Not for ensembles.
    """

    step_ts: Sequence[float] | Tensor = field(default=(), kw_only=True)
    jump_ts: Sequence[float] | Tensor = field(default=(), kw_only=True)
    max_step: Callable[[Any, Any], Any] | None = field(default=None, kw_only=True)

    dtmin: ClassVar[float] = 0.0
    dtmax: ClassVar[float] = math.inf
    force_dtmin: ClassVar[bool] = False
    norm: ClassVar[Norm | None] = None

    def __post_init__(self) -> None:
        for name in ("step_ts", "jump_ts", "ts"):
            times = getattr(self, name, ())
            if len(times) and not bool(torch.isfinite(torch.as_tensor(times)).all()):
                raise ValueError(f"{name} must hold finite times; got {times!r}")
        if self.max_step is not None and not callable(self.max_step):
            raise TypeError(
                f"max_step must be a function of (t, y); got {self.max_step!r}: for a number use dtmax of PID"
            )

    @property
    def limits(self) -> bool:
        """Whether the size of a step is limited by the state that it starts from."""
        return self.max_step is not None

    def limit(self, t: Any, y: Any) -> Any:
        """That limit."""
        return math.inf if self.max_step is None else self.max_step(t, y)


@dataclass(frozen=True)
class PID(Controller):
    """The proportional-integral-derivative controller of the formula above.

    Attributes:
        proportional: weight of the change of the error. With the defaults 0.2 and 0.8 smooth problems
            take about as few steps as with the integral rule alone, and few steps are rejected where
            stability limits them (``benchmarks/controllers.py``).
        integral: weight of the error itself.
        derivative: weight of the second difference of the error.
        safety: aims below the tolerance, so that fewer steps are rejected.
        min_factor: smallest change of the step size.
        max_factor: largest change of the step size.
        dtmin: smallest step size; a smaller one ends the solve with ``STEP_UNDERFLOW``.
        dtmax: largest step size.
        force_dtmin: accept steps of size `dtmin` whatever their error instead of failing.
        norm: maps the scaled error, in the structure of the state, to a number; by default the root
            mean square over all entries. In an ensemble it is called once for each trajectory.

    Example:
        >>> import kutta as kt
        >>> kt.PID(0.4, 0.3).proportional
        0.4
    """

    proportional: float = 0.2
    integral: float = 0.8
    derivative: float = 0.0
    safety: float = 0.9
    min_factor: float = 0.2
    max_factor: float = 10.0
    dtmin: float = field(default=0.0, kw_only=True)
    dtmax: float = field(default=math.inf, kw_only=True)
    force_dtmin: bool = field(default=False, kw_only=True)
    norm: Norm | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0.0 <= self.dtmin <= self.dtmax:
            raise ValueError(f"need 0 <= dtmin <= dtmax; got dtmin={self.dtmin}, dtmax={self.dtmax}")
        if not 0.0 < self.safety <= 1.0 or not 0.0 < self.min_factor < 1.0 < self.max_factor:
            raise ValueError(
                "need 0 < safety <= 1 and 0 < min_factor < 1 < max_factor; "
                f"got {self.safety}, {self.min_factor}, {self.max_factor}"
            )

    @property
    def memory(self) -> int:
        """How many earlier error ratios the formula uses."""
        return 2 if self.derivative else 1 if self.proportional else 0

    def powers(self, error_order: int) -> tuple[float, float, float]:
        """What the error ratios are raised to, the newest first."""
        p, i, d = self.proportional, self.integral, self.derivative
        return -(p + i + d) / error_order, (p + 2 * d) / error_order, -d / error_order

    def factor(self, ratio: Number, earlier: Sequence[Number], error_order: int) -> tuple[Number, Number]:
        """The error ratio, tamed, and the change of the step size after it.

        `earlier` holds the tamed ratios of the last accepted steps, newest first. A rejected step
        (``ratio > 1``) follows the same formula and comes out smaller by at least `safety`.
        """
        power, *others = self.powers(error_order)
        ratio = tame(ratio)
        value = ratio**power * self.safety
        for power, past in zip(others, earlier, strict=False):
            if power:
                value = value * past**power
        return ratio, _clip(value, self.min_factor, self.max_factor)


@dataclass(frozen=True)
class I(PID):  # noqa: E742 - the controller's name
    """The integral controller ``safety * r^(-1/k)``: fewest steps where accuracy limits them."""

    proportional: float = 0.0
    integral: float = 1.0


@dataclass(frozen=True)
class PI(PID):
    """Gustafsson's proportional-integral controller PI.3.4, smoothest where stability limits the step.

    Gustafsson, Control-theoretic techniques for stepsize selection in explicit Runge-Kutta methods,
    ACM Transactions on Mathematical Software 17, 1991.
    """

    proportional: float = 0.4
    integral: float = 0.3


@dataclass(frozen=True)
class Fixed(Controller):
    """Steps of one size; the last is cut to land on the final time.

    Attributes:
        dt: the step size, positive whatever the direction of time.

    Example:
        >>> import torch, kutta as kt
        >>> problem = kt.ODEProblem(lambda t, y: -y, torch.ones(1), (0.0, 1.0))
        >>> kt.solve(problem, kt.RK4(), controller=kt.Fixed(0.1)).stats.steps
        10
    """

    dt: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (self.dt > 0.0 and math.isfinite(self.dt)):
            raise ValueError(f"Fixed(dt) needs a positive, finite step size; got {self.dt}")


@dataclass(frozen=True)
class CFL(Controller):
    """Steps as large as a Courant-Friedrichs-Lewy condition allows, ``number * crossing(t, y)``.

    Attributes:
        crossing: the time in which the fastest wave of a state crosses a cell, a function ``(t, y) -> time`` such as
            the smallest ``dx / (|u| + c)``.
        number: the Courant number, which the method and the scheme in space must allow.

    Example:
        >>> import torch, kutta as kt
        >>> def burgers(t, u, dx=0.01):
        ...     flux = 0.5 * u**2
        ...     return -(flux - flux.roll(1)) / dx
        >>> u0 = 2 + torch.sin(2 * torch.pi * torch.arange(100, dtype=torch.float64) / 100)
        >>> controller = kt.CFL(lambda t, u: 0.01 / u.abs().max(), number=0.9)
        >>> kt.solve(kt.ODEProblem(burgers, u0, (0.0, 0.1)), kt.SSPRK33(), controller=controller).stats.steps
        34
    """

    crossing: Callable[[Any, Any], Any]
    number: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not callable(self.crossing):
            raise TypeError(f"CFL(crossing) needs a function of (t, y); got {self.crossing!r}")
        if not 0.0 < self.number < math.inf:
            raise ValueError(f"CFL(crossing, number) needs a positive, finite number; got {self.number!r}")

    @property
    def limits(self) -> bool:
        """Always."""
        return True

    def limit(self, t: Any, y: Any) -> Any:
        """The largest size of a step from here."""
        crossing = self.crossing(t, y)
        if not isinstance(crossing, Tensor | Real):
            raise TypeError(f"crossing(t, y) must return a time; got {crossing!r}")
        return torch.minimum(*(torch.as_tensor(one) for one in (self.number * crossing, super().limit(t, y))))


@dataclass(frozen=True)
class StepTo(Controller):
    """A prescribed list of step ends.

    Attributes:
        ts: times in the direction of the solve, from the first to the last of ``t_span``.
    """

    ts: Sequence[float] | Tensor = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.ts) < 2:
            raise ValueError(f"StepTo(ts) needs the initial and the final time at least; got {len(self.ts)} times")


def rms_norm(tree: Any) -> Tensor:
    """Root mean square over all entries of a tensor or pytree of tensors."""
    leaves = pytree.tree_leaves(tree)
    squares = torch.stack([torch.linalg.vector_norm(leaf).square() for leaf in leaves])
    return torch.sqrt(squares.sum() / sum(leaf.numel() for leaf in leaves))


def max_norm(tree: Any) -> Tensor:
    """Largest absolute value over all entries of a tensor or pytree of tensors."""
    return torch.stack([leaf.abs().max() for leaf in pytree.tree_leaves(tree)]).max()
