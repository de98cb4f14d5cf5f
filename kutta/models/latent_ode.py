"""Irregular series as observations of a latent differential equation.

    z(t0) ~ N(0, 1)        dz/dt = field(t, z)        x(t_i) ~ N(decoder(z(t_i)), sigma^2)

An encoder gives an approximate posterior ``q(z(t0) | x)``, and what is trained is the evidence bound

    log p(x) >= E_q[sum_i log p(x(t_i) | z(t_i))] - KL(q || N(0, 1))

Chen, Rubanova, Bettencourt, Duvenaud, Neural ordinary differential equations, NeurIPS 2018, arXiv
1806.07366; Rubanova, Chen, Duvenaud, Latent ODEs for irregularly-sampled time series, NeurIPS 2019,
arXiv 1907.03907.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.distributions import Normal, kl_divergence

from kutta.models.neural_ode import NeuralODE
from kutta.regularizers.noise import normal
from kutta.regularizers.steer import Steer
from kutta.solution import Solution
from kutta.solvers.method import Method

if TYPE_CHECKING:
    from jaxtyping import Bool, Float


@dataclass(frozen=True)
class LatentPath:
    """What a latent ODE makes of some series.

    Attributes:
        prediction: decoded values at the output times, ``(B, T, C)``.
        start: the approximate posterior of ``z(t0)``.
        latent: the latent states at the output times, ``(B, T, latent)``.
        solution: of the latent equation, with its penalties and statistics.
    """

    prediction: Float[Tensor, "B T C"]
    start: Normal
    latent: Float[Tensor, "B T L"]
    solution: Solution


class LatentODE(nn.Module):
    """Encodes a series, solves the latent equation from there, and decodes it at any times.

    Args:
        encoder: called as ``encoder(times, values, mask)``, gives the distribution of ``z(t0)``: a
            `RecurrentEncoder`, or a module of your own.
        field: the right-hand side of the latent equation, a module called as ``field(z)``, or as
            ``field(t, z)`` with ``autonomous=False``.
        decoder: from latent states ``(..., latent)`` to values ``(..., channels)``.
        deviation: ``sigma``, the standard deviation of an observation.
        method: by default `Tsit5`.
        autonomous: whether `field` does not depend on the time.
        each_alone: whether each series takes steps of its own; otherwise a batch shares its steps.
        steer: whether to move the output times in training, see `Steer.grid`; the targets stay.
        generator: where starts and moves are drawn from; by default PyTorch's global one.
        options: of `kutta.solve`: tolerances, adjoint, penalties and the like.

    Raises:
        ValueError: for a `deviation` that is not positive, or a ``t_span``, which the times of the series give.

    Example:
        >>> import torch, kutta as kt
        >>> from torch import nn
        >>> field = nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 4))
        >>> model = kt.models.LatentODE(
        ...     kt.models.RecurrentEncoder(channels=3, latent=4), field, nn.Linear(4, 3),
        ...     rtol=1e-4, atol=1e-4, penalties={"error": kt.regularizers.ErrorEstimate()},
        ... )
        >>> times, values = torch.linspace(0.0, 1.0, 7), torch.randn(5, 7, 3)
        >>> mask = torch.rand(5, 7, 3) < 0.5
        >>> path = model(times, values, mask)
        >>> loss = -model.evidence(path, values, mask).mean() + 0.1 * path.solution.penalties["error"]
        >>> loss.backward()
        >>> model(times, values, mask, save_at=torch.linspace(0.0, 2.0, 9)).prediction.shape
        torch.Size([5, 9, 3])
    """

    def __init__(
        self,
        encoder: nn.Module,
        field: nn.Module,
        decoder: nn.Module,
        *,
        deviation: float = 0.1,
        method: Method | None = None,
        autonomous: bool = True,
        each_alone: bool = False,
        steer: bool = False,
        generator: torch.Generator | None = None,
        **options: Any,
    ):
        super().__init__()
        if not deviation > 0.0:
            raise ValueError(f"deviation must be positive; got {deviation}")
        _refuse_span(options)
        self.encoder, self.decoder, self.deviation = encoder, decoder, deviation
        self.flow = NeuralODE(field, method, autonomous=autonomous, each_alone=each_alone, **options)
        self.steer, self.generator = steer, generator

    def forward(
        self,
        times: Float[Tensor, "*B T"],
        values: Float[Tensor, "B T C"],
        mask: Bool[Tensor, "B T C"] | None = None,
        save_at: Float[Tensor, "*B S"] | None = None,
        **options: Any,
    ) -> LatentPath:
        """Series to paths. In training the start is drawn from the posterior; in evaluation it is its mean.

        Args:
            times: increasing, ``(T,)`` common to all series, or ``(B, T)``, where each has its own and
                takes steps of its own. A short series is filled up with its last time.
            values: of the series; where `mask` is false they may be anything.
            mask: which values were observed; by default all.
            save_at: times to decode at, not before the first of `times`; by default `times`.
            options: of `kutta.solve`.

        Raises:
            ValueError: for shapes that do not match, and times that are not sorted.
        """
        _refuse_span(options)
        mask = torch.ones_like(values, dtype=torch.bool) if mask is None else mask
        _check(times, values, mask)
        start = self.encoder(times, values, mask)
        outputs = times if save_at is None else _as_times(save_at, times)
        if self.training and self.steer and save_at is None:
            outputs = self._moved(outputs)
        solution = self.flow(self._drawn(start), save_at=outputs.t(), **self._along(times, outputs), **options)
        latent = solution.ys.transpose(0, 1)
        return LatentPath(self.decoder(latent), start, latent, solution)

    def evidence(
        self,
        path: LatentPath,
        values: Float[Tensor, "B T C"],
        mask: Bool[Tensor, "B T C"] | None = None,
        weight: float = 1.0,
    ) -> Float[Tensor, " B"]:
        """The bound of the log-evidence of each series, in nats, from the one path that was drawn.

        Args:
            path: at the times of `values`.
            values: as above.
            mask: as above.
            weight: of the divergence from the prior; raised from 0 to 1 in the course of training, it
                lets the model learn to use its start first.

        Raises:
            ValueError: for a path at other times.
        """
        if path.prediction.shape != values.shape:
            raise ValueError(
                f"path must be at the times of values, of shape {tuple(values.shape)}; "
                f"got {tuple(path.prediction.shape)}"
            )
        mask = torch.ones_like(values, dtype=torch.bool) if mask is None else mask
        error = (torch.where(mask, values, path.prediction) - path.prediction) / self.deviation
        log_norm = math.log(self.deviation) + 0.5 * math.log(2.0 * math.pi)
        fit = -(0.5 * error.square() + log_norm * mask).sum(dim=(1, 2))
        standard = Normal(torch.zeros_like(path.start.mean), torch.ones_like(path.start.mean), validate_args=False)
        return fit - weight * kl_divergence(path.start, standard).sum(dim=-1)

    def _drawn(self, start: Normal) -> Tensor:
        if not self.training:
            return start.mean
        noise = normal(start.mean.shape, self.generator, start.mean.device)
        return start.mean + start.stddev * noise.to(start.mean.dtype)

    def _moved(self, times: Tensor) -> Tensor:
        if times.dim() > 1:
            raise ValueError("steer moves output times that all series share; here each series has its own")
        return Steer.grid(times, self.generator)

    def _along(self, times: Tensor, outputs: Tensor) -> dict[str, Any]:
        """Span of the solve, and whether the series share their steps."""
        alone = self.flow.each_alone or times.dim() > 1 or outputs.dim() > 1
        end = torch.maximum(times[..., -1], outputs[..., -1])
        return {"t_span": (times[..., 0], end), "each_alone": alone}


def _refuse_span(options: dict[str, Any]) -> None:
    if "t_span" in options:
        raise ValueError("t_span is that of the times of the series, and of save_at: leave it out")


def _as_times(save_at: Any, times: Tensor) -> Tensor:
    if isinstance(save_at, str):
        raise ValueError(f"save_at must be times, to decode at; got {save_at!r}")
    return torch.as_tensor(save_at, dtype=times.dtype, device=times.device)


def _check(times: Tensor, values: Tensor, mask: Tensor) -> None:
    if values.dim() != 3 or mask.shape != values.shape or mask.dtype != torch.bool:
        raise ValueError(
            "values must have shape (B, T, C), and mask the same with dtype bool; "
            f"got {tuple(values.shape)}, and {tuple(mask.shape)} with {mask.dtype}"
        )
    if times.shape not in (values.shape[1:2], values.shape[:2]):
        raise ValueError(
            f"times must have shape {tuple(values.shape[1:2])} or {tuple(values.shape[:2])}; got {tuple(times.shape)}"
        )
    if bool((times.diff(dim=-1) < 0).any()):
        raise ValueError("times must be sorted, from the first to the last")
