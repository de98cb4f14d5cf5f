"""What do penalties on the solver's heuristics save when a trained neural ODE is used?"""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks import _digits, _peers
from benchmarks._penalised import SEEDS, WAYS, draw, tell
from benchmarks._report import Report, arguments, finish

ITERATIONS = 500
NOTES = (
    "ER: sum of q h with the normalised error ratio q, the number that the controller compares with one; SR: sum of "
    "S h, not normalised. RNODE and TayNODE take means over the entries of the state. STEER: final time uniform on "
    "[0.5, 1.5] in training. Local ER: unbiased estimates from one step at a uniform time; published: q h of one step "
    "of the initial size.",
    "Coefficients: of those tried with seed 0, the one with the fewest evaluations on 240 validation images among "
    "those at most one point of accuracy below vanilla there (if none is, the most accurate); local ER under other "
    "adjoints has that found under Direct in an earlier run. The 360 test images are looked at once. One test image is "
    "0.28 points, so differences of less than about 1.5 points mean nothing.",
    "Evaluations: calls of f in one solve for all 360 test images. Training runs go two at a time, one thread each, "
    "so that their times are comparable with each other only. Prediction: a batch of 128, alone on the machine; its "
    "time holds the read-out and the start of a solve, which fewer steps do not shorten.",
    "h S / sigma: the median over the steps, mean over seeds; near one where stability limits them. Only there has SR "
    "something to gain.",
)


def main(argv: Sequence[str] | None = None) -> Report:
    """Run and report."""
    options = arguments(argv, __doc__, repeats=11)
    if _peers.missing(("sklearn",)):
        raise SystemExit('this benchmark needs scikit-learn: pip install "kutta[demo]"')
    names = ("vanilla", "ER") if options.quick else tuple(WAYS)
    seeds, iterations = (SEEDS[:1], 2) if options.quick else (SEEDS, ITERATIONS)
    tolerance = _digits.TOLERANCE
    settings = {"rtol": tolerance, "atol": tolerance, "dtype": "float64", "method": "Tsit5", "iterations": iterations}
    report = Report("neural-ode-regularisation", str(__doc__), settings | {"seeds": seeds, "batch": _digits.BATCH})
    report.notes += NOTES
    tell(_digits, report, names, seeds, iterations, options.repeats)
    finish(report, options, lambda path: draw(_digits, report, "Neural ODE on digits, one point a seed", path))
    return report


if __name__ == "__main__":
    main()
