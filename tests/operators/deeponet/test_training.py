"""What a DeepONet learns in a minute, against figures that were measured."""

import math
from functools import cache

import pytest
import torch

import kutta as kt

data = kt.operators.data
AT = torch.linspace(0.0, 1.0, 100, dtype=torch.float64)
PLACES = AT.float()[:, None]


@cache
def samples(count, scale, seed):
    """Functions and their antiderivatives, both at 100 places."""
    u = data.random_functions(count, scale, generator=torch.Generator().manual_seed(seed))
    return u(AT).float(), data.antiderivative().solve(u)(AT)[..., 0].float()


def trained(width, members):
    """10,000 steps of Adam with 256 functions each, the last 3,000 at a tenth of the rate; all members at once."""
    torch.manual_seed(0)
    widths = {"terms": width, "branch_widths": (width,), "trunk_widths": (width,)}
    model = kt.operators.Ensemble(lambda: kt.operators.DeepONet(100, **widths), members)
    optimizer = torch.optim.Adam(model.parameters(), 1e-3, fused=True)
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, [7000])
    generator = torch.Generator().manual_seed(1)
    u, s = samples(1000, 0.2, 0)
    for _ in range(10_000):
        rows = torch.randint(1000, (256,), generator=generator)
        optimizer.zero_grad()
        (model(u[rows], PLACES) - s[rows]).square().mean((1, 2)).sum().backward()
        optimizer.step()
        schedule.step()
    return model


@torch.no_grad()
def errors(model, u, s):
    """Mean squared and relative L2 errors of the best member: weights as they are drawn decide by a factor of three."""
    off = model(u, PLACES) - s
    relative = (off.norm(dim=2) / s.norm(dim=1)).mean(1)
    return off.square().mean((1, 2)).min().item(), relative.min().item()


# Limits are 1.5 times what was measured: with width 40, 1.1e-5 and 1.36 %; with 128, 5.1e-6 and 0.93 %.
@pytest.mark.slow
@pytest.mark.parametrize(("width", "members", "mse", "relative"), [(40, 3, 1.65e-5, 0.0204), (128, 2, 7.7e-6, 0.014)])
def test_the_antiderivative_in_a_minute(width, members, mse, relative):
    model = trained(width, members)
    found = errors(model, *samples(1000, 0.2, 1))
    assert found[0] < mse and found[1] < relative
    # Functions that vary on half the length of the training's are answered wrongly: 10 % were measured.
    assert 3.0 * found[1] < errors(model, *samples(1000, 0.1, 2))[1] < 0.15
    x = PLACES[:, 0]
    turn = math.pi * x
    inputs = torch.stack([x, turn.sin(), (2.0 * turn).sin(), x * (2.0 * turn).sin()])
    exact = torch.stack(
        [
            x**2 / 2.0,
            (1.0 - turn.cos()) / math.pi,
            (1.0 - (2.0 * turn).cos()) / (2.0 * math.pi),
            (2.0 * turn).sin() / (4.0 * math.pi**2) - x * (2.0 * turn).cos() / (2.0 * math.pi),
        ]
    )
    with torch.no_grad():
        each = ((model(inputs, PLACES) - exact).norm(dim=2) / exact.norm(dim=1)).median(0).values
    # Measured: 0.5, 0.3, 1.3 and 2.1 % with width 40; single functions scatter more than their mean.
    assert (each < torch.tensor([0.01, 0.01, 0.03, 0.05])).all()


def test_a_few_steps_lower_the_error():
    model = kt.operators.DeepONet(100)
    u, s = samples(200, 0.2, 0)
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    losses = []
    for _ in range(150):
        optimizer.zero_grad()
        loss = (model(u, PLACES) - s).square().mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.2 * losses[0]
