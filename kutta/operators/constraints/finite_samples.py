"""Networks whose samples do not harm each other."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from kutta.pde.grids.grid import Grid


def applied(network: nn.Module, a: Tensor, grid: Grid) -> Any:
    """What a network makes of samples; NaN, without derivatives, of those of which it does not make numbers.

    A cotangent of zero times what is no number is no number, in the weights that all samples share. So the network
    reads zeros in place of such samples, which are those that are too large for its dtype.

    Args:
        network: maps ``(n, inputs, *shape)`` to ``(n, fields, *shape)``.
        a: samples.
        grid: where they are.

    Returns:
        what the network does, also if that is no tensor of samples.
    """
    found = network(a, grid)
    if not (isinstance(found, Tensor) and len(found) == len(a)):
        return found
    finite = found.detach().flatten(1).isfinite().all(1)
    if bool(finite.all()):
        return found
    one_a_sample = finite.reshape(-1, *[1] * (a.dim() - 1))
    return torch.where(one_a_sample, network(torch.where(one_a_sample, a, 0.0), grid), torch.nan)
