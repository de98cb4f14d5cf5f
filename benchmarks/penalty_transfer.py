"""Does a penalty's coefficient that serves at one tolerance serve at another?"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from benchmarks import _digits, _peers
from benchmarks._penalised import SEEDS, Run, Way, mean, processes
from benchmarks._report import Report, arguments, finish
from kutta import regularizers

ITERATIONS, TOLERANCES = 250, (1e-4, 1e-6, 1e-8, 1e-10)
# The raw error is about the tolerance times the error ratio: at this one, the two penalties are alike.
ALIKE = 1e-6
FORMS = {
    "vanilla": (Way(), 0.0),
    "q h": (Way(lambda generator: {"p": (1.0, regularizers.ErrorEstimate())}), 0.1),
    "raw": (Way(lambda generator: {"p": (1.0, regularizers.ErrorEstimate(normalise=False))}), 0.1 / ALIKE),
}
NOTES = (
    "q h: sum over the steps with the error ratio q, coefficient 0.1; raw: sum of |e| h with the error itself, "
    "coefficient 0.1 / 1e-6. Trained and tested at the same tolerance. Digits as in neural_ode_regularisation.",
    "The fewest evaluations possible are those of a handful of steps from the first step size on, which a tight "
    "tolerance makes shorter.",
)


def train(job: tuple[str, float, int, int]) -> Run:
    """One training run, in a process of its own with one thread."""
    torch.set_num_threads(1)
    form, tolerance, seed, iterations = job
    return _digits.train(*FORMS[form], seed, iterations, tolerance)


def transfer(report: Report, tolerances: Sequence[float], seeds: Sequence[int], iterations: int) -> None:
    """Train at every tolerance."""
    jobs = [(form, tolerance, seed, iterations) for tolerance in tolerances for form in FORMS for seed in seeds]
    with processes() as pool:
        runs = dict(zip(jobs, pool.map(train, jobs), strict=True))
    table = report.table(
        "Digits, mean over seeds",
        "tolerance",
        "penalty",
        "evaluations",
        "evaluations / vanilla's",
        "test %",
        "points more",
    )
    for tolerance in tolerances:
        base = [runs["vanilla", tolerance, seed, iterations] for seed in seeds]
        for form in FORMS:
            own = [runs[form, tolerance, seed, iterations] for seed in seeds]
            calls, accuracy = mean(own, "evaluations"), 100.0 * mean(own, "test")
            ratio, points = calls / mean(base, "evaluations"), accuracy - 100.0 * mean(base, "test")
            table.add(f"{tolerance:.0e}", form, f"{calls:.1f}", ratio, f"{accuracy:.1f}", f"{points:+.1f}")
            report.data.setdefault("curves", {}).setdefault(form, []).append((tolerance, calls, ratio, accuracy))
    report.data["runs"] = [{"form": job[0], "tolerance": job[1], **one.plain()} for job, one in runs.items()]


def draw(report: Report, path: Path) -> None:
    """Evaluations and accuracy over the tolerance."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.2))
    for form, curve in report.data["curves"].items():
        tolerances, calls, _, accuracies = zip(*curve, strict=True)
        left.plot(tolerances, calls, "o-", label=form)
        right.plot(tolerances, accuracies, "o-", label=form)
    left.set(xscale="log", yscale="log", xlabel="tolerance", ylabel="evaluations of f", title="Cost of a solve")
    right.set(xscale="log", xlabel="tolerance", ylabel="test accuracy, %", title="Accuracy")
    for axis in (left, right):
        axis.grid(alpha=0.3)
        axis.legend(frameon=False)
    left.yaxis.set_major_formatter("{x:.0f}")
    left.yaxis.set_minor_formatter("{x:.0f}")
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    plt.close(figure)


def main(argv: Sequence[str] | None = None) -> Report:
    """Run and report."""
    options = arguments(argv, __doc__, repeats=1)
    if _peers.missing(("sklearn",)):
        raise SystemExit('this benchmark needs scikit-learn: pip install "kutta[demo]"')
    tolerances, seeds, iterations = (TOLERANCES[:2], SEEDS[:1], 2) if options.quick else (TOLERANCES, SEEDS, ITERATIONS)
    settings = {"dtype": "float64", "method": "Tsit5", "iterations": iterations, "seeds": seeds}
    report = Report("penalty-transfer", str(__doc__), settings)
    report.notes += NOTES
    transfer(report, tolerances, seeds, iterations)
    finish(report, options, lambda path: draw(report, path))
    return report


if __name__ == "__main__":
    main()
