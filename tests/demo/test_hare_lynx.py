from dataclasses import replace
from importlib.resources import files

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp

import kutta as kt
from kutta.demo import hare_lynx

POINT = torch.tensor([0.6, 0.03, 0.7, 0.02, 33.0, 5.0], dtype=torch.float64).log()


@pytest.fixture
def tight(monkeypatch):
    monkeypatch.setattr(hare_lynx, "TOLERANCE", 1e-11)


def test_the_record_has_21_years_and_its_citation():
    record = hare_lynx.load_record()
    assert record.years.tolist() == list(range(1900, 1921))
    assert record.pelts[3].tolist() == [77.4, 35.2]
    assert torch.allclose(record.pelts.sum(0), torch.tensor([715.7, 423.5], dtype=torch.float64))
    citation = files("kutta.demo").joinpath("data/DATA.md").read_text()
    assert "Hudson's Bay Company" in citation and "Howard" in citation


def test_the_solution_is_that_of_scipy(tight):
    rates, start = POINT[:4].exp().numpy(), POINT[4:].exp().numpy()

    def slope(t, y):
        return [(rates[0] - rates[1] * y[1]) * y[0], (rates[3] * y[0] - rates[2]) * y[1]]

    years = hare_lynx.load_record().years
    ours = hare_lynx.solve_record(POINT, years).ys.numpy()
    theirs = solve_ivp(slope, (1900, 1920), start, "DOP853", years.numpy(), rtol=1e-11, atol=1e-11).y.T
    assert np.allclose(ours, theirs, rtol=1e-8)


def test_the_gradient_of_the_loss_is_that_of_finite_differences(tight):
    record = hare_lynx.load_record()
    point = POINT.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(hare_lynx.loss(point, record), point)
    step = 1e-5
    differences = [
        (hare_lynx.loss(POINT + step * unit, record) - hare_lynx.loss(POINT - step * unit, record)) / (2 * step)
        for unit in torch.eye(6, dtype=torch.float64)
    ]
    error = (gradient - torch.stack(differences)).norm() / gradient.norm()
    assert error < 1e-7, f"relative error {error:.1e}"


def test_the_estimates_lie_in_the_published_intervals(hares):
    for row, published in enumerate(hare_lynx.CARPENTER.values()):
        value = float(hares.fit.values[row])
        assert published.low < value < published.high
        assert abs(value / published.mean - 1) < 0.05


def test_the_standard_errors_have_the_size_of_the_published_ones(hares):
    for row, published in enumerate(hare_lynx.CARPENTER.values()):
        error = (published.high - published.low) / (2 * 1.2816)
        assert 0.75 < float(hares.fit.standard_errors[row]) / error < 1.25


def test_the_fit_is_a_minimum(hares):
    point = hares.fit.p.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(hare_lynx.loss(point, hares.record), point)
    newton_step = hares.fit.covariance / hares.fit.noise**2 @ gradient
    assert (newton_step.abs() < 1e-2 * hares.fit.covariance.diagonal().sqrt()).all()


def test_parameters_are_recovered_from_a_record_without_noise():
    years = hare_lynx.load_record().years
    exact = hare_lynx.Record(years, hare_lynx.solve_record(POINT, years).ys)
    assert torch.allclose(hare_lynx.fit(exact).p, POINT, atol=1e-4)


def test_the_forecast_is_one_ensemble_of_the_trajectories_one_by_one(hares):
    years = hares.ahead.years
    generator = torch.Generator().manual_seed(0)
    values, _ = hare_lynx.draw(hares.fit, hares.ahead.populations.shape[1], generator)
    for one in (0, 17):
        alone = hare_lynx.solve_record(values[one].log(), years).ys
        assert torch.allclose(hares.ahead.populations[:, one], alone, rtol=1e-4)


def test_every_trajectory_of_the_forecast_keeps_its_first_integral(hares):
    values, _ = hare_lynx.draw(hares.fit, hares.ahead.populations.shape[1], torch.Generator().manual_seed(0))
    alpha, beta, gamma, delta = values[:, :4].T
    hares_, lynx = hares.ahead.populations.unbind(-1)
    integral = delta * hares_ - gamma * hares_.log() + beta * lynx - alpha * lynx.log()
    assert ((integral - integral[0]).abs() < 1e-4 * integral[0].abs()).all()


def test_drawn_parameters_have_the_fitted_mean_and_covariance(hares):
    values, noise = hare_lynx.draw(hares.fit, 20_000, torch.Generator().manual_seed(1))
    p, heavy_tails = values.log(), hares.fit.freedom / (hares.fit.freedom - 2)
    scale = hares.fit.covariance.diagonal().sqrt()
    assert ((p.mean(0) - hares.fit.p).abs() < 0.05 * scale).all()
    correlation = (torch.cov(p.T) / heavy_tails - hares.fit.covariance) / torch.outer(scale, scale)
    assert correlation.abs().max() < 0.06
    assert abs(float((hares.fit.noise**2 / noise**2).mean()) - 1) < 0.02


def test_the_same_seed_gives_the_same_forecast(hares):
    years = hares.ahead.years
    again, other = (hare_lynx.forecast(hares.fit, years, 200, seed) for seed in (0, 1))
    assert torch.equal(again.observations, hares.ahead.observations)
    assert not torch.equal(other.observations, hares.ahead.observations)


def test_coverage_counts_what_lies_inside(hares):
    record = hares.record
    samples = torch.linspace(0.0, 1.0, 101, dtype=torch.float64)[None, :, None].expand(21, 101, 2)
    uniform = replace(hares.ahead, years=record.years, populations=samples, observations=samples)
    pelts = torch.full((21, 2), 0.5, dtype=torch.float64)
    pelts[:4, 0] = 0.2
    assert hare_lynx.coverage(uniform, hare_lynx.Record(record.years, pelts), 0.5) == pytest.approx(38 / 42)
    assert hare_lynx.coverage(uniform, hare_lynx.Record(record.years, pelts), 0.9) == 1.0


def test_most_of_the_record_lies_in_the_wide_interval(hares):
    assert hares.coverage[0.9] > 0.8
    assert hares.coverage[0.5] < hares.coverage[0.9]


def test_a_forecast_without_the_years_of_the_record_is_refused(hares):
    halves = replace(hares.ahead, years=hares.ahead.years + 0.03)
    with pytest.raises(ValueError, match="no output at some year"):
        hare_lynx.coverage(halves, hares.record.until(1910), 0.5)


def test_the_solves_succeed(hares):
    assert hare_lynx.solve_record(hares.fit.p, hares.record.years).result is kt.Result.SUCCESS
    assert torch.isfinite(hares.ahead.populations).all()
