"""One exponential step: exact for polynomials, right in its derivatives, finite at the edges."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kutta.solvers.diffusion.exponential.forms import FORMS, StochasticForm, combination, log_snr, weights
from kutta.solvers.diffusion.exponential.moments import data_moments
from kutta.solvers.diffusion.plans.plan import Level
from tests.solvers.diffusion.problems import F64


def preserving(value):
    """A variance-preserving level at a value of ``log(alpha / sigma)``."""
    value = torch.as_tensor(value, dtype=F64)
    return Level(value, torch.sigmoid(2 * value).sqrt(), torch.sigmoid(-2 * value).sqrt(), value)


def antiderivative(coefficients, value, sign):
    """Of ``exp(sign l) p(l)``: ``sign exp(sign l) sum_k (-sign)^k p^(k)(l)``."""
    total, powers = 0.0, list(coefficients)
    factor = sign
    while powers:
        total = total + factor * sum(c * value**k for k, c in enumerate(powers))
        powers, factor = [k * c for k, c in enumerate(powers)][1:], -sign * factor
    return torch.exp(sign * value) * total


def exact(form, coefficients, x, start, end):
    """Where the flow leads when the prediction is a polynomial in ``log(alpha / sigma)``."""
    first, last = log_snr(start), log_snr(end)
    if form == "data":  # d(x / sigma) = exp(l) D dl
        rise = antiderivative(coefficients, last, 1.0) - antiderivative(coefficients, first, 1.0)
        return end.sigma * (x / start.sigma + rise)
    fall = antiderivative(coefficients, last, -1.0) - antiderivative(coefficients, first, -1.0)
    return end.alpha * (x / start.alpha - fall)  # d(x / alpha) = -exp(-l) e dl


steps = st.floats(0.05, 1.5)


@given(
    form=st.sampled_from(["data", "noise"]),
    start=st.floats(-2.0, 2.0),
    gaps=st.lists(steps, min_size=1, max_size=5),
    end=steps,
    corrected=st.booleans(),
    coefficients=st.lists(st.floats(-2.0, 2.0), min_size=6, max_size=6),
)
@settings(max_examples=100, deadline=None)
def test_polynomials_are_integrated_exactly(form, start, gaps, end, corrected, coefficients):
    """A rule of order p, with or without the prediction at its end, and a prediction of degree below p."""
    places = [start - sum(gaps[:j]) for j in range(len(gaps))] + [start + end] * corrected
    past = [preserving(place) for place in places]
    coefficients = coefficients[: len(places)]
    here, there, x = preserving(start), preserving(start + end), 0.7
    kept, factors = combination(FORMS[form], here, past, there)
    values = [sum(c * log_snr(level) ** k for k, c in enumerate(coefficients)) for level in past]
    found = kept * x + sum(weight * value for weight, value in zip(factors, values, strict=True))
    scale = 1.0 + sum(abs(weight * value) for weight, value in zip(factors, values, strict=True))
    assert abs(found - exact(form, coefficients, x, here, there)) < 1e-9 * scale


@pytest.mark.parametrize("form", ["data", "noise"])
@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_gradients_with_respect_to_the_levels(form, order):
    def step(values):
        levels = [preserving(value) for value in values]
        kept, factors = combination(FORMS[form], levels[-2], levels[:-1][-order:], levels[-1])
        return torch.stack([kept, *factors])

    values = torch.tensor([-1.0, -0.7, -0.1, 0.2, 0.9], dtype=F64, requires_grad=True)
    assert torch.autograd.gradcheck(step, (values,), rtol=1e-6)


@pytest.mark.parametrize("form", [FORMS["data"], FORMS["noise"], StochasticForm(0.6)])
def test_levels_of_each_sample(form):
    starts, sizes = torch.tensor([-1.0, 0.3, 1.2], dtype=F64), torch.tensor([0.2, 0.5, 0.4], dtype=F64)

    def step(starts, sizes):
        past = [preserving(starts - j * sizes) for j in range(3)]
        return combination(form, preserving(starts), past, preserving(starts + sizes))

    kept, factors = step(starts, sizes)
    for one in range(3):
        alone, others = step(starts[one], sizes[one])
        torch.testing.assert_close(kept[one], alone)
        torch.testing.assert_close(torch.stack(factors)[:, one], torch.stack(others))


@pytest.mark.parametrize("form", ["data", "noise"])
def test_levels_may_be_python_numbers(form):
    levels = [preserving(value) for value in (-0.3, 0.1, 0.4)]
    numbers = [Level(*(float(one) for one in (level.t, level.alpha, level.sigma, level.model_t))) for level in levels]
    kept, factors = combination(FORMS[form], levels[1], levels[:2], levels[2])
    same, others = combination(FORMS[form], numbers[1], numbers[:2], numbers[2])
    torch.testing.assert_close(
        torch.stack([kept, *factors]), torch.tensor([same, *others], dtype=F64), rtol=1e-14, atol=0
    )


def test_weights_sum_to_one_and_are_those_of_adams_in_short_steps():
    """Under a constant density the means are ``1 / (k + 1)`` and the weights those of Adams and Bashforth."""
    moments = data_moments(1e-9, 4)
    found = weights(torch.tensor([0.0, -1.0, -2.0, -3.0], dtype=F64), moments / moments[0])
    torch.testing.assert_close(found, torch.tensor([55.0, -59.0, 37.0, -9.0], dtype=F64) / 24.0, rtol=0, atol=1e-7)


NOISE_ONLY, DATA_ONLY = Level(1.0, 0.0, 1.0, 1.0), Level(0.0, 1.0, 0.0, 0.0)


@pytest.mark.parametrize("form", [FORMS["data"], StochasticForm(1.0), StochasticForm(0.5)])
def test_first_order_is_finite_where_data_or_noise_vanish(form):
    half = Level(0.5, 0.6, 0.8, 0.5)
    assert combination(form, half, [half], DATA_ONLY) == (0.0, [1.0])
    kept, (factor,) = combination(form, NOISE_ONLY, [NOISE_ONLY], half)
    assert factor == 0.6 and 0.0 <= kept <= 0.8
    assert form.noise(half, DATA_ONLY) == 0.0


@pytest.mark.parametrize("eta", [0.3, 1.0, 2.0])
def test_fresh_noise_keeps_the_density(eta):
    """For data of one value the state is normal at all times, and a step of any size leads from one to the other."""
    form, start, end = StochasticForm(eta), preserving(-0.8), preserving(0.5)
    kept, factor = form.step(start, end)
    torch.testing.assert_close(kept * start.alpha + factor, end.alpha)
    torch.testing.assert_close(kept**2 * start.sigma**2 + form.noise(start, end) ** 2, end.sigma**2)


def test_no_fresh_noise_is_the_flow():
    start, end = preserving(-0.8), preserving(0.5)
    assert StochasticForm(0.0).step(start, end) == FORMS["data"].step(start, end)
    h = torch.tensor(1.3, dtype=F64)
    assert torch.equal(StochasticForm(0.0).means(h, 3), FORMS["data"].means(h, 3))
