import pytest
import torch

from kutta.demo import digits


def test_both_models_learn(images):
    for model in images.models:
        history = model.history
        assert history["loss"][-1] < 0.5 * history["loss"][0]
        assert history["validation loss"][model.kept] == min(history["validation loss"])
        assert model.outcome.accuracy > 0.85


def test_only_the_second_model_is_penalised(images):
    plain, penalised = images.models
    assert (plain.name, penalised.name) == ("plain", "penalised")
    assert penalised.history["loss"][0] > plain.history["loss"][0]


def test_the_penalised_model_needs_no_more_evaluations(images):
    plain, penalised = images.models
    assert penalised.outcome.function_evaluations <= plain.outcome.function_evaluations
    assert penalised.function_evaluations <= plain.function_evaluations


def test_evaluations_of_training_are_those_of_all_its_solves(images):
    for model in images.models:
        means = model.history["evaluations"]
        assert len(means) == images.settings.epochs
        assert model.function_evaluations == pytest.approx(10 * sum(means))  # ten batches an epoch


def test_the_costs_of_the_test_solve_agree(images):
    for model in images.models:
        outcome = model.outcome
        assert outcome.evaluations_at[images.settings.tolerance] == outcome.function_evaluations
        assert float(outcome.steps.h.sum()) == pytest.approx(1.0)
        # Tsitouras's pair calls f six times a step, once at the start and once for the first step size.
        assert outcome.function_evaluations >= 2 + 6 * len(outcome.steps.h)
        costs = [outcome.evaluations_at[tolerance] for tolerance in digits.TOLERANCES]
        assert costs == sorted(costs)


def test_the_same_seed_gives_the_same_classifiers(images):
    again = digits.study(seed=0, settings=images.settings)
    for one, other in zip(again.models, images.models, strict=True):
        assert dict(one.history) == dict(other.history)
        assert torch.equal(one.outcome.predicted, other.outcome.predicted)


def test_the_confusion_matrix_counts_the_test_images(images):
    for model in images.models:
        confusion, outcome = model.outcome.confusion, model.outcome
        assert confusion.sum() == len(outcome.images)
        assert float(confusion.trace() / confusion.sum()) == pytest.approx(outcome.accuracy)
        assert torch.equal(confusion.sum(1), torch.bincount(outcome.images.labels))


def test_the_flow_starts_at_the_images_and_separates_the_classes(images):
    for model in images.models:
        flow = model.flow
        assert flow.points.shape == (len(flow.ts), 360, 2)
        assert spread(flow.points[-1], flow.labels) < 0.5 * spread(flow.points[0], flow.labels)


def spread(points, labels):
    """Share of the variance that lies within the classes."""
    centres = torch.stack([points[labels == digit].mean(0) for digit in range(10)])
    return (points - centres[labels]).square().sum() / (points - points.mean(0)).square().sum()


def test_the_number_of_threads_is_restored():
    before = torch.get_num_threads()
    with pytest.raises(RuntimeError), digits.one_thread():
        assert torch.get_num_threads() == 1
        raise RuntimeError
    assert torch.get_num_threads() == before


@pytest.mark.slow
def test_the_full_run_halves_the_evaluations_and_keeps_the_accuracy():
    studies = [digits.study(seed) for seed in range(3)]
    for study in studies:
        plain, penalised = (model.outcome for model in study.models)
        assert penalised.function_evaluations < 0.5 * plain.function_evaluations
        assert penalised.accuracy > plain.accuracy - 0.02
        assert min(plain.accuracy, penalised.accuracy) > 0.95
    assert sum(study.penalised.outcome.accuracy for study in studies) / 3 > 0.965
