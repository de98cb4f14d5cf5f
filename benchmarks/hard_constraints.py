"""Diffusion and sorption without solutions to learn from: penalties, a constrained basis, a mixture of experts."""

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
from torch import Tensor

import kutta as kt
from benchmarks._measure import Spread, ratio
from benchmarks._report import Report, arguments, finish, verdict
from kutta.demo.hard_constraints import seams

operators = kt.operators
POINTS, STEPS_IN_TIME, END, TESTS, SEED_OF_TESTS, SEEDS = 128, 32, 500.0, 32, 5, 3
STEPS, BATCH, RATE, MODES, WIDTH, LAYERS, FUNCTIONS, EXPERTS = 200, 6, 2e-3, 16, 24, 4, 8, 4
DRAWN, RIDGE, MOST = 1000, 1e-3, 12  # points of an expert, ridge, and iterations in a step
MEASURE = operators.EstimatedError(1.3e-4, waves=32)  # about D / R
OVERLAP = 0.25
SOFT, SOFT_MEASURED = "PI-SC, residual (as published)", "PI-SC, estimated error"
HARD, HARD_MEASURED = "PI-HC, residual (as published)", "PI-HC, estimated error"
EXPERT, EXPERT_MEASURED = "MoE, residual (as published)", "MoE, estimated error, overlap"
ALL = (SOFT, SOFT_MEASURED, HARD, HARD_MEASURED, EXPERT, EXPERT_MEASURED)


@dataclass(frozen=True)
class Size:
    """How large all is.

    Attributes:
        points: cells.
        steps: of training.
        tests: problems.
    """

    points: int
    steps: int
    tests: int


@dataclass(frozen=True)
class Run:
    """What came of a training.

    Attributes:
        error: mean relative L2 over the tests, in percent.
        unsolved: samples whose weights were not found in time, in percent.
        training: seconds.
        inference: seconds a problem.
        seams: jumps of values, and of slopes, across the faces of boxes, over those beside them.
    """

    error: float
    unsolved: float
    training: float
    inference: float
    seams: tuple[float, float]


def family_of(varied: bool, points: int) -> Any:
    return operators.data.diffusion_sorption(points, END, varied)


def model_of(name: str, inputs: tuple[str, ...]) -> Any:
    """A model of the table."""
    functions = 1 if name.startswith("PI-SC") else FUNCTIONS
    backbone = operators.FNO(len(inputs), functions, (MODES, MODES), width=WIDTH, layers=LAYERS)
    shared: dict[str, Any] = {"inputs": inputs, "ramp": 0.0}
    hard = {**shared, "ridge": RIDGE, "max_steps": MOST}
    boxes = (1, EXPERTS)
    makers: dict[str, Callable[[], Any]] = {
        SOFT: lambda: operators.SoftConstraint(backbone, STEPS_IN_TIME, **shared),
        SOFT_MEASURED: lambda: operators.SoftConstraint(backbone, STEPS_IN_TIME, measure=MEASURE, **shared),
        HARD: lambda: operators.ConstrainedBasis(backbone, STEPS_IN_TIME, points=EXPERTS * DRAWN, **hard),
        HARD_MEASURED: lambda: operators.ConstrainedBasis(backbone, STEPS_IN_TIME, measure=MEASURE, **hard),
        EXPERT: lambda: operators.MixtureOfExperts(
            backbone, STEPS_IN_TIME, operators.Boxes(boxes), points=DRAWN, **hard
        ),
        EXPERT_MEASURED: lambda: operators.MixtureOfExperts(
            backbone, STEPS_IN_TIME, operators.Boxes(boxes, OVERLAP), measure=MEASURE, **hard
        ),
    }
    return makers[name]()


def tests(varied: bool, size: Size) -> tuple[Any, Tensor]:
    """Problems, and their solutions at all times."""
    family = family_of(varied, size.points)
    problem = family.draw(size.tests, torch.Generator().manual_seed(SEED_OF_TESTS))
    times = torch.linspace(0.0, END, STEPS_IN_TIME + 1, dtype=torch.float64)
    return problem, kt.solve(problem, family.method, save_at=times, **family.options).ys


