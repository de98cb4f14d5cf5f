"""DeepONet on the problems it was published with: errors after minutes of training, and the time of a step."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

import kutta as kt
from benchmarks._measure import Spread, measure, ratio
from benchmarks._report import Report, arguments, finish, verdict
from kutta.training import Batches, Task, fit

data = kt.operators.data
SENSORS, PLACES, WIDTH, BATCH, RATE = 100, 100, 64, 256, 5e-3
WAVES, PERIOD = 16, 4.0  # that the trunk sees of a place; four times the interval, so that nothing need be periodic
# Mean squared errors: of the antiderivative [Lu and others, 2021], and the order of the pendulum's at T = 1.
PUBLISHED, ORDER = 9.3e-7, 1e-5
ROUGH = 0.1  # a length scale below that of the training
PEER, OURS = "DeepXDE", "kutta"
Pair = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Case:
    """An operator that is learned, from a function to the first component of what it drives.

    Attributes:
        name: of it.
        problem: the driven equation.
        bar: for the mean squared error, where there is one.
    """

    name: str
    problem: Any
    bar: float | None

    def samples(self, count: int, places: Tensor, scale: float, seed: int) -> Pair:
        """Functions at the sensors ``(n, m)``, and solutions at places in ``[0, 1]`` of the interval ``(n, P)``."""
        end = self.problem.end
        u = data.random_functions(count, scale, right=end, generator=torch.Generator().manual_seed(seed))
        sensors = end * torch.linspace(0.0, 1.0, SENSORS, dtype=torch.float64)
        return u(sensors).float(), self.problem.solve(u)(end * places)[..., 0].float()


CASES = (
    Case("antiderivative", data.antiderivative(), PUBLISHED),
    Case("pendulum, T = 1", data.pendulum(1.0), ORDER),
    Case("pendulum, T = 3", data.pendulum(3.0), None),
    Case("pendulum, T = 5", data.pendulum(5.0), None),
)
AT = torch.linspace(0.0, 1.0, PLACES, dtype=torch.float64)
ELSEWHERE = torch.rand(PLACES, dtype=torch.float64, generator=torch.Generator().manual_seed(9))  # than in the training


class LinearAndMore(nn.Module):
    """A branch that begins with what is linear, which is most of these operators."""

    def __init__(self, more: nn.Module, terms: int):
        super().__init__()
        self.linear, self.more = nn.Linear(SENSORS, terms), more

    def forward(self, u: Tensor) -> Tensor:
        return self.linear(u) + self.more(u)


def network(width: int, seed: int = 0) -> nn.Module:
    """Ours, at its best: smooth, a trunk that sees waves, a branch with a linear part, zero at time zero."""
    torch.manual_seed(seed)
    widths = (width, width)
    model = kt.operators.DeepONet(
        SENSORS,
        1,
        1,
        width,
        widths,
        widths,
        nonlinearity="silu",
        periods=(PERIOD,),
        waves=WAVES,
        transform=lambda u, y, s: y * s,
    )
    model.branch = LinearAndMore(model.branch, width)
    return model


def plain(width: int, seed: int = 0) -> nn.Module:
    """Ours, as published."""
    torch.manual_seed(seed)
    return kt.operators.DeepONet(SENSORS, 1, 1, width, (width,), (width,))


def peer_network(width: int, seed: int = 0) -> Any:
    """DeepXDE's, as published."""
    os.environ.setdefault("DDE_BACKEND", "pytorch")
    import deepxde as dde

    torch.manual_seed(seed)
    return dde.nn.DeepONetCartesianProd([SENSORS, width, width], [1, width, width], "relu", "Glorot normal")


def places(at: Tensor) -> Tensor:
    return at.float()[:, None]


def squared_error(model: nn.Module, batch: Any, progress: float) -> Tensor:
    u, s = batch
    return (model(u, places(AT)) - s).square().mean()


def trained(model: nn.Module, samples: Pair, steps: int) -> float:
    """Train, and return the seconds that it took."""
    task = Task(
        model,
        squared_error,
        optimizer=lambda weights: torch.optim.Adam(weights, RATE, fused=True),
        schedule=lambda optimizer, steps: torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, steps, pct_start=0.1),
    )
    return fit(task, Batches(samples, BATCH), steps, progress=False).seconds


def peer_trained(net: Any, samples: Pair, steps: int, rate: float = RATE) -> float:
    """Train DeepXDE's network by its own trainer, and return the seconds that it took."""
    import deepxde as dde

    (u, s), at = samples, places(AT).numpy()
    pairs = dde.data.TripleCartesianProd((u.numpy(), at), s.numpy(), (u[:2].numpy(), at), s[:2].numpy())
    model = dde.Model(pairs, net)
    model.compile("adam", lr=rate, decay=("cosine", steps, 0.0), verbose=0)
    begun = time.perf_counter()
    model.train(iterations=steps, batch_size=BATCH, display_every=steps, verbose=0)
    return time.perf_counter() - begun


@torch.no_grad()
def errors(model: Callable[[Tensor, Tensor], Tensor], samples: Pair, at: Tensor) -> tuple[float, float, float]:
    """Mean squared error, the same without the worst thousandth, and the relative L2 error."""
    u, s = samples
    off = model(u, places(at)) - s
    squares = off.square().flatten().sort().values
    relative = (off.norm(dim=1) / s.norm(dim=1)).mean()
    return float(squares.mean()), float(squares[: math.ceil(0.999 * len(squares))].mean()), float(relative)


