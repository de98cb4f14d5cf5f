"""The report: one HTML page that needs nothing else, with the pictures and figures beside it as files."""

from __future__ import annotations

import base64
import json
import math
import os
import platform
from collections.abc import Sequence
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from kutta.demo import (
    digits,
    digits_pictures,
    hard_constraints,
    hard_constraints_report,
    hare_lynx,
    hare_lynx_pictures,
    sampling,
    sampling_report,
    surrogates_report,
)
from kutta.demo.content import Content, Section
from kutta.durations import seconds
from kutta.files import replacing
from kutta.surrogate_study.study import Study as Surrogates
from kutta.text_table import TextTable

REPORT = "report.html"
PACKAGES = ("kutta", "torch", "pytorch-lightning", "numpy", "scipy", "scikit-learn", "matplotlib")


def parameter_table(study: hare_lynx.Study) -> TextTable:
    """Estimates with standard errors and 80% intervals beside the published ones."""
    fit, rows = study.fit, []
    low, high = fit.interval80
    for row, (name, unit) in enumerate(zip(hare_lynx.NAMES, hare_lynx.UNITS, strict=True)):
        value, error = float(fit.values[row]), float(fit.standard_errors[row])
        decimals = hare_lynx.decimals(value)
        published = hare_lynx.CARPENTER.get(name)
        rows.append(
            (
                f"{hare_lynx.SYMBOLS.get(name, name)}, {unit}",
                f"{value:.{decimals + 1}f}",
                f"{error:.{decimals + 1}f}",
                f"{float(low[row]):.{decimals}f} to {float(high[row]):.{decimals}f}",
                f"{published.mean:.{decimals}f}" if published else "–",
                f"{published.low:.{decimals}f} to {published.high:.{decimals}f}" if published else "–",
            )
        )
    header = (
        "parameter, unit",
        "estimate",
        "standard error",
        "80% interval",
        "published mean",
        "published 80% interval",
    )
    return TextTable("parameters", "Estimated and published parameters", header, rows)


def coverage_table(study: hare_lynx.Study) -> TextTable:
    """How much of the record lies inside the prediction intervals."""
    total = study.record.pelts.numel()
    late = study.record.after(study.withheld_after).pelts.numel()
    rows = [
        (
            f"{level:.0%}",
            f"{study.coverage[level]:.0%} of {total}",
            f"{study.withheld_coverage[level]:.0%} of {late}",
        )
        for level in study.coverage
    ]
    header = ("interval", "record inside, all years fitted", f"inside, years after {study.withheld_after} withheld")
    return TextTable("coverage", "Coverage of the prediction intervals", header, rows)


def hare_lynx_cost_table(study: hare_lynx.Study) -> TextTable:
    """Solves, function evaluations and time of fit and forecast."""
    fit, ahead = study.fit, study.ahead
    rows = [
        ("fit", f"{fit.solves}", f"{fit.function_evaluations:,}", seconds(fit.seconds)),
        (
            f"forecast, {ahead.populations.shape[1]} trajectories",
            "1",
            f"{ahead.function_evaluations:,}",
            seconds(ahead.seconds),
        ),
    ]
    return TextTable("hare-lynx-cost", "Cost", ("task", "solves", "function evaluations", "time"), rows)


def digits_table(study: digits.Study) -> TextTable:
    """Cost and accuracy of the plain and the penalised model."""
    columns = [digits_figures(model) for model in study.models]
    rows = [(name, *(column[name] for column in columns)) for name in columns[0]]
    return TextTable("digits", "Cost and accuracy", ("quantity", *(model.name for model in study.models)), rows)


def digits_figures(model: digits.Trained) -> dict[str, str]:
    """What the table says of one model."""
    outcome, history = model.outcome, model.history
    right, images = int(outcome.right.sum()), len(outcome.images)
    return {
        f"function evaluations, {images} images": str(outcome.function_evaluations),
        "steps of that solve": str(len(outcome.steps.h)),
        "time of that prediction": seconds(outcome.seconds),
        "test accuracy": f"{outcome.accuracy:.1%} ({right} of {images})",
        "validation accuracy": f"{history['validation accuracy'][model.kept]:.1%}",
        "validation cross-entropy": f"{history['validation loss'][model.kept]:.3f}",
        "epochs (kept)": f"{len(history['loss'])} ({model.kept + 1})",
        "function evaluations in training": f"{model.function_evaluations:,}",
        "training time": seconds(history.seconds),
    }


