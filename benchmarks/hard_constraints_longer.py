"""Whether hard constraints and experts still gain when all are trained for longer: sorption as PDEBench has it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from benchmarks._constrained import CONSTANT_SORPTION
from benchmarks._constrained_table import reported
from benchmarks._report import Report

STEPS = 1500


def main(argv: Sequence[str] | None = None) -> Report:
    """Run and report."""
    title = "What do hard constraints and experts gain after a longer training?"
    case = replace(CONSTANT_SORPTION, steps=STEPS, published=())
    return reported(argv, __doc__, "hard-constraints-longer", title, [case])


if __name__ == "__main__":
    main()
