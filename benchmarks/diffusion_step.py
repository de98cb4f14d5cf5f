"""What a step of a scheduler costs beside those of diffusers, and how often it waits for the device."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from benchmarks._measure import measure, ratio
from benchmarks._report import Report, arguments, finish
from benchmarks.host_reads import count

PEER = "DPMSolverMultistep, order 2"
LIMIT = 0.5  # of the time of the peer
TRAINED = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012}


def schedulers() -> dict[str, Any]:
    """Schedulers by name."""
    import diffusers

    from kutta.compat import diffusers as ours

    return {
        PEER: diffusers.DPMSolverMultistepScheduler(**TRAINED),
        "DPMSolverMultistep, order 3": diffusers.DPMSolverMultistepScheduler(**TRAINED, solver_order=3),
        "UniPCMultistep, order 2": diffusers.UniPCMultistepScheduler(**TRAINED),
        "DEISMultistep, order 2": diffusers.DEISMultistepScheduler(**TRAINED),
        "PNDM": diffusers.PNDMScheduler(**TRAINED, skip_prk_steps=True),
        "EulerDiscrete": diffusers.EulerDiscreteScheduler(**TRAINED),
        "kutta ExponentialMultistep, order 2": ours.ExponentialMultistepScheduler(**TRAINED),
        "kutta ExponentialMultistep, order 3": ours.ExponentialMultistepScheduler(**TRAINED, solver_order=3),
        "kutta GHVB, order 3": ours.GHVBScheduler(**TRAINED),
        "kutta HeavyBallDPMSolver, order 2": ours.HeavyBallDPMSolverScheduler(**TRAINED),
    }


def run(scheduler: Any, steps: int, x: torch.Tensor, output: torch.Tensor) -> Callable[[], Any]:
    """A whole run with a model that costs nothing, `set_timesteps` left out."""

    def steps_alone() -> torch.Tensor:
        begin(scheduler)
        state = x
        for t in times:
            state = scheduler.step(output, t, scheduler.scale_model_input(state, t), return_dict=False)[0]
        return state

    scheduler.set_timesteps(steps)
    begin, times = rewound(scheduler), list(scheduler.timesteps)
    return steps_alone


def rewound(scheduler: Any) -> Callable[[Any], None]:
    """What makes a scheduler begin anew: its attributes as `set_timesteps` left them."""
    kept = {name: list(value) if isinstance(value, list) else value for name, value in vars(scheduler).items()}

    def begin(scheduler: Any) -> None:
        for name, value in kept.items():
            setattr(scheduler, name, list(value) if isinstance(value, list) else value)

    return begin


NOTES = (
    "Each round runs all schedulers one after the other; the figures are medians over the rounds, with the smallest "
    "and the largest in brackets. Ratios are taken round by round.",
    "Host reads: values that Python waits for (item, bool, float, tolist, numpy, cpu) and operations whose result has "
    "a size that depends on values. Those of tensors on a GPU stop its queue; the tables of diffusers are on the host.",
)


def main(argv: Sequence[str] | None = None) -> Report:
    """Run and report."""
    options = arguments(argv, __doc__, repeats=15)
    shape, steps = ((2, 4, 16, 16), 5) if options.quick else ((8, 4, 64, 64), 20)
    report = Report(
        "diffusion-step",
        "What does a step of a scheduler cost, beside the network?",
        {"latent": shape, "dtype": "float32", "steps": steps, "limit": f"{LIMIT} of {PEER}"},
    )
    report.notes += NOTES
    numbers = torch.Generator().manual_seed(0)
    x, output = (torch.randn(shape, generator=numbers) for _ in range(2))
    with torch.no_grad():
        runs = {name: run(scheduler, steps, x, output) for name, scheduler in schedulers().items()}
        counts = {name: count(call) for name, call in runs.items()}
        timings = measure(runs, options.repeats)
    table = report.table("A step", "scheduler", "microseconds", "of the peer's", "operations", "host reads")
    for name, seconds in timings.items():
        micro = ratio(seconds, [1e-6 * steps] * len(seconds))
        per_step = (counts[name][what] / steps for what in ("all", "reads"))
        table.add(name, micro, ratio(seconds, timings[PEER]), *per_step)
    for name in (name for name in timings if name.startswith("kutta")):
        worst = ratio(timings[name], timings[PEER]).median
        report.notes.append(f"{name}: {worst:.2f} of the peer, {'met' if worst <= LIMIT else 'missed'}")
    report.data["seconds a run"] = timings
    finish(report, options)
    return report


if __name__ == "__main__":
    main()
