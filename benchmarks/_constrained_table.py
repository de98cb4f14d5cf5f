"""Networks that are told equations, trained, in tables with what else solves them."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
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
from benchmarks._constrained import APART, HARD, JOINT, SOFT, Case
from benchmarks._measure import Spread, ratio
from benchmarks._report import Report, Table, arguments, finish, verdict

SEEDS = 3
LARGEST_ERROR, LARGEST_JUMP = 10.0, 2.0  # of experts: in percent, and over those beside
MUCH = 2.0  # by what one constraint is better than a penalty
TOLERANCES = (0.3, 0.1, 1e-2, 1e-3, 1e-4)
COLUMNS = ("model", "relative L2, %", "unsolved, %", "training, s", "ms a problem", "jump of u", "of u_x", "bars")

# Fields of each model.
Predicted = dict[str, Tensor]


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


def trained(case: Case, name: str, seed: int) -> tuple[Run, Tensor]:
    """One model from one seed, and what it predicts of the first test."""
    torch.set_num_threads(1)
    problem, exact = constrained.tests(case)
    torch.manual_seed(seed)
    model, family = constrained.model_of(name, case), case.family(case.points)
    begun = time.perf_counter()
    options: dict[str, Any] = {"batch": case.batch, "lr": case.rate, "seed": seed, "progress": False}
    kt.operators.train_on_equation(model, family, case.steps, **options)
    training = time.perf_counter() - begun
    model.eval()
    begun = time.perf_counter()
    with torch.no_grad():
        predicted = model(problem)
    inference = 1e3 * (time.perf_counter() - begun) / case.tests
    error = 100.0 * float(constrained.errors(predicted.u, exact, problem).mean())
    jumps = kt.operators.metrics.seams(predicted.u[1:], case.boxes[1:], problem.grid.periodic)
    run = Run(error, 100.0 * predicted.unsolved, training, inference, tuple(map(float, jumps)))
    return run, predicted.u[:, 0].detach()


def all_runs(cases: Sequence[Case], seeds: int) -> list[dict[str, list[tuple[Run, Tensor]]]]:
    """Those of each case: of all its models, for every seed, as many at a time as there are cores."""
    models = [(case, name) for case in cases for name in case.models]
    jobs = [(case, name, seed) for seed in range(seeds) for case, name in models]
    with ProcessPoolExecutor(os.cpu_count(), get_context("spawn")) as processes:
        every = track(processes.map(trained, *zip(*jobs, strict=True)), "training", len(jobs))
        found = dict(zip(jobs, every, strict=True))
    return [{name: [found[case, name, seed] for seed in range(seeds)] for name in case.models} for case in cases]


def reported(
    argv: Sequence[str] | None,
    description: str | None,
    name: str,
    title: str,
    cases: Sequence[Case],
    draw: Callable[[list[tuple[Case, Predicted]], Path], None] | None = None,
) -> Report:
    """All networks of these cases trained, in a table for each, reported and saved as the command line says.

    Args:
        argv: options, see `benchmarks._report.arguments`.
        description: of the benchmark.
        name: of its files.
        title: of the report.
        cases: likewise.
        draw: a picture of what networks of the first seed predict for each case, in a file.
    """
    options = arguments(argv, description, repeats=SEEDS)
    torch.set_num_threads(1)
    cases = [case.small() for case in cases] if options.quick else cases
    report = Report(name, title, settings(cases, options.repeats))
    found = all_runs(cases, options.repeats)
    for case, runs in zip(cases, found, strict=True):
        add_table(report, case, {name: [run for run, _ in each] for name, each in runs.items()})
    report.notes += NOTES
    firsts = [{name: each[0][1] for name, each in runs.items()} for runs in found]
    predicted = list(zip(cases, firsts, strict=True))
    finish(report, options, draw and (lambda path: draw(predicted, path)))
    return report


def settings(cases: Sequence[Case], seeds: int) -> dict[str, Any]:
    """What all tables have in common."""
    steps, tests = cases[0].steps, cases[0].tests
    shared = {"basis functions": constrained.FUNCTIONS, "overlap": constrained.OVERLAP}
    return {"steps": steps, "tests": tests, **shared, "seeds": seeds}


def add_table(report: Report, case: Case, runs: dict[str, list[Run]]) -> None:
    """One case: networks, interpolation, solvers."""
    size = " x ".join(map(str, (case.points,) * (len(case.boxes) - 1)))
    boxes = " x ".join(map(str, case.boxes))
    fill(report.table(f"{case.title}: {size} points, {case.times} times, experts {boxes}", *COLUMNS), case, runs)
    report.data[case.title] = {name: [one.error for one in each] for name, each in runs.items()}


def fill(table: Table, case: Case, runs: dict[str, list[Run]]) -> None:
    """The rows of one case, those of networks first."""
    for name, each in runs.items():
        cells = [Spread.of([getattr(one, part) for one in each]) for part in ("error", "unsolved", "training")]
        inference = Spread.of([one.inference for one in each])
        mixed = name.startswith("MoE")
        jumps = [Spread.of([one.seams[part] for one in each]) for part in (0, 1)] if mixed else [None, None]
        table.add(name, *cells, inference, *jumps, bars(name, runs))
    tests = constrained.tests(case)
    if case.one_number:
        for known in (3, 5, 9):
            error = constrained.between_constants(case, known, tests)
            table.add(f"interpolation between {known} solutions", error, *[None] * 6)
    else:
        known = case.steps * case.batch
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
