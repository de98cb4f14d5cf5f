"""Between the units of a problem and those in which a network learns."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from jaxtyping import Float


class Normalisation(nn.Module):
    """``(u - mean) / deviation``, of each channel over all samples and points.

    One number a channel, so that it holds on all grids. A channel that does not vary is only shifted. One that is zero
    at sides should only be scaled: shifted by a constant it is not zero there, and few sines do not make up a jump.

    Args:
        channels: how many.

    Example:
        >>> import torch, kutta as kt
        >>> u = 3.0 + 2.0 * torch.randn(100, 1, 64)
        >>> units = kt.operators.Normalisation.of(u)
        >>> bool((units(u).std() - 1.0).abs() < 1e-3), bool(torch.allclose(units.inverse(units(u)), u, atol=1e-5))
        (True, True)
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, channels: int):
        super().__init__()
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("deviation", torch.ones(channels))

    @classmethod
    def of(cls, u: Float[Tensor, "n c *s"], shifts: bool = True) -> Normalisation:
        """That of some data.

        Args:
            u: values at points.
            shifts: whether their mean is taken away. Without, the mean is 0 and the deviation from it that of zero.
        """
        made, channels = cls(u.shape[1]), u.detach().double().transpose(0, 1).flatten(1)
        mean = channels.mean(1) if shifts else torch.zeros_like(channels[:, 0])
        spread = (channels - mean[:, None]).square().mean(1).sqrt()
        made.mean.copy_(mean)
        made.deviation.copy_(torch.where(spread > 1e-12 * channels.abs().amax(1), spread, 1.0))
        return made

    def forward(self, u: Float[Tensor, "n c *s"]) -> Float[Tensor, "n c *s"]:
        """Of mean 0 and deviation 1."""
        return (u - _along(self.mean, u)) / _along(self.deviation, u)

    def inverse(self, u: Float[Tensor, "n c *s"]) -> Float[Tensor, "n c *s"]:
        """In the units of the data."""
        return _along(self.mean, u) + _along(self.deviation, u) * u


def _along(numbers: Tensor, u: Tensor) -> Tensor:
    return numbers.to(u.dtype).reshape(-1, *[1] * (u.dim() - 2))