def accuracy(report: Report, cases: Sequence[Case], trained_on: int, tested_on: int, steps: int, width: int) -> None:
    """Each problem, trained once."""
    columns = ("problem", "minutes", "test MSE", "without the worst 0.1 %", "relative L2", f"at scale {ROUGH}", "bar")
    table = report.table(f"{trained_on} functions, {steps} steps", *columns)
    for case in cases:
        model = network(width)
        seconds = trained(model, case.samples(trained_on, AT, 0.2, 0), steps)
        mse, trimmed, relative = errors(model, case.samples(tested_on, ELSEWHERE, 0.2, 11), ELSEWHERE)
        _, _, rough = errors(model, case.samples(tested_on, ELSEWHERE, ROUGH, 12), ELSEWHERE)
        bar = None if case.bar is None else f"<= {case.bar:g}: {'met' if mse <= case.bar else 'missed'}"
        table.add(case.name, seconds / 60.0, mse, trimmed, relative, rough, bar)


def same_steps(report: Report, trained_on: int, tested_on: int, steps: int, width: int) -> None:
    """The antiderivative: as many steps of both, each by its own trainer."""
    (u, s), test = CASES[0].samples(trained_on, AT, 0.2, 0), CASES[0].samples(tested_on, ELSEWHERE, 0.2, 11)
    columns = ("network", "weights", "seconds", "ms / step", "test MSE")
    table = report.table(f"Antiderivative, {steps} steps of each", *columns)

    def add(name: str, net: nn.Module, model: Callable[[Tensor, Tensor], Tensor], seconds: float) -> None:
        count = sum(one.numel() for one in net.parameters())
        table.add(name, count, seconds, 1e3 * seconds / steps, errors(model, test, ELSEWHERE)[0])

    for name, ours in ((f"{OURS}, as published", plain(width)), (f"{OURS}, at its best", network(width))):
        add(name, ours, ours, trained(ours, (u, s), steps))
    net = peer_network(width)
    seconds = peer_trained(net, (u, s), steps)
    add(f"{PEER}, as published", net, lambda u, y: net((u, y)), seconds)


def step_times(report: Report, sizes: Sequence[tuple[int, int, int]], repeats: int) -> None:
    """Forward, backward and Adam, in pairs: both with the same optimiser, and ours with the fused one."""
    columns = ("functions x places, width", f"{OURS}, ms", f"{PEER}, ms", f"{PEER} / {OURS}", f"{PEER} / fused", "bar")
    table = report.table("One step", *columns)
    for functions, count, width in sizes:
        u, y, s = torch.randn(functions, SENSORS), torch.rand(count, 1), torch.randn(functions, count)
        peer = peer_network(width)
        calls = {
            OURS: stepping(plain(width), (u, y), s, fused=False),
            PEER: stepping(peer, ((u, y),), s, fused=False),
            "fused": stepping(plain(width), (u, y), s, fused=True),
        }
        timings = measure(calls, repeats, warm_up=5, at_least=0.2)
        ms = [Spread.of([1e3 * seconds for seconds in timings[name]]) for name in (OURS, PEER)]
        same, fused = (ratio(timings[PEER], timings[name]) for name in (OURS, "fused"))
        table.add(f"{functions} x {count}, {width}", *ms, same, fused, verdict(same, 1.0))


def stepping(model: nn.Module, inputs: tuple[Any, ...], target: Tensor, fused: bool) -> Callable[[], None]:
    optimizer = torch.optim.Adam(model.parameters(), 1e-3, fused=fused)

    def step() -> None:
        optimizer.zero_grad()
        (model(*inputs) - target).square().mean().backward()
        optimizer.step()

    return step


NOTES = (
    "Mean-zero Gaussian functions with the covariance exp(-|x - x'|^2 / (2 l^2)), l = 0.2, seen at 100 sensors. "
    "Trained at 100 equal places, tested at 100 others. Of the pendulum the angle is learned.",
    "At its best: branch [100, w, w, w] with a linear part beside it, trunk [32, w, w, w] of 16 waves, SiLU, a "
    "solution that is zero at zero. As published: [100, w, w] and [1, w, w], ReLU; the published figure is that of "
    "50,000 steps over all functions.",
    "Learning rates rise and fall in one cycle; the peer's falls from the same largest value along a cosine. The same "
    "batches and way to draw weights.",
)


def main(argv: Sequence[str] | None = None) -> Report:
    """Run and report."""
    options = arguments(argv, __doc__, repeats=9)
    quick = options.quick
    trained_on, tested_on, steps, width = (300, 100, 60, 16) if quick else (10_000, 10_000, 6_000, WIDTH)
    load = f"{os.getloadavg()[0]:.1f}"
    settings = {"dtype": "float32", "batch": BATCH, "width": width, "repeats": options.repeats, "load before": load}
    report = Report("deeponet", "What does a DeepONet learn in minutes?", settings)
    report.notes += NOTES
    step_times(report, [(64, 20, 16)] if quick else [(256, 100, 40), (256, 100, 128), (1000, 100, 40)], options.repeats)
    accuracy(report, CASES[:2] if quick else CASES, trained_on, tested_on, steps, width)
    same_steps(report, trained_on, tested_on, steps // 2, width)
    finish(report, options)
    return report


if __name__ == "__main__":
    main()
