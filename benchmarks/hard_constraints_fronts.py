"""Whether hard constraints and experts gain where fronts form, which takes networks longer to learn: Burgers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from benchmarks._constrained import CASES, JOINT
from benchmarks._constrained_table import reported
from benchmarks._report import Report, arguments, finish

SEEDS, STEPS = 3, 600


def main(argv: Sequence[str] | None = None) -> Report:
    """Run and report."""
    options = arguments(argv, __doc__, repeats=SEEDS)
    torch.set_num_threads(1)
    case = CASES[2].small() if options.quick else replace(CASES[2], steps=STEPS, experts=(JOINT,))
    title = "What do hard constraints and experts gain where fronts form?"
    report, _ = reported("hard-constraints-fronts", title, [case], options.repeats)
    finish(report, options)
    return report


if __name__ == "__main__":
    main()
