"""A penalty on the solver's error halves the cost of a trained model."""

import pytest

pytest.importorskip("sklearn")

from benchmarks import _digits
from benchmarks._penalised import SEEDS, WAYS


@pytest.mark.slow
def test_digits_cost_less_than_half():
    plain, penalised = ([_digits.train(WAYS[name], 0.1, seed, 500) for seed in SEEDS] for name in ("vanilla", "ER"))
    for one, other in zip(plain, penalised, strict=True):
        print(
            f"evaluations {one.evaluations} and {other.evaluations}, test accuracy {one.test:.3f} and {other.test:.3f}"
        )
        assert other.evaluations <= 0.5 * one.evaluations
    means = [sum(run.test for run in runs) / len(runs) for runs in (plain, penalised)]
    print(f"mean test accuracy {means[0]:.4f} and {means[1]:.4f}")
    assert means[1] >= means[0] - 0.015
