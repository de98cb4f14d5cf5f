"""Heat in random materials: a model trained while the solver runs, and one on as many solutions as are held at once."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

import kutta as kt
from benchmarks._measure import Spread, ratio
from benchmarks._report import Report, arguments, finish, verdict

operators, online = kt.operators, kt.operators.online
POINTS, CAPACITY, STEPS, SIZE, FRESH, TESTS, SEEDS = 64, 128, 2500, 16, 4, 256, 3
RATE, WEIGHT_DECAY, SOLVED_AT_ONCE, SEED_OF_TESTS = 3e-3, 1e-4, 256, 1000
MATERIAL = operators.data.GaussianField(2.0, 5.0, 20.0)  # of the logarithm, with a deviation of about 0.7
START = operators.data.GaussianField(2.0, 5.0, 25.0)
MEAN_DIFFUSIVITY, END = 0.05, 1.0


@dataclass(frozen=True)
class Rods:
    """Draws diffusivities, positive fields, and initial temperatures, zero at both ends."""

    points: int

    def __call__(self, count: int, generator: torch.Generator) -> Any:
        log = MATERIAL.draw(kt.pde.Grid(self.points, boundary=kt.pde.Neumann()), count, generator)
        grid = kt.pde.Grid(self.points, boundary=kt.pde.Dirichlet())
        equation = kt.pde.Heat(MEAN_DIFFUSIVITY * log.exp())
        return equation.problem(grid, START.draw(grid, count, generator), (0.0, END))


def family_of(points: int) -> Any:
    """The problems of both."""
    return operators.data.Family(Rods(points), ("diffusivity", "u0"), kt.ROCK4(), {"rtol": 1e-6}, name=f"rods {points}")


def model_for(data: Any, points: int, seed: int) -> Any:
    """The same weights and units for both; smaller on few points."""
    torch.manual_seed(seed)
    modes, width = (16, 24) if points == POINTS else (4, 4)
    return operators.TrainedOperator.for_data(
        operators.FNO(2, 1, (modes,), width=width, layers=3, lift=64, project=64), data
    )


def trained(model: Any, batches: Iterable[Any], test: Any, steps: int) -> tuple[float, float]:
    """The relative L2 error on the test set in percent, and seconds of training."""
    from kutta.training import Task, fit, schedules

    def loss(model: Any, batch: Any, progress: float) -> Any:
        a, u = batch
        return operators.metrics.relative_l2(model(a, test.scope.grid), u, test.scope.grid).mean()

    optimizer = partial(torch.optim.AdamW, lr=RATE, weight_decay=WEIGHT_DECAY)
    task = Task(model, loss, optimizer=optimizer, schedule=schedules.one_cycle())
    start = time.perf_counter()
    fit(task, batches, steps, progress=False)
    seconds = time.perf_counter() - start
    return 100.0 * operators.evaluate(model, test, {"L2": operators.metrics.relative_l2})["L2"], seconds


def both(family: Any, points: int, capacity: int, steps: int, test: Any, seed: int) -> dict[str, Any]:
    """Error, seconds and problems of both, from the same weights and the same first problems."""
    from kutta.training import Batches

    fixed = operators.data.generate(family, capacity, seed, batch=SOLVED_AT_ONCE)
    offline = trained(model_for(fixed, points, seed), Batches((fixed.inputs, fixed.outputs), SIZE, seed), test, steps)
    producer, reservoir = online.InTurn(family, seed, SOLVED_AT_ONCE), online.Reservoir(capacity, capacity, seed)
    with online.OnlineBatches(producer, reservoir, SIZE, FRESH) as batches:
        streamed = trained(model_for(fixed, points, seed), batches, test, steps)
    return {"fixed set": (*offline, capacity), "online": (*streamed, reservoir.made)}


def main(argv: Sequence[str] | None = None) -> Report:
    """Run and report."""
    options = arguments(argv, __doc__, repeats=SEEDS)
    points, capacity, steps, tests = (16, 32, 4, 8) if options.quick else (POINTS, CAPACITY, STEPS, TESTS)
    family = family_of(points)
    test = operators.data.generate(family, tests, SEED_OF_TESTS)
    settings = {"points": points, "capacity": capacity, "steps": steps, "batch": SIZE, "fresh": FRESH, "tests": tests}
    report = Report("operators-online", "Is a model better that is trained while the solver runs?", settings)
    found = [both(family, points, capacity, steps, test, seed) for seed in range(options.repeats)]
    errors = {who: [one[who][0] for one in found] for who in found[0]}
    columns = ("trained on", "problems", "L2, %", "seconds", "fixed set / this", "bar, for each seed")
    table = report.table(f"Heat on {points} points, {steps} steps, {tests} further problems", *columns)
    for who in errors:
        gain = ratio(errors["fixed set"], errors[who]) if who == "online" else None
        seconds, problems = Spread.of([one[who][1] for one in found]), found[0][who][2]
        bar = verdict(Spread.of([gain.low]), 1.0) if gain else None
        table.add(who, problems, Spread.of(errors[who]), seconds, gain, bar)
    report.data["L2, %, by seed"] = errors
    report.notes += NOTES
    finish(report, options)
    return report


NOTES = (
    "Medians and ranges over seeds, which draw the problems, the weights and the order of the samples. Both begin with "
    "the same weights and units, and the fixed set is what the reservoir is filled with first. FNO of 3 layers, AdamW "
    "with one cycle of rates, loss relative L2, weights of the last step.",
    f"Online: InTurn solves {FRESH} new problems for each step, {SOLVED_AT_ONCE} at once, which the seconds include; "
    "the reservoir holds no more samples than the fixed set has.",
)

if __name__ == "__main__":
    main()
