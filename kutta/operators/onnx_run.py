"""ONNX files in onnxruntime: the fields that they give, beside those of PyTorch."""

from __future__ import annotations

import os
from collections.abc import Sequence

import torch
from torch import Tensor

from kutta.operators.scope import Scope
from kutta.optional import needed

EXTRA = "onnx"
INPUT, OUTPUT = "a", "u"


def samples_within(scope: Scope, count: int, seed: int, dtype: torch.dtype) -> Tensor:
    """Inputs whose channels are uniform in their ranges in training, ``(n, i, *shape)``."""
    if isinstance(count, bool) or not isinstance(count, int) or count < 2:
        raise ValueError(f"samples must be a whole number of at least 2, for batches of two sizes; got {count!r}")
    shape = (count, len(scope.channels), *scope.grid.shape)
    parts = torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    lowest, highest = (
        torch.tensor(ends, dtype=torch.float64).reshape(-1, *[1] * scope.grid.dim)
        for ends in (scope.lowest, scope.highest)
    )
    return (lowest + (highest - lowest) * parts).to(dtype)


def run(path: str | os.PathLike[str], batches: Sequence[Tensor]) -> Tensor:
    """What onnxruntime makes of some batches, one behind the other.

    Raises:
        NotImplementedError: for operations that it has not.
    """
    runtime = needed("onnxruntime", "kutta.operators.export_onnx", EXTRA)
    lacking = needed("onnxruntime.capi.onnxruntime_pybind11_state", "kutta.operators.export_onnx", EXTRA).NotImplemented
    try:
        session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    except lacking as problem:
        raise NotImplementedError(
            f"onnxruntime cannot run this network in {batches[0].dtype}: {problem}. It has all operations in float32: "
            "export model.float(), or take another nonlinearity"
        ) from problem
    return torch.cat([torch.from_numpy(session.run([OUTPUT], {INPUT: one.numpy()})[0]) for one in batches])


def largest_difference(u: Tensor, found: Tensor) -> float:
    """``max |u' - u| / max |u|`` of each sample, the largest of all."""
    sizes = u.flatten(1).abs().amax(1).clamp(min=torch.finfo(u.dtype).tiny)
    return float(((found - u).flatten(1).abs().amax(1) / sizes).amax())
