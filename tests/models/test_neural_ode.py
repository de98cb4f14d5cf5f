"""The neural ODE module: it is a solve, with the parameters of its field."""

import pytest
import torch
from torch import nn

import kutta as kt
from kutta.models import NeuralODE
from kutta.regularizers import ErrorEstimate, Steer
from tests._helpers import F64


class Field(nn.Module):
    """Two layers that see the time."""

    def __init__(self, size=3):
        super().__init__()
        self.first, self.second = nn.Linear(size + 1, 8), nn.Linear(8, size)
        self.double()

    def forward(self, t, y):
        time = t.reshape(-1, 1).expand(*y.shape[:-1], 1)
        return self.second(torch.tanh(self.first(torch.cat([y, time], dim=-1))))


@pytest.fixture
def y0():
    return torch.randn(4, 3, dtype=F64, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def field():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Field()


def test_it_is_a_solve(field, y0):
    model = NeuralODE(field, kt.Dopri5(), (0.0, 2.0), rtol=1e-6, atol=1e-8)
    plain = kt.solve(kt.ODEProblem(field, y0, (0.0, 2.0)), kt.Dopri5(), rtol=1e-6, atol=1e-8)
    assert torch.equal(model(y0).y1, plain.y1) and model(y0).stats == plain.stats
    assert set(model.parameters()) == set(field.parameters())


@pytest.mark.parametrize("adjoint", [kt.Direct(), kt.Recompute(), kt.Gauss()], ids=repr)
def test_parameters_receive_gradients(field, y0, adjoint):
    model = NeuralODE(field, rtol=1e-8, atol=1e-8)
    expected = torch.autograd.grad(model(y0).y1.sum(), tuple(field.parameters()))
    found = torch.autograd.grad(model(y0, adjoint=adjoint).y1.sum(), tuple(field.parameters()))
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-7)


def test_options_of_a_call_take_precedence(field, y0):
    model = NeuralODE(field, rtol=1e-3, penalties={"error": ErrorEstimate()})
    sol = model(y0, rtol=1e-9, t_span=(0.0, 0.5), save_at=[0.25, 0.5])
    assert sol.ys.shape == (2, 4, 3) and float(sol.t1) == 0.5 and set(sol.penalties) == {"error"}
    assert sol.stats.steps > model(y0, t_span=(0.0, 0.5)).stats.steps


def test_each_sample_alone(field, y0):
    sol = NeuralODE(field, each_alone=True, rtol=1e-8)(y0)
    assert sol.stats.steps.shape == (4,)
    for row in range(4):
        alone = NeuralODE(field, rtol=1e-8)(y0[row : row + 1])
        torch.testing.assert_close(sol.y1[row : row + 1], alone.y1, rtol=1e-10, atol=1e-12)


def test_autonomous_fields_and_arguments(y0):
    class Scaled(nn.Module):
        def forward(self, y, rate):
            return -rate * y

    rate = torch.tensor(2.0, dtype=F64, requires_grad=True)
    sol = NeuralODE(Scaled(), autonomous=True, rtol=1e-9)(y0, rate)
    torch.testing.assert_close(sol.y1, y0 * torch.exp(-rate), rtol=1e-6, atol=1e-8)
    (grad,) = torch.autograd.grad(sol.y1.sum(), rate)
    assert float(grad) == pytest.approx(float(-sol.y1.detach().sum()), rel=1e-5)


def test_steer_moves_the_end_in_training_only(field, y0):
    model = NeuralODE(field, steer=Steer(0.5), generator=torch.Generator().manual_seed(0))
    ends = {float(model(y0).t1) for _ in range(5)}
    assert len(ends) == 5 and all(0.5 <= end <= 1.5 for end in ends)
    model.eval()
    assert float(model(y0).t1) == 1.0


def test_weights_travel(field, y0, tmp_path):
    safetensors = pytest.importorskip("safetensors.torch")
    model, other = NeuralODE(field), NeuralODE(Field())
    safetensors.save_file(model.state_dict(), tmp_path / "model.safetensors")
    other.load_state_dict(safetensors.load_file(tmp_path / "model.safetensors"))
    assert torch.equal(model(y0).y1, other(y0).y1)


def test_a_function_is_refused():
    with pytest.raises(TypeError, match=r"field must be an nn\.Module"):
        NeuralODE(lambda t, y: -y)


def test_it_shows_its_settings(field):
    assert "method=Tsit5, t_span=(0.0, 1.0), rtol=0.001" in repr(NeuralODE(field, rtol=1e-3))
