"""Log-densities against closed forms, quadrature and finite differences."""

import pytest
import torch
from torch import nn

import kutta as kt
from kutta.models import ContinuousFlow
from kutta.regularizers import ErrorEstimate, JacobianNorm, KineticEnergy, LocalErrorEstimate, StiffnessEstimate
from tests._helpers import F64

FINE = {"rtol": 1e-10, "atol": 1e-10}


class Linear(nn.Module):
    """``dy/dt = A y``."""

    def __init__(self, matrix):
        super().__init__()
        self.matrix = nn.Parameter(matrix)

    def forward(self, t, y):
        return y @ self.matrix.T


class Wave(nn.Module):
    """A field that bends, and sees the time."""

    def __init__(self, size=2, seed=0):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.first, self.second = nn.Linear(size + 1, 12), nn.Linear(12, size)
        self.double()

    def forward(self, t, y, shift=0.0):
        time = torch.as_tensor(t).reshape(-1, 1).expand(len(y), 1)
        return self.second(torch.tanh(self.first(torch.cat([y, time], dim=1)))) + shift


@pytest.fixture
def points():
    return torch.randn(6, 2, dtype=F64, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("each_alone", [False, True])
def test_a_linear_flow_is_a_normal_distribution(points, each_alone):
    matrix = torch.tensor([[0.3, -0.8], [0.5, -0.4]], dtype=F64)
    flow = ContinuousFlow(Linear(matrix), 2, t_span=(0.0, 1.5), each_alone=each_alone, **FINE)
    power = torch.linalg.matrix_exp(1.5 * matrix)
    expected = torch.distributions.MultivariateNormal(torch.zeros(2, dtype=F64), power @ power.T).log_prob(points)
    density = flow(points)
    torch.testing.assert_close(density.log_prob, expected, rtol=1e-8, atol=1e-8)
    torch.testing.assert_close(density.base, points @ torch.linalg.inv(power).T, rtol=1e-8, atol=1e-8)


def test_an_estimated_trace_is_right_on_average():
    matrix = torch.tensor([[0.3, -0.8], [0.1, -0.4]], dtype=F64)
    flow = ContinuousFlow(Linear(matrix), 2, trace="hutchinson", generator=torch.Generator().manual_seed(0), **FINE)
    x = torch.tensor([[0.4, -0.7]], dtype=F64).expand(4_000, 2)
    found = flow(x).log_prob
    exact = ContinuousFlow(Linear(matrix), 2, **FINE)(x[:1]).log_prob
    assert found.std() > 0.1
    error = (found.mean() - exact).abs() / (found.std() / len(x) ** 0.5)
    print(f"estimated trace: {error.item():.2f} standard errors")
    assert error < 4.0


def test_a_density_integrates_to_one():
    flow = ContinuousFlow(Wave(), 2, rtol=1e-8, atol=1e-8)
    side = torch.linspace(-9.0, 9.0, 181, dtype=F64)
    with torch.no_grad():
        density = flow(torch.cartesian_prod(side, side)).log_prob.exp()
    total = density.sum() * (side[1] - side[0]) ** 2
    print(f"total probability {total.item():.8f}")
    assert total.item() == pytest.approx(1.0, abs=1e-6)


def test_samples_come_from_the_density():
    """The base of a sample is the noise that it came from, and E_p[1/p on a box] is the area of the box."""
    flow = ContinuousFlow(Wave(), 2, generator=torch.Generator().manual_seed(4), rtol=1e-8, atol=1e-8)
    with torch.no_grad():
        samples = flow.sample(20_000)
        density = flow(samples)
    noise = torch.randn(20_000, 2, dtype=F64, generator=torch.Generator().manual_seed(4))
    torch.testing.assert_close(density.base, noise, rtol=1e-5, atol=1e-5)
    inside = ((samples - samples.mean(0)).abs() < 0.5).all(dim=1)
    weights = torch.where(inside, (-density.log_prob).exp(), 0.0)
    assert abs(weights.mean() - 1.0) < 4.0 * weights.std() / 20_000**0.5


@pytest.mark.parametrize("trace", ["exact", "hutchinson"])
@pytest.mark.parametrize("adjoint", [kt.Direct(), kt.Recompute(), kt.Gauss(), kt.Interpolating()], ids=repr)
def test_gradients(points, trace, adjoint):
    flow = ContinuousFlow(Wave(), 2, trace=trace, adjoint=adjoint, **FINE)
    parameters = list(flow.parameters())

    def loss():
        flow.generator = torch.Generator().manual_seed(3)
        return flow(points).log_prob.mean()

    gradients = torch.autograd.grad(loss(), parameters)
    generator = torch.Generator().manual_seed(1)
    directions = [torch.randn(one.shape, dtype=F64, generator=generator) for one in parameters]
    slope = sum((g * d).sum() for g, d in zip(gradients, directions, strict=True))
    ends = []
    for step in (1e-5, -1e-5):
        with torch.no_grad():
            for one, direction in zip(parameters, directions, strict=True):
                one.add_(direction, alpha=step)
            ends.append(loss())
            for one, direction in zip(parameters, directions, strict=True):
                one.sub_(direction, alpha=step)
    torch.testing.assert_close(slope, (ends[0] - ends[1]) / 2e-5, rtol=1e-6, atol=1e-7)


def test_points_may_have_any_shape():
    class Pixels(nn.Module):
        def __init__(self):
            super().__init__()
            with torch.random.fork_rng():
                torch.manual_seed(0)
                self.layer = nn.Conv2d(2, 2, 3, padding=1)

        def forward(self, y):
            return torch.tanh(self.layer(y))

    flow = ContinuousFlow(Pixels(), (2, 3, 3), autonomous=True, **FINE).double()
    x = torch.randn(2, 2, 3, 3, dtype=F64, generator=torch.Generator().manual_seed(0))
    found = flow(x)
    # The change of volume is that of the map of each point.
    for row in range(2):
        jacobian = torch.func.jacrev(lambda y: flow(y[None]).base[0])(x[row]).reshape(18, 18)
        base = found.base[row].flatten()
        expected = -0.5 * (base.square().sum() + 18 * torch.log(torch.tensor(2 * torch.pi))) + torch.logdet(jacobian)
        torch.testing.assert_close(found.log_prob[row], expected, rtol=1e-6, atol=1e-6)
    assert flow.sample(3).shape == (3, 2, 3, 3)


def test_conditions_are_handed_on(points):
    flow = ContinuousFlow(Wave(), 2, generator=torch.Generator().manual_seed(0), **FINE)
    shift = torch.tensor([[1.0, -2.0]], dtype=F64)
    assert not torch.allclose(flow(points, shift).log_prob, flow(points).log_prob)
    torch.testing.assert_close(
        flow.sample(4_000, shift).mean(0) - flow.sample(4_000).mean(0), shift[0], atol=0.6, rtol=0
    )


@pytest.mark.parametrize(
    "penalty",
    [ErrorEstimate(), StiffnessEstimate(), KineticEnergy(), LocalErrorEstimate(sample="uniform_step")],
    ids=repr,
)
def test_penalties_see_the_points_alone(points, penalty):
    generators = [torch.Generator().manual_seed(0) for _ in range(2)]
    if isinstance(penalty, LocalErrorEstimate):
        first, second = (LocalErrorEstimate(generator=generator) for generator in generators)
        second = second.restricted(lambda state: state[0])
    else:
        first, second = penalty, penalty.restricted(lambda state: state[0])
    flow, field = ContinuousFlow(Wave(), 2, penalties={"p": first}, rtol=1e-6, atol=1e-6), Wave()
    found = flow(points).solution

    def augmented(t, state):
        y = state[0]
        jacobian = torch.func.vmap(torch.func.jacrev(lambda one: field(t, one[None])[0]))(y)
        return field(t, y), -jacobian.diagonal(dim1=1, dim2=2).sum(1)

    problem = kt.ODEProblem(augmented, (points, torch.zeros(6, dtype=F64)), (1.0, 0.0))
    expected = kt.solve(problem, rtol=1e-6, atol=1e-6, penalties={"p": second})
    torch.testing.assert_close(found.penalties["p"], expected.penalties["p"], rtol=1e-9, atol=1e-12)
    if not isinstance(penalty, LocalErrorEstimate):
        called = ContinuousFlow(Wave(), 2, rtol=1e-6, atol=1e-6)(points, penalties={"p": first}).solution
        assert torch.equal(called.penalties["p"], found.penalties["p"])
    whole = kt.solve(problem, rtol=1e-6, atol=1e-6, penalties={"p": penalty})
    assert not torch.allclose(found.penalties["p"], whole.penalties["p"], rtol=1e-3)


def test_penalties_can_be_trained(points):
    penalties = {"kinetic": KineticEnergy(), "jacobian": JacobianNorm(), "error": ErrorEstimate()}
    flow = ContinuousFlow(Wave(), 2, trace="hutchinson", penalties=penalties, rtol=1e-4, atol=1e-4)
    density = flow(points)
    (sum(density.solution.penalties.values()) - density.log_prob.mean()).backward()
    assert all(bool(one.grad.isfinite().all()) and bool(one.grad.any()) for one in flow.parameters())


def test_it_can_be_left_out_of_the_error(points):
    options = {"controller": kt.PID(norm=lambda state: kt.rms_norm(state[0])), "rtol": 1e-6, "atol": 1e-6}
    flow = ContinuousFlow(Wave(), 2, **options)
    alone = kt.solve(kt.ODEProblem(Wave(), points, (1.0, 0.0)), **options)
    assert flow(points).solution.stats.steps == alone.stats.steps


def test_what_it_cannot_do_is_said(points):
    with pytest.raises(TypeError, match=r"field must be an nn\.Module"):
        ContinuousFlow(lambda t, y: y, 2)
    with pytest.raises(ValueError, match="trace must be one of"):
        ContinuousFlow(Wave(), 2, trace="approximate")
    with pytest.raises(ValueError, match=r"x must have shape \(B, 3\); got \(6, 2\)"):
        ContinuousFlow(Wave(3), 3)(points)


@pytest.mark.slow
def test_it_learns_two_moons():
    from sklearn.datasets import make_moons

    from kutta.training import Batches, Task, fit

    data = torch.from_numpy(make_moons(2_000, noise=0.05, random_state=0)[0]).float()
    data = (data - data.mean(0)) / data.std(0)
    flow = ContinuousFlow(Wave().float(), 2, rtol=1e-4, atol=1e-4, penalties={"error": ErrorEstimate()})

    def loss(model, batch, progress):
        density = model(batch)
        return 0.01 * density.solution.penalties["error"] - density.log_prob.mean()

    task = Task(flow, loss, optimizer=lambda parameters: torch.optim.Adam(parameters, lr=1e-2))
    history = fit(task, Batches(data, 500), 400, progress=False)
    normal = torch.distributions.MultivariateNormal(torch.zeros(2), data.T.cov()).log_prob(data).mean()
    with torch.no_grad():
        found = flow(data).log_prob.mean()
    print(f"log-likelihood {found:.3f}, of a normal distribution {normal:.3f}, loss {history['loss'][-1]:.3f}")
    assert found > normal + 0.3
