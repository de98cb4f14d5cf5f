"""Samplers side by side: on a mixture in the plane, where the exact end states are known, and on a model of digits."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

import kutta as kt
from kutta.demo import digits_flow
from kutta.demo.classifier import CLASSES
from kutta.demo.digits import one_thread
from kutta.demo.frechet import Judge

SAMPLERS: Mapping[str, kt.diffusion.Sampler] = {
    "DDIM": kt.DDIM(),
    "DPM-Solver++ 2M": kt.DPMSolverPP(2),
    "UniPC": kt.UniPC(2),
    "heavy ball": kt.HeavyBall(kt.DPMSolverPP(2), beta=0.8),
    "GHVB 2.8": kt.GHVB.numbered(2.8),
    "exponential 3": kt.ExponentialMultistep(3, corrector=True),
}
"""All of them evaluate the model once a step."""

ADAPTIVE = "adaptive"
"""The name of the one that chooses its steps by a tolerance."""

STEPS = (5, 7, 10, 14, 20, 28, 40, 56)
TOLERANCES = (1e-1, 3e-2, 1e-2, 1e-3, 1e-4)
FEW = (4, 6, 10)
"""Evaluations at which digits are sampled."""
GRID = kt.diffusion.Beta()
"""The grid of the digits, dense at both ends, where the velocity changes most."""


@dataclass(frozen=True)
class Curve:
    """Error against cost of one sampler.

    Attributes:
        evaluations: of the model.
        errors: mean distance of the end states from the exact ones.
    """

    evaluations: tuple[int, ...]
    errors: tuple[float, ...]


@dataclass(frozen=True)
class Mixture:
    """The samplers on a mixture of seven blobs.

    Attributes:
        data: points of the mixture, ``(N, 2)``.
        exact: exact paths of some samples, ``(T, B, 2)``.
        paths: those of two samplers with ten evaluations, ``(11, B, 2)``, by name.
        curves: of all samplers, by name.
        samples: how many the curves are means of.
    """

    data: Tensor
    exact: Tensor
    paths: Mapping[str, Tensor]
    curves: Mapping[str, Curve]
    samples: int


@dataclass(frozen=True)
class Score:
    """How good sampled digits are.

    Attributes:
        distance: Fréchet distance from the real ones.
        legible: share of those that are read as what they shall be.
        deviation: root mean square distance, a pixel, from the exact ends of the same paths; 1 is half of the range
            from black to white.
    """

    distance: float
    legible: float
    deviation: float


@dataclass(frozen=True)
class Digits:
    """The samplers on the model of digits.

    Attributes:
        settings: of the model.
        model: trained.
        seconds: of its training.
        images: the digits from 0 to 9 from the same noise, ``(10, 64)``, by sampler and evaluations.
        exact: likewise, the exact ends of their paths.
        ts: times of the paths, ``(T,)``.
        paths: from noise to these digits, ``(T, 10, 64)``.
        scores: by sampler and evaluations.
        best: the score of the exact ends: what is the model's error and not a sampler's.
        samples: how many the scores are made of.
    """

    settings: digits_flow.Settings
    model: digits_flow.Velocity
    seconds: float
    images: Mapping[tuple[str, int], Tensor]
    exact: Tensor
    ts: Tensor
    paths: Tensor
    scores: Mapping[tuple[str, int], Score]
    best: Score
    samples: int


@dataclass(frozen=True)
class Study:
    """The whole study."""

    mixture: Mixture
    digits: Digits


def seven_blobs() -> kt.diffusion.GaussianMixture:
    """A blob in the middle and six around it."""
    angles = torch.arange(6, dtype=torch.float64) * (math.pi / 3.0)
    around = 2.0 * torch.stack((angles.cos(), angles.sin()), dim=1)
    means = torch.cat((around, torch.zeros(1, 2, dtype=torch.float64)))
    return kt.diffusion.GaussianMixture(torch.ones(7), means, torch.full((7,), 0.02))


def study_mixture(seed: int = 0, samples: int = 256) -> Mixture:
    """Sample the mixture with every sampler, at several numbers of evaluations."""
    generator = torch.Generator().manual_seed(seed)
    teacher, schedule = seven_blobs(), kt.diffusion.VP()
    noise = torch.randn(samples, 2, generator=generator, dtype=torch.float64)
    problem = kt.DiffusionProblem(teacher.model(schedule), schedule, noise)
    shown = kt.DiffusionProblem(teacher.model(schedule), schedule, noise[:12])
    grid = kt.diffusion.UniformLogSNR()
    ends = kt.solve(problem, kt.Vern8(), rtol=1e-9, atol=1e-9).y1

    def error(solution: kt.Solution) -> float:
        return float((solution.y1 - ends).norm(dim=1).mean())

    def curve(sampler: kt.diffusion.Sampler) -> Curve:
        return Curve(STEPS, tuple(error(kt.solve(problem, sampler, steps=steps, grid=grid)) for steps in STEPS))

    tried = [kt.solve(problem, kt.AdaptiveMultistep(3), atol=tolerance) for tolerance in TOLERANCES]
    # All samples are evaluated until the last one ends.
    adaptive = Curve(
        tuple(int(torch.as_tensor(one.stats.function_evaluations).max()) for one in tried),
        tuple(error(one) for one in tried),
    )
    times = grid.times(schedule, 100, schedule.start, schedule.end)
    exact = kt.solve(shown, kt.Vern8(), rtol=1e-9, atol=1e-9, save_at=times).ys
    paths = {
        name: kt.solve(shown, SAMPLERS[name], steps=10, grid=grid, save_at="steps").ys for name in ("DDIM", "GHVB 2.8")
    }
    curves = {name: curve(sampler) for name, sampler in SAMPLERS.items()} | {ADAPTIVE: adaptive}
    return Mixture(teacher.sample(350, generator), exact, paths, curves, samples)


def study_digits(
    seed: int = 0, settings: digits_flow.Settings | None = None, samples: int = 1000, progress: bool = False
) -> Digits:
    """Train the model of digits, then sample it with every sampler at few evaluations."""
    settings = settings or digits_flow.Settings()
    began = time.perf_counter()
    model = digits_flow.train(settings, seed, progress and "Digits: flow matching")
    seconds = time.perf_counter() - began
    judge = Judge.of(*digits_flow.load_images(), seed)
    wanted = torch.arange(samples) % CLASSES
    problem = digits_flow.problem(model, digits_flow.noise_for(samples, seed), wanted)
    ends = kt.solve(problem, kt.Dopri5(), rtol=1e-4, atol=1e-4).y1

    def score(images: Tensor) -> Score:
        deviation = float((images - ends).square().mean().sqrt())
        return Score(judge.distance(images), judge.legible(images, wanted), deviation)

    sampled = {
        (name, steps): kt.solve(problem, sampler, steps=steps, grid=GRID).y1
        for name, sampler in SAMPLERS.items()
        for steps in FEW
    }
    ten = digits_flow.problem(model, problem.x[:CLASSES], wanted[:CLASSES])
    path = kt.solve(ten, SAMPLERS["DPM-Solver++ 2M"], steps=10, grid=GRID, save_at="steps")
    return Digits(
        settings=settings,
        model=model,
        seconds=seconds,
        images={which: images[:CLASSES] for which, images in sampled.items()},
        exact=ends[:CLASSES],
        ts=path.ts,
        paths=path.ys,
        scores={which: score(images) for which, images in sampled.items()},
        best=score(ends),
        samples=samples,
    )


def study(
    seed: int = 0, settings: digits_flow.Settings | None = None, samples: int = 1000, progress: bool = False
) -> Study:
    """Both parts."""
    with one_thread():
        return Study(study_mixture(seed), study_digits(seed, settings, samples, progress))
