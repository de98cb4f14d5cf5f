"""Of which order are samplers when they begin by themselves, on a grid whose steps grow towards the noise?"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from benchmarks._diffusion import CORRECTED, GRADED, MULTISTEP, RHO, SAMPLERS, SINGLE, Target, targets
from benchmarks._peers import missing
from benchmarks._report import Report, arguments, finish
from benchmarks._schedulers import K_DIFFUSION, SCHEDULERS, Peer, by_k_diffusion, of_order

STEPS = (20, 40, 80, 160, 320, 640)
WITHIN = 0.15
STARTED = {
    f"exponential {p}, {name}": (p, MULTISTEP(p, starter=starter))
    for p, starters in (
        (3, {"corrected ramp": CORRECTED, "singlestep start": SINGLE, "graded start": GRADED}),
        (4, {"singlestep start": SINGLE, "graded start": GRADED}),
    )
    for name, starter in starters.items()
}
USUAL = (
    "exponential 2", "exponential 3", "exponential 4", "DPM-Solver++ 2M", "DPM-Solver++ 3M", "UniPC 3", "DEIS 3",
    "PLMS 4", "GHVB 3.8", "Heun (EDM)",
)  # fmt: skip
THEIRS = {
    **SCHEDULERS,
    "UniPCMultistep 3, final": Peer("UniPCMultistepScheduler", of_order(3, lower_order_final=False)),
}

Solve = Callable[[int], Tensor]


def contenders(target: Target) -> dict[str, dict[str, tuple[int | None, Solve]]]:
    """By library and name: the nominal order, where a bar is set to it, and the samples for a number of steps."""

    def kappa(steps: int) -> Tensor:
        return target.nodes(RHO, steps).kappa

    def ours(sampler: Any) -> Solve:
        return lambda steps: target.case.solve(sampler, steps, grid=RHO)

    found: dict[str, dict[str, tuple[int | None, Solve]]] = {
        "kutta": {
            **{name: (order, ours(sampler)) for name, (order, sampler) in STARTED.items()},
            **{name: (None, ours(SAMPLERS[name])) for name in USUAL},
        },
        "diffusers": {
            name: (None, lambda steps, peer=peer: peer.along(target, kappa(steps))) for name, peer in THEIRS.items()
        },
    }
    if not missing(("k_diffusion",)):
        found["k-diffusion"] = {
            name: (None, lambda steps, name=name: by_k_diffusion(name, target, kappa(steps))) for name in K_DIFFUSION
        }
    return found


def slopes(errors: Sequence[float]) -> list[float]:
    """``log2`` of the ratios of errors, each with twice the steps of the one before."""
    logs = torch.log2(torch.tensor(errors, dtype=torch.float64))
    return (logs[:-1] - logs[1:]).tolist()


def main(argv: Sequence[str] | None = None) -> Report:
    """Run and report."""
    options = arguments(argv, __doc__, repeats=1)
    if missing(("diffusers",)):
        raise SystemExit("this benchmark needs diffusers: pip install diffusers")
    steps = STEPS[:2] if options.quick else STEPS
    target = targets()[0]
    settings = {"problem": f"{target.name}, noise levels 5 to 0.05", "grid": repr(RHO), "dtype": "float64"}
    report = Report("diffusion-orders", str(__doc__), {**settings, "steps": steps, "bar": f"within {WITHIN}"})
    met = []
    for library, rows in contenders(target).items():
        columns = [f"{few} to {many}" for few, many in itertools.pairwise(steps)]
        table = report.table(f"Slopes of {library}", "sampler", *columns, f"error at {steps[-1]}", "bar")
        for name, (order, solve) in rows.items():
            errors = [target.case.error(solve(count)) for count in steps]
            found = slopes(errors)
            bar = None if order is None else f"{order}: {'met' if abs(found[-1] - order) <= WITHIN else 'missed'}"
            met += [] if order is None else [abs(found[-1] - order) <= WITHIN]
            table.add(name, *(f"{one:.2f}" for one in found), errors[-1], bar)
            report.data[f"{library}, {name}"] = errors
    report.notes += [
        "Slope: log2 of the ratio of the mean absolute errors with so many and twice as many steps. Every sampler "
        "begins by itself; none is given exact states to start from. Steps of Heun's method and of sample_dpm_2 have "
        "two evaluations, of singlestep and graded starts the first ones.",
        "The tables and states of diffusers are in float64 here, which it would round to float32.",
        "UniPCMultistep ends with lower orders by default, which limits it to order 2; `final` is without.",
        f"Orders 3 and 4 with starters: {sum(met)} of {len(met)} slopes within {WITHIN} at {steps[-1]} steps.",
    ]
    if missing(("k_diffusion",)):
        report.notes.append("k-diffusion is not installed.")
    finish(report, options)
    return report


if __name__ == "__main__":
    main()
