import math

import pytest
import torch

import kutta as kt
from kutta.demo import sampling, sampling_report
from kutta.demo.sampling import ADAPTIVE, FEW, SAMPLERS


def test_the_blobs_are_as_far_from_the_middle_as_from_their_neighbours():
    means = sampling.seven_blobs().means
    distances = torch.cdist(means, means)
    assert torch.allclose(distances[-1, :-1], torch.tensor(2.0, dtype=torch.float64))
    assert torch.allclose(distances[:-1].topk(2, largest=False).values[:, 1], torch.tensor(2.0, dtype=torch.float64))


def test_every_sampler_evaluates_the_model_once_a_step():
    noise = torch.ones(1, 2, dtype=torch.float64)
    for schedule in (kt.diffusion.VP(), kt.diffusion.RectifiedFlow()):
        problem = kt.DiffusionProblem(
            sampling.seven_blobs().model(schedule, "flow"), schedule, noise, prediction="flow"
        )
        for name, sampler in SAMPLERS.items():
            stats = kt.solve(problem, sampler, steps=6).stats
            assert stats.function_evaluations == 6, name


def test_every_sampler_comes_nearer_to_the_exact_ends_with_more_evaluations(samples):
    for name, curve in samples.mixture.curves.items():
        assert curve.errors[-1] < 0.2 * curve.errors[0], name
    last = {name: curve.errors[-1] for name, curve in samples.mixture.curves.items()}
    assert max(last.values()) == last["DDIM"] and min(last.values()) == last[ADAPTIVE]


def test_the_adaptive_curve_ends_below_its_tolerance(samples):
    curve = samples.mixture.curves[ADAPTIVE]
    assert list(curve.evaluations) == sorted(curve.evaluations)
    assert all(error < tolerance for error, tolerance in zip(curve.errors, sampling.TOLERANCES, strict=True))


def test_shown_paths_begin_together_and_the_better_sampler_ends_nearer(samples):
    exact, paths = samples.mixture.exact, samples.mixture.paths
    assert all(torch.allclose(states[0], exact[0]) and len(states) == 11 for states in paths.values())
    first, second = ((states[-1] - exact[-1]).norm(dim=1).mean() for states in paths.values())
    assert list(paths) == ["DDIM", "GHVB 2.8"] and second < first


def test_scores_of_digits_are_finite_and_deviations_shrink(samples):
    scores = samples.digits.scores
    assert set(scores) == {(name, steps) for name in SAMPLERS for steps in FEW}
    assert all(math.isfinite(one.distance) and 0.0 <= one.legible <= 1.0 for one in scores.values())
    for name in ("DDIM", "DPM-Solver++ 2M", "heavy ball"):
        assert scores[name, FEW[-1]].deviation < scores[name, FEW[0]].deviation
    assert samples.digits.best.deviation == 0.0


def test_digits_begin_with_the_same_noise_and_end_where_the_scores_say(samples):
    digits = samples.digits
    assert digits.ts[0] == 1.0 and digits.ts[-1] == 0.0 and digits.paths.shape == (11, 10, 64)
    assert torch.equal(digits.paths[-1], digits.images["DPM-Solver++ 2M", 10])
    deviation = (digits.images["DDIM", 4] - digits.exact).square().mean().sqrt()
    assert float(deviation) == pytest.approx(digits.scores["DDIM", 4].deviation, rel=0.5)


def test_tables_show_the_scores(samples):
    distance, deviation = (
        table(samples.digits) for table in (sampling_report.distance_table, sampling_report.deviation_table)
    )
    assert [name for name, *_ in distance.rows] == [*SAMPLERS, "exact ends"]
    assert [name for name, *_ in deviation.rows] == [*SAMPLERS]
    score = samples.digits.scores["UniPC", 6]
    assert dict((name, row) for name, *row in distance.rows)["UniPC"][1] == f"{score.distance:.2f}"
    assert dict((name, row) for name, *row in deviation.rows)["UniPC"][1] == f"{score.deviation:.3f}"


def test_tiles_name_the_best_sampler_with_its_figures(samples):
    error, distance = sampling_report.tiles(samples)
    errors = {name: curve.errors[2] for name, curve in samples.mixture.curves.items() if name != ADAPTIVE}
    best = min(errors, key=lambda name: errors[name])
    assert error["value"].endswith(f"→ {errors[best]:.2g}") and error["label"].endswith(f"→ {best}")
    assert distance["value"].startswith(f"{samples.digits.scores['DDIM', 6].distance:.2f} →")
