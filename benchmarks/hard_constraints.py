"""Equations without solutions to learn from: penalties, a constrained basis, mixtures of experts, and solvers."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from rich.progress import track
from torch import Tensor

import kutta as kt
from benchmarks import _constrained as constrained
from benchmarks._constrained import APART, CASES, HARD, JOINT, SOFT, Case
from benchmarks._measure import Spread, ratio
from benchmarks._report import Report, Table, arguments, finish, verdict

STEPS, TESTS, SEEDS = 200, 32, 3
LARGEST_ERROR, LARGEST_JUMP = 10.0, 2.0  # of experts: in percent, and over those beside
MUCH = 2.0  # by what one constraint is better than a penalty
TOLERANCES = (0.3, 0.1, 1e-2, 1e-3, 1e-4)
COLUMNS = ("model", "relative L2, %", "unsolved, %", "training, s", "ms a problem", "jump of u", "of u_x", "bars")


@dataclass(frozen=True)
class Run:
    """What came of a training.

    Attributes:
        error: mean relative L2 over the tests, in percent.
        unsolved: samples whose weights were not found in time, in percent.
        training: seconds.
        inference: milliseconds a problem.
        seams: jumps of values, and of slopes, across the faces of boxes, over those beside them.
    """

    error: float
    unsolved: float
    training: float
    inference: float
    seams: tuple[float, ...]


def trained(place: int, small: bool, name: str, seed: int) -> tuple[Run, Tensor]:
    """One model from one seed, and what it predicts of the first test."""
    torch.set_num_threads(1)
    case, steps, count = sizes(place, small)
    problem, exact = constrained.solved(case, count, constrained.SEED_OF_TESTS)
    torch.manual_seed(seed)
    model, family = constrained.model_of(name, case), case.family(case.points)
    begun = time.perf_counter()
    options: dict[str, Any] = {"batch": case.batch, "lr": case.rate, "seed": seed, "progress": False}
    kt.operators.train_on_equation(model, family, steps, **options)
    training = time.perf_counter() - begun
    model.eval()
    begun = time.perf_counter()
    with torch.no_grad():
        predicted = model(problem)
    inference = 1e3 * (time.perf_counter() - begun) / count
    error = 100.0 * float(constrained.errors(predicted.u, exact, problem).mean())
    jumps = kt.operators.metrics.seams(predicted.u[1:], case.boxes[1:], problem.grid.periodic)
    return Run(error, 100.0 * predicted.unsolved, training, inference, tuple(map(float, jumps))), predicted.u[
        :, 0
    ].detach()


def sizes(place: int, small: bool) -> tuple[Case, int, int]:
    """A case, steps of training and tests."""
    return (CASES[place].small(), 2, 2) if small else (CASES[place], STEPS, TESTS)


def all_runs(small: bool, seeds: int) -> dict[tuple[int, str], list[tuple[Run, Tensor]]]:
    """Those of all cases and models, for every seed, as many at a time as there are cores."""
    models = [(place, name) for place, case in enumerate(CASES) for name in case.models]
    jobs = [(place, small, name, seed) for seed in range(seeds) for place, name in models]
    with ProcessPoolExecutor(os.cpu_count(), get_context("spawn")) as processes:
        every = track(processes.map(trained, *zip(*jobs, strict=True)), "training", len(jobs))
        found = dict(zip(jobs, every, strict=True))
    return {(place, name): [found[place, small, name, seed] for seed in range(seeds)] for place, name in models}


def fill(table: Table, case: Case, runs: dict[str, list[Run]], steps: int, count: int) -> None:
    """The rows of one case, those of networks first."""
    for name, each in runs.items():
        cells = [Spread.of([getattr(one, part) for one in each]) for part in ("error", "unsolved", "training")]
        inference = Spread.of([one.inference for one in each])
        mixed = name.startswith("MoE")
        jumps = [Spread.of([one.seams[part] for one in each]) for part in (0, 1)] if mixed else [None, None]
        table.add(name, *cells, inference, *jumps, bars(name, runs))
    tests = constrained.solved(case, count, constrained.SEED_OF_TESTS)
    if case.one_number:
        for known in (3, 5, 9):
            error = constrained.between_constants(case, known, tests)
            table.add(f"interpolation between {known} solutions", error, *[None] * 6)
    else:
        known = steps * case.batch
        error, seconds = constrained.between_random(case, known, tests)
        table.add(f"interpolation between {known} random solutions", error, None, seconds, *[None] * 4)
    best = min(Spread.of([one.error for one in each]).median for each in runs.values())
    for name in case.solvers:
        table.add(*as_exact(case, name, best, tests))


def as_exact(case: Case, name: str, error: float, tests: tuple[Any, Tensor]) -> Sequence[Any]:
    """The row of a solver with the largest tolerance for which it is as exact as the best network."""
    for rtol in TOLERANCES:
        found, seconds = constrained.solver(case, name, rtol, tests)
        if found <= error:
            return f"{name}, rtol {rtol:g}", found, None, None, 1e3 * seconds, None, None, None
    return f"{name}: not as exact", *[None] * 7


def bars(name: str, runs: dict[str, list[Run]]) -> str | None:
    """In each seed: what a model must be better than, and for experts how exact and how smooth they must be."""
    worse, factor = {HARD: (SOFT, MUCH), APART: (HARD, 1.0), JOINT: (HARD, 1.0)}.get(name, (None, 0.0))
    if worse is None:
        return None
    each = runs[name]
    gain = ratio([one.error for one in runs[worse]], [one.error for one in each])
    found = [f"error of {worse} over this {verdict(Spread.of([gain.low]), factor)}"]
    if name != HARD:
        error, jump = max(one.error for one in each), max(max(one.seams) for one in each)
        found.append(f"{LARGEST_ERROR:g} % over error {verdict(Spread.of([LARGEST_ERROR / error]), 1.0)}")
        found.append(f"{LARGEST_JUMP:g} over jump {verdict(Spread.of([LARGEST_JUMP / jump]), 1.0)}")
    return "; ".join(found)


def main(argv: Sequence[str] | None = None) -> Report:
    """Run and report."""
    options = arguments(argv, __doc__, repeats=SEEDS)
    torch.set_num_threads(1)
    settings = {
        "steps": sizes(0, options.quick)[1],
        "tests": sizes(0, options.quick)[2],
        "basis functions": constrained.FUNCTIONS,
        "overlap": constrained.OVERLAP,
        "seeds": options.repeats,
    }
    report = Report("hard-constraints", "What do hard constraints and experts gain?", settings)
    found = all_runs(options.quick, options.repeats)
    for place in range(len(CASES)):
        case, steps, count = sizes(place, options.quick)
        runs = {name: [run for run, _ in found[place, name]] for name in case.models}
        size = " x ".join(map(str, (case.points,) * (len(case.boxes) - 1)))
        boxes = " x ".join(map(str, case.boxes))
        table = report.table(f"{case.title}: {size} points, {case.times} times, experts {boxes}", *COLUMNS)
        fill(table, case, runs, steps, count)
        report.data[case.title] = {name: [one.error for one in each] for name, each in runs.items()}
    report.notes += NOTES
    pictured = {place: {name: found[place, name][0][1] for name in (SOFT, HARD, APART, JOINT)} for place in (1, 2)}

    def draw(path: Path) -> None:
        picture(pictured, options.quick, path)

    finish(report, options, draw)
    return report


def picture(predicted: dict[int, dict[str, Tensor]], small: bool, path: Path) -> None:
    """The first tests of some cases: solution, predictions, and what they are off by."""
    import matplotlib.pyplot as plt

    columns = 1 + max(map(len, predicted.values()))
    figure, axes = plt.subplots(2 * len(predicted), columns, figsize=(14, 4.6 * len(predicted)), layout="constrained")
    for pair, (place, of_models) in enumerate(predicted.items()):
        case, _, count = sizes(place, small)
        problem, solutions = constrained.solved(case, count, constrained.SEED_OF_TESTS)
        exact = solutions[:, 0]
        box = (0.0, 1.0, 0.0, float(problem.t_span[1]))
        largest = max(float((u - exact).abs().max()) for u in of_models.values())
        low, high = float(exact.min()), float(exact.max())
        rows = ({"vmin": low, "vmax": high}, {"vmin": -largest, "vmax": largest, "cmap": "RdBu"})
        for column, (name, u) in enumerate({"solution": exact, **of_models}.items()):
            axes[2 * pair, column].set_title(f"{case.title.split(',')[0]}: {name}", fontsize=9)
            for row, (field, colours) in enumerate(zip((u, u - exact), rows, strict=True)):
                shown = axes[2 * pair + row, column]
                shown.imshow(field, origin="lower", extent=box, aspect="auto", **colours)
                shown.set(xlabel="x" if row else None, ylabel=None if column else "t")
        for row, label in enumerate(("u", "off by")):
            line = axes[2 * pair + row]
            figure.colorbar(line[-1].images[0], ax=line, label=label)
    figure.savefig(path, dpi=110)
    plt.close(figure)


NOTES = (
    "Medians and ranges over seeds, of weights and problems. All are trained on problems drawn anew for each step, "
    "without solutions; errors are relative L2 over all times and places. Samples whose weights are not found within "
    f"{constrained.MOST} iterations count with constant weights in training (unsolved: those of the tests).",
    "All make estimated errors small, see kutta.operators.EstimatedError, but those that say residual: these make "
    "residuals small at points of boxes that meet, each expert also next to walls, as published. Other than published "
    f"are the initial state, which holds exactly, the ridge ({constrained.RIDGE:g} for 1e-4), the iterations (for 50), "
    "derivatives with the full Hessian, and, in diffusion and sorption, a cutoff of the isotherm of 0.01 (for 1e-6).",
    "MoE, apart: each expert is solved for itself (MixtureOfExperts); joint: for the field that all make up "
    "(JointExperts). All have the same network, the same number of steps and the same learning rate.",
    "Settings were found by short trials of networks on these families, with other random problems "
    f"(seed {constrained.SEED_OF_TESTS} draws these tests).",
    "Jumps: differences of values, and of slopes, across the faces of boxes over those two cells beside them.",
    "Interpolation and solvers see what networks do not: solutions, or the right-hand side at any state. Interpolation "
    "has as many problems, with their solutions, as networks see in training; its seconds are those of solving them "
    "and of the radial functions. Solvers have the largest tolerance of "
    f"{', '.join(f'{one:g}' for one in TOLERANCES)} with which they are as exact as the best network.",
    "Seconds are of one thread; networks are trained, and asked, with as many runs at a time as there are cores. RKC2 "
    "and ETDRK4 solve all tests at once, LSODA one after the other with right-hand sides in PyTorch.",
)

if __name__ == "__main__":
    main()
