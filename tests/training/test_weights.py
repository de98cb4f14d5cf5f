"""Weights come back as they were, and a failed write leaves the old file."""

import os

import pytest
import torch
from torch import nn

from kutta.training import load_weights, save_weights


class Tied(nn.Module):
    """Two layers with one weight, one of them transposed, and a buffer."""

    def __init__(self):
        super().__init__()
        self.one, self.two = nn.Linear(3, 3), nn.Linear(3, 3)
        self.two.weight = self.one.weight
        self.turned = nn.Parameter(torch.randn(4, 3).T)
        self.register_buffer("count", torch.tensor(7))


def test_there_and_back(tmp_path):
    before, after = Tied(), Tied()
    save_weights(before, tmp_path / "a.safetensors")
    load_weights(after, tmp_path / "a.safetensors")
    assert all(
        torch.equal(a, b) for a, b in zip(before.state_dict().values(), after.state_dict().values(), strict=True)
    )
    assert after.two.weight is after.one.weight
    assert os.listdir(tmp_path) == ["a.safetensors"]


def test_another_structure_is_refused(tmp_path):
    save_weights(nn.Linear(2, 3), tmp_path / "a.safetensors")
    with pytest.raises(RuntimeError, match="size mismatch"):
        load_weights(nn.Linear(3, 3), tmp_path / "a.safetensors")
    with pytest.raises(RuntimeError, match="Missing key"):
        load_weights(Tied(), tmp_path / "a.safetensors")


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "a.safetensors"
    layer = nn.Linear(2, 3)
    save_weights(layer, path)
    before = path.read_bytes()

    def full(model, name):
        with open(name, "wb") as file:
            file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("safetensors.torch.save_model", full)
    with pytest.raises(OSError, match="No space left"):
        save_weights(nn.Linear(2, 3), path)
    assert path.read_bytes() == before and os.listdir(tmp_path) == ["a.safetensors"]
