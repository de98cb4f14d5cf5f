"""How well do single steps drawn at random estimate the global error penalty, and its gradient?"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks import _digits, _peers
from benchmarks._penalised import Way
from benchmarks._report import Report, arguments, finish
from kutta.regularizers import ErrorEstimate, LocalErrorEstimate

DRAWS, STAGES = 200, (0, 100, 500)
ESTIMATORS: dict[str, dict[str, Any]] = {
    "T q, uniform time": {},
    "T q, through the state": {"through_state": True},
    "n q h, uniform step": {"sample": "uniform_step"},
    "q h, uniform time (published)": {"estimator": "published"},
    "q h, uniform step (published)": {"estimator": "published", "sample": "uniform_step"},
    "q h, initial step (released code)": {"estimator": "published", "step": "initial"},
}
NOTES = (
    "A classifier of digits as in neural_ode_regularisation, before, during and after training without a penalty; one "
    "batch of 128; the global penalty is R = sum of q h over the accepted steps.",
    "mean / R: one for an unbiased estimate. Deviation: of a draw, in units of the mean. Cosine: between the gradient "
    "of one draw, or of the mean of all draws, and that of R.",
)


def gradient(penalty: Tensor, model: torch.nn.Module) -> Tensor:
    """With respect to all weights of the flow, as one vector."""
    weights = [weight for name, weight in model.named_parameters() if not name.startswith("last")]
    return torch.cat([part.flatten() for part in torch.autograd.grad(penalty, weights, retain_graph=True)])


def estimates(model: Any, pixels: Tensor, draws: int) -> tuple[Tensor, Tensor, dict[str, tuple[Tensor, Tensor]]]:
    """The global penalty and its gradient; values ``(draws,)`` and gradients ``(draws, weights)`` of estimators."""
    generator = torch.Generator().manual_seed(0)
    local = {name: LocalErrorEstimate(generator=generator, **options) for name, options in ESTIMATORS.items()}
    found: dict[str, list[tuple[Tensor, Tensor]]] = {name: [] for name in local}
    whole = model.solve(pixels, penalties={"global": ErrorEstimate()}).penalties["global"]
    for _ in range(draws):
        penalties = model.solve(pixels, penalties=local).penalties
        for name, own in found.items():
            own.append((penalties[name].detach(), gradient(penalties[name], model)))
    stacked = {name: tuple(map(torch.stack, zip(*own, strict=True))) for name, own in found.items()}
    return whole.detach(), gradient(whole, model), stacked  # type: ignore[return-value]


def compare(report: Report, stages: Sequence[int], draws: int) -> None:
    """Estimates at several stages of training."""
    table = report.table(
        f"{draws} draws",
        "iterations",
        "estimator",
        "mean / R",
        "standard error",
        "deviation",
        "cosine of a draw",
        "cosine of the mean",
    )
    pixels = _digits.parts()[0].pixels[: _digits.BATCH]
    for stage in stages:
        model = _digits.Classifier(0)
        model.load_state_dict(_digits.train(Way(), 0.0, 0, stage).weights)
        whole, direction, found = estimates(model, pixels, draws)
        for name, (values, gradients) in found.items():
            cosines = torch.cosine_similarity(gradients, direction[None])
            mean, spread = values.mean(), values.std() if draws > 1 else torch.zeros(())
            table.add(
                stage,
                name,
                float(mean / whole),
                float(spread / whole / draws**0.5),
                float(spread / mean),
                float(cosines.mean()),
                float(torch.cosine_similarity(gradients.mean(0), direction, dim=0)),
            )
            report.data.setdefault("values", {})[f"{stage}, {name}"] = (values / whole).tolist()
            report.data.setdefault("cosines", {})[f"{stage}, {name}"] = cosines.tolist()


def draw(report: Report, stage: int, path: Path) -> None:
    """What single draws give."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(12, 4.2), sharey=True)
    kinds = ("values", "cosines")
    for axis, kind in zip(axes, kinds, strict=True):
        columns = [report.data[kind][f"{stage}, {name}"] for name in ESTIMATORS]
        axis.boxplot(columns, orientation="horizontal", tick_labels=list(ESTIMATORS), showmeans=True, widths=0.6)
        axis.axvline(1.0, color="grey", linestyle=":")
        axis.grid(alpha=0.3, axis="x")
    axes[0].set(xscale="log", xlabel="one draw / R", title=f"Estimates after {stage} iterations (triangle: mean)")
    axes[1].set(xlabel="cosine with the gradient of R", title="Gradient of one draw")
    axes[0].invert_yaxis()
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    plt.close(figure)


def main(argv: Sequence[str] | None = None) -> Report:
    """Run and report."""
    options = arguments(argv, __doc__, repeats=1)
    if _peers.missing(("sklearn",)):
        raise SystemExit('this benchmark needs scikit-learn: pip install "kutta[demo]"')
    stages, draws = ((0, 1), 2) if options.quick else (STAGES, DRAWS)
    settings = {"rtol": _digits.TOLERANCE, "atol": _digits.TOLERANCE, "dtype": "float64", "method": "Tsit5"}
    report = Report("penalty-estimators", str(__doc__), settings)
    report.notes += NOTES
    compare(report, stages, draws)
    finish(report, options, lambda path: draw(report, stages[-1], path))
    return report


if __name__ == "__main__":
    main()
