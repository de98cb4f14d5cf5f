"""Whether hard constraints and experts gain where fronts form, which takes networks longer to learn: Burgers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from benchmarks._constrained import BURGERS, JOINT
from benchmarks._constrained_table import reported
from benchmarks._report import Report

STEPS = 600


def main(argv: Sequence[str] | None = None) -> Report:
    """Run and report."""
    title = "What do hard constraints and experts gain where fronts form?"
    case = replace(BURGERS, steps=STEPS, experts=(JOINT,))
    return reported(argv, __doc__, "hard-constraints-fronts", title, [case])


if __name__ == "__main__":
    main()
