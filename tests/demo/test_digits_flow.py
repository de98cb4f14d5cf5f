import json
from dataclasses import replace

import pytest
import torch

import kutta as kt
from kutta.demo import digits_flow
from kutta.demo.digits_flow import Settings

TINY = Settings(width=16, depth=1, frequencies=4, steps=12, batch=64)


@pytest.fixture(scope="module")
def model():
    return digits_flow.train(TINY, seed=0)


def states(count):
    return digits_flow.noise_for(count), torch.linspace(0.0, 1.0, count), torch.arange(count) % 10


def test_images_have_a_brightness_from_minus_one_to_one_and_a_digit():
    images, digits = digits_flow.load_images()
    assert images.shape == (1797, 64) and images.dtype == torch.float32
    assert float(images.min()) == -1.0 and float(images.max()) == 1.0
    assert digits.unique().tolist() == list(range(10))


def test_the_seed_decides_the_training(model):
    again, other = (digits_flow.train(TINY, seed) for seed in (0, 1))
    assert torch.equal(again(*states(5)), model(*states(5)))
    assert not torch.equal(other(*states(5)), model(*states(5)))


def test_training_lowers_the_loss():
    """Of flow matching, on fixed images, times and noise."""
    images, digits = (one[:512] for one in digits_flow.load_images())
    noise, t = digits_flow.noise_for(512), torch.linspace(0.0, 1.0, 512)
    between = (1.0 - t[:, None]) * images + t[:, None] * noise

    def loss(model):
        with torch.no_grad():
            return float((model(between, t, digits) - (noise - images)).square().mean())

    trained = digits_flow.train(replace(TINY, width=64, steps=60, rate=1e-2, average=0.9))
    assert loss(trained) < 0.7 * loss(digits_flow.build(TINY, 0))


def test_the_model_minds_time_and_digit(model):
    x, t, digits = states(5)
    assert not torch.equal(model(x, t, digits), model(x, 0.5 * t + 0.1, digits))
    assert not torch.equal(model(x, t, digits), model(x, t, torch.full_like(digits, digits_flow.NO_DIGIT)))


def test_more_noise_begins_with_the_same():
    assert torch.equal(digits_flow.noise_for(7, seed=2)[:3], digits_flow.noise_for(3, seed=2))
    assert not torch.equal(digits_flow.noise_for(3, seed=2), digits_flow.noise_for(3, seed=3))


def test_a_guided_velocity_leans_away_from_that_without_digit(model):
    x, t, digits = states(4)
    guided = digits_flow.problem(model, x, digits, weight=3.0)
    bound, free = model(x, t, digits), model(x, t, torch.full_like(digits, digits_flow.NO_DIGIT))
    found, _ = guided.guidance.outputs(model, x, t, digits, 0.0)
    torch.testing.assert_close(found, free + 3.0 * (bound - free))
    assert digits_flow.problem(model, x, digits).guidance is None


def test_a_sample_does_not_depend_on_its_batch(model):
    x, _, digits = states(6)
    all_of_them = kt.solve(digits_flow.problem(model, x, digits), kt.UniPC(), steps=4).y1
    one = kt.solve(digits_flow.problem(model, x[4:5], digits[4:5]), kt.UniPC(), steps=4).y1
    torch.testing.assert_close(one, all_of_them[4:5])


def test_a_saved_model_is_the_same_again(model, tmp_path):
    digits_flow.save(model, TINY, tmp_path / "new" / "folder")
    loaded = digits_flow.load(tmp_path / "new" / "folder")
    assert torch.equal(loaded(*states(5)), model(*states(5)))
    assert not any(one.requires_grad for one in loaded.parameters())
    assert {one.name for one in (tmp_path / "new" / "folder").iterdir()} == {"model.json", "weights.safetensors"}


def described(**changes):
    return json.dumps({"kind": digits_flow.KIND, "settings": {**vars(TINY), **changes}})


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (None, "No such file"),
        ("{", "must describe a model that was saved"),
        ("[]", "of the kind"),
        ('{"kind": "another"}', "of the kind"),
        (json.dumps({"kind": digits_flow.KIND, "settings": {"width": 3}}), "must have the settings"),
        (described(width="wide"), "must have whole numbers"),
        (described(depth=-1), "must have whole numbers"),
        (described(width=24), "must hold the weights of this model"),
    ],
)
def test_a_damaged_description_is_refused(text, reason, model, tmp_path):
    digits_flow.save(model, TINY, tmp_path)
    (tmp_path / "model.json").unlink()
    if text is not None:
        (tmp_path / "model.json").write_text(text)
    with pytest.raises(ValueError, match=reason):
        digits_flow.load(tmp_path)


@pytest.mark.parametrize("weights", [None, b"", b"not safetensors at all"])
def test_damaged_weights_are_refused(weights, model, tmp_path):
    digits_flow.save(model, TINY, tmp_path)
    (tmp_path / "weights.safetensors").unlink()
    if weights is not None:
        (tmp_path / "weights.safetensors").write_bytes(weights)
    with pytest.raises(ValueError, match="must hold the weights"):
        digits_flow.load(tmp_path)
