"""Against neuraloperator and DeepXDE: the same data, as many weights, as many minutes of training."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

import kutta as kt
from benchmarks import deeponet
from benchmarks._race import RATE, Run, fields, race, weights
from benchmarks._report import Report, arguments, finish

operators = kt.operators
MINUTES, SEEDS = 1.0, 3

RATE_BELOW = deeponet.RATE / 5


class Peer(operators.Operator):
    """neuraloperator's FNO as it comes."""

    def __init__(self, in_channels: int, out_channels: int, modes: Sequence[int], width: int):
        super().__init__()
        from neuralop.models import FNO

        self.in_channels, self.out_channels, self.modes, self.width = in_channels, out_channels, tuple(modes), width
        self.dim, self.network = len(self.modes), FNO(self.modes, in_channels, out_channels, width)

    def transform(self, a: Tensor, grid: kt.pde.Grid) -> Tensor:
        return self.network(a)


def functions(make: Callable[[int], Any], train: Callable[[Any, deeponet.Pair, int], Any], case: deeponet.Case) -> Run:
    """Training of a DeepONet by its own trainer; the error is the mean squared one."""
    samples = case.samples(10_000, deeponet.AT, 0.2, 0)
    test = case.samples(10_000, deeponet.ELSEWHERE, 0.2, 11)

    def run(steps: int, seed: int) -> tuple[float, float]:
        network = make(seed)
        begun = time.process_time()
        train(network, samples, steps)
        seconds = time.process_time() - begun
        return seconds, deeponet.errors(called(network), test, deeponet.ELSEWHERE)[0]

    return run


def called(network: Any) -> Callable[[Tensor, Tensor], Tensor]:
    """With two arguments: DeepXDE's takes a pair."""
    if isinstance(network, kt.operators.DeepONet):
        return network
    return lambda u, y: network((u, y))


def fourier(report: Report, quick: bool, minutes: float, seeds: int) -> None:
    """FNO on two families."""
    points, samples, tests = (16, 32, 8) if quick else (32, 512, 128)
    width = 8 if quick else 32
    for title, family, modes in (
        (f"Darcy, {points}^2, two materials, {samples} samples", operators.data.darcy(points), (12, 12)),
        (f"Burgers, {4 * points} points, viscosity 0.01, {samples} samples", operators.data.burgers(4 * points), (32,)),
    ):
        data, test = operators.data.generate(family, samples + tests, seed=0).split(samples, tests)
        makers = {
            "kutta FNO": lambda modes=modes: operators.FNO(
                1, 1, modes, width, lift=2 * width, project=2 * width, mixing=width // 2
            ),
            "neuraloperator FNO": lambda modes=modes: Peer(1, 1, modes, width),
        }
        counts = [weights(make()) for make in makers.values()]
        runs = {name: fields(make, data, test) for name, make in makers.items()}
        race(report, f"{title}, relative L2 error", runs, counts, minutes, seeds)


def deep(report: Report, quick: bool, minutes: float, seeds: int) -> None:
    """DeepONet on two problems."""
    width = 8 if quick else deeponet.WIDTH
    count = weights(deeponet.network(width))
    as_wide = next(one for one in range(width, 10 * width) if weights(deeponet.peer_network(one)) >= count)
    counts = count, weights(deeponet.plain(as_wide)), *[weights(deeponet.peer_network(as_wide))] * 2
    for case in deeponet.CASES[:1] if quick else deeponet.CASES[:2]:
        runs = {
            "kutta": functions(lambda seed: deeponet.network(width, seed), deeponet.trained, case),
            "kutta, as published": functions(lambda seed: deeponet.plain(as_wide, seed), deeponet.trained, case),
            "DeepXDE, a fifth of the rate": functions(
                lambda seed: deeponet.peer_network(as_wide, seed), partial(deeponet.peer_trained, rate=RATE_BELOW), case
            ),
            "DeepXDE": functions(lambda seed: deeponet.peer_network(as_wide, seed), deeponet.peer_trained, case),
        }
        title = f"{case.name}, 10,000 functions, batches of {deeponet.BATCH}, mean squared error"
        race(report, title, runs, counts, minutes / 2, seeds)


NOTES = (
    "Minutes of one processor core, in which each takes as many steps as fit by its own pace in a shorter run before. "
    "Medians and ranges over seeds of weights and of the order of samples; float32.",
    f"Both FNOs: the same trainer, relative L2 loss, AdamW, one cycle of rates up to {RATE:g}, which was searched for "
    "neither. neuraloperator's with its default settings, ours of the same sizes; Darcy has walls, beyond which ours "
    "continues the fields.",
    f"DeepONets by the trainer of each library with Adam, ours fused, rates up to {deeponet.RATE:g}, which was chosen "
    "for ours. kutta: branch with a linear part, trunk of waves, SiLU, zero at zero. All others: the published "
    "network, ReLU, wide enough for as many weights.",
)


def main(argv: Sequence[str] | None = None) -> Report:
    """Run and report."""
    options = arguments(argv, __doc__, repeats=SEEDS)
    torch.set_num_threads(1)
    minutes = 0.002 if options.quick else MINUTES
    report = Report("operators-peers", "What do equal minutes of training teach?", {"dtype": "float32"})
    report.notes += NOTES
    deep(report, options.quick, minutes, options.repeats)
    fourier(report, options.quick, minutes, options.repeats)
    finish(report, options)
    return report


if __name__ == "__main__":
    main()
