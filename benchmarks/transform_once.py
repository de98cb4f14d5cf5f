"""T1 and FNO of equal width and waves: the error after as many minutes of training."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

import kutta as kt
from benchmarks._race import fields, race, weights
from benchmarks._report import Report, arguments, finish

operators = kt.operators
MINUTES, SEEDS, SAMPLES, TESTS, LAYERS = 2.0, 3, 512, 128, 4


def family(points: int) -> Any:
    """Darcy's problem with a smooth permeability, ``exp`` of a Gaussian field with deviation 0.38."""
    sides = kt.pde.Grid((points, points), boundary=kt.pde.Neumann())
    grid = kt.pde.Grid((points, points), boundary=kt.pde.Dirichlet())
    field = operators.data.GaussianField(2.0, 3.0, 4.0)

    def draw(count: int, generator: torch.Generator) -> Any:
        return kt.pde.Darcy(field.draw(sides, count, generator).exp()).problem(grid, 1.0)

    method = kt.CG(preconditioner=kt.Multigrid())
    return operators.data.Family(draw, ("coefficient",), method, {"rtol": 1e-7}, name=f"smooth darcy {points}")


def main(argv: Sequence[str] | None = None) -> Report:
    """Run and report."""
    options = arguments(argv, __doc__, repeats=SEEDS)
    torch.set_num_threads(1)
    points, modes, width, minutes = (16, 6, 4, 0.002) if options.quick else (128, 24, 16, MINUTES)
    samples, tests = (32, 8) if options.quick else (SAMPLES, TESTS)
    data, test = operators.data.generate(family(points), samples + tests, seed=0).split(samples, tests)
    makers: dict[str, Callable[[], Any]] = {
        "T1": lambda: operators.T1(1, 1, (modes, modes), width=width, layers=LAYERS),
        "FNO": lambda: operators.FNO(1, 1, (modes, modes), width=width, layers=LAYERS),
    }
    report = Report("transform-once", "What do T1 and FNO learn in equal minutes?", {"dtype": "float32"})
    title = f"Darcy, {points}^2, smooth permeability, {samples} samples, {modes} waves an axis, width {width}"
    runs = {name: fields(make, data, test) for name, make in makers.items()}
    counts = [weights(make()) for make in makers.values()]
    race(report, f"{title}, relative L2 error", runs, counts, minutes, options.repeats)
    report.notes.append(
        "Minutes of one processor core, in which each takes as many steps as fit by its own pace in a shorter run "
        "before. Medians and ranges over seeds of weights and of the order of samples; relative L2 loss, AdamW, one "
        "cycle of rates. FNO continues the fields beyond the walls by 1/8."
    )
    finish(report, options)
    return report


if __name__ == "__main__":
    main()
