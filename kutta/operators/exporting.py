"""Trained operators as ONNX files, each run and compared before it is kept."""

from __future__ import annotations

import copy
import json
import logging
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import torch
from torch import Tensor, nn

from kutta.files import replacing
from kutta.operators.ensemble import Ensemble
from kutta.operators.onnx_run import EXTRA, INPUT, OUTPUT, largest_difference, run, samples_within
from kutta.operators.saving import CARD, card_of
from kutta.operators.trained_operator import TrainedOperator
from kutta.optional import needed
from kutta.pde.grids.grid import Grid

PACKAGES, BATCH = ("onnx", "onnxscript", "onnxruntime"), "batch"
# Sums in another order differ by some ten roundings after tens of layers, and a wrong operation by far more than these.
ROUNDINGS = 1000
# What protobuf can hold in one piece.
LARGEST = 2**31 - 1
# They tell of packages that are not there and of what they leave as it is.
TALKATIVE = ("torch.onnx", "torch._guards", "onnxscript", "onnx_ir")


def export_onnx(
    model: TrainedOperator | Ensemble,
    path: str | os.PathLike[str],
    data: Mapping[str, Any] | None = None,
    metrics: Mapping[str, float] | None = None,
    *,
    tolerance: float | None = None,
    samples: int = 8,
    seed: int = 0,
) -> float:
    """Write a trained operator as an ONNX file that gives what PyTorch gives; a file that is there is replaced at once.

    The function is ``u = G(a)`` in physical units, its normalisation within, on the grid that the model was trained on:
    from an input ``a (batch, channels, *shape)`` to an output ``u (batch, components, *shape)``, for any batch. What is
    given at the sides of the grid is a part of it. The card that `save` writes is the entry ``kutta`` of the file's
    ``metadata_props``: network, scope, grid, boundary conditions, data, figures and versions, as JSON.

    Before it takes its name, onnxruntime runs the file, on one sample and on several at once. The channels of samples
    are drawn uniformly from their ranges in training, at each point. What is compared is

        max |u_onnx - u| / max |u|        over all points of a sample, the largest of all samples

    Args:
        model: to be written; of an `Ensemble` of such models their mean.
        path: of the file, by custom ending in ``.onnx``.
        data: the manifest of the training data, for the card.
        metrics: what the model achieved on other data, for the card.
        tolerance: how large the difference may be; by default 1,000 roundings, 1.2e-4 in float32 and 2.2e-13 in
            float64.
        samples: that are drawn, at least 2.
        seed: of the samples.

    Returns:
        the largest relative difference.

    Raises:
        ImportError: without the extra ``onnx``.
        TypeError: for what is no trained operator, or neither float32 nor float64.
        ValueError: for an operator that cannot be traced or has operations that ONNX has not, for data at the sides of
            its grid that are no numbers, and for more than 2 GiB.
        NotImplementedError: for operations that onnxruntime has not in this precision: in float64 convolutions,
            normalised groups, and the error function within GELU.
        ArithmeticError: for a difference above the tolerance.

    Example:
        >>> import tempfile, torch, kutta as kt
        >>> data = kt.operators.data.generate(kt.operators.data.darcy(points=8), 8, seed=0)
        >>> network = kt.operators.PODRegression(1, 1, (8, 8), modes=4).fit(data.inputs, data.outputs)
        >>> model = kt.operators.TrainedOperator.for_data(network, data)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     kt.operators.export_onnx(model, f"{folder}/darcy.onnx") < 1e-5
        True
    """
    for package in PACKAGES:
        needed(package, "kutta.operators.export_onnx", EXTRA)
    single = _checked(model)
    card = _card(model, single, data, metrics)
    a, model = samples_within(single.scope, samples, seed, _dtype(single)), copy.deepcopy(model).cpu().eval()
    allowed = ROUNDINGS * torch.finfo(a.dtype).eps if tolerance is None else tolerance
    with replacing(path) as temporary, torch.no_grad():
        u = _prediction(model, a, single.scope.grid)
        temporary.write_bytes(_contents(model, a[:2], single.scope.grid, card))
        difference = largest_difference(u, run(temporary, [a[:1], a[1:]]))
        if not difference <= allowed:
            raise ArithmeticError(
                f"in onnxruntime this model gives other fields than in PyTorch: the largest relative difference is "
                f"{difference:.3g}, and tolerance is {allowed:.3g}; no file was written"
            )
    return difference


