"""A run on samples that are made in turn, for the tests that kill it; prints a line a step when called as a program."""

import sys

import torch

import kutta as kt
from kutta.operators.online import InTurn, OnlineBatches, Reservoir
from kutta.training import Task, fit
from tests.operators.online._families import SMALL

STEPS, EVERY, LENGTH = 22, 3, 8
GRID = kt.pde.Grid((8, 8), boundary=kt.pde.Dirichlet())


def train(folder=None, each_step=lambda: None, steps=STEPS, **options):
    """The weights and the figures of a run; the loss draws numbers, too."""
    torch.manual_seed(0)
    network = kt.operators.FNO(1, 1, (4, 4), width=4, layers=1)

    def loss(model, batch, progress):
        each_step()
        a, u = batch
        noisy = a / 12.0 + 0.01 * torch.randn_like(a)
        return kt.operators.metrics.relative_l2(model(noisy, GRID), 100.0 * u, GRID).mean()

    batches = OnlineBatches(InTurn(SMALL, batch=3), Reservoir(12, 4), size=4, fresh=2, length=LENGTH)
    task = Task(network, loss, optimizer=lambda p: torch.optim.Adam(p, lr=0.01))
    history = fit(task, batches, steps, folder=folder, every=EVERY, progress=False, **options)
    weights = torch.cat(
        [torch.view_as_real(p).flatten() if p.is_complex() else p.flatten() for p in network.parameters()]
    )
    return weights.detach(), {name: list(values) for name, values in history.items()}


if __name__ == "__main__":
    torch.set_num_threads(1)
    train(sys.argv[1], lambda: print("step", flush=True))
