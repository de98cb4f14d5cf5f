"""What trainers add to a step: `kutta.training.fit`, DeepXDE's trainer, and a bare loop of PyTorch's."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from itertools import chain, islice, repeat
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks._measure import Spread, ratio
from benchmarks._report import Report, arguments, finish, verdict
from benchmarks.deeponet import AT, PLACES, RATE, SENSORS, peer_network, places
from kutta.training import Batches, Task, fit

FUNCTIONS, BATCH, WIDTH = 10_000, 256, 40
BARE, OURS, KEPT, PEER = "PyTorch, a bare loop", "kutta", "kutta, with a folder", "DeepXDE"
LIMIT = 700.0  # microseconds of a step that are not spent in the model
BAR = 1.0  # the peer's time over ours
Run = Callable[[int], nn.Module]


def samples() -> tuple[Tensor, Tensor]:
    """Functions at the sensors, and what should become of them at the places: noise will do."""
    generator = torch.Generator().manual_seed(0)
    return torch.randn(FUNCTIONS, SENSORS, generator=generator), torch.randn(FUNCTIONS, PLACES, generator=generator)


def squared_error(model: nn.Module, batch: Any, progress: float) -> Tensor:
    u, s = batch
    return (model((u, places(AT))) - s).square().mean()


def adam(weights: Any) -> torch.optim.Optimizer:
    return torch.optim.Adam(weights, RATE)


def bare(steps: int) -> nn.Module:
    """No trainer."""
    model, batches = peer_network(WIDTH), Batches(samples(), BATCH)
    optimizer = adam(model.parameters())
    iter(batches)  # as Lightning does to see that it can: the epochs to come are the same
    for batch in islice(chain.from_iterable(repeat(batches)), steps):
        optimizer.zero_grad()
        squared_error(model, batch, 0.0).backward()
        optimizer.step()
    return model


def ours(steps: int, **options: Any) -> nn.Module:
    """By `fit`."""
    model = peer_network(WIDTH)
    fit(Task(model, squared_error, optimizer=adam), Batches(samples(), BATCH), steps, progress=False, **options)
    return model


def kept(steps: int) -> nn.Module:
    """By `fit`, with checkpoints and logs."""
    with tempfile.TemporaryDirectory() as folder:
        return ours(steps, folder=folder)


def peers(steps: int) -> nn.Module:
    """By DeepXDE."""
    net, (u, s), at = peer_network(WIDTH), samples(), places(AT).numpy()
    import deepxde as dde

    pairs = dde.data.TripleCartesianProd((u.numpy(), at), s.numpy(), (u[:2].numpy(), at), s[:2].numpy())
    model = dde.Model(pairs, net)
    model.compile("adam", lr=RATE, verbose=0)
    model.train(iterations=steps, batch_size=BATCH, display_every=steps, verbose=0)
    return net


RUNS: dict[str, Run] = {BARE: bare, OURS: ours, KEPT: kept, PEER: peers}


def step_time(run: Run, steps: int) -> float:
    """Microseconds of a step: those between a long run and a short one, where beginning and end drop out."""
    short = _cpu_time(run, steps // 10)
    return 1e6 * (_cpu_time(run, steps) - short) / (steps - steps // 10)


def _cpu_time(run: Run, steps: int) -> float:
    begun = time.process_time()
    run(steps)
    return time.process_time() - begun


def compare(report: Report, steps: int, repeats: int) -> None:
    """Rounds of all runs, one after the other."""
    for run in RUNS.values():
        run(10)
    times: dict[str, list[float]] = {name: [] for name in RUNS}
    for _ in range(repeats):
        for name, run in RUNS.items():
            times[name].append(step_time(run, steps))
    columns = ("trainer", "us a step", "us beyond the bare loop", "bar", f"{PEER} / this", "bar of that")
    table = report.table(f"DeepONet, {BATCH} functions x {PLACES} places, width {WIDTH}", *columns)
    for name in RUNS:
        beyond = Spread.of([one - least for one, least in zip(times[name], times[BARE], strict=True)])
        said = f"<= {LIMIT:g}: {'met' if beyond.median <= LIMIT else 'missed'}" if name == OURS else None
        gain = ratio(times[PEER], times[name])
        table.add(
            name,
            Spread.of(times[name]),
            None if name == BARE else beyond,
            said,
            None if name == PEER else gain,
            verdict(gain, BAR) if name == OURS else None,
        )


def same_weights(steps: int) -> bool:
    """Whether `fit` does what the bare loop does."""
    pairs = zip(bare(steps).parameters(), ours(steps).parameters(), strict=True)
    return all(torch.equal(one, other) for one, other in pairs)


NOTES = (
    "CPU time of one thread. The same network (DeepXDE's), mean squared error, data and Adam; all but DeepXDE take the "
    "same batches in the same order. Without validation and progress bar.",
    "With a folder: a checkpoint every 100 steps and figures for TensorBoard every 40.",
)


def main(argv: Sequence[str] | None = None) -> Report:
    """Run and report."""
    options = arguments(argv, __doc__, repeats=15)
    torch.set_num_threads(options.threads or 1)
    steps = 30 if options.quick else 1000
    settings = {"dtype": "float32", "steps": steps, "repeats": options.repeats}
    report = Report("training-step", "What does a trainer add to a step?", settings)
    report.notes += (*NOTES, f"Weights of the bare loop and of fit after {steps} steps equal: {same_weights(steps)}.")
    compare(report, steps, options.repeats)
    finish(report, options)
    return report


if __name__ == "__main__":
    main()
