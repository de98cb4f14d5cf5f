"""A run for one process or two: ``torchrun --nproc-per-node 2 _two_processes.py folder``, or without torchrun."""

import json
import os
import sys
from pathlib import Path

import torch

from kutta.training import Batches, Task, fit


def loss(model, batch, progress):
    x, y = batch
    return (model(x) - y).square().mean(), {"rate": 0.5, "height": y.mean().reshape(1)}


def validate(model, batch):
    x, y = batch
    return {"error": (model(x) - y).abs().mean()}


def main(folder: Path, steps: int) -> None:
    torch.manual_seed(0)
    x = torch.linspace(-1.0, 1.0, 48, dtype=torch.float64)[:, None]
    model = torch.nn.Sequential(torch.nn.Linear(1, 8), torch.nn.Tanh(), torch.nn.Linear(8, 1)).double()
    task = Task(model, loss, optimizer=lambda p: torch.optim.Adam(p, lr=0.01), validate=validate)
    count = int(os.environ.get("WORLD_SIZE", "1"))
    several = {"devices": count, "strategy": "ddp"} if count > 1 else {}
    rows = Batches((x, x.sin()), size=16, seed=3)
    validation = Batches((x, x.sin()), size=48, shuffle=False)
    options = {"validation": validation, "best": "error", "folder": folder, "every": 4}
    figures = fit(task, rows, steps, accelerator="cpu", progress=False, **options, **several)
    if int(os.environ.get("RANK", "0")) == 0:
        found = {"figures": dict(figures), "weights": [p.tolist() for p in model.parameters()]}
        (folder / "found.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