def errors(u: Tensor, exact: Tensor) -> Tensor:
    """The relative L2 error of each, over all times."""
    return (u - exact).square().sum((0, 2)).sqrt() / exact.square().sum((0, 2)).sqrt()


def trained(name: str, varied: bool, size: Size, seed: int) -> tuple[Run, Tensor]:
    """One model from one seed, and what it predicts of the first test."""
    torch.set_num_threads(1)
    family = family_of(varied, size.points)
    problem, exact = tests(varied, size)
    torch.manual_seed(seed)
    model = model_of(name, family.inputs)
    begun = time.perf_counter()
    operators.train_on_equation(model, family, size.steps, batch=BATCH, lr=RATE, seed=seed, progress=False)
    training = time.perf_counter() - begun
    model.eval()
    begun = time.perf_counter()
    with torch.no_grad():
        predicted = model(problem)
    inference = (time.perf_counter() - begun) / size.tests
    error = 100.0 * float(errors(predicted.u, exact).mean())
    unsolved = 100.0 * predicted.unsolved
    return Run(error, unsolved, training, inference, seams(predicted.u, EXPERTS)), predicted.u[:, 0].detach()


def interpolated(count: int, size: Size) -> float:
    """Errors, in percent, of interpolation between the solutions for so many constant initial states."""
    problem, exact = tests(False, size)
    levels = torch.linspace(0.0, 0.2, count, dtype=torch.float64)
    known = problem.equation.problem(problem.grid, levels[:, None].expand(-1, size.points), problem.t_span)
    family = family_of(False, size.points)
    times = torch.linspace(0.0, END, STEPS_IN_TIME + 1, dtype=torch.float64)
    solutions = kt.solve(known, family.method, save_at=times, **family.options).ys
    place = problem.u0[:, 0] / levels[1]
    left = place.floor().clamp(max=count - 2).long()
    share = (place - left)[None, :, None]
    u = (1.0 - share) * solutions[:, left] + share * solutions[:, left + 1]
    return 100.0 * float(errors(u, exact).mean())


def solver(varied: bool, size: Size, rtol: float) -> tuple[float, float]:
    """Errors, in percent, and seconds a problem of a solver with this tolerance, of all problems at once."""
    problem, exact = tests(varied, size)
    times = torch.linspace(0.0, END, STEPS_IN_TIME + 1, dtype=torch.float64)
    begun = time.perf_counter()
    u = kt.solve(problem, kt.RKC2(), save_at=times, rtol=rtol, atol=1e-2 * rtol).ys
    return 100.0 * float(errors(u, exact).mean()), (time.perf_counter() - begun) / size.tests


def compared(report: Report, varied: bool, size: Size, seeds: int) -> dict[str, Tensor]:
    """The table of one family; the predictions of the first seed."""
    jobs = [(name, varied, size, seed) for name in ALL for seed in range(seeds)]
    with ProcessPoolExecutor(os.cpu_count(), get_context("spawn")) as processes:
        found = dict(zip(jobs, processes.map(trained, *zip(*jobs, strict=True)), strict=True))
    runs = {name: [found[name, varied, size, seed][0] for seed in range(seeds)] for name in ALL}
    kind = "varied in space, varied coefficients" if varied else "constant initial states (PDEBench)"
    columns = ("model", "relative L2, %", "unsolved, %", "training, s", "ms a problem", "jump of u", "of u_x", "bar")
    table = report.table(f"Diffusion and sorption, {kind}: {size.steps} steps, {size.tests} problems", *columns)
    for name, each in runs.items():
        cells = [Spread.of([getattr(one, part) for one in each]) for part in ("error", "unsolved", "training")]
        inference = Spread.of([1e3 * one.inference for one in each])
        jumps = [Spread.of([one.seams[part] for one in each]) for part in (0, 1)] if "MoE" in name else [None, None]
        table.add(name, *cells, inference, *jumps, _bar(name, runs))
    if not varied:
        for count in (3, 5, 9):
            table.add(f"interpolation between {count} solutions", interpolated(count, size), *[None] * 6)
    for rtol in (1e-2, 1e-3):
        error, seconds = solver(varied, size, rtol)
        table.add(f"RKC2, rtol {rtol:g}, all at once", error, None, None, 1e3 * seconds, None, None, None)
    report.data[kind] = {name: [one.error for one in each] for name, each in runs.items()}
    return {name: found[name, varied, size, 0][1] for name in ALL}


