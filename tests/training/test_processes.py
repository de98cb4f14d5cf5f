"""Two processes against one: the same losses, the same weights, and a run that goes on."""

from pathlib import Path

import pytest
import torch

from kutta.training import processes
from tests._torchrun import found_by

SCRIPT = Path(__file__).with_name("_two_processes.py")
LIKE = torch.zeros((), dtype=torch.float64)


def run(folder, steps, count):
    return found_by(SCRIPT, folder, count, steps)


@pytest.mark.slow
def test_two_processes_do_what_one_does_and_go_on_together(tmp_path):
    alone, together = run(tmp_path / "one", 12, 1), run(tmp_path / "two", 12, 2)
    run(tmp_path / "again", 6, 2)
    again = run(tmp_path / "again", 12, 2)
    for found in (together, again):
        assert found["figures"].keys() == alone["figures"].keys() == {"loss", "error", "rate", "height"}
        for name, values in alone["figures"].items():
            assert found["figures"][name] == pytest.approx(values, rel=1e-6)
        for mine, other in zip(found["weights"], alone["weights"], strict=True):
            torch.testing.assert_close(torch.tensor(mine), torch.tensor(other), rtol=1e-9, atol=1e-12)


def test_rows_are_divided_and_figures_are_means(monkeypatch):
    assert processes.place() == (0, 1)
    rows = torch.arange(6)
    assert processes.part(rows).tolist() == rows.tolist() and processes.mean({"loss": 2.0}, LIKE) == {"loss": 2.0}
    monkeypatch.setattr(processes, "place", lambda: (1, 3))
    assert processes.part(rows).tolist() == [1, 4]
    with pytest.raises(ValueError, match="a batch of 4 rows cannot be divided among 3 processes"):
        processes.part(torch.arange(4))


def test_numbers_and_tensors_are_exchanged_on_one_device(monkeypatch):
    exchanged = []
    monkeypatch.setattr(processes, "place", lambda: (0, 2))
    monkeypatch.setattr(processes.distributed, "all_reduce", exchanged.append)
    device = torch.device("meta")  # stands for one that a number is not on
    figures = {"loss": torch.zeros((), device=device), "rate": 0.5, "height": torch.tensor(1.0)}
    found = processes.mean(figures, figures["loss"])
    assert exchanged[0].device == device and exchanged[0].shape == (3,)
    assert {name: one.device for name, one in found.items()} == dict.fromkeys(figures, device)
    assert processes.mean({"tenth": 0.1}, LIKE)["tenth"] == 0.05  # and 0.05 in single precision is another number
    assert processes.mean({"rate": 0.5, "height": torch.tensor(3.0)}, LIKE) == {"rate": 0.25, "height": 1.5}
