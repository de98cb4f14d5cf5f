"""A trunk of known modes."""

import pytest
import torch

import kutta as kt

F64 = torch.float64


def outputs_of(rank=4, count=50):
    generator = torch.Generator().manual_seed(0)
    shapes = torch.randn(rank, 6, 7, dtype=F64, generator=generator)
    return 2.0 + torch.einsum("nk,kij->nij", torch.randn(count, rank, dtype=F64, generator=generator), shapes)


def test_coefficients_have_the_size_one_and_give_the_outputs_back():
    outputs = outputs_of()
    model = kt.operators.PODDeepONet(10, outputs).double()
    assert model.modes.shape == (4, 6, 7)
    flat = model.modes.flatten(1)
    coefficients = torch.linalg.lstsq(flat.mT, (outputs - model.mean).flatten(1).mT).solution
    torch.testing.assert_close(coefficients.square().mean(1), torch.ones(4, dtype=F64), rtol=1e-9, atol=0.0)
    model.branch = torch.nn.Identity()
    model.sensors = 4
    torch.testing.assert_close(model(coefficients.mT), outputs, rtol=1e-10, atol=1e-10)


def test_an_operator_of_low_rank_is_learned_to_rounding():
    """A linear branch is enough where the outputs depend on the input linearly."""
    generator = torch.Generator().manual_seed(1)
    u, matrix = (torch.randn(*shape, dtype=F64, generator=generator) for shape in ((40, 5), (5, 30)))
    model = kt.operators.PODDeepONet(5, u @ matrix, branch_widths=()).double()
    optimizer = torch.optim.LBFGS(model.branch.parameters(), max_iter=100, tolerance_grad=1e-14, tolerance_change=0.0)

    def loss():
        optimizer.zero_grad()
        value = (model(u) - u @ matrix).square().mean()
        value.backward()
        return value

    optimizer.step(loss)
    assert float(loss().detach()) < 1e-18


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="modes must be a whole number from 1 to 4"):
        kt.operators.PODDeepONet(10, outputs_of(), terms=5)
    model = kt.operators.PODDeepONet(10, outputs_of()).double()
    with pytest.raises(ValueError, match=r"u must have the shape \(n, 10\) of values at the 10 sensors; got \(2, 9\)"):
        model(torch.zeros(2, 9, dtype=F64))
