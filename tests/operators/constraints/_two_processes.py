"""Training of experts by one process or two: ``torchrun --nproc-per-node 2 _two_processes.py folder``."""

import json
import os
import sys
from pathlib import Path

import torch
import torch.distributed as distributed

import kutta as kt


def main(folder: Path) -> None:
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count > 1:
        distributed.init_process_group("gloo")
    several = {"devices": count, "strategy": "ddp"} if count > 1 else {}
    torch.manual_seed(0)
    net = kt.operators.FNO(1, 4, (4, 4), width=4, layers=1).double()
    boxes = kt.operators.Boxes((1, 2), 0.2)
    model = kt.operators.MixtureOfExperts(net, 4, boxes, ridge=1e-3, processes=count > 1, max_steps=100, rtol=1e-10)
    family = kt.operators.data.burgers(points=16)
    options = {"batch": 2, "progress": False, "accelerator": "cpu", **several}
    figures = kt.operators.train_on_equation(model, family, 3, **options)
    if int(os.environ.get("RANK", "0")) == 0:
        found = {"loss": list(figures["loss"]), "weights": [p.tolist() for p in model.parameters()]}
        (folder / "found.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
