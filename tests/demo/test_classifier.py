import pytest
import torch

from kutta.demo import classifier, digits
from kutta.demo.classifier import Settings
from kutta.regularizers import ErrorEstimate

FAST = Settings(epochs=2, tolerance=1e-3)


def trained(penalties, settings=FAST):
    model, split = classifier.build(settings, seed=0), classifier.load_split(0)
    return model, classifier.train(model, split, settings, 0, penalties)


def test_the_split_is_disjoint_stratified_and_fixed_by_the_seed():
    split, again, other = (classifier.load_split(seed) for seed in (0, 0, 1))
    parts = (split.train, split.validation, split.test)
    assert [len(part) for part in parts] == [1197, 240, 360]
    rows = [set(map(tuple, part.pixels.tolist())) for part in parts]
    assert len(set.union(*rows)) == sum(map(len, rows)) == 1797
    assert torch.equal(split.test.pixels, again.test.pixels)
    assert not torch.equal(split.test.pixels, other.test.pixels)
    assert torch.bincount(split.test.labels).min() >= 34


def test_distortion_by_nothing_is_the_identity():
    still = Settings(shift=0.0, rotation=0.0, scale=0.0)
    pixels = classifier.load_split(0).test.pixels[:20]
    assert torch.allclose(classifier.distort(pixels, still, torch.Generator().manual_seed(0)), pixels, atol=1e-12)


def test_distortion_shifts_by_at_most_the_limit():
    limits = Settings(shift=1.0, rotation=0.0, scale=0.0)
    spot = torch.zeros(200, 8, 8)
    spot[:, 4, 4] = 1.0
    moved = classifier.distort(spot.view(200, 64), limits, torch.Generator().manual_seed(0)).view(200, 8, 8)
    column = (moved.sum(1) * torch.arange(8)).sum(1) / moved.sum((1, 2))
    assert column.min() >= 3.0 and column.max() <= 5.0
    assert column.max() - column.min() > 1.5


def test_the_gradient_of_the_loss_is_that_of_finite_differences():
    model = classifier.build(Settings(hidden=8, tolerance=1e-11), seed=0)
    pixels = torch.rand(5, 64, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    labels = torch.arange(5)
    weight = model.field.inner.weight

    def loss():
        return torch.nn.functional.cross_entropy(model(pixels), labels)

    (gradient,) = torch.autograd.grad(loss(), weight)
    direction = torch.randn(weight.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    with torch.no_grad():
        weight += 1e-5 * direction
        above = loss()
        weight -= 2e-5 * direction
        below = loss()
    slope, difference = float((gradient * direction).sum()), float(above - below) / 2e-5
    assert slope == pytest.approx(difference, rel=1e-7)


def test_the_penalty_is_all_that_tells_the_two_trainings_apart():
    plain, plain_history = trained({})
    nothing = Settings(epochs=FAST.epochs, tolerance=FAST.tolerance, coefficient=0.0)
    weightless, weightless_history = trained({"error": ErrorEstimate()}, nothing)
    penalised, penalised_history = trained({"error": ErrorEstimate()})
    assert dict(weightless_history) == dict(plain_history)
    assert all(torch.equal(*pair) for pair in zip(weightless.parameters(), plain.parameters(), strict=True))
    assert not any(torch.equal(*pair) for pair in zip(penalised.parameters(), plain.parameters(), strict=True))
    assert penalised_history["loss"] != plain_history["loss"]


def test_the_kept_weights_are_those_of_the_best_epoch():
    model, history = trained({}, Settings(epochs=3, rate=0.2, tolerance=1e-3))
    kept = min(history["validation loss"])
    assert kept < history["validation loss"][-1], "with this rate the last epoch is not the best one"
    validation = classifier.load_split(0).validation
    with torch.no_grad():
        scored = classifier.score(model, (validation.pixels, validation.labels))
    assert float(scored["validation loss"]) == pytest.approx(kept, rel=1e-5)
    accuracy = history["validation accuracy"][history["validation loss"].index(kept)]
    assert float(scored["validation accuracy"]) == pytest.approx(accuracy)


def test_building_a_model_leaves_the_global_generator_alone():
    before = torch.random.get_rng_state()
    classifier.build(Settings(), seed=3)
    assert torch.equal(torch.random.get_rng_state(), before)


def chosen(candidates, plain):
    """By validation: the fewest evaluations at most one point below the plain model, the smallest of equals."""
    good = [one for one in candidates if one[1] >= plain - 0.01]
    return min(good, key=lambda one: (one[2], one[0]))[0]


def test_the_choice_of_the_coefficient_minds_accuracy_then_cost_then_size():
    assert chosen([(0.03, 0.97, 60), (0.1, 0.97, 26), (0.3, 0.98, 26), (1.0, 0.95, 20)], plain=0.975) == 0.1


@pytest.mark.slow
def test_the_coefficient_is_the_one_that_the_validation_images_choose():
    def tried(coefficient):
        settings = Settings(coefficient=coefficient)
        model, history = trained({"error": ErrorEstimate()} if coefficient else {}, settings)
        accuracy = history["validation accuracy"][history["validation loss"].index(min(history["validation loss"]))]
        with torch.no_grad():
            stats = model.flow(classifier.load_split(0).validation.pixels).stats
        return coefficient, accuracy, stats.function_evaluations

    _, plain, _ = tried(0.0)
    assert chosen([tried(coefficient) for coefficient in digits.COEFFICIENTS], plain) == Settings().coefficient
