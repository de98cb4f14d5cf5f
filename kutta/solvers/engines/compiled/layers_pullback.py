"""The pullback of joined layers, in Python and in C++: gradients to the rows, and to those tensors that want one.

The latter come as one vector, `Sums`: one after the other, with rows filled up as the weights' are. What is in
the columns beyond is of no meaning.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from torch.nn.functional import pad

from kutta.solvers.engines.compiled.layers_native import Native
from kutta.solvers.engines.compiled.layers_source import Dense, Layers, Rows, common, filled_up, header, names


@dataclass(frozen=True)
class Sums:
    """Where in the vector of gradients those of weights and biases begin.

    Attributes:
        places: of each by name.
        shapes: of each by name.
        size: of the vector.
    """

    places: dict[str, int]
    shapes: dict[str, tuple[int, ...]]
    size: int

    @classmethod
    def of(cls, layers: Layers, wanted: Sequence[bool], dtype: torch.dtype) -> Sums:
        """Those that are wanted of ``names(layers)``."""
        shapes: dict[str, tuple[int, ...]] = {}
        for place, layer in enumerate(layers):
            columns = filled_up(layer.columns, dtype)
            shapes |= {f"weight{place}": (layer.inputs, columns), f"bias{place}": (columns,)}
        shapes = {name: shapes[name] for name, one in zip(names(layers), wanted, strict=True) if one}
        places, size = {}, 0
        for name, shape in shapes.items():
            places[name] = size
            size += torch.Size(shape).numel()
        return cls(places, shapes, size)

    def taken_apart(self, sums: Tensor) -> dict[str, Tensor]:
        """The gradients by name, as views of the vector."""
        sizes = [torch.Size(shape).numel() for shape in self.shapes.values()]
        parts = zip(self.shapes.items(), sums.split(sizes), strict=True)
        return {name: part.view(shape) for (name, shape), part in parts}


def transposed(layer: Dense, weight: Tensor) -> Tensor:
    """The weights of a layer the other way round, with rows filled up."""
    missing = filled_up(layer.inputs, weight.dtype) - layer.inputs
    return pad(weight[:, : layer.columns].t(), (0, missing)).contiguous()


def pullback(layers: Layers, sums: Sums, dtype: torch.dtype) -> Native:
    """An operation ``(gradient, kept, x, transposed, transposed, ...) -> (to_x, sums)``."""
    return Native(
        value=partial(_pullback, layers, sums),
        inputs=("gradient", "kept", "x", *(f"transposed{place}" for place in range(len(layers)))),
        strided=("gradient", "x"),
        outputs={"to_x": (None, layers[0].inputs), "sums": (sums.size,)},
        functions=[*common(dtype), header("layers_pullback.h")],
        members=_members(layers, sums, dtype),
        dtype=dtype,
    )


def _pullback(
    layers: Layers, sums: Sums, gradient: Tensor, kept: Tensor, x: Tensor, *transposed: Tensor
) -> tuple[Tensor, Tensor]:
    rows, found = _kept(layers, x.dtype), x.new_zeros(sums.size)
    to = sums.taken_apart(found)
    for place, layer in reversed(list(enumerate(layers))):
        if (slope := rows.slopes[place]) is not None:
            gradient = gradient * kept[:, slope : slope + layer.columns]
        given = kept[:, rows.values[place - 1] :][:, : layer.inputs] if place else x
        if f"weight{place}" in to:
            to[f"weight{place}"][:, : layer.columns] = given.t() @ gradient
        if f"bias{place}" in to:
            to[f"bias{place}"][: layer.columns] = gradient.sum(0)
        gradient = gradient @ transposed[place][:, : layer.inputs]
    return gradient, found


def _members(layers: Layers, sums: Sums, dtype: torch.dtype) -> list[str]:
    """Takes rows through all layers, from the last to the first."""
    rows, last = _kept(layers, dtype), len(layers) - 1
    slopes = "nullptr" if rows.slopes[last] is None else f"own + {rows.slopes[last]}"
    lines = [
        f"    const real *own = kept + first * {rows.size};",
        *(f"    alignas(64) real g{place}[count * padded({one.columns})];" for place, one in enumerate(layers)),
        f"    from_rows<count, {layers[last].columns}>("
        f"gradient + first * gradient_row, gradient_row, gradient_entry, {slopes}, {rows.size}, g{last});",
    ]
    for place, layer in reversed(list(enumerate(layers))):
        shape, given = f"{layer.inputs}, {layer.columns}", rows.given_to(place)
        if (start := sums.places.get(f"weight{place}")) is not None:
            lines.append(f"    add_to_weights<count, {shape}>({given}, g{place}, sums + {start});")
        if (start := sums.places.get(f"bias{place}")) is not None:
            lines.append(f"    add_to_bias<count, {layer.columns}>(g{place}, sums + {start});")
        lines += [
            f"    product<count, {layer.columns}, {layer.inputs}>("
            f"g{place}, padded({layer.columns}), 1, transposed{place}, nullptr, [&](long r, long column, V sum) {{",
            f"      {_put(place, layer, rows)}",
            "    });",
        ]
    cost = 2 * sum(layer.inputs * layer.columns for layer in layers)
    return [
        "  template <long count> void rows(long first, real *sums) const {",
        *lines,
        f"  }}\n  void run(long count) const {{ sum_over_rows(count, {cost}, {sums.size}, sums, *this); }}",
    ]


def _kept(layers: Layers, dtype: torch.dtype) -> Rows:
    return Rows.of(layers, [layer.with_slope for layer in layers], dtype)


def _put(place: int, layer: Dense, rows: Rows) -> str:
    """What is done with a block of the gradients to what a layer is given."""
    if place == 0:
        return f"put_within<{layer.inputs}>(to_x + (first + r) * {layer.inputs}, column, sum);"
    slope = rows.slopes[place - 1]
    factor = "" if slope is None else f" * block_at(own + {slope} + r * {rows.size} + column)"
    return f"put(g{place - 1} + r * padded({layer.inputs}) + column, sum{factor});"
