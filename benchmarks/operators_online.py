"""Heat in random materials: a model trained while the solver runs, and on as many solutions as are held at once."""

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
FIXED, ONLINE, ALL = "fixed set", "online", "fixed set of as many as online"


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
    """The problems of all."""
    return operators.data.Family(Rods(points), ("diffusivity", "u0"), kt.ROCK4(), {"rtol": 1e-6}, name=f"rods {points}")


def model_for(data: Any, points: int, seed: int) -> Any:
    """The same weights and units for all; smaller on few points."""
    torch.manual_seed(seed)
    modes, width = (16, 24) if points == POINTS else (4, 4)
    return operators.TrainedOperator.for_data(
        operators.FNO(2, 1, (modes,), width=width, layers=3, lift=64, project=64), data
    )


@dataclass(frozen=True)
class Run:
    """What a training came to.

    Attributes:
        error: relative L2 on the test set, in percent.
        seconds: of the processor, for solving and training.
        problems: that were solved for it and used.
    """

    error: float
    seconds: float
    problems: int


def trained(model: Any, batches: Iterable[Any], test: Any, steps: int) -> tuple[float, float]:
    """The relative L2 error on the test set in percent, and seconds of training."""
    from kutta.training import Task, fit, schedules

    def loss(model: Any, batch: Any, progress: float) -> Any:
        a, u = batch
        return operators.metrics.relative_l2(model(a, test.scope.grid), u, test.scope.grid).mean()

    optimizer = partial(torch.optim.AdamW, lr=RATE, weight_decay=WEIGHT_DECAY)
    task = Task(model, loss, optimizer=optimizer, schedule=schedules.one_cycle())
    start = time.process_time()
    fit(task, batches, steps, progress=False)
    seconds = time.process_time() - start
    return 100.0 * operators.evaluate(model, test, {"L2": operators.metrics.relative_l2})["L2"], seconds


def solved(family: Any, count: int, seed: int) -> tuple[Any, float]:
    """So many problems, and seconds of solving them."""
    start = time.process_time()
    return operators.data.generate(family, count, seed, batch=SOLVED_AT_ONCE), time.process_time() - start


def all_three(family: Any, points: int, capacity: int, steps: int, test: Any, seed: int) -> dict[str, Run]:
    """Each from the same weights and units, on the same first problems, for the same number of steps."""
    few, seconds_of_few = solved(family, capacity, seed)

    def run(batches: Iterable[Any]) -> tuple[float, float]:
        return trained(model_for(few, points, seed), batches, test, steps)

    def run_on(data: Any, seconds_of_solving: float) -> Run:
        from kutta.training import Batches

        error, seconds = run(Batches((data.inputs, data.outputs), SIZE, seed))
        return Run(error, seconds_of_solving + seconds, len(data.inputs))

    producer, reservoir = online.InTurn(family, seed, SOLVED_AT_ONCE), online.Reservoir(capacity, capacity, seed)
    with online.OnlineBatches(producer, reservoir, SIZE, FRESH) as batches:
        streamed = Run(*run(batches), reservoir.made)
    return {
        FIXED: run_on(few, seconds_of_few),
        ONLINE: streamed,
        ALL: run_on(*solved(family, streamed.problems, seed)),
    }


def main(argv: Sequence[str] | None = None) -> Report:
    """Run and report."""
    options = arguments(argv, __doc__, repeats=SEEDS)
    points, capacity, steps, tests = (16, 32, 4, 8) if options.quick else (POINTS, CAPACITY, STEPS, TESTS)
    family = family_of(points)
    test = operators.data.generate(family, tests, SEED_OF_TESTS)
    settings = {"points": points, "capacity": capacity, "steps": steps, "batch": SIZE, "fresh": FRESH, "tests": tests}
    report = Report("operators-online", "Is a model better that is trained while the solver runs?", settings)
    found = [all_three(family, points, capacity, steps, test, seed) for seed in range(options.repeats)]
    errors = {who: [one[who].error for one in found] for who in found[0]}
    columns = ("trained on", "problems", "L2, %", "seconds of a processor", "fixed set / this", "bar, for each seed")
    table = report.table(f"Heat on {points} points, {steps} steps, {tests} further problems", *columns)
    for who in errors:
        gain = None if who == FIXED else ratio(errors[FIXED], errors[who])
        seconds, problems = Spread.of([one[who].seconds for one in found]), found[0][who].problems
        bar = verdict(Spread.of([gain.low]), 1.0) if gain and who == ONLINE else None
        table.add(who, problems, Spread.of(errors[who]), seconds, gain, bar)
    report.data["L2, %, by seed"] = errors
    report.notes += NOTES
    finish(report, options)
    return report


NOTES = (
    "Medians and ranges over seeds, which draw the problems, the weights and the order of the samples. All begin with "
    "the same weights and units, take the same number of steps and keep the weights of the last one; the fixed set is "
    "what the reservoir is filled with first. FNO of 3 layers, AdamW with one cycle of rates, loss relative L2.",
    f"Problems are solved {SOLVED_AT_ONCE} at once, which the seconds include for all three. Online, {FRESH} new ones "
    "come for each step (InTurn), and the reservoir holds no more samples than the fixed set has.",
    "The bar compares equal steps and equal memory, as the source of the reservoir does, and so many more solutions "
    "online than in the fixed set. The last row, for information, has as many solutions and holds all of them at once.",
)

if __name__ == "__main__":
    main()