def hare_lynx_section(study: hare_lynx.Study) -> Section:
    """The first study."""
    fit, ahead = study.fit, study.ahead
    return Section(
        title="Hare and lynx: parameters from a record",
        text=(
            "The Hudson's Bay Company recorded the pelts of hares u and lynx v for 21 years. The four rates of the "
            "Lotka–Volterra equations and both populations in 1900 are estimated by maximum likelihood: nonlinear "
            "least squares on the logarithms, with Jacobians by reverse mode through the solve.",
            f"The model explains {fit.explained:.0%} of the variance of the log record; the noise scale "
            f"{fit.noise:.2f} is a factor of {math.exp(fit.noise):.2f} in a single number. Standard errors come from "
            "the Gauss–Newton covariance.",
            "The forecast is one ensemble solve: each trajectory has parameters of its own, drawn from the fitted "
            f"uncertainty, and its own step size ({ahead.fewest_steps} to {ahead.most_steps} steps a trajectory).",
        ),
        equations=("du/dt = (α − β v) u", "dv/dt = (δ u − γ) v", "log y = log (u, v) + s ε, with ε standard normal"),
        tables=(parameter_table(study), coverage_table(study), hare_lynx_cost_table(study)),
        pictures=hare_lynx_pictures.pictures(study),
        sources=(
            "Record: P. Howard, Modeling Basics, Texas A&M University, 2009, after J. M. Mahaffy, San Diego State "
            "University, and Purves, Sadava, Orians and Heller, Life: The Science of Biology. Published estimates: "
            "B. Carpenter, Predator-Prey Population Dynamics: the Lotka-Volterra model in Stan, 2018 (posterior means "
            "and central 80% intervals).",
        ),
    )


def digits_section(study: digits.Study) -> Section:
    """The second study."""
    settings, split = study.settings, study.split
    return Section(
        title="Handwritten digits: a neural ODE, plain and penalised",
        text=(
            "An image of 8 × 8 pixels is the initial state y(0) of a learned differential equation, and a linear layer "
            "classifies y(1). Tsitouras's 5(4) pair chooses its own steps "
            f"(rtol = atol = {settings.tolerance:g}, double precision), and training backpropagates through the "
            "accepted ones.",
            "Two models start with the same weights and see the same batches and distortions. They differ in one term: "
            f"the penalised one adds λ Σ qⱼ hⱼ to its loss, with λ = {settings.coefficient:g}, the size hⱼ of each "
            "accepted step, and the ratio qⱼ of its estimated error to the tolerance, by which the solver chooses the "
            "next step. So it learns dynamics that need fewer steps.",
            digits_comparison(study),
            f"Trained on {len(split.train):,} images, shifted, rotated and scaled at random; {study.parameters:,} "
            f"parameters. {len(split.validation)} validation images chose the epoch, and once, in full runs on the "
            f"split of seed 0, also λ: of {_listed(digits.COEFFICIENTS)}, the one with the fewest evaluations at an "
            "accuracy at most one point below that of the plain model, the smallest of equals. The test images of the "
            "split played no part.",
        ),
        equations=(
            "dy/dt = W₂ [tanh(W₁ [y, t] + b₁), t] + b₂",
            "p(class) = softmax(W₃ y(1) + b₃)",
            "loss = cross-entropy + λ Σⱼ qⱼ hⱼ",
        ),
        tables=(digits_table(study),),
        pictures=digits_pictures.pictures(study),
        sources=(
            "Images: scikit-learn's copy of E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI "
            "Machine Learning Repository, 1998. Penalty: A. Pal, Y. Ma, V. Shah and C. Rackauckas, Opening the "
            "Blackbox: Accelerating Neural Differential Equations by Regularizing Internal Solver Heuristics, ICML "
            "2021, arXiv 2105.03918.",
        ),
    )


def digits_comparison(study: digits.Study) -> str:
    """What the penalty changed, in words."""
    plain, penalised = (model.outcome for model in study.models)
    first, second = int((plain.right & ~penalised.right).sum()), int((penalised.right & ~plain.right).sum())
    entropies = [model.history["validation loss"][model.kept] for model in study.models]
    return (
        f"To classify the test images, the plain model takes {plain.function_evaluations} function evaluations and "
        f"{seconds(plain.seconds)}, the penalised one {penalised.function_evaluations} and "
        f"{seconds(penalised.seconds)}. The plain model is right on {plain.accuracy:.1%} of them, the penalised one on "
        f"{penalised.accuracy:.1%}; read correctly by the plain model alone: {first}, by the penalised one alone: "
        f"{second}. The validation cross-entropies are {entropies[0]:.3f} and {entropies[1]:.3f}."
    )


def _listed(values: Sequence[float]) -> str:
    *most, last = (f"{value:g}" for value in values)
    return f"{', '.join(most)} and {last}"


