"""A density carried along by a learned flow.

Points start from a standard normal distribution at ``t0`` and follow ``dy/dt = f(t, y)`` to the data at
``t1``. Along the way

    d log p(y(t)) / dt = -div f(t, y(t)),        div f = tr(df/dy)

so that the log-density of a datum is found by solving for both backwards. The trace is exact, by one
forward product for each coordinate, all of them in one batch; or estimated without bias (Hutchinson) by
``eps^T (df/dy) eps`` with noise ``eps`` of unit covariance, drawn once a solve, so that what is solved
stays an ordinary differential equation.

Chen, Rubanova, Bettencourt, Duvenaud, NeurIPS 2018, arXiv 1806.07366; Grathwohl, Chen, Bettencourt,
Sutskever, Duvenaud, FFJORD, ICLR 2019, arXiv 1810.01367.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor, nn

from kutta.models.neural_ode import check_field, solve_batch
from kutta.regularizers.choices import check_choice
from kutta.regularizers.noise import normal, rademacher
from kutta.regularizers.regularizer import Regularizer
from kutta.solution import Solution
from kutta.solvers.method import Method

if TYPE_CHECKING:
    from jaxtyping import Float

Trace = Literal["exact", "hutchinson"]
Slope = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Density:
    """The log-densities of some points.

    Attributes:
        log_prob: in nats, ``(B,)``.
        base: where the points come from, ``(B, ...)``.
        solution: of the flow, with its penalties and statistics; its state is ``(y, log-density)``.
    """

    log_prob: Float[Tensor, " B"]
    base: Float[Tensor, "B ..."]
    solution: Solution


class ContinuousFlow(nn.Module):
    """A continuous normalising flow (FFJORD).

    The log-density is part of the state, and of the error that the controller sees; with
    ``controller=kt.PID(norm=lambda state: kt.rms_norm(state[0]))`` it is not. The penalties of
    `kutta.regularizers` look at the points alone, unless their `part` says otherwise; one of your own sees
    the whole state, unless it has `restricted`.

    Args:
        field: the right-hand side, a module called as ``field(t, y, *args)``, each point for itself.
        shape: of a point, ``(d,)`` or for images ``(C, H, W)``; an integer stands for the first.
        method: by default `Tsit5`.
        t_span: the times of the normal distribution and of the data.
        trace: ``"exact"``, whose cost grows with the number of coordinates, or ``"hutchinson"``.
        autonomous: whether `field` does not depend on the time and is called as ``field(y, *args)``.
        each_alone: whether each point takes steps of its own; otherwise a batch shares its steps.
        generator: where noise and samples are drawn from; by default PyTorch's global one.
        options: of `kutta.solve`: tolerances, adjoint, penalties and the like.

    Example:
        >>> import torch, kutta as kt
        >>> from torch import nn
        >>> field = nn.Sequential(nn.Linear(2, 32), nn.Tanh(), nn.Linear(32, 2))
        >>> penalties = {"error": kt.regularizers.ErrorEstimate()}
        >>> flow = kt.models.ContinuousFlow(field, 2, autonomous=True, rtol=1e-4, atol=1e-4, penalties=penalties)
        >>> density = flow(torch.randn(64, 2))
        >>> (0.1 * density.solution.penalties["error"] - density.log_prob.mean()).backward()
        >>> flow.sample(5).shape
        torch.Size([5, 2])
    """

    def __init__(
        self,
        field: nn.Module,
        shape: int | Sequence[int],
        method: Method | None = None,
        t_span: tuple[float, float] = (0.0, 1.0),
        *,
        trace: Trace = "exact",
        autonomous: bool = False,
        each_alone: bool = False,
        generator: torch.Generator | None = None,
        penalties: dict[str, Regularizer] | None = None,
        **options: Any,
    ):
        super().__init__()
        check_field(field)
        check_choice("trace", trace, Trace)
        self.field, self.method, self.t_span = field, method, t_span
        self.shape = (shape,) if isinstance(shape, int) else tuple(shape)
        self.trace, self.autonomous, self.each_alone = trace, autonomous, each_alone
        self.generator, self.options = generator, options
        self.penalties = penalties or {}

    def forward(self, x: Float[Tensor, "B ..."], *args: Any, **options: Any) -> Density:
        """The log-density of data.

        Args:
            x: points, ``(B, *shape)``.
            args: handed on to the field.
            options: of `kutta.solve`.

        Raises:
            ValueError: for points of another shape.
        """
        if x.shape[1:] != self.shape:
            raise ValueError(f"x must have shape (B, {', '.join(map(str, self.shape))}); got {tuple(x.shape)}")
        signs = rademacher(x.shape, self.generator, x.device).to(x.dtype) if self.trace == "hutchinson" else None
        state, back = (x, torch.zeros_like(x.flatten(1)[:, 0])), (self.t_span[1], self.t_span[0])
        options = {"penalties": self.penalties} | self.options | options
        options["penalties"] = {name: one.restricted(_points) for name, one in options["penalties"].items()}
        solution = solve_batch(self._with_density, state, back, (signs, *args), self.method, self.each_alone, options)
        base, change = solution.y1
        return Density(_log_normal(base) - change, base, solution)

    def sample(self, count: int, *args: Any, **options: Any) -> Float[Tensor, "B ..."]:
        """Points of the flow's distribution, of the dtype and device of the field's parameters.

        Args:
            count: how many.
            args: handed on to the field.
            options: of `kutta.solve`.
        """
        like = next(self.field.parameters(), torch.empty(()))
        start = normal((count, *self.shape), self.generator, like.device).to(like.dtype)
        options = self.options | options
        return solve_batch(self._slope, start, self.t_span, args, self.method, self.each_alone, options).y1

    def _slope(self, t: Tensor, y: Tensor, *args: Any) -> Tensor:
        return self.field(y, *args) if self.autonomous else self.field(t, y, *args)

    def _with_density(self, t: Tensor, state: Any, signs: Tensor | None, *args: Any) -> tuple[Tensor, Tensor]:
        def slope(y: Tensor) -> Tensor:
            return self._slope(t, y, *args)

        value, divergence = _exact(slope, state[0]) if signs is None else _estimated(slope, state[0], signs)
        return value, -divergence


def _exact(slope: Slope, y: Tensor) -> tuple[Tensor, Tensor]:
    """The slope and its divergence, from the derivative along every coordinate."""
    size = y[0].numel()
    basis = torch.eye(size, dtype=y.dtype, device=y.device).reshape(size, 1, *y.shape[1:])

    def along(direction: Tensor) -> Any:
        return torch.func.jvp(slope, (y,), (direction.expand_as(y),))

    # The slope itself is the same for all directions.
    value, derivatives = torch.func.vmap(along, out_dims=(None, 0))(basis)  # type: ignore[arg-type]
    return value, (derivatives * basis).flatten(2).sum(dim=(0, 2))


def _estimated(slope: Slope, y: Tensor, signs: Tensor) -> tuple[Tensor, Tensor]:
    """The slope and ``eps^T J eps``."""
    value, pull, *_ = torch.func.vjp(slope, y)
    return value, (pull(signs)[0] * signs).flatten(1).sum(dim=1)


def _log_normal(y: Tensor) -> Tensor:
    flat = y.flatten(1)
    return -0.5 * (flat.square().sum(dim=1) + flat.shape[1] * math.log(2.0 * math.pi))


def _points(state: tuple[Tensor, Tensor]) -> Tensor:
    return state[0]
