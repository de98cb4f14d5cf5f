"""What a scheduler costs inside a pipeline of diffusers, and how often its steps wait for the device."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from functools import wraps
from time import perf_counter
from typing import Any

import torch

from benchmarks._measure import Spread, measure, ratio
from benchmarks._report import Report, arguments, finish
from benchmarks.host_reads import count

GUIDANCE = 7.5
PEER = "DPMSolverMultistep, order 2"


def schedulers(steps: int) -> dict[str, tuple[Any, dict[str, Any]]]:
    """Classes of schedulers with their options, by name."""
    import diffusers

    from kutta.compat import diffusers as ours

    times = torch.linspace(999.0, 0.0, steps + 1).tolist()[:-1]
    return {
        PEER: (diffusers.DPMSolverMultistepScheduler, {"solver_order": 2}),
        "DPMSolverMultistep, order 3": (diffusers.DPMSolverMultistepScheduler, {"solver_order": 3}),
        "UniPCMultistep, order 2": (diffusers.UniPCMultistepScheduler, {}),
        "DEISMultistep, order 2": (diffusers.DEISMultistepScheduler, {}),
        "PNDM": (diffusers.PNDMScheduler, {"skip_prk_steps": True}),
        "EulerDiscrete": (diffusers.EulerDiscreteScheduler, {}),
        "HeunDiscrete": (diffusers.HeunDiscreteScheduler, {}),
        "EDMEuler": (diffusers.EDMEulerScheduler, {}),
        "EDMDPMSolverMultistep, order 2": (diffusers.EDMDPMSolverMultistepScheduler, {}),
        "kutta ExponentialMultistep, order 2": (ours.ExponentialMultistepScheduler, {"solver_order": 2}),
        "kutta ExponentialMultistep, order 3": (ours.ExponentialMultistepScheduler, {"solver_order": 3}),
        "kutta GHVB, order 3": (ours.GHVBScheduler, {}),
        "kutta HeavyBallDPMSolver, order 2": (ours.HeavyBallDPMSolverScheduler, {}),
        "kutta Adaptive, order 3": (ours.AdaptiveScheduler, {"calibrated_times": times}),
        "kutta Searched, order 2": (ours.SearchedScheduler, {"solver_schedule": second_order(times)}),
    }


def second_order(times: Sequence[float]) -> str:
    """A solver schedule from given times to the last one, as a search would write it down."""
    import kutta as kt

    estimates = [(), *[(kt.diffusion.Estimate(nodes=1),)] * len(times)]
    ends = zip((*times[1:], 0.0), estimates, strict=False)
    return kt.SolverSchedule(times[0], tuple(kt.diffusion.SolverStep(t, estimates=one) for t, one in ends)).to_json()


class Contender:
    """A pipeline with one line changed, whose scheduler is watched.

    Attributes:
        planning: seconds spent in `set_timesteps`, by run.
        stepping: seconds spent in `scale_model_input` and `step`, by run.
        evaluations: of the network, in a run.
    """

    def __init__(self, pipe: Any, kind: Any, options: dict[str, Any], given: dict[str, Any]):
        pipe.scheduler = kind.from_config(pipe.scheduler.config, **options)
        self.pipe, self.given = pipe, given
        self.planning: list[float] = []
        self.stepping: list[float] = []
        self._watch("set_timesteps", timed, self.planning)
        self._watch("scale_model_input", timed, self.stepping)
        self._watch("step", timed, self.stepping)

    def __call__(self) -> None:
        """One run."""
        self.planning.append(0.0)
        self.stepping.append(0.0)
        self.pipe(**self.given)

    @property
    def evaluations(self) -> int:
        return len(self.pipe.scheduler.timesteps)

    def reads(self) -> int:
        """How often Python waits for a value inside `scale_model_input` and `step`, in one run."""
        found: Counter[str] = Counter()
        self._watch("scale_model_input", counted, found)
        self._watch("step", counted, found)
        self()
        return found["reads"]

    def _watch(self, name: str, watching: Callable[[Any, Any], Any], into: Any) -> None:
        setattr(self.pipe.scheduler, name, watching(getattr(self.pipe.scheduler, name), into))


def timed(call: Callable[..., Any], seconds: list[float]) -> Callable[..., Any]:
    """The same call, whose duration is added to the last entry."""

    @wraps(call)
    def timing(*args: Any, **kwargs: Any) -> Any:
        start = perf_counter()
        result = call(*args, **kwargs)
        seconds[-1] += perf_counter() - start
        return result

    return timing


def counted(call: Callable[..., Any], totals: Counter[str]) -> Callable[..., Any]:
    """The same call, whose operations and reads are added to totals."""

    @wraps(call)
    def counting(*args: Any, **kwargs: Any) -> Any:
        results: list[Any] = []
        totals.update(count(lambda: results.append(call(*args, **kwargs))))
        return results[0]

    return counting


def compare(report: Report, unet: Any, batch: int, size: int, steps: int, repeats: int) -> None:
    """A table of whole runs for one size of batches."""
    from tests.compat.diffusers.pipeline import guided_pipeline, inputs

    given = {**inputs(batch, size), "num_inference_steps": steps, "guidance_scale": GUIDANCE}
    runs = {name: Contender(guided_pipeline(unet), *one, given) for name, one in schedulers(steps).items()}
    timings = measure(runs, repeats, at_least=0.0)
    table = report.table(
        f"A run, batch {batch}",
        *("scheduler", "evaluations", "run, ms", "in the scheduler, %", "a step, ms", "of the peer's"),
        "host reads a step",
    )
    peer = _a_step(runs[PEER], repeats)
    for name, run in runs.items():
        each, inside = (
            _a_step(run, repeats),
            [plan + step for plan, step in zip(run.planning, run.stepping, strict=True)],
        )
        share = ratio(inside[-repeats:], [seconds / 100 for seconds in timings[name]])
        report.data[f"{name}, batch {batch}"] = {"run": timings[name], "scheduler": inside[-repeats:], "step": each}
        table.add(
            name,
            run.evaluations,
            _milli(timings[name]),
            share,
            _milli(each),
            ratio(each, peer),
            run.reads() / run.evaluations,
        )


def _a_step(run: Contender, repeats: int) -> list[float]:
    return [seconds / run.evaluations for seconds in run.stepping[-repeats:]]


def _milli(seconds: Sequence[float]) -> Spread:
    return Spread.of([1e3 * one for one in seconds])


def plan(report: Report, steps: int, repeats: int) -> None:
    """A table of what `set_timesteps` takes, of a new scheduler and of one that has had the same times before."""
    from tests.compat.diffusers.pipeline import TRAINED

    first: dict[str, list[float]] = {name: [] for name in schedulers(steps)}
    again: dict[str, list[float]] = {name: [] for name in first}
    for _ in range(repeats):
        for name, (kind, options) in schedulers(steps).items():
            scheduler = kind.from_config(TRAINED, **options)
            for seconds in (first[name], again[name]):
                seconds.append(0.0)
                timed(scheduler.set_timesteps, seconds)(steps)
    table = report.table("set_timesteps", "scheduler", "first, ms", "again, ms")
    for name in first:
        table.add(name, _milli(first[name]), _milli(again[name]))
    report.data["set_timesteps"] = {"first": first, "again": again}


NOTES = (
    "The pipeline is a loop like that of Stable Diffusion between the text encoder and the decoder, around a "
    "`UNet2DConditionModel` with random weights and classifier-free guidance. Its scheduler is changed by one line: "
    "`pipe.scheduler = kind.from_config(pipe.scheduler.config)`.",
    "Each round runs all pipelines one after the other; the figures are medians over the rounds, with the smallest and "
    "the largest in brackets. Ratios are taken round by round. A step is `scale_model_input` and `step` together, for "
    "each evaluation of the network; in the scheduler are those and `set_timesteps`, which has had the same times "
    "before. Guidance is outside. The network is far smaller than any in use, and the shares larger.",
    "HeunDiscrete evaluates the network twice a step, and so more often in as many steps; PNDM once more. Those of EDM "
    "assume another network, and are here for their cost alone.",
    "Host reads: values that Python waits for in a step (item, bool, float, tolist, numpy, cpu) and operations whose "
    "result has a size that depends on values. Those of tensors on a GPU stop its queue; the times are there, the "
    "tables of diffusers on the host.",
)


def main(argv: Sequence[str] | None = None) -> Report:
    """Run and report."""
    import diffusers

    from tests.compat.diffusers.pipeline import small_unet

    options = arguments(argv, __doc__, repeats=5)
    size, steps, batches = (16, 3, (1,)) if options.quick else (64, 10, (1, 8))
    diffusers.logging.set_verbosity_error()  # those of EDM say at length which options they do not know
    unet = small_unet(size)
    report = Report(
        "diffusion-pipeline",
        "What does a scheduler cost inside a pipeline of diffusers?",
        {
            "latent": (4, size, size),
            "dtype": "float32",
            "steps": steps,
            "guidance": GUIDANCE,
            "parameters of the network": sum(one.numel() for one in unet.parameters()),
        },
    )
    report.notes += NOTES
    plan(report, steps, options.repeats)
    for batch in batches:
        compare(report, unet, batch, size, steps, options.repeats)
    finish(report, options)
    return report


if __name__ == "__main__":
    main()
