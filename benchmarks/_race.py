"""Networks that are trained for as many minutes of a processor core."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import torch

import kutta as kt
from benchmarks._measure import Spread, ratio
from benchmarks._report import Report, verdict

operators = kt.operators
L2 = operators.metrics.relative_l2
BATCH, RATE, WARM_UP = 8, 2e-3, 30

# Trains and tests for so many steps from a seed: seconds of the processor, and the error.
Run = Callable[[int, int], tuple[float, float]]


def fields(make: Callable[[], Any], data: Any, test: Any) -> Run:
    """Training of an operator on fields; the error is the mean relative L2 one."""

    def run(steps: int, seed: int) -> tuple[float, float]:
        torch.manual_seed(seed)
        model = operators.TrainedOperator.for_data(make(), data)
        begun = time.process_time()
        operators.train(model, data, steps, batch=BATCH, lr=RATE, seed=seed, progress=False)
        seconds = time.process_time() - begun
        return seconds, operators.evaluate(model, test, {"error": L2})["error"]

    return run


def race(report: Report, title: str, runs: dict[str, Run], counts: Sequence[int], minutes: float, seeds: int) -> None:
    """As many steps of each as fit into the minutes; the last is what the others are measured against."""
    ours, *_, theirs = runs
    columns = ("who", "weights", "steps", "ms a step", "minutes", "error", f"{theirs} / this", "bar")
    table = report.table(title, *columns)
    steps = {name: steps_within(minutes, run) for name, run in runs.items()}
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in runs}
    for seed in range(seeds):
        for name, run in runs.items():
            found[name].append(run(steps[name], seed))
    for (name, results), count in zip(found.items(), counts, strict=True):
        each = Spread.of([1e3 * seconds / steps[name] for seconds, _ in results])
        spent, error = Spread.of([seconds / 60.0 for seconds, _ in results]), Spread.of([one for _, one in results])
        gain = ratio([one for _, one in found[theirs]], [one for _, one in results]) if name != theirs else None
        bar = verdict(gain, 1.0) if gain and name == ours else None
        table.add(name, count, steps[name], each, spent, error, gain, bar)


def steps_within(minutes: float, run: Run) -> int:
    """How many fit into these minutes: by ever longer runs, until one has taken a quarter of them."""
    steps, seconds = WARM_UP, 0.0
    while seconds < 15.0 * minutes:
        steps *= 2
        seconds, _ = run(steps, 0)
    return max(WARM_UP, int(60.0 * minutes * steps / seconds))


def weights(model: torch.nn.Module) -> int:
    """Real numbers that are trained."""
    return sum(one.numel() * (2 if one.is_complex() else 1) for one in model.parameters())
