"""Systems with known solutions and spectra."""

import torch

import kutta as kt
from tests._helpers import F64


def random(*shape, seed=0, dtype=F64):
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def definite(n, seed=0, dtype=F64):
    """A symmetric (Hermitian) positive definite matrix with eigenvalues between 0.5 and about 4.5."""
    root = random(n, n, seed=seed, dtype=dtype)
    return root @ root.mH / n + 0.5 * torch.eye(n, dtype=dtype)


def indefinite(n, seed=0, dtype=F64):
    root = random(n, n, seed=seed, dtype=dtype)
    return (root + root.mH) / 2


def general(n, seed=0, dtype=F64):
    """A matrix that is not symmetric, with eigenvalues within about 1 of 3."""
    return 3.0 * torch.eye(n, dtype=dtype) + random(n, n, seed=seed, dtype=dtype) / n**0.5


def laplacian_bands(n, dtype=F64):
    """``-u''`` in one dimension, without the ``1 / h^2``: its eigenvalues are ``4 sin(k pi / (2 n + 2))^2``."""
    return torch.tensor([[-1.0], [2.0], [-1.0]], dtype=dtype).expand(3, n)


def laplacian(n, dtype=F64):
    return kt.algebra.Banded(laplacian_bands(n, dtype), (-1, 0, 1), definite=True)


def poisson(u):
    """The same as a function."""
    return 2.0 * u - torch.nn.functional.pad(u[..., 1:], (0, 1)) - torch.nn.functional.pad(u[..., :-1], (1, 0))


def with_spectrum(eigenvalues, seed=0):
    """A symmetric matrix with given eigenvalues."""
    q, _ = torch.linalg.qr(random(len(eigenvalues), len(eigenvalues), seed=seed))
    matrix = q @ torch.diag(eigenvalues) @ q.mT
    return (matrix + matrix.mT) / 2


def exact(matrix, b):
    return torch.linalg.solve(matrix, b.unsqueeze(-1)).squeeze(-1)


def solved(operator, b, method=None, **options):
    return kt.solve(kt.LinearProblem(operator, b), method, **options)
