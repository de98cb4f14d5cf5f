"""The state of every source of random numbers, as tensors and numbers that a checkpoint may hold."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch


def states() -> dict[str, Any]:
    """The global states of PyTorch (on all devices), NumPy and Python."""
    kind, keys, *rest = np.random.get_state()
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        "numpy": (kind, torch.from_numpy(np.asarray(keys, np.int64)), *rest),
        "python": random.getstate(),
    }


def restore(saved: Mapping[str, Any]) -> None:
    """Go on from `states`."""
    torch.set_rng_state(saved["torch"].cpu())
    if torch.cuda.is_available() and saved["cuda"]:
        torch.cuda.set_rng_state_all([state.cpu() for state in saved["cuda"]])
    kind, keys, *rest = saved["numpy"]
    np.random.set_state((kind, keys.cpu().numpy().astype(np.uint32), *rest))
    version, numbers, gauss = saved["python"]
    random.setstate((version, tuple(numbers), gauss))


def state_of(source: Any) -> Any:
    """The state of a ``torch.Generator``, or of anything with a ``state_dict``."""
    return source.get_state() if isinstance(source, torch.Generator) else source.state_dict()


def restore_to(source: Any, saved: Any) -> None:
    """Give a state back to where `state_of` took it from."""
    if isinstance(source, torch.Generator):
        source.set_state(saved.cpu())
    else:
        source.load_state_dict(saved)
