import pytest
import torch

from kutta.demo import digits


def test_the_split_is_disjoint_stratified_and_fixed_by_the_seed():
    split, again, other = digits.load_split(0), digits.load_split(0), digits.load_split(1)
    parts = (split.train, split.validation, split.test)
    assert [len(part) for part in parts] == [1197, 240, 360]
    rows = [set(map(tuple, part.pixels.tolist())) for part in parts]
    assert len(set.union(*rows)) == sum(map(len, rows)) == 1797
    assert torch.equal(split.test.pixels, again.test.pixels)
    assert not torch.equal(split.test.pixels, other.test.pixels)
    assert torch.bincount(split.test.labels).min() >= 34


def test_distortion_by_nothing_is_the_identity():
    still = digits.Settings(shift=0.0, rotation=0.0, scale=0.0)
    pixels = digits.load_split(0).test.pixels[:20]
    assert torch.allclose(digits.distort(pixels, still, torch.Generator().manual_seed(0)), pixels, atol=1e-5)


def test_distortion_shifts_by_at_most_the_limit():
    limits = digits.Settings(shift=1.0, rotation=0.0, scale=0.0)
    spot = torch.zeros(200, 8, 8)
    spot[:, 4, 4] = 1.0
    moved = digits.distort(spot.view(200, 64), limits, torch.Generator().manual_seed(0)).view(200, 8, 8)
    column = (moved.sum(1) * torch.arange(8)).sum(1) / moved.sum((1, 2))
    assert column.min() >= 3.0 and column.max() <= 5.0
    assert column.max() - column.min() > 1.5


def test_the_gradient_of_the_loss_is_that_of_finite_differences():
    model = digits.build(digits.Settings(hidden=8, tolerance=1e-11), seed=0).double()
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


def test_training_learns(images):
    history = images.history
    assert history.loss[-1] < 0.5 * history.loss[0]
    assert history.validation_loss[history.kept] == min(history.validation_loss)
    assert images.outcome.accuracy > 0.85
    assert images.outcome.function_evaluations > 6


def test_the_kept_parameters_are_those_of_the_best_epoch():
    settings = digits.Settings(epochs=3, rate=0.2)
    split = digits.load_split(0)
    with digits.one_thread():
        model = digits.build(settings, 0)
        history = digits.train(model, split, settings, 0)
        assert digits.score(model, split.validation) == (min(history.validation_loss), history.accuracy[history.kept])


def test_the_same_seed_gives_the_same_classifier(images):
    again = digits.study(seed=0, settings=images.settings)
    assert again.history.loss == images.history.loss
    assert torch.equal(again.outcome.predicted, images.outcome.predicted)


def test_building_a_model_leaves_the_global_generator_alone():
    before = torch.random.get_rng_state()
    digits.build(digits.Settings(), seed=3)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_the_confusion_matrix_counts_the_test_images(images):
    confusion, outcome = images.outcome.confusion, images.outcome
    assert confusion.sum() == len(outcome.images)
    assert float(confusion.trace() / confusion.sum()) == pytest.approx(outcome.accuracy)
    assert torch.equal(confusion.sum(1), torch.bincount(outcome.images.labels))


def test_the_flow_starts_at_the_images_and_separates_the_classes(images):
    def ratio(points):
        centres = torch.stack([points[images.flow.labels == digit].mean(0) for digit in range(10)])
        return (points - centres[images.flow.labels]).square().sum() / (points - points.mean(0)).square().sum()

    points = images.flow.points
    assert points.shape == (len(images.flow.ts), 360, 2)
    assert ratio(points[-1]) < 0.5 * ratio(points[0])


def test_the_number_of_threads_is_restored():
    before = torch.get_num_threads()
    with pytest.raises(RuntimeError), digits.one_thread():
        assert torch.get_num_threads() == 1
        raise RuntimeError
    assert torch.get_num_threads() == before


@pytest.mark.slow
def test_the_full_training_reaches_its_accuracy():
    accuracies = [digits.study(seed).outcome.accuracy for seed in range(3)]
    assert min(accuracies) > 0.955
    assert sum(accuracies) / 3 > 0.97
