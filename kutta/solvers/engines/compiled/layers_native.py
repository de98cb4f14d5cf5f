"""Operations in C++ of our own: known to PyTorch, and to Inductor.

Inductor calls an operation that is not PyTorch's by a C function of its name, whose declaration it writes into
the text it compiles; here the whole function stands in that place.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.fx import GraphModule

# What the headers include, which must not happen in a namespace.
INCLUDES = """#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#ifdef _OPENMP
#include <omp.h>
#endif"""

# All operations so far, with the texts that Inductor is to write.
_texts: dict[Any, list[str]] = {}
library = torch.library.Library("kutta", "FRAGMENT")


@dataclass(frozen=True)
class Native:
    """An operation on tensors of one dtype.

    Attributes:
        value: the same by operations of PyTorch.
        inputs: names of the tensors; the first one has as many rows as are worked on.
        strided: those of them, matrices, that may lie anyhow.
        outputs: names and shapes of the results; ``None`` is the number of rows.
        functions: C++ that it needs.
        members: of the structure ``Work``, besides addresses and strides; among them ``void run(long rows) const``.
        dtype: of all tensors.
    """

    value: Callable[..., Any]
    inputs: Sequence[str]
    strided: Sequence[str]
    outputs: dict[str, tuple[int | None, ...]]
    functions: Sequence[str]
    members: Sequence[str]
    dtype: torch.dtype

    @property
    def source(self) -> str:
        """The structure ``Work``: addresses of inputs and outputs, strides, and what is done with them."""
        strides = [f"{name}_{axis}" for name in self.strided for axis in ("row", "entry")]
        return "\n".join(
            [
                *self.functions,
                "struct Work {",
                f"  const real *{', *'.join(self.inputs)};",
                f"  real *{', *'.join(self.outputs)};",
                f"  long {', '.join(strides)};",
                *self.members,
                "};",
            ]
        )


def texts_of(graph: GraphModule) -> dict[Any, list[str]]:
    """For Inductor's ``aot_inductor.custom_ops_to_c_shims``: the operations of a graph, loops in it included."""
    modules = [module for module in graph.modules() if isinstance(module, GraphModule)]
    used = {node.target for module in modules for node in module.graph.nodes if node.op == "call_function"}
    return {operation: text for operation, text in _texts.items() if operation in used}


def registered(native: Native) -> Any:
    """The operation that PyTorch calls."""
    source = native.source
    name = f"layers_{hashlib.sha256(source.encode()).hexdigest()[:16]}"
    if not hasattr(torch.ops.kutta, name):
        _register(name, native)
    found = getattr(torch.ops.kutta, name).default
    if found not in _texts:
        announce(found, _text(name, source, native))
    return found


def announce(operation: Any, text: str) -> None:
    """Tell Inductor what to write for an operation: what follows ``extern`` in the text of each loop that uses it."""
    _texts[operation] = [text]


def _register(name: str, native: Native) -> None:
    results = ", ".join(["Tensor"] * len(native.outputs))
    results = f"({results})" if len(native.outputs) > 1 else results
    library.define(f"{name}({', '.join(f'Tensor {one}' for one in native.inputs)}) -> {results}")

    def shaped(first: Tensor, *_: Tensor) -> Any:
        found = [
            first.new_empty([len(first) if size is None else size for size in shape])
            for shape in native.outputs.values()
        ]
        return tuple(found) if len(found) > 1 else found[0]

    torch.library.register_fake(f"kutta::{name}", shaped, lib=library)
    library.impl(name, native.value, "CPU")


def _text(name: str, source: str, native: Native) -> str:
    """What follows ``extern`` in Inductor's text."""
    kind = {torch.float32: "float32", torch.float64: "float64"}[native.dtype]
    given = [f"AtenTensorHandle {one}" for one in native.inputs]
    made = [f"AtenTensorHandle *{one}" for one in native.outputs]
    lines = [
        f'"C++" {{\n{INCLUDES}\nnamespace {name} {{\n{source}\n}}\n}}',
        f"AOTITorchError aoti_torch_cpu_{name}({', '.join(given + made)}) {{",
        f"  {name}::Work work;",
        "  int64_t rows, stride;",
        _checked(f"aoti_torch_get_size({native.inputs[0]}, 0, &rows)"),
    ]
    for one, shape in native.outputs.items():
        lines += [_checked(_made(one, shape, kind)), *_address(one, f"*{one}")]
    for one in native.inputs:
        lines += _address(one, one)
    for one in native.strided:
        for axis, member in enumerate(("row", "entry")):
            lines.append(_checked(f"aoti_torch_get_stride({one}, {axis}, &stride)"))
            lines.append(f"  work.{one}_{member} = stride;")
    return "\n".join([*lines, "  work.run(rows);", "  return AOTI_TORCH_SUCCESS;", "}"])


def _checked(call: str) -> str:
    return f"  AOTI_TORCH_ERROR_CODE_CHECK({call});"


def _address(member: str, handle: str) -> list[str]:
    return [_checked(f"aoti_torch_get_data_ptr({handle}, (void **)&work.{member})")]


def _made(name: str, shape: tuple[int | None, ...], kind: str) -> str:
    sizes = ["rows" if size is None else str(size) for size in shape]
    strides = [*(str(size) for size in shape[1:]), "1"]
    return (
        f"aoti_torch_empty_strided({len(shape)}, std::array<int64_t, {len(shape)}>{{{', '.join(sizes)}}}.data(), "
        f"std::array<int64_t, {len(shape)}>{{{', '.join(strides)}}}.data(), "
        f"aoti_torch_dtype_{kind}(), aoti_torch_device_type_cpu(), 0, {name})"
    )
