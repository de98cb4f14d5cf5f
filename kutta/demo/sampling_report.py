"""The part of the report on the third study."""

from __future__ import annotations

from typing import Any

from kutta.demo import sampling, sampling_pictures
from kutta.demo.content import Section
from kutta.durations import seconds
from kutta.text_table import TextTable


def section(study: sampling.Study) -> Section:
    """The third study."""
    digits = study.digits
    settings, best = digits.settings, digits.best
    return Section(
        title="Samplers: from noise to a mixture, and to digits",
        text=(
            "A diffusion model tells what the data are likely to be, given a state that is part data x₀ and part noise "
            "z. Sampling follows its probability flow from noise to data, and each evaluation of the model costs time. "
            "Of a Gaussian mixture the model is known in closed form, and Verner's eighth-order method gives the exact "
            "end of each path, so that the error of a sampler can be measured.",
            "Digits are sampled from a network trained by flow matching on the 1,797 images for "
            f"{settings.steps:,} steps ({seconds(digits.seconds)}): its velocity u leads from noise at t = 1 to the "
            "image of a wanted digit at t = 0. All samplers start from the same noise and use the same grid.",
            "The Fréchet distance compares means and covariances of the features of generated and real images, in the "
            f"last hidden layer of a small classifier. That of the exact ends of the paths, {best.distance:.2f}, is "
            "due to the model and to the number of samples; a sampler can come below it by chance, as its errors may "
            "make up for the model's. The deviation, root mean square over the pixels, compares with the exact ends "
            "themselves; the range from white to black is 2.",
            legibility(digits),
        ),
        equations=("x = α(t) x₀ + σ(t) z", "dx/dt = u(x, t, digit), α = 1 − t, σ = t"),
        tables=(distance_table(digits), deviation_table(digits)),
        pictures=sampling_pictures.pictures(study),
        sources=(
            "Flow matching: Lipman et al., 2023; Liu, Gong and Liu, 2023. DDIM: Song, Meng and Ermon, 2021. "
            "DPM-Solver++: Lu et al., 2022. UniPC: Zhao et al., 2023. Heavy ball and GHVB: Wizadwongsa et al., 2024. "
            "Fréchet distance: Heusel et al., 2017.",
        ),
    )


def legibility(study: sampling.Digits) -> str:
    """What the classifier makes of the samples."""
    few = min(sampling.FEW)
    shares = [study.scores[name, few].legible for name in sampling.SAMPLERS]
    return (
        f"With {few} evaluations the classifier reads {min(shares):.1%} to {max(shares):.1%} of the samples as the "
        f"digit that was wanted, and {study.best.legible:.1%} of the exact ends."
    )


def distance_table(study: sampling.Digits) -> TextTable:
    """Fréchet distances by sampler and evaluations."""
    title = f"Fréchet distance from the real digits, {study.samples:,} samples"
    best = ("exact ends", *(f"{study.best.distance:.2f}" for _ in sampling.FEW))
    return TextTable("digits-distance", title, _header(), [*_rows(study, "distance", 2), best])


def deviation_table(study: sampling.Digits) -> TextTable:
    """Deviations from the exact ends by sampler and evaluations."""
    return TextTable("digits-deviation", "Deviation from the exact ends", _header(), _rows(study, "deviation", 3))


def _header() -> tuple[str, ...]:
    return ("sampler", *(f"{steps} evaluations" for steps in sampling.FEW))


def _rows(study: sampling.Digits, figure: str, decimals: int) -> list[tuple[str, ...]]:
    return [
        (name, *(f"{getattr(study.scores[name, steps], figure):.{decimals}f}" for steps in sampling.FEW))
        for name in sampling.SAMPLERS
    ]


def tiles(study: sampling.Study) -> list[dict[str, str]]:
    """The headline figures."""
    errors = {
        name: dict(zip(curve.evaluations, curve.errors, strict=True))[10]
        for name, curve in study.mixture.curves.items()
        if name != sampling.ADAPTIVE
    }
    best = min(errors, key=lambda name: errors[name])
    distances = {name: study.digits.scores[name, 6].distance for name in sampling.SAMPLERS}
    nearest = min(distances, key=lambda name: distances[name])
    return [
        {
            "value": f"{errors['DDIM']:.2g} → {errors[best]:.2g}",
            "label": f"error on the mixture with 10 evaluations, DDIM → {best}",
        },
        {
            "value": f"{distances['DDIM']:.2f} → {distances[nearest]:.2f}",
            "label": f"Fréchet distance of digits with 6 evaluations, DDIM → {nearest}",
        },
    ]


def results(study: sampling.Study) -> dict[str, Any]:
    """The figures as plain numbers."""
    mixture, digits = study.mixture, study.digits
    return {
        "mixture": {
            name: {"evaluations": list(curve.evaluations), "errors": list(curve.errors)}
            for name, curve in mixture.curves.items()
        },
        "digits": {
            "training_seconds": digits.seconds,
            "samples": digits.samples,
            "exact": vars(digits.best),
            **{
                name: {str(steps): vars(digits.scores[name, steps]) for steps in sampling.FEW}
                for name in sampling.SAMPLERS
            },
        },
    }
