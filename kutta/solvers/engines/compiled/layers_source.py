"""What joined layers compute, in Python and in C++: forwards alone, and forwards for a pullback to come.

A pullback needs of each row what every layer is given, and the slopes of `after`. They are kept side by side,
row after row, so that what belongs to a few rows lies close together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from kutta.solvers.engines.compiled.layers_native import Native
from kutta.solvers.engines.kernel.functions import Layout, function
from kutta.solvers.engines.kernel.precision import BLOCK, elementary_functions
from kutta.solvers.engines.tracing.derivative import jacobian
from kutta.solvers.engines.tracing.program import Program

# Bytes of a block of `kernel/registers_vector.h`, to which rows are filled up.
WIDTH = 128
_ENTRY = Layout(size=1, own=0, places=(), captured=0)


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

    @cached_property
    def with_slope(self) -> Program:
        """`after` and its derivative; alone where that is one."""
        both = jacobian(self.after, [("y", 0)])
        slope = both.nodes[both.outputs[1]]
        return self.after if (slope.operation, slope.value) == ("const", 1.0) else both

    def __call__(self, program: Program, x: Tensor, weight: Tensor, bias: Tensor | None) -> list[Tensor]:
        """``program(x w + b)`` by operations of PyTorch and NumPy, given rows that are filled up."""
        x = x @ weight[:, : self.columns]
        x = x if bias is None else x + bias[: self.columns]
        with np.errstate(all="ignore"):
            values = program.evaluate({"y": [x.numpy()]})
        return [torch.tensor(np.broadcast_to(value, x.shape), dtype=x.dtype) for value in values]


Layers = tuple[Dense, ...]


@dataclass(frozen=True)
class Rows:
    """Where in a row of what is computed things begin.

    Attributes:
        values: what each layer but the last returns.
        slopes: the derivatives of `after`; ``None`` where there are none.
        size: numbers of a row.
    """

    values: tuple[int, ...]
    slopes: tuple[int | None, ...]
    size: int

    def given_to(self, place: int) -> str:
        """What a layer is given: the address of the first of its rows, and the distances of rows and entries."""
        return f"own + {self.values[place - 1]}, {self.size}, 1" if place else "x + first * x_row, x_row, x_entry"

    @classmethod
    def of(cls, layers: Layers, programs: Sequence[Program], dtype: torch.dtype) -> Rows:
        """Each filled up to whole blocks."""
        values: list[int] = []
        slopes: list[int | None] = []
        size = 0
        for place, (layer, program) in enumerate(zip(layers, programs, strict=True)):
            each, curved = filled_up(layer.columns, dtype), len(program.outputs) == 2
            if place < len(layers) - 1:
                values.append(size)
                size += each
            slopes.append(size if curved else None)
            size += each if curved else 0
        return cls(tuple(values), tuple(slopes), size)


def filled_up(columns: int, dtype: torch.dtype) -> int:
    """The columns of whole blocks."""
    each = WIDTH // dtype.itemsize
    return -(-columns // each) * each


def names(layers: Layers) -> list[str]:
    """The tensors of the layers."""
    return [
        f"{kind}{place}"
        for place, layer in enumerate(layers)
        for kind in (("weight", "bias") if layer.bias else ("weight",))
    ]


def forward(layers: Layers, dtype: torch.dtype) -> Native:
    """All layers, ``(x, weight, bias, weight, bias, ...) -> out``, with memory of its own for a few rows."""
    programs = [layer.after for layer in layers]
    size = Rows.of(layers, programs, dtype).size
    own = f"alignas(64) real own[count * {max(size, 1)}];"
    return Native(
        value=partial(_forward, layers),
        inputs=("x", *names(layers)),
        strided=("x",),
        outputs={"out": (None, layers[-1].columns)},
        functions=_functions(programs, dtype),
        members=_members(layers, programs, own, dtype),
        dtype=dtype,
    )


def keeping(layers: Layers, dtype: torch.dtype) -> Native:
    """The same, ``(x, weight, bias, weight, bias, ...) -> (out, kept)`` with the rows that a pullback needs."""
    programs = [layer.with_slope for layer in layers]
    size = Rows.of(layers, programs, dtype).size
    return Native(
        value=partial(_keeping, layers),
        inputs=("x", *names(layers)),
        strided=("x",),
        outputs={"out": (None, layers[-1].columns), "kept": (None, size)},
        functions=_functions(programs, dtype),
        members=_members(layers, programs, f"real *own = kept + first * {size};", dtype),
        dtype=dtype,
    )


def _forward(layers: Layers, x: Tensor, *tensors: Tensor) -> Tensor:
    given = iter(tensors)
    for layer in layers:
        (x,) = layer(layer.after, x, next(given), next(given) if layer.bias else None)
    return x


def _keeping(layers: Layers, x: Tensor, *tensors: Tensor) -> tuple[Tensor, Tensor]:
    given, parts = iter(tensors), [x.new_empty((len(x), 0))]
    for place, layer in enumerate(layers):
        x, *slopes = layer(layer.with_slope, x, next(given), next(given) if layer.bias else None)
        missing = filled_up(layer.columns, x.dtype) - layer.columns
        parts += [pad(one, (0, missing)) for one in ([x, *slopes] if place < len(layers) - 1 else slopes)]
    return x, torch.cat(parts, 1)


def _functions(programs: Sequence[Program], dtype: torch.dtype) -> list[str]:
    texts = common(dtype)
    for place, program in enumerate(programs):
        outputs = {"value": 1, "slope": 1} if len(program.outputs) == 2 else {"value": 1}
        texts.append(function(f"after_{place}", program, _ENTRY, outputs))
    return texts


def _members(layers: Layers, programs: Sequence[Program], own: str, dtype: torch.dtype) -> list[str]:
    """Takes rows through all layers, with the values and slopes of a few of them in `own`."""
    rows, lines = Rows.of(layers, programs, dtype), []
    for place, (layer, slope) in enumerate(zip(layers, rows.slopes, strict=True)):
        given = rows.given_to(place)
        bias = f"bias{place}" if layer.bias else "nullptr"
        lines += [
            f"    product<count, {layer.inputs}, {layer.columns}>({given}, weight{place}, {bias}, "
            "[&](long r, long column, V sum) {",
            f"      V value, slope; after_{place}(V{{}}, &sum, nullptr, nullptr, "
            f"{'&value' if slope is None else '&value, &slope'});",
            *([] if slope is None else [f"      put(own + {slope} + r * {rows.size} + column, slope);"]),
            f"      {_put(place, layer, rows)}",
            "    });",
        ]
    cost = sum(layer.inputs * layer.columns for layer in layers)
    return [
        f"  template <long count> void rows(long first) const {{\n    {own}",
        *lines,
        f"  }}\n  void run(long count) const {{ all_rows(count, {cost}, *this); }}",
    ]


def _put(place: int, layer: Dense, rows: Rows) -> str:
    if place < len(rows.values):
        return f"put(own + {rows.values[place]} + r * {rows.size} + column, value);"
    return f"put_within<{layer.columns}>(out + (first + r) * {layer.columns}, column, value);"


def common(dtype: torch.dtype) -> list[str]:
    """What all of these texts begin with."""
    return [elementary_functions(dtype, BLOCK), header("layers.h")]


def header(name: str) -> str:
    """The text of a header."""
    return (Path(__file__).parent / name).read_text(encoding="utf-8")
