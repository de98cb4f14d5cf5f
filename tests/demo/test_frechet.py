import numpy as np
import pytest
import torch

from kutta.demo import digits_flow, frechet
from kutta.demo.frechet import frechet_distance


def normal(count, size, seed):
    return torch.randn(count, size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def with_moments(mean, factor, seed=0):
    """A sample whose mean and covariance are exactly ``mean`` and ``factor factor^T``."""
    z = normal(200, len(mean), seed)
    z = z - z.mean(0)
    white = torch.linalg.solve_triangular(torch.linalg.cholesky(torch.cov(z.T)), z.T, upper=False).T
    return mean + white @ factor.T


def test_a_set_is_at_no_distance_from_itself():
    assert frechet_distance(normal(50, 6, 0), normal(50, 6, 0)) == pytest.approx(0.0, abs=1e-10)


def test_the_distance_of_normal_distributions_with_a_common_basis_is_known():
    """There it is the square distance of the means and of the standard deviations."""
    basis = torch.linalg.qr(normal(4, 4, 3)).Q
    first, second = (torch.tensor(one, dtype=torch.float64) for one in ([1.0, 2.0, 0.5, 3.0], [2.0, 2.0, 1.0, 0.1]))
    mean, other = normal(2, 4, 4)
    found = frechet_distance(with_moments(mean, basis * first, 1), with_moments(other, basis * second, 2))
    expected = (mean - other).square().sum() + (first - second).square().sum()
    assert found == pytest.approx(float(expected), rel=1e-9)


def test_the_distance_is_symmetric_and_that_of_a_matrix_square_root():
    from scipy.linalg import sqrtm

    first, second = normal(80, 5, 0) @ normal(5, 5, 1), normal(90, 5, 2) @ normal(5, 5, 3) + 1.0
    covariances = torch.cov(first.T), torch.cov(second.T)
    root = torch.from_numpy(np.asarray(sqrtm((covariances[0] @ covariances[1]).numpy()))).real
    expected = (
        (first.mean(0) - second.mean(0)).square().sum() + torch.stack(covariances).sum(0).trace() - 2.0 * root.trace()
    )
    assert frechet_distance(first, second) == pytest.approx(float(expected), rel=1e-9)
    assert frechet_distance(second, first) == pytest.approx(frechet_distance(first, second), rel=1e-9)


def test_features_that_never_vary_do_no_harm():
    flat = torch.cat((normal(40, 2, 0), torch.zeros(40, 3, dtype=torch.float64)), dim=1)
    assert frechet_distance(flat, flat) == pytest.approx(0.0, abs=1e-10)
    assert frechet_distance(flat, flat + 2.0) == pytest.approx(20.0)


def test_noise_is_farther_from_digits_than_disturbed_digits_are_and_less_legible():
    images, digits = digits_flow.load_images()
    judge = frechet.Judge.of(images, digits)
    noise = torch.randn(images.shape, generator=torch.Generator().manual_seed(0))
    sets = (images, images + 0.1 * noise, images + 0.5 * noise, noise)
    distances = [judge.distance(one) for one in sets]
    assert distances == sorted(distances) and distances[0] == pytest.approx(0.0, abs=1e-6)
    assert judge.legible(images, digits) > 0.95
    assert judge.legible(noise, digits) < 0.3