def _bar(name: str, runs: dict[str, list[Run]]) -> str | None:
    """What the next better model must be better than, in each seed."""
    worse = {HARD_MEASURED: SOFT_MEASURED, EXPERT_MEASURED: HARD_MEASURED}.get(name)
    if worse is None:
        return None
    gain = ratio([one.error for one in runs[worse]], [one.error for one in runs[name]])
    return f"error of '{worse}' over this, each seed {verdict(Spread.of([gain.low]), 1.0)}"


def main(argv: Sequence[str] | None = None) -> Report:
    """Run and report."""
    options = arguments(argv, __doc__, repeats=SEEDS)
    size = Size(32, 3, 2) if options.quick else Size(POINTS, STEPS, TESTS)
    settings = {
        "points": size.points,
        "times": STEPS_IN_TIME,
        "steps": size.steps,
        "batch": BATCH,
        "basis functions": FUNCTIONS,
        "experts": EXPERTS,
        "seeds": options.repeats,
    }
    report = Report("hard-constraints", "What do hard constraints and experts gain?", settings)
    pictures = {varied: compared(report, varied, size, options.repeats) for varied in (False, True)}
    report.notes += NOTES

    def draw(path: Path) -> None:
        exact = tests(True, size)[1][:, 0]
        picture(pictures[True], exact, path)

    finish(report, options, draw)
    return report


def picture(predicted: dict[str, Tensor], exact: Tensor, path: Path) -> None:
    """The first test with varied coefficients: solution, predictions, and what they are off by."""
    import matplotlib.pyplot as plt

    names = (SOFT_MEASURED, HARD_MEASURED, EXPERT, EXPERT_MEASURED)
    figure, axes = plt.subplots(2, len(names) + 1, figsize=(15, 5), sharex=True, sharey=True, layout="constrained")
    box = (0.0, 1.0, 0.0, END)
    shown = {"solution": exact, **{name: predicted[name] for name in names}}
    largest = max(float((predicted[name] - exact).abs().max()) for name in names)
    rows: tuple[dict[str, Any], dict[str, Any]] = (
        {"vmin": 0.0, "vmax": 1.0},
        {"vmin": -largest, "vmax": largest, "cmap": "RdBu"},
    )
    for column, (name, u) in enumerate(shown.items()):
        axes[0, column].set_title(name, fontsize=9)
        axes[1, column].set_xlabel("x")
        for row, (field, colours) in enumerate(zip((u, u - exact), rows, strict=True)):
            axes[row, column].imshow(field, origin="lower", extent=box, aspect="auto", **colours)
    for row, label in enumerate(("u", "off by")):
        figure.colorbar(axes[row, 0].images[0], ax=axes[row], label=label)
    axes[0, 0].set_ylabel("t")
    axes[1, 0].set_ylabel("t")
    figure.savefig(path, dpi=120)
    plt.close(figure)


NOTES = (
    "Medians and ranges over seeds, of weights and problems. All are trained on problems drawn anew for each step, "
    "without solutions; errors are relative L2 over all times and places. Samples whose weights are not found within "
    f"{MOST} iterations count with constant weights in training (unsolved: those of the tests).",
    "As published: residuals at points of boxes that do not overlap, each expert also next to walls. Estimated error: "
    "what residuals make of the solution, see kutta.operators.EstimatedError.",
    "The settings that all share were found by short trials on these two families.",
    "Jumps: differences of values, and of slopes, across the inner faces of boxes over those two cells beside them.",
    "Seconds are of one thread with as many runs beside each other as there are cores.",
)

if __name__ == "__main__":
    main()
