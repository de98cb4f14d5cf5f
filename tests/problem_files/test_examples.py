"""The problem files in examples/ are problems, here on few points and for a short time."""

import tomllib
from pathlib import Path

import pytest
import torch

import kutta as kt
from kutta.problem_files.task import task_of

FOLDER = Path(__file__).parents[2] / "examples"
FILES = sorted(path for path in FOLDER.glob("*.toml") if not path.stem.endswith("_surrogate"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_examples_are_solved(path):
    content = tomllib.loads(path.read_text())
    if "grid" in content:
        shape = content["grid"]["shape"]
        content["grid"]["shape"] = [24] * len(shape) if isinstance(shape, list) else 24
    step = content["solve"].get("step")
    content["time"] = {"span": [0.0, 4 * step if step else 0.2], "save": 3}
    task = task_of(content, FOLDER)
    sol = kt.solve(task.problem, task.method, **task.options)
    assert sol.result == kt.Result.SUCCESS and len(sol.ts) == 3
    states = sol.ys.values() if isinstance(sol.ys, dict) else [sol.ys]
    assert all(bool(torch.isfinite(one).all()) and not torch.equal(one[0], one[-1]) for one in states)


def test_there_are_examples():
    assert {"gray_scott", "heat_rod", "kuramoto_sivashinsky", "lorenz"} <= {path.stem for path in FILES}
