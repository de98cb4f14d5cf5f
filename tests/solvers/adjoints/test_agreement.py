"""Continuous adjoints against the gradient of the discrete solution, as the tolerance falls."""

import numpy as np
import pytest
import torch

import kutta as kt
from tests._helpers import F64, relative_error, tensor, van_der_pol

WEIGHTS = torch.randn(3, 3, dtype=F64, generator=torch.Generator().manual_seed(0))
START = torch.randn(2, 3, dtype=F64, generator=torch.Generator().manual_seed(1))


def field(t, y, weights):
    return torch.tanh(2.0 * y @ weights) * (1.0 + 0.5 * torch.sin(3.0 * t))


def of_network(adjoint, tolerance):
    weights = WEIGHTS.clone().requires_grad_()
    problem = kt.ODEProblem(field, START, (0.0, 2.0), args=(weights,))
    y1 = kt.solve(problem, rtol=tolerance, atol=tolerance, adjoint=adjoint).y1
    return torch.autograd.grad(y1.square().sum(), weights)[0]


@pytest.mark.parametrize("adjoint", [kt.Interpolating(), kt.Gauss(), kt.Backsolve()], ids=repr)
def test_the_error_of_the_gradient_falls_with_the_tolerance(adjoint):
    tolerances = [1e-4, 1e-5, 1e-6, 1e-7, 1e-8]
    errors = [relative_error(of_network(adjoint, tol), of_network(kt.Direct(), tol)) for tol in tolerances]
    slope = np.polyfit(np.log(tolerances), np.log(errors), 1)[0]
    print(f"{type(adjoint).__name__}: slope {slope:.2f}, errors {[f'{error:.0e}' for error in errors]}")
    assert slope >= 0.8


def of_oscillator(adjoint):
    mu = torch.tensor(10.0, dtype=F64, requires_grad=True)
    problem = kt.ODEProblem(van_der_pol, tensor(2.0, 0.0), (0.0, 8.0), args=(mu,))
    y1 = kt.solve(problem, rtol=1e-6, atol=1e-6, adjoint=adjoint).y1
    return torch.autograd.grad(y1[0], mu)[0]


def test_backsolve_fails_where_the_flow_contracts_and_the_others_do_not():
    exact = of_oscillator(kt.Direct())
    for adjoint in (kt.Recompute(), kt.Interpolating(), kt.Gauss()):
        assert relative_error(of_oscillator(adjoint), exact) < 1e-5
    with pytest.raises(RuntimeError, match="the backward solve of the adjoint failed"):
        of_oscillator(kt.Backsolve())
