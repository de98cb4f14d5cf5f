"""Flow matching: the loss tends to what the velocity leaves open, and the samples to the data."""

import math

import pytest
import pytorch_lightning as lightning
import torch
from torch import nn

import kutta as kt
from kutta.training import Batches, FlowMatching, fit

VARIANCES = torch.tensor([1.0, 0.04])
MEAN = torch.tensor([1.0, -0.5])
# With variances c the mean over t of Var(z_1 - z_0 | z_t) = c / ((1 - t)^2 c + t^2) is (pi / 2) c^(1/2).
FLOOR = float(math.pi / 2 * VARIANCES.sqrt().mean())


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def gaussian(count, seed=0):
    return MEAN + VARIANCES.sqrt() * torch.randn(count, 2, generator=seeded(seed))


class Velocity(nn.Module):
    """A small network of state and time, and of a label if there is one."""

    def __init__(self, labels=0, seed=0):
        super().__init__()
        torch.manual_seed(seed)
        self.net = nn.Sequential(nn.Linear(3, 64), nn.SiLU(), nn.Linear(64, 64), nn.SiLU(), nn.Linear(64, 2))
        self.labels = nn.Embedding(labels, 3) if labels else None

    def forward(self, z, t, label=None):
        given = torch.cat([z, t[:, None]], 1)
        return self.net(given if self.labels is None or label is None else given + self.labels(label))


class Exact(nn.Module):
    """The velocity of a mixture, with a parameter that changes nothing."""

    def __init__(self, teacher):
        super().__init__()
        self.model = teacher.model(kt.diffusion.RectifiedFlow(), "flow")
        self.idle = nn.Parameter(torch.zeros(()))

    def forward(self, z, t):
        return self.model(z, t) + 0.0 * self.idle


def test_the_exact_velocity_has_the_least_loss():
    teacher = kt.diffusion.GaussianMixture([1.0], MEAN[None], VARIANCES[None])
    task = FlowMatching(Exact(teacher), generator=seeded())
    losses = torch.stack([task.loss(task.model, gaussian(20_000, seed), 0.0).detach() for seed in range(4)])
    assert float(losses.mean()) == pytest.approx(FLOOR, abs=0.02)


def test_training_comes_down_to_the_floor_and_samples_the_data():
    task = FlowMatching(
        Velocity(),
        generator=seeded(),
        average=0.99,
        optimizer=lambda p: torch.optim.Adam(p, 2e-3),
        schedule=lambda o, n: torch.optim.lr_scheduler.CosineAnnealingLR(o, n),
    )
    fit(task, Batches(gaussian(20_000), size=500), steps=800, progress=False, accelerator="cpu")
    with torch.no_grad():
        losses = torch.stack([task.loss(task.averaged, gaussian(20_000, seed), 0.0) for seed in range(8, 12)])
        assert 0.97 * FLOOR < float(losses.mean()) < 1.05 * FLOOR
        noise = torch.randn(2000, 2, generator=seeded(5))
        problem = kt.DiffusionProblem(task.averaged, kt.diffusion.RectifiedFlow(), noise, prediction="flow")
        for sol in (kt.solve(problem, kt.Dopri5(), rtol=1e-5, atol=1e-5), kt.solve(problem, kt.DDIM(), steps=50)):
            assert torch.allclose(sol.y1.mean(0), MEAN, atol=0.1)
            assert torch.allclose(sol.y1.std(0), VARIANCES.sqrt(), atol=0.1)


class Seen(nn.Module):
    """Notes what it is given."""

    def __init__(self):
        super().__init__()
        self.weight, self.calls = nn.Parameter(torch.zeros(())), []

    def forward(self, *given):
        self.calls.append(given)
        return self.weight * given[0]


@pytest.mark.parametrize("least", [0.0, 1e-5, 0.2])
def test_the_path_and_its_velocity(least):
    """With data zero, state and target are known multiples of the noise."""
    task = FlowMatching(Seen(), generator=seeded(), least=least)
    loss = task.loss(task.model, torch.zeros(1000, 4), 0.0).detach()
    z, t = task.model.calls[0]
    assert t.shape == (1000,) and 0.0 <= float(t.min()) < 0.01 and 0.99 < float(t.max()) < 1.0
    noise = z / (least + (1.0 - least) * t)[:, None]
    assert float(loss) == pytest.approx(float(((1.0 - least) * noise).square().mean()), rel=1e-4)


