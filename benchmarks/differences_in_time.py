"""What backward differences between few times are off by, alone: about what networks that fulfil them are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

import kutta as kt
from benchmarks import _constrained as constrained
from benchmarks._report import Report, arguments, finish
from kutta.operators.constraints.space_time import SpaceTime


def marched(problem: Any, steps: int) -> Tensor:
    """The field whose residual is zero, time after time, ``(Q + 1, n, *shape)``."""
    space_time, f = SpaceTime(problem, steps), problem.as_ode().f
    states = [space_time.problem.u0]
    for number, t in enumerate(space_time.times[1:]):
        weight, known = (1.0, states[-1]) if number == 0 else (1.5, 2.0 * states[-1] - 0.5 * states[-2])

        def residual(u: Tensor, t: Tensor = t, weight: float = weight, known: Tensor = known) -> Tensor:
            return weight * u - known - space_time.h * f(t, u)

        root = kt.RootProblem(residual, states[-1], batched=True)
        states.append(kt.solve(root, kt.NewtonKrylov(), rtol=1e-8).y1)
    return torch.stack(states)


def main(argv: Sequence[str] | None = None) -> Report:
    """Run and report."""
    options = arguments(argv, __doc__, repeats=1)
    cases = [case.small() for case in constrained.CASES] if options.quick else constrained.CASES
    settings = {"tests": cases[0].tests}
    report = Report("differences-in-time", "What are differences between few times off by?", settings)
    table = report.table("Relative L2 over all times", "problems", "times", "error, %")
    for case in cases:
        problem, exact = constrained.tests(case)
        error = 100.0 * float(constrained.errors(marched(problem, case.times), exact, problem).mean())
        table.add(case.title, case.times, error)
    report.notes.append("The problems that benchmarks/hard_constraints.py tests networks with.")
    finish(report, options)
    return report


if __name__ == "__main__":
    main()
