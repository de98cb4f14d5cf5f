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
CELLS, STEPS_IN_TIME, SAMPLES, EXPERTS, FUNCTIONS, ITERATIONS, REPEATS = 256, 96, 4, 4, 16, 50, 5
RIDGE, RTOL = 1e-2, 1e-3  # with which weights are found at most numbers of points, whatever the network
POINTS = (100, 1000, 10_000, 20_000)
CONTENDERS = ("experts", "one, as many weights", "one, as many functions")
RATIOS, AT_LEAST = ("weights / experts", "functions / experts"), 3.0
LARGE, FEW = 48, 2  # functions of large experts, and how many of these for two processes


def backbone(functions: int) -> Any:
    """A network whose time is small beside that of the constraint."""
    return operators.FNO(4, functions, (8, 8), width=8, layers=2, lift=16, project=16)


def options(points: int) -> dict[str, Any]:
    """Of all."""
    inputs = operators.data.diffusion_sorption().inputs
    return {"points": points, "inputs": inputs, "ramp": 0.0, "ridge": RIDGE, "max_steps": ITERATIONS, "rtol": RTOL}


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
    """Seconds of a prediction and its derivatives, at the same points each time."""
    return seconds(lambda: model.eval()(problem).loss_of_all.backward())


def of_inference(model: Any, problem: Any) -> float:
    """Seconds of a prediction."""
    with torch.no_grad():
        return seconds(lambda: model.eval()(problem))


@torch.no_grad()
def solved(model: Any, problem: Any) -> float:
    """Which part of the weights is found, in percent."""
    return 100.0 * float((model.eval()(problem).results < int(kt.Result.MAX_STEPS)).double().mean())


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
    """Seconds of a training step with all experts in the first process, and then with a part of them in both."""
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", f"file://{rendezvous}", rank=rank, world_size=2)
    problem = problems(cells)
    torch.manual_seed(0)
    alone = experts(functions, points, FEW)
    torch.manual_seed(0)
    shared = experts(functions, points, FEW, True)
    spent = []
    for _ in range(repeats + 1):
        distributed.barrier()
        one = of_training(alone, problem) if rank == 0 else 0.0
        distributed.barrier()
        spent.append((one, of_training(shared, problem)))
    if rank == 0:
        answers.put((spent[1:], solved(alone, problem)))
    distributed.barrier()
    distributed.destroy_process_group()


def of_processes(cells: int, points: int, functions: int, repeats: int) -> tuple[list[tuple[float, float]], float]:
    """Seconds of training steps of one process and of two, in turn, a thread each, and the part that is solved."""
    context = get_context("spawn")
    answers = context.Queue()
    with TemporaryDirectory() as folder:
        given = (str(Path(folder) / "rendezvous"), cells, points, functions, repeats, answers)
        workers = [context.Process(target=_process, args=(rank, *given)) for rank in range(2)]
        for worker in workers:
            worker.start()
        found = answers.get(timeout=1200)
        for worker in workers:
            worker.join()
    return found


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
    columns = ("points", *(f"{name}, {unit}" for name in CONTENDERS for unit in ("s", "solved %")), *RATIOS, "bars")
    for title, measure in (("Training: a prediction and its derivatives", of_training), ("Inference", of_inference)):
        table = report.table(title, *columns)
        for points in counts:
            torch.manual_seed(0)
            models = {
                CONTENDERS[0]: experts(functions, points),
                CONTENDERS[1]: single(EXPERTS * functions, points),
                CONTENDERS[2]: single(functions, points),
            }
            found = paired(models, problem, measure, given.repeats)
            parts = {name: solved(model, problem) for name, model in models.items()}
            gains = [ratio(found[name], found[CONTENDERS[0]]) for name in CONTENDERS[1:]]
            cells_of_all = [cell for name in CONTENDERS for cell in (Spread.of(found[name]), parts[name])]
            last = points == counts[-1]
            table.add(points, *cells_of_all, *gains, bars(gains, min(parts.values())) if last else None)
    large_counts, part = of_processes(cells, counts[-1], large, given.repeats)
    alone, both = ([one[place] for one in large_counts] for place in (0, 1))
    title = f"Two processes: {FEW} experts of {large} functions, {counts[-1]} points, a thread each, training"
    table = report.table(title, "processes", "s a step", "solved %", "one / this", "bar")
    gain = ratio(alone, both)
    table.add(1, Spread.of(alone), part, None, None)
    table.add(2, Spread.of(both), part, gain, verdict(gain, 1.0))
    report.notes += NOTES
    finish(report, given)
    return report


def bars(gains: Sequence[Spread], part: float) -> str:
    """Verdicts on the ratios, if all had the same to do."""
    if part < 100.0:
        return "not all solved"
    return "; ".join(f"{name} {verdict(gain, AT_LEAST)}" for name, gain in zip(RATIOS, gains, strict=True))


NOTES = (
    "Diffusion and sorption with varied coefficients, networks that have not been trained. Experts share the points, "
    "so that all their rows are as many as those of one constraint; points are the same in each round.",
    "As many weights: one constraint whose basis has as many functions as the experts have weights together, so that "
    "predictions are as free. As many functions: one with the functions of a single expert, which has a quarter of the "
    "weights: normal matrices then cost the same, and so do both.",
    "Searches for weights that are not found go on to the last iteration, and have no derivatives: ratios say "
    "something only where all are solved, and bars are given only there.",
    "Times include the network and the images of its functions at all points.",
)

if __name__ == "__main__":
    main()