def test_conditions_are_dropped():
    labels = torch.arange(4000) % 10
    task = FlowMatching(Seen(), null=10, generator=seeded())
    task.loss(task.model, (torch.zeros(4000, 2), labels), 0.0)
    given = task.model.calls[0][2]
    gone = given == 10
    assert torch.equal(given[~gone], labels[~gone])
    assert float(gone.double().mean()) == pytest.approx(0.1, abs=0.02)
    none = FlowMatching(Seen(), drop=0.0)
    none.loss(none.model, (torch.zeros(40, 2), labels[:40]), 0.0)
    assert torch.equal(none.model.calls[0][2], labels[:40])


def test_conditions_of_several_numbers():
    task = FlowMatching(Seen(), null=torch.tensor([-1.0, -2.0]), drop=0.5, generator=seeded())
    task.loss(task.model, [torch.zeros(100, 2), torch.ones(100, 2)], 0.0)
    rows = {tuple(row) for row in task.model.calls[0][2].tolist()}
    assert rows == {(1.0, 1.0), (-1.0, -2.0)}


def test_all_parts_of_a_condition_are_dropped_together():
    text, scale = torch.ones(2000, 5, 3), torch.arange(2000)
    null = {"text": torch.zeros(1, 5, 3), "more": (-1,)}
    task = FlowMatching(Seen(), null=null, drop=0.3, generator=seeded())
    task.loss(task.model, (torch.zeros(2000, 2), {"text": text, "more": (scale,)}), 0.0)
    given = task.model.calls[0][2]
    gone = given["more"][0] == -1
    assert float(gone.double().mean()) == pytest.approx(0.3, abs=0.04)
    assert torch.equal(given["text"], torch.where(gone[:, None, None], 0.0, text))
    assert torch.equal(given["more"][0], torch.where(gone, -1, scale))
    whole = FlowMatching(Seen(), drop=0.0)
    whole.loss(whole.model, (torch.zeros(2000, 2), {"text": text}), 0.0)
    assert whole.model.calls[0][2]["text"] is text


@pytest.mark.parametrize(
    ("null", "condition", "error", "match"),
    [
        ({"a": 0}, torch.ones(4), ValueError, "null must have the structure of the conditions"),
        (0, {"a": torch.ones(4)}, ValueError, "null must have the structure of the conditions"),
        ({"a": 0, "b": 0}, {"a": torch.ones(4)}, ValueError, "null must have the structure of the conditions"),
        ({"a": 0}, {"a": "cat"}, TypeError, "conditions must be tensors of a row a sample; got str"),
        (0, torch.ones(3), ValueError, r"a row for each of the 4 samples; got shape \(3,\)"),
        (0, torch.ones(()), ValueError, r"a row for each of the 4 samples; got shape \(\)"),
        (torch.zeros(3), torch.ones(4, 2), ValueError, r"one sample's condition, \(2,\).*got shape \(3,\)"),
        (torch.zeros(1, 2), torch.ones(4), ValueError, r"one sample's condition, \(\).*got shape \(1, 2\)"),
    ],
)
def test_conditions_and_null_that_do_not_fit(null, condition, error, match):
    task = FlowMatching(Seen(), null=null)
    with pytest.raises(error, match=match):
        task.loss(task.model, (torch.zeros(4, 2), condition), 0.0)


def test_batches_of_three_parts_are_refused():
    """`DiffusionProblem` has one condition, so what is trained with two could not be sampled."""
    with pytest.raises(
        ValueError, match="pairs of data and condition; got 3 parts: put several conditions into a dict"
    ):
        FlowMatching(Seen(), null=0)._loss(Seen(), (torch.zeros(4, 2), torch.ones(4), torch.ones(4)), 0.0)


