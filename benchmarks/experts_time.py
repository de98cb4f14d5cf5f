"""The time of experts against that of one constraint for all, by the number of points; and of two processes."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
import torch.distributed as distributed

import kutta as kt
from benchmarks._measure import Spread, ratio
from benchmarks._report import Report, arguments, finish, verdict

operators = kt.operators
CELLS, STEPS_IN_TIME, SAMPLES, EXPERTS, FUNCTIONS, ITERATIONS, REPEATS = 256, 96, 4, 4, 16, 6, 5
POINTS = (100, 1000, 10_000, 20_000)
LARGE, FEW = 48, 2  # functions of large experts, and how many of these for two processes


def backbone(functions: int) -> Any:
    """A network whose time is small beside that of the constraint."""
    return operators.FNO(4, functions, (8, 8), width=8, layers=2, lift=16, project=16)


def options(points: int, iterations: int = ITERATIONS) -> dict[str, Any]:
    """At most as many iterations of all."""
    inputs = operators.data.diffusion_sorption().inputs
    return {"points": points, "inputs": inputs, "ramp": 0.0, "ridge": 1e-3, "max_steps": iterations, "rtol": 1e-5}


def single(functions: int, points: int) -> Any:
    """One constraint for all."""
    return operators.ConstrainedBasis(backbone(functions), STEPS_IN_TIME, **options(points))


def experts(functions: int, points: int, count: int = EXPERTS, processes: Any = None) -> Any:
    """Experts that share the points among them."""
    routing = operators.Boxes((1, count))
    return operators.MixtureOfExperts(
        backbone(functions), STEPS_IN_TIME, routing, processes=processes, **options(max(points // count, 1))
    )


def seconds(call: Callable[[], Any]) -> float:
    begun = time.perf_counter()
    call()
    return time.perf_counter() - begun


def of_training(model: Any, problem: Any) -> float:
    """Seconds of a prediction and its derivatives."""
    model.train()
    return seconds(lambda: model(problem).loss_of_all.backward())


def of_inference(model: Any, problem: Any) -> float:
    """Seconds of a prediction."""
    model.eval()
    with torch.no_grad():
        return seconds(lambda: model(problem))


def paired(models: dict[str, Any], problem: Any, measure: Callable[[Any, Any], float], repeats: int) -> dict[str, list]:
    """Seconds of each model in turn, after one that does not count."""
    found: dict[str, list] = {name: [] for name in models}
    for number in range(repeats + 1):
        for name, model in models.items():
            spent = measure(model, problem)
            if number:
                found[name].append(spent)
    return found


def _process(rank: int, rendezvous: str, cells: int, points: int, functions: int, repeats: int, answers: Any) -> None:
    """Seconds of a training step with experts of two processes."""
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", f"file://{rendezvous}", rank=rank, world_size=2)
    torch.manual_seed(0)
    model, problem = experts(functions, points, FEW, True), problems(cells)
    spent = []
    for _ in range(repeats + 1):
        distributed.barrier()
        spent.append(of_training(model, problem))
    if rank == 0:
        answers.put(spent[1:])
    distributed.barrier()
    distributed.destroy_process_group()


def of_two_processes(cells: int, points: int, functions: int, repeats: int) -> list[float]:
    """Seconds of training steps, a thread each."""
    context = get_context("spawn")
    answers = context.Queue()
    with TemporaryDirectory() as folder:
        given = (str(Path(folder) / "rendezvous"), cells, points, functions, repeats, answers)
        workers = [context.Process(target=_process, args=(rank, *given)) for rank in range(2)]
        for worker in workers:
            worker.start()
        spent = answers.get(timeout=600)
        for worker in workers:
            worker.join()
    return spent


def problems(cells: int) -> Any:
    """Diffusion and sorption, varied."""
    return operators.data.diffusion_sorption(cells).draw(SAMPLES, torch.Generator().manual_seed(0))


def main(argv: Sequence[str] | None = None) -> Report:
    """Run and report."""
    given = arguments(argv, __doc__, repeats=REPEATS)
    cells, counts, functions, large = (16, (20, 40), 4, 4) if given.quick else (CELLS, POINTS, FUNCTIONS, LARGE)
    settings = {
        "cells": cells,
        "times": STEPS_IN_TIME,
        "samples": SAMPLES,
        "experts": EXPERTS,
        "functions of an expert": functions,
        "iterations": ITERATIONS,
    }
    report = Report("experts-time", "How much faster are experts than one constraint for all?", settings)
    problem = problems(cells)
    columns = (
        "points",
        "experts, s",
        "one, as many weights, s",
        "ratio",
        "one, as many functions, s",
        "ratio ",
        "bars",
    )
    for title, measure in (("Training: a prediction and its derivatives", of_training), ("Inference", of_inference)):
        table = report.table(title, *columns)
        for points in counts:
            torch.manual_seed(0)
            models = {
                "experts": experts(functions, points),
                "weights": single(EXPERTS * functions, points),
                "functions": single(functions, points),
            }
            found = paired(models, problem, measure, given.repeats)
            gains = {name: ratio(found[name], found["experts"]) for name in ("weights", "functions")}
            bar = "; ".join(f"{name} {verdict(gains[name], 3.0)}" for name in gains) if points == counts[-1] else None
            spreads = {name: Spread.of(spent) for name, spent in found.items()}
            table.add(
                points,
                spreads["experts"],
                spreads["weights"],
                gains["weights"],
                spreads["functions"],
                gains["functions"],
                bar,
            )
    torch.set_num_threads(1)
    torch.manual_seed(0)
    alone = paired({"one": experts(large, counts[-1], FEW)}, problem, of_training, given.repeats)["one"]
    both = of_two_processes(cells, counts[-1], large, given.repeats)
    title = f"Two processes: {FEW} experts of {large} functions, {counts[-1]} points, a thread each, training"
    table = report.table(title, "processes", "s a step", "one / this", "bar")
    gain = ratio(alone, both)
    table.add(1, Spread.of(alone), None, None)
    table.add(2, Spread.of(both), gain, verdict(gain, 1.0))
    report.notes += NOTES
    finish(report, given)
    return report


NOTES = (
    "Diffusion and sorption with varied coefficients. All take at most the same number of iterations of Levenberg and "
    "Marquardt. Experts share the points, so that all their rows are as many as those of one constraint.",
    "As many weights: one constraint whose basis has as many functions as the experts have weights together, so that "
    "predictions are as free. As many functions: one with the functions of a single expert, which has a quarter of the "
    "weights: normal matrices then cost the same, and so do both.",
    "Weights that are not found have no derivatives: a training step with few that are found is cheap.",
    "Times include the network and the images of its functions at all points.",
)

if __name__ == "__main__":
    main()
