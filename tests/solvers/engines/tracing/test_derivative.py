"""Jacobians of programs against PyTorch's."""

import pytest
import torch

from kutta.solvers.engines.tracing.derivative import jacobian
from kutta.solvers.engines.tracing.trace import trace
from tests._helpers import F64
from tests.solvers.engines.tracing.test_trace import FUNCTIONS, P, T, Y


@pytest.mark.parametrize("name", FUNCTIONS)
def test_jacobians_are_those_of_autograd(name):
    f = FUNCTIONS[name]
    traced = trace(f, ("t", "y", "p"), (T, Y, P))
    inputs = {"t": [0.3], "y": Y.tolist(), "p": P.flatten().tolist()}
    inputs["captured"] = [value for tensor in traced.captured for value in tensor.flatten().tolist()]
    by = [("y", place) for place in range(3)]
    values = torch.tensor([float(one) for one in jacobian(traced.program, by).evaluate(inputs)], dtype=F64)
    torch.testing.assert_close(values[:3], f(T, Y, P).double(), rtol=1e-13, atol=1e-13)
    expected = torch.autograd.functional.jacobian(lambda y: f(T, y, P), Y)
    torch.testing.assert_close(values[3:].reshape(3, 3), expected, rtol=1e-11, atol=1e-11)


def test_zeros_are_not_written_down():
    def chain(t, y):
        return torch.cat([y[1:] - y[:-1], -y[-1:]])

    traced = trace(chain, ("t", "y"), (T, torch.ones(10, dtype=F64)))
    program = jacobian(traced.program, [("y", place) for place in range(10)])
    assert program.cost == traced.program.cost