def test_latents():
    """The model sees what the encoder makes of the data, and the encoder gets no gradients."""
    encoder = nn.Linear(6, 2)
    task = FlowMatching(Seen(), encode=encoder, generator=seeded())
    task.loss(task.model, torch.ones(8, 6), 0.0).backward()
    assert task.model.calls[0][0].shape == (8, 2)
    assert encoder.weight.grad is None and task.model.weight.grad is not None


def test_the_average_follows_the_weights():
    task = FlowMatching(Velocity(), average=0.5, generator=seeded())
    task.trainer = lightning.Trainer(logger=False, accelerator="cpu")
    wanted, path = [], []

    def step():
        path.append(task.model.net[0].bias.detach().clone())
        task.on_train_batch_end(None, None, 0)

    for n in range(6):
        with torch.no_grad():
            task.model.net[0].bias.add_(1.0)
        step()
        decay = min(0.5, (1 + n) / (10 + n))
        wanted.append(path[0] if n == 0 else decay * wanted[-1] + (1 - decay) * path[-1])
    assert torch.allclose(task.averaged.net[0].bias, wanted[-1], rtol=1e-5)
    assert FlowMatching(task.model, average=None).averaged is task.model


def test_a_resumed_run_has_the_same_weights_and_average(tmp_path):
    def run(steps, folder):
        task = FlowMatching(Velocity(labels=4), null=3, generator=seeded(), average=0.9)
        data = (gaussian(64), torch.arange(64) % 3)
        fit(task, Batches(data, size=16), steps, folder=folder, every=2, progress=False, accelerator="cpu")
        return task

    whole = run(8, tmp_path / "whole")
    run(5, tmp_path / "parts")
    parts = run(8, tmp_path / "parts")
    for model in ("model", "averaged"):
        pairs = zip(getattr(whole, model).parameters(), getattr(parts, model).parameters(), strict=True)
        assert all(torch.equal(one, other) for one, other in pairs)


def test_guided_samples_of_a_trained_model_have_their_class():
    centres = torch.tensor([[-2.0, 0.0], [2.0, 0.0]])
    labels = torch.arange(4000) % 2
    data = centres[labels] + 0.3 * torch.randn(4000, 2, generator=seeded())
    task = FlowMatching(
        Velocity(labels=3),
        null=2,
        generator=seeded(),
        average=0.98,
        optimizer=lambda parameters: torch.optim.Adam(parameters, 4e-3),
    )
    fit(task, Batches((data, labels), size=250), 400, progress=False, accelerator="cpu")
    condition = torch.arange(100) % 2
    problem = kt.DiffusionProblem(
        task.averaged,
        kt.diffusion.RectifiedFlow(),
        torch.randn(100, 2, generator=seeded(1)),
        prediction="flow",
        condition=condition,
        guidance=kt.diffusion.CFG(1.5, null=torch.full((100,), 2)),
    )
    with torch.no_grad():
        samples = kt.solve(problem, kt.DDIM(), steps=20).y1
    assert float(((samples[:, 0] > 0).long() == condition).double().mean()) > 0.95


def test_refusals():
    for name in ("drop", "least", "average"):
        with pytest.raises(ValueError, match=f"{name} must lie in"):
            FlowMatching(Velocity(), **{name: 1.5})
    task = FlowMatching(Velocity(labels=3))
    with pytest.raises(ValueError, match="null must say which condition stands for none"):
        task.loss(task.model, (gaussian(4), torch.zeros(4, dtype=torch.long)), 0.0)
    with pytest.raises(ValueError, match="the model must return the data's shape"):
        task.loss(lambda z, t: z[:, :1], gaussian(4), 0.0)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_times_are_as_exact_as_those_of_samplers(dtype):
    """In half precision thousands of draws would meet in hundreds of times, and some of them be zero."""
    seen = []

    def model(z, t):
        seen.append((z, t))
        return 0.0 * z

    task = FlowMatching(nn.Linear(2, 2), average=None, generator=seeded())
    loss = task.loss(model, gaussian(4096).to(dtype), 0.0)
    ((z, t),) = seen
    assert z.dtype == dtype and t.dtype == torch.promote_types(dtype, torch.float32)
    assert len(t.unique()) > 4000 and float(t.min()) > 0.0 and float(t.max()) < 1.0
    assert loss.dtype == t.dtype
