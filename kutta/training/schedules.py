"""Learning rates that follow a plan, for `kutta.training.Task`."""

from __future__ import annotations

import math
from collections.abc import Callable

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler

Schedule = Callable[[Optimizer, int], LRScheduler]


def one_cycle(warm: float = 0.2, first: float = 0.5, last: float = 0.01) -> Schedule:
    """From a part of the optimiser's learning rate up to all of it, then down to nearly nothing, by half cosines.

    Momentum is left alone.

    Args:
        warm: the share of the steps on the way up.
        first: of the learning rate, at the first step.
        last: of the learning rate, at the last one.

    Source: Smith and Topin, Super-convergence, 2018, arXiv 1708.07120; with these numbers in He, Liu, Xu, MgNO, ICLR
    2024, arXiv 2310.19809.

    Example:
        >>> import torch
        >>> from kutta.training.schedules import one_cycle
        >>> optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
        >>> rates = one_cycle()(optimizer, 11)
        >>> found = []
        >>> for _ in range(11):
        ...     found.append(optimizer.param_groups[0]["lr"])
        ...     optimizer.step()
        ...     rates.step()
        >>> found[0], found[2], round(found[10], 6)
        (0.5, 1.0, 0.01)
    """

    def factor(done: float) -> float:
        if done <= warm:
            return _between(first, 1.0, done / warm if warm else 1.0)
        return _between(1.0, last, (done - warm) / (1.0 - warm))

    return _of(factor)


def cosine(warm: float = 0.0, last: float = 0.0) -> Schedule:
    """Down from the optimiser's learning rate by half a cosine, after a linear rise.

    Args:
        warm: the share of the steps on the way up.
        last: of the learning rate, at the last step.

    Source: Loshchilov and Hutter, SGDR, ICLR 2017, arXiv 1608.03983.
    """

    def factor(done: float) -> float:
        return done / warm if done < warm else _between(1.0, last, (done - warm) / (1.0 - warm))

    return _of(factor)


def _of(factor: Callable[[float], float]) -> Schedule:
    def schedule(optimizer: Optimizer, steps: int) -> LRScheduler:
        return LambdaLR(optimizer, lambda step: factor(min(step / max(steps - 1, 1), 1.0)))

    return schedule


def _between(start: float, end: float, part: float) -> float:
    return end + 0.5 * (start - end) * (1.0 + math.cos(math.pi * part))
