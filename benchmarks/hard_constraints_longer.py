"""Whether hard constraints and experts still gain when all are trained for longer: sorption as PDEBench has it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from benchmarks._constrained import CASES
from benchmarks._constrained_table import reported
from benchmarks._report import Report, arguments, finish

SEEDS, STEPS = 3, 1500


def main(argv: Sequence[str] | None = None) -> Report:
    """Run and report."""
    options = arguments(argv, __doc__, repeats=SEEDS)
    torch.set_num_threads(1)
    case = CASES[0].small() if options.quick else replace(CASES[0], steps=STEPS, published=())
    title = "What do hard constraints and experts gain after a longer training?"
    report, _ = reported("hard-constraints-longer", title, [case], options.repeats)
    finish(report, options)
    return report


if __name__ == "__main__":
    main()
