"""Sampling with the loop and the model compiled together, beside loops in Python."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

import kutta as kt
from benchmarks._measure import measure, ratio
from benchmarks._report import Report, arguments, finish

BETAS = torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)
SCHEDULE = kt.diffusion.Discrete(BETAS)
OURS, EAGER = "kutta, Compiled()", "kutta, Eager()"
PEER, PEER_COMPILED = "diffusers, DPMSolverMultistep", "diffusers, DPMSolverMultistep, torch.compile(model)"


class Dense(nn.Module):
    """Predicts the noise of points in the plane."""

    def __init__(self, width: int):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(4, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, 2)
        )

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        phase = (t / 1000.0)[:, None]
        return self.layers(torch.cat([x, torch.sin(4.0 * phase), torch.cos(4.0 * phase)], 1))


class Convolutions(nn.Module):
    """Predicts the noise of small pictures."""

    def __init__(self, channels: int):
        super().__init__()
        self.first, self.last = nn.Conv2d(3, channels, 3, padding=1), nn.Conv2d(channels, 3, 3, padding=1)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.GroupNorm(4, channels), nn.SiLU(), nn.Conv2d(channels, channels, 3, padding=1))
            for _ in range(3)
        )

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        found = self.first(x) * (1.0 + (t / 1000.0)[:, None, None, None])
        for block in self.blocks:
            found = found + block(found)
        return self.last(found)


@dataclass(frozen=True)
class Case:
    """A model and where its sampling begins."""

    name: str
    model: nn.Module
    x: Tensor


def cases(quick: bool) -> list[Case]:
    torch.manual_seed(0)
    width, points, channels, pictures = (16, 8, 8, 1) if quick else (128, 256, 32, 4)
    return [
        Case(f"dense, 2 x {width} wide, {points} points", Dense(width), torch.randn(points, 2)),
        Case(
            f"5 convolutions, {channels} channels, 3x16x16, batch {pictures}",
            Convolutions(channels),
            torch.randn(pictures, 3, 16, 16),
        ),
    ]


def ours(case: Case, steps: int, engine: Any) -> Callable[[], Tensor]:
    problem = kt.DiffusionProblem(case.model, SCHEDULE, case.x)
    method, grid = kt.DPMSolverPP(2, final_orders=()), peer_times(steps)
    return lambda: kt.solve(problem, method, grid=grid, engine=engine).y1


def peer_times(steps: int) -> list[float]:
    """The training steps at which diffusers evaluates, and the end."""
    return [*(float(t) for t in scheduler(steps).timesteps), 0.0]


def scheduler(steps: int) -> Any:
    import diffusers

    made = diffusers.DPMSolverMultistepScheduler(
        trained_betas=BETAS.tolist(),
        final_sigmas_type="sigma_min",
        lower_order_final=False,
        timestep_spacing="linspace",
    )
    made.set_timesteps(steps)
    return made


def peer(case: Case, steps: int, model: Any) -> Callable[[], Tensor]:
    def sample() -> Tensor:
        made, x = scheduler(steps), case.x
        for t in made.timesteps:
            x = made.step(model(x, t.float().expand(len(x))), t, x, return_dict=False)[0]
        return x

    return sample


def main(argv: Sequence[str] | None = None) -> Report:
    """Run and report."""
    options = arguments(argv, __doc__, repeats=15)
    steps = 5 if options.quick else 20
    report = Report(
        "diffusion-compiled",
        "What does sampling take with loop and model compiled together?",
        {"sampler": "DPM-Solver++(2M)", "steps": steps, "dtype": "float32"},
    )
    report.notes.append(
        "The same times and the same sampler; the deviation is the largest one from diffusers' samples."
    )
    for case in cases(options.quick):
        torch.compiler.reset()
        runs = {
            OURS: ours(case, steps, kt.Compiled()),
            EAGER: ours(case, steps, kt.Eager()),
            PEER: peer(case, steps, case.model),
            PEER_COMPILED: peer(case, steps, torch.compile(case.model)),
        }
        with torch.no_grad():
            samples = {name: run() for name, run in runs.items()}
            timings = measure(runs, options.repeats)
        table = report.table(case.name, "what", "milliseconds", "of diffusers'", "deviation")
        for name, seconds in timings.items():
            milli = ratio(seconds, [1e-3] * len(seconds))
            deviation = float((samples[name] - samples[PEER]).abs().max() / samples[PEER].abs().max())
            table.add(name, milli, ratio(seconds, timings[PEER]), f"{deviation:.1e}")
        report.data[case.name] = timings
    finish(report, options)
    return report


if __name__ == "__main__":
    main()
