"""A training run with everything random in it, for tests that kill it. ``python -m`` runs it, a line a step."""

import sys

import torch
from torch import nn

import kutta as kt
from kutta.regularizers import LocalErrorEstimate, Steer, TargetEvaluations
from kutta.training import Batches, Task, fit

STEPS, EVERY = 37, 4


class Model(nn.Module):
    """A neural ODE between a layer with dropout and a read-out."""

    def __init__(self, generator):
        super().__init__()
        self.flow = kt.models.NeuralODE(
            nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 2)),
            autonomous=True,
            steer=Steer(0.3),
            generator=generator,
            rtol=1e-3,
            atol=1e-3,
            penalties={"local": LocalErrorEstimate(generator=generator)},
        )
        self.drop, self.readout = nn.Dropout(0.2), nn.Linear(2, 2)


def train(folder=None, on_step=lambda: None, steps=STEPS, scheduled=True, size=8, **options):
    """Train; all weights as one vector, and the figures."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        generator, x = torch.Generator().manual_seed(5), torch.randn(64, 2)
        model, coefficient = Model(generator), TargetEvaluations(target=20)

        def loss(model, batch, progress):
            on_step()
            x, y = batch
            sol = model.flow(model.drop(x))
            error = (model.readout(sol.y1) - y).square().mean()
            strength = coefficient.update(float(sol.stats.function_evaluations), progress)
            return error + strength * sol.penalties["local"], {"strength": strength}

        def validate(model, batch):
            x, y = batch
            return {"validation loss": (model.readout(model.flow(x).y1) - y).square().mean()}

        task = Task(
            model,
            loss,
            schedule=cosine if scheduled else None,
            validate=validate,
            keep={"generator": generator, "coefficient": coefficient},
        )
        data = (x, x.flip(1))
        settings = {"validation": Batches(data, 32, shuffle=False), "every": EVERY, "progress": False}
        figures = fit(task, Batches(data, size, seed=3), steps, folder=folder, **settings | options)
    return torch.cat([one.detach().flatten() for one in model.parameters()]), dict(figures)


def cosine(optimizer, steps):
    return torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)


if __name__ == "__main__":
    torch.set_num_threads(1)
    train(sys.argv[1], lambda: print("step", flush=True))
