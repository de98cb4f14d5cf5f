"""What times depend on."""

import pytest
import torch

from kutta.surrogate_study.machine import Machine, training_device


def test_threads_are_those_of_now():
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        assert Machine.here().threads == 3 and Machine.here().versions["torch"] == torch.__version__
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize(("accelerator", "device"), [("cpu", "CPU"), ("gpu", "H100"), ("auto", "H100")])
def test_lightning_takes_a_gpu_where_there_is_one(accelerator, device, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.get_device_name", lambda: "H100")
    assert training_device(accelerator) == device
