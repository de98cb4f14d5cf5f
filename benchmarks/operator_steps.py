"""Steps of training: Transform Once against FNO of equal width and waves, and FNO against neuraloperator's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

import kutta as kt
from benchmarks._measure import Spread, measure, ratio
from benchmarks._race import weights
from benchmarks._report import Report, arguments, finish, verdict

BAR_T1, BAR_PEER = 2.0, 1.0
Forward = Callable[[], torch.Tensor]


def step(model: torch.nn.Module, loss: Forward, learns: bool = True) -> Callable[[], None]:
    """Loss, gradients, and where it learns an update by Adam."""
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)

    def taken() -> None:
        optimizer.zero_grad()
        loss().backward()
        if learns:
            optimizer.step()

    return taken


def compare(
    report: Report, title: str, models: dict[str, torch.nn.Module], steps: dict[str, Any], bar: float, repeats: int
) -> None:
    """Paired times of steps; the last one is what the others are measured against."""
    seconds = measure(steps, repeats)
    *others, last = steps
    table = report.table(title, "who", "weights", "ms a step", f"{last} / this", "bar")
    for name in steps:
        times = Spread.of([1e3 * one for one in seconds[name]])
        gain = ratio(seconds[last], seconds[name]) if name in others else None
        table.add(name, weights(models[name]), times, gain, verdict(gain, bar) if gain else None)


def compare_once(report: Report, points: int, modes: int, width: int, repeats: int) -> None:
    """T1, whose loss needs no fields, and FNO."""
    grid, (a, u) = kt.pde.Grid((points, points), boundary=kt.pde.Neumann()), torch.randn(2, 8, 1, points, points)
    t1 = kt.operators.T1(1, 1, (modes, modes), width=width, layers=4)
    fno = kt.operators.FNO(1, 1, (modes, modes), width=width, layers=4)
    models: dict[str, Any] = {"T1": t1, "FNO": fno}
    steps = {
        "T1": step(t1, lambda: (t1.spectrum(a, grid) - t1.target(u, grid)).square().mean()),
        "FNO": step(fno, lambda: (fno(a, grid) - u).square().mean()),
    }
    title = f"Loss, gradients and Adam, {points}^2, batch 8, width {width}, {modes} waves an axis, 4 layers"
    compare(report, title, models, steps, BAR_T1, repeats)


def compare_peer(report: Report, side: int, repeats: int) -> None:
    """Two FNOs with as many weights."""
    from neuralop.models import FNO

    grid, (a, u) = kt.pde.Grid((side, side)), torch.randn(2, 16, 1, side, side)
    ours = kt.operators.FNO(1, 1, (12, 12), width=32, lift=64, project=64)
    theirs = FNO((12, 12), in_channels=1, out_channels=1, hidden_channels=32, n_layers=4, use_channel_mlp=False)
    models: dict[str, Any] = {"kutta FNO": ours, "neuraloperator FNO": theirs}
    steps = {
        "kutta FNO": step(ours, lambda: (ours(a, grid) - u).square().mean(), learns=False),
        "neuraloperator FNO": step(theirs, lambda: (theirs(a) - u).square().mean(), learns=False),
    }
    title = f"Loss and gradients, {side}^2, batch 16, width 32, 12 waves an axis, 4 layers"
    compare(report, title, models, steps, BAR_PEER, repeats)


NOTES = (
    "Medians of paired rounds, float32. Sides with slope 0 for T1 and FNO, which continues fields beyond them by 1/8; "
    "periodic for the two FNOs.",
    "neuraloperator's FNO without its channel MLPs, so that both have the same layers; with them it takes longer.",
)


def main(argv: Sequence[str] | None = None) -> Report:
    """Run and report."""
    options = arguments(argv, __doc__, repeats=15)
    points, modes, width, side = (16, 4, 4, 16) if options.quick else (128, 24, 32, 64)
    report = Report("operator-steps", "How long does a step of training take?", {"dtype": "float32"})
    report.notes += NOTES
    compare_once(report, points, modes, width, options.repeats)
    try:
        compare_peer(report, side, options.repeats)
    except ImportError as missing:
        report.notes.append(f"neuraloperator was not there: {missing}")
    finish(report, options)
    return report


if __name__ == "__main__":
    main()
