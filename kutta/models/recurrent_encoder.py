"""From an irregular series to a distribution of the state that it started from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.distributions import Normal
from torch.nn import functional

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

# The smallest standard deviation of a start: at zero the divergence from any prior is infinite.
FLOOR = 1e-4


class RecurrentEncoder(nn.Module):
    """A gated recurrent unit that reads a series backwards, and says where it may have started.

        h_i = GRU([m_i x_i, m_i, t_{i+1} - t_i], h_{i+1}),    i = n..1
        mean, raw = W_2 tanh(W_1 [h_1, t_1 - t_0] + b_1) + b_2,    deviation = softplus(raw) + 1e-4

    with the values ``x``, and ``m``, one where a value was observed and zero elsewhere. Only the ``n`` times
    count at which something was observed, so that a series is the same with and without the others.

    Args:
        channels: values at a time.
        latent: size of the start.
        hidden: size of the recurrent state; 40, as in the latent ODE that was published for records of
            patients (Rubanova, Chen, Duvenaud, NeurIPS 2019, arXiv 1907.03907).
        width: of the layer between that state and the distribution; 50, as there.

    Example:
        >>> import torch, kutta as kt
        >>> encoder = kt.models.RecurrentEncoder(channels=3, latent=4)
        >>> times, values = torch.linspace(0.0, 1.0, 7), torch.randn(5, 7, 3)
        >>> encoder(times, values, torch.rand(5, 7, 3) < 0.5).mean.shape
        torch.Size([5, 4])
    """

    def __init__(self, channels: int, latent: int, hidden: int = 40, width: int = 50):
        super().__init__()
        self.unit = nn.GRU(2 * channels + 1, hidden, batch_first=True)
        self.head = nn.Sequential(nn.Linear(hidden + 1, width), nn.Tanh(), nn.Linear(width, 2 * latent))

    def forward(
        self, times: Float[Tensor, "*B T"], values: Float[Tensor, "B T C"], mask: Bool[Tensor, "B T C"]
    ) -> Normal:
        """The distribution of the state at the first of `times`, for every series."""
        times = times.expand(values.shape[:2])
        seen = mask.any(dim=-1).flip(1)
        # Observed times first, the latest at the head, the others behind them.
        order = torch.argsort((~seen).to(torch.uint8), dim=1, stable=True)
        moments = times.flip(1).gather(1, order)
        gaps = functional.pad(moments[:, :-1] - moments[:, 1:], (1, 0)).to(values.dtype)
        shown = torch.cat([torch.where(mask, values, 0.0), mask.to(values.dtype)], dim=-1).flip(1)
        shown = shown.gather(1, order[..., None].expand_as(shown))
        states, _ = self.unit(torch.cat([shown, gaps[..., None]], dim=-1))
        # What comes behind the last observation cannot change the state there.
        last = (seen.sum(dim=1) - 1).clamp(min=0)[:, None]
        state = states.gather(1, last[..., None].expand(-1, -1, states.shape[-1]))[:, 0]
        rest = (moments.gather(1, last) - times[:, :1]).to(values.dtype)
        rest = torch.where(seen.any(dim=1, keepdim=True), rest, 0.0)  # nothing was seen: whenever that was
        mean, raw = self.head(torch.cat([state, rest], dim=-1)).chunk(2, dim=-1)
        return Normal(mean, functional.softplus(raw) + FLOOR, validate_args=False)
