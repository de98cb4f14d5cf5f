"""Darcy flow through two materials: what operators learn from 512 solutions, and in which time."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import torch

import kutta as kt
from benchmarks._measure import Spread
from benchmarks._report import Report, arguments, finish, verdict

operators = kt.operators
POINTS, SAMPLES, TESTS, BATCH, EPOCHS, SEEDS = 64, 512, 128, 8, 40, 3
BAR = 2.0  # percent
H1, L2 = operators.metrics.relative_h1, operators.metrics.relative_l2
MGNO = {"layers": 3, "sweeps": (1, 1, 1, 1, 1, 2)}

# Name, network, largest learning rate, epochs.
NETWORKS: tuple[tuple[str, Callable[[], Any], float, int], ...] = (
    ("MgNO", lambda: operators.MgNO(1, 1, width=16, **MGNO), 4e-3, EPOCHS),
    ("FNO", lambda: operators.FNO(1, 1, (16, 16), width=32), 2e-3, EPOCHS),
    ("T1", lambda: operators.T1(1, 1, (24, 24), width=24, layers=4), 1e-3, EPOCHS),
)
SMALL = (
    ("MgNO", lambda: operators.MgNO(1, 1, width=4, layers=1, sweeps=(1, 1, 1)), 1e-3, 1),
    ("FNO", lambda: operators.FNO(1, 1, (8, 8), width=4, layers=1), 1e-3, 1),
)


def data_for(points: int) -> tuple[Any, Any]:
    """Samples to train on and to test with, the same in every process."""
    samples, tests = (SAMPLES, TESTS) if points == POINTS else (16, 8)
    return operators.data.generate(operators.data.darcy(points), samples + tests, seed=0).split(samples, tests)


def networks(points: int) -> Sequence[tuple[str, Callable[[], Any], float, int]]:
    """All of them, or small ones for a small grid."""
    return NETWORKS if points == POINTS else SMALL


def trained(points: int, which: int, seed: int) -> tuple[dict[str, float], float]:
    """Errors on the test set in percent, and minutes of training."""
    torch.set_num_threads(1)
    data, test = data_for(points)
    _, make, rate, epochs = networks(points)[which]
    torch.manual_seed(seed)
    model = operators.TrainedOperator.for_data(make(), data)
    steps = epochs * (len(data) // BATCH)
    start = time.process_time()
    operators.train(model, data, steps, batch=BATCH, loss=H1, lr=rate, seed=seed, progress=False)
    minutes = (time.process_time() - start) / 60.0
    errors = operators.evaluate(model, test, {"L2": L2, "H1": H1})
    return {name: 100.0 * one for name, one in errors.items()}, minutes


def main(argv: Sequence[str] | None = None) -> Report:
    """Run and report."""
    options = arguments(argv, __doc__, repeats=SEEDS)
    points = 16 if options.quick else POINTS
    samples, tests = map(len, data_for(points))
    settings = {"points": points, "samples": samples, "tests": tests, "batch": BATCH}
    report = Report("operators-darcy", "What do operators learn from 512 solutions of Darcy's problem?", settings)
    title = f"Relative errors on {tests} further problems, {points}^2, two materials 3/12"
    table = report.table(title, "network", "weights", "L2, %", "H1, %", "minutes", f"{BAR:g} / L2", "bar")
    runs = [(points, which, seed) for which in range(len(networks(points))) for seed in range(options.repeats)]
    with ProcessPoolExecutor(os.cpu_count(), get_context("spawn")) as processes:
        found = list(processes.map(trained, *zip(*runs, strict=True)))
    for which, (name, make, _, _) in enumerate(networks(points)):
        mine = [one for (_, of, _), one in zip(runs, found, strict=True) if of == which]
        l2, h1 = (Spread.of([errors[one] for errors, _ in mine]) for one in ("L2", "H1"))
        minutes, margin = Spread.of([one for _, one in mine]), Spread.of([BAR / one["L2"] for one, _ in mine])
        bar = verdict(margin, 1.0) if name == "MgNO" else None
        table.add(name, make().parameter_count, l2, h1, minutes, margin, bar)
    report.notes.append(
        "Medians and ranges over seeds, which draw the weights and the order of the samples. All networks have the "
        f"same data, the relative H1 error as their loss, AdamW with one cycle of rates, and batches of {BATCH}. "
        "Minutes of one processor core, with all cores at work. Largest rates: "
        + ", ".join(f"{name} {rate:g}" for name, _, rate, _ in networks(points))
        + ", chosen by hand and not searched for."
    )
    finish(report, options)
    return report


if __name__ == "__main__":
    main()