def _checked(model: Any) -> TrainedOperator:
    """The model, or of an ensemble a member; refused unless it can be written."""
    single = model.member if isinstance(model, Ensemble) else model
    if not isinstance(single, TrainedOperator):
        raise TypeError(
            f"model must be a kutta.operators.TrainedOperator, or an Ensemble of them; got {type(single).__name__}"
        )
    if _dtype(single) not in (torch.float32, torch.float64):
        raise TypeError(f"model must be float32 or float64; got {_dtype(single)}: export model.float()")
    size = sum(one.numel() * one.element_size() for one in model.state_dict().values())
    if size > LARGEST:
        raise ValueError(f"an ONNX file of one piece holds at most {LARGEST} bytes; the model has {size}")
    return single


def _dtype(single: TrainedOperator) -> torch.dtype:
    return next(iter(single.network.parameters()), single.of_inputs.mean).dtype


def _card(
    model: nn.Module,
    single: TrainedOperator,
    data: Mapping[str, Any] | None,
    metrics: Mapping[str, float] | None,
) -> dict[str, Any]:
    card = card_of(single, data, metrics)
    card["versions"] |= {name: import_module(name).__version__ for name in PACKAGES}
    card["members"] = model.members if isinstance(model, Ensemble) else 1
    return card


def _prediction(model: TrainedOperator | Ensemble, a: Tensor, grid: Grid) -> Tensor:
    return model(a, grid).mean(0) if isinstance(model, Ensemble) else model(a, grid)


class _OnGrid(nn.Module):
    """The mean of some models as a function of a tensor alone."""

    def __init__(self, models: Sequence[nn.Module], grid: Grid):
        super().__init__()
        self.models, self.grid = nn.ModuleList(models), grid

    def forward(self, a: Tensor) -> Tensor:
        said = [model(a, self.grid) for model in self.models]
        return torch.stack(said).mean(0) if len(said) > 1 else said[0]


def _contents(model: TrainedOperator | Ensemble, a: Tensor, grid: Grid, card: Mapping[str, Any]) -> bytes:
    """The file.

    Raises:
        ValueError: for what cannot be traced, or has operations that ONNX has not.
    """
    # Members one after the other: what computes them together, vmap, has no batches of variable size.
    alone = [model.alone(one) for one in range(model.members)] if isinstance(model, Ensemble) else [model]
    shapes = ({0: torch.export.Dim(BATCH)},)
    with _quiet():
        try:
            # Strict, that is by the compiler, which keeps tables as constants and the batch variable.
            program = torch.export.export(_OnGrid(alone, grid), (a,), dynamic_shapes=shapes, strict=True)
            found = torch.onnx.export(
                program,
                dynamo=True,
                input_names=[INPUT],
                output_names=[OUTPUT],
                custom_translation_table={torch.ops.aten.scalar_tensor.default: _number},
                verbose=False,
            )
        except Exception as problem:  # of the tracer, the exporter, or the network in their hands
            reason = str(problem).strip().partition("\n")[0]
            raise ValueError(f"this model cannot be written as ONNX: {reason}") from problem
    assert found is not None
    written = found.model_proto
    _bare(written)
    entry = written.metadata_props.add()
    entry.key, entry.value = CARD, json.dumps(card)
    return written.SerializeToString()


def _bare(written: Any) -> None:
    """Take away what the exporter says of the code that made each node, and name the axis of samples."""
    for one in (*written.graph.node, *written.graph.input, *written.graph.output, written.graph):
        del one.metadata_props[:]
    del written.graph.value_info[:]
    for one in (*written.graph.input, *written.graph.output):
        one.type.tensor_type.shape.dim[0].dim_param = BATCH


def _number(s: float, dtype: int = 1, layout: str = "", device: str = "", pin_memory: bool = False) -> Any:
    """A number of a program as a constant; the exporter's own is rounded to float32 first, whatever the precision."""
    onnx_ir = needed("onnx_ir", "kutta.operators.export_onnx", EXTRA)
    onnxscript = needed("onnxscript", "kutta.operators.export_onnx", EXTRA)
    return onnxscript.opset18.Constant(value=onnx_ir.tensor(s, dtype=onnx_ir.DataType(dtype)))


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the news of the exporter."""
    loggers = [logging.getLogger(name) for name in TALKATIVE]
    levels = [one.level for one in loggers]
    try:
        for one in loggers:
            one.setLevel(logging.CRITICAL)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for one, level in zip(loggers, levels, strict=True):
            one.setLevel(level)
