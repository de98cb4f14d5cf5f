"""Equations without solutions to learn from: penalties, a constrained basis, mixtures of experts, and solvers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks import _constrained as constrained
from benchmarks._constrained import APART, CASES, HARD, JOINT, SOFT, Case
from benchmarks._constrained_table import Predicted, reported
from benchmarks._report import Report

PICTURED = (SOFT, HARD, APART, JOINT)


def main(argv: Sequence[str] | None = None) -> Report:
    """Run and report."""
    title = "What do hard constraints and experts gain?"
    return reported(argv, __doc__, "hard-constraints", title, CASES, lambda each, path: picture(each[1:3], path))


def picture(predicted: Sequence[tuple[Case, Predicted]], path: Path) -> None:
    """The first tests of some cases: solution, predictions, and what they are off by."""
    import matplotlib.pyplot as plt

    columns = 1 + len(PICTURED)
    figure, axes = plt.subplots(2 * len(predicted), columns, figsize=(14, 4.6 * len(predicted)), layout="constrained")
    for pair, (case, of_models) in enumerate(predicted):
        problem, solutions = constrained.tests(case)
        exact = solutions[:, 0]
        box = (0.0, 1.0, 0.0, float(problem.t_span[1]))
        of_models = {name: of_models[name] for name in PICTURED}
        largest = max(float((u - exact).abs().max()) for u in of_models.values())
        low, high = float(exact.min()), float(exact.max())
        rows = ({"vmin": low, "vmax": high}, {"vmin": -largest, "vmax": largest, "cmap": "RdBu"})
        for column, (name, u) in enumerate({"solution": exact, **of_models}.items()):
            axes[2 * pair, column].set_title(f"{case.title.split(',')[0]}: {name}", fontsize=9)
            for row, (field, colours) in enumerate(zip((u, u - exact), rows, strict=True)):
                shown = axes[2 * pair + row, column]
                shown.imshow(field, origin="lower", extent=box, aspect="auto", **colours)
                shown.set(xlabel="x" if row else None, ylabel=None if column else "t")
        for row, label in enumerate(("u", "off by")):
            line = axes[2 * pair + row]
            figure.colorbar(line[-1].images[0], ax=line, label=label)
    figure.savefig(path, dpi=110)
    plt.close(figure)


if __name__ == "__main__":
    main()
