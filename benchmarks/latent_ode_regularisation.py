"""What do penalties on the solver's heuristics save when a trained latent ODE completes irregular series?"""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks import _series
from benchmarks._penalised import SEEDS, draw, tell
from benchmarks._report import Report, arguments, finish

ITERATIONS = 600
NAMES = ("vanilla", "STEER", *_series.COEFFICIENTS)
NOTES = (
    "Error: mean square of the completed series without noise, at observed and unobserved times, of values whose "
    "variance is 0.35. 400 series to train on, 100 to choose coefficients by, 100 to test on; 50 irregular times.",
    "Coefficients: of those tried with seed 0, the one with the fewest evaluations on the validation series among "
    "those whose error there is at most a tenth above vanilla's (if none is, that with the least error); the test "
    "series are looked at once.",
    "ER, SR, RNODE, TayNODE and local ER as in neural_ode_regularisation. STEER: output times moved in training.",
    "Evaluations: calls of f in one solve for all 100 test series. Training runs go two at a time, one thread each, "
    "so that their times are comparable with each other only. Prediction: that solve, without encoder and decoder, "
    "alone on the machine; its time holds that of 50 outputs, which fewer steps do not shorten.",
)


def main(argv: Sequence[str] | None = None) -> Report:
    """Run and report."""
    options = arguments(argv, __doc__, repeats=11)
    names = ("vanilla", "ER") if options.quick else NAMES
    seeds, iterations = (SEEDS[:1], 2) if options.quick else (SEEDS, ITERATIONS)
    tolerance = _series.TOLERANCE
    settings = {"rtol": tolerance, "atol": tolerance, "dtype": "float64", "method": "Tsit5", "iterations": iterations}
    report = Report("latent-ode-regularisation", str(__doc__), settings | {"seeds": seeds, "batch": _series.BATCH})
    report.notes += NOTES
    tell(_series, report, names, seeds, iterations, options.repeats)
    finish(report, options, lambda path: draw(_series, report, "Latent ODE on pendulums, one point a seed", path))
    return report


if __name__ == "__main__":
    main()
