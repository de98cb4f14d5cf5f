"""The operation that joined layers become, and its C++.

Inductor calls an operation that is not PyTorch's by a C function of its name, whose declaration it writes into
the text it compiles; here the whole function stands in that place.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.fx import GraphModule

from kutta.solvers.engines.kernel.functions import Layout, function
from kutta.solvers.engines.kernel.precision import BLOCK, elementary_functions
from kutta.solvers.engines.tracing.program import Program

# Bytes of a block of `kernel/registers_vector.h`, to which rows are filled up.
WIDTH = 128
# What the headers include, which must not happen in a namespace.
INCLUDES = "\n".join(f"#include <{name}>" for name in ("math.h", "stdint.h", "string.h"))
_ENTRY = Layout(size=1, own=0, places=(), captured=0)

# All operations so far, with the texts that Inductor is to write.
_texts: dict[Any, list[str]] = {}
_library = torch.library.Library("kutta", "FRAGMENT")


@dataclass(frozen=True)
class Dense:
    """A layer ``after(x w + b)``.

    Attributes:
        inputs, columns: the shape of the weights.
        bias: whether there is one.
        after: what is done to each entry, the input ``("y", 0)`` of the program.
    """

    inputs: int
    columns: int
    bias: bool
    after: Program

    def __call__(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """The layer by operations of PyTorch and NumPy, given rows that are filled up."""
        x = x @ weight[:, : self.columns]
        x = x if bias is None else x + bias[: self.columns]
        with np.errstate(all="ignore"):
            (value,) = self.after.evaluate({"y": [x.numpy()]})
        return torch.tensor(np.broadcast_to(value, x.shape), dtype=x.dtype)


def texts_of(graph: GraphModule) -> dict[Any, list[str]]:
    """For Inductor's ``aot_inductor.custom_ops_to_c_shims``: the operations of a graph, loops in it included."""
    modules = [module for module in graph.modules() if isinstance(module, GraphModule)]
    used = {node.target for module in modules for node in module.graph.nodes if node.op == "call_function"}
    return {operation: text for operation, text in _texts.items() if operation in used}


def operation(layers: tuple[Dense, ...], dtype: torch.dtype) -> Any:
    """An operation ``(x, weight, bias, weight, bias, ...) -> Tensor``, of which rows are filled up to `WIDTH`."""
    body = network_source(layers, dtype)
    name = f"layers_{hashlib.sha256(body.encode()).hexdigest()[:16]}"
    if not hasattr(torch.ops.kutta, name):
        _register(name, layers)
    found = getattr(torch.ops.kutta, name).default
    _texts.setdefault(found, [_text(name, body, layers, dtype)])
    return found


def _register(name: str, layers: tuple[Dense, ...]) -> None:
    tensors = ", ".join(f"Tensor {one}" for one in ("x", *_names(layers)))
    _library.define(f"{name}({tensors}) -> Tensor")

    def shape(x: Tensor, *_: Tensor) -> Tensor:
        return x.new_empty((x.shape[0], layers[-1].columns))

    def value(x: Tensor, *tensors: Tensor) -> Tensor:
        given = iter(tensors)
        for layer in layers:
            x = layer(x, next(given), next(given) if layer.bias else None)
        return x

    torch.library.register_fake(f"kutta::{name}", shape, lib=_library)
    _library.impl(name, value, "CPU")


def _names(layers: tuple[Dense, ...]) -> list[str]:
    return [
        f"{kind}{place}"
        for place, layer in enumerate(layers)
        for kind in (("weight", "bias") if layer.bias else ("weight",))
    ]


def network_source(layers: tuple[Dense, ...], dtype: torch.dtype) -> str:
    """A structure that takes some rows through all layers."""
    after = [function(f"after_{place}", layer.after, _ENTRY, {"out": 1}) for place, layer in enumerate(layers)]
    calls, source = [], "x + first * row, row, entry"
    for place, layer in enumerate(layers):
        bias = f"bias{place}" if layer.bias else "nullptr"
        calls += [
            f"    alignas(64) real rows_{place}[count * padded({layer.columns})];",
            f"    layer<count, {layer.inputs}, {layer.columns}>("
            f"{source}, weight{place}, {bias}, after_{place}, rows_{place});",
        ]
        source = f"rows_{place}, padded({layer.columns}), 1"
    columns, last = layers[-1].columns, len(layers) - 1
    copy = (
        f"    for (long r = 0; r < count; r++) memcpy(out + (first + r) * {columns}, "
        f"rows_{last} + r * padded({columns}), {columns} * sizeof(real));"
    )
    members = ", ".join(f"*{name}" for name in ("x", *_names(layers)))
    return "\n".join(
        [
            elementary_functions(dtype, BLOCK),
            (Path(__file__).parent / "layers.h").read_text(encoding="utf-8"),
            *after,
            "struct Network {",
            f"  const real {members}; long row, entry; real *out;",
            "  template <long count> void rows(long first) const {",
            *calls,
            copy,
            "  }",
            "};",
        ]
    )


def _text(name: str, body: str, layers: tuple[Dense, ...], dtype: torch.dtype) -> str:
    """What follows ``extern`` in Inductor's text."""
    names = ["x", *_names(layers)]
    work = sum(layer.inputs * layer.columns for layer in layers)
    columns = layers[-1].columns
    kind = {torch.float32: "float32", torch.float64: "float64"}[dtype]
    handles = ", ".join(f"AtenTensorHandle {one}" for one in names)
    checked = "AOTI_TORCH_ERROR_CODE_CHECK"
    lines = [
        f'"C++" {{\n{INCLUDES}\nnamespace {name} {{\n{body}\n}}\n}}',
        f"AOTITorchError aoti_torch_cpu_{name}({handles}, AtenTensorHandle *result) {{",
        f"  using namespace {name};",
        f"  void *places[{len(names) + 1}];",
        "  int64_t rows, row, entry;",
        *(f"  {checked}(aoti_torch_get_data_ptr({one}, &places[{place}]));" for place, one in enumerate(names)),
        f"  {checked}(aoti_torch_get_size(x, 0, &rows));",
        f"  {checked}(aoti_torch_get_stride(x, 0, &row));",
        f"  {checked}(aoti_torch_get_stride(x, 1, &entry));",
        f"  int64_t sizes[2] = {{rows, {columns}}}, strides[2] = {{{columns}, 1}};",
        f"  {checked}(aoti_torch_empty_strided(2, sizes, strides, aoti_torch_dtype_{kind}(), "
        "aoti_torch_device_type_cpu(), 0, result));",
        f"  {checked}(aoti_torch_get_data_ptr(*result, &places[{len(names)}]));",
        f"  Network network{{{', '.join(f'(const real *)places[{place}]' for place in range(len(names)))}, "
        f"row, entry, (real *)places[{len(names)}]}};",
        f"  all_rows(rows, {work}, network);",
        "  return AOTI_TORCH_SUCCESS;",
        "}",
    ]
    return "\n".join(lines)