def provenance_table(seed: int, wall: float) -> TextTable:
    """Versions, machine, date and the seed."""
    rows = [
        ("date", datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z")),
        ("seed", str(seed)),
        ("wall time of all studies", seconds(wall)),
        ("machine", f"{platform.machine()}, {os.cpu_count()} CPU cores, {platform.system()}"),
        ("Python", platform.python_version()),
        *((name, _version(name)) for name in PACKAGES),
    ]
    return TextTable("provenance", "Versions, machine and date", ("what", "value"), rows)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed as a package"


def tiles_of(
    hares: hare_lynx.Study,
    images: digits.Study,
    samples: sampling.Study,
    networks: Surrogates,
    constrained: hard_constraints.Study,
) -> list[dict[str, str]]:
    """The headline figures."""
    fit, ahead = hares.fit, hares.ahead
    plain, penalised = (model.outcome for model in images.models)
    return [
        {"value": f"{fit.explained:.0%}", "label": "of the log record's variance explained by the fit"},
        {"value": f"{hares.coverage[0.9]:.0%}", "label": "of the record inside the 90% interval"},
        {"value": seconds(fit.seconds + ahead.seconds), "label": "for the fit and the forecast"},
        {
            "value": f"{plain.function_evaluations} → {penalised.function_evaluations}",
            "label": "function evaluations for the test digits, plain → penalised",
        },
        {
            "value": f"{1e3 * plain.seconds:.3g} → {1e3 * penalised.seconds:.3g} ms",
            "label": "to classify the test digits, plain → penalised",
        },
        {
            "value": f"{100 * plain.accuracy:.1f} → {penalised.accuracy:.1%}",
            "label": "test accuracy, plain → penalised",
        },
        *sampling_report.tiles(samples),
        *surrogates_report.tiles(networks),
        *hard_constraints_report.tiles(constrained),
    ]


def results_of(
    hares: hare_lynx.Study,
    images: digits.Study,
    samples: sampling.Study,
    networks: Surrogates,
    constrained: hard_constraints.Study,
    seed: int,
) -> dict[str, Any]:
    """The figures of all studies as plain numbers."""
    fit, ahead = hares.fit, hares.ahead
    return {
        "seed": seed,
        "hare_lynx": {
            "estimates": dict(zip(hare_lynx.NAMES, fit.values.tolist(), strict=True)),
            "standard_errors": dict(zip(hare_lynx.NAMES, fit.standard_errors.tolist(), strict=True)),
            "noise": fit.noise,
            "explained": fit.explained,
            "coverage": {f"{level:g}": share for level, share in hares.coverage.items()},
            "withheld_after": hares.withheld_after,
            "withheld_coverage": {f"{level:g}": share for level, share in hares.withheld_coverage.items()},
            "fit_solves": fit.solves,
            "fit_function_evaluations": fit.function_evaluations,
            "fit_seconds": fit.seconds,
            "forecast_function_evaluations": ahead.function_evaluations,
            "forecast_seconds": ahead.seconds,
        },
        "digits": {
            "tolerance": images.settings.tolerance,
            "coefficient": images.settings.coefficient,
            **{model.name: results_of_model(model) for model in images.models},
        },
        "sampling": sampling_report.results(samples),
        "surrogates": surrogates_report.results(networks),
        "hard_constraints": hard_constraints_report.results(constrained),
    }


def results_of_model(model: digits.Trained) -> dict[str, Any]:
    """The figures of one classifier as plain numbers."""
    outcome, history = model.outcome, model.history
    return {
        "function_evaluations": outcome.function_evaluations,
        "accepted_steps": len(outcome.steps.h),
        "function_evaluations_at": {f"{tolerance:g}": cost for tolerance, cost in outcome.evaluations_at.items()},
        "prediction_seconds": outcome.seconds,
        "test_accuracy": outcome.accuracy,
        "validation_accuracy": history["validation accuracy"][model.kept],
        "validation_cross_entropy": history["validation loss"][model.kept],
        "epochs": len(history["loss"]),
        "kept_epoch": model.kept + 1,
        "training_function_evaluations": model.function_evaluations,
        "training_seconds": history.seconds,
    }


def content_of(
    hares: hare_lynx.Study,
    images: digits.Study,
    samples: sampling.Study,
    networks: Surrogates,
    constrained: hard_constraints.Study,
    seed: int,
    wall: float,
) -> Content:
    """The content of the page, pictures rendered."""
    return Content(
        tiles=tiles_of(hares, images, samples, networks, constrained),
        sections=(
            hare_lynx_section(hares),
            digits_section(images),
            sampling_report.section(samples),
            surrogates_report.section(networks),
            hard_constraints_report.section(constrained),
        ),
        provenance=provenance_table(seed, wall),
        results=results_of(hares, images, samples, networks, constrained, seed),
    )


def data_uri(svg: bytes) -> str:
    """An SVG picture as a URI that holds it."""
    return "data:image/svg+xml;base64," + base64.b64encode(svg).decode("ascii")


def page(content: Content) -> str:
    """The HTML page."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("kutta.demo", "templates"), autoescape=True, undefined=jinja2.StrictUndefined
    )
    environment.filters["data_uri"] = data_uri
    shown = {"tiles": content.tiles, "sections": content.sections, "provenance": content.provenance}
    return environment.get_template("report.html").render(shown)


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file so that it holds either all of `data` or what it held before."""
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def write(content: Content, folder: Path) -> Path:
    """Write pictures, results and last the page into a folder; returns the path of the page."""
    text = page(content).encode("utf-8")
    folder.mkdir(parents=True, exist_ok=True)
    for section in content.sections:
        for picture in section.pictures:
            write_atomically(folder / f"{picture.name}.png", picture.png)
    write_atomically(folder / "results.json", json.dumps(content.results, indent=2).encode("utf-8"))
    write_atomically(folder / REPORT, text)
    return folder / REPORT
