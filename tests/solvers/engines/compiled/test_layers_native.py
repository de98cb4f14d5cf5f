"""The C++ of joined layers, forwards and back, computes what their operations of PyTorch do."""

import ctypes
from itertools import pairwise

import pytest
import torch
from torch import nn

from kutta.solvers.engines.compiled.layers_native import INCLUDES, registered
from kutta.solvers.engines.compiled.layers_pullback import Sums, pullback, transposed
from kutta.solvers.engines.compiled.layers_source import Dense, filled_up, forward, keeping, names
from kutta.solvers.engines.kernel.build import CompilerMissing, compiler, library
from kutta.solvers.engines.tracing.trace import trace

F32, F64 = torch.float32, torch.float64
try:
    compiler()
except CompilerMissing:
    pytest.skip("there is no C++ compiler", allow_module_level=True)

SIZES = [(1, 1), (3, 70, 5), (32, 64, 64, 32), (5, 33, 64, 2)]
ROWS = (0, 1, 2, 7, 8, 9, 1000)


def network(sizes, dtype, activation=nn.functional.silu):
    """Layers, of which every second has a bias and the last one nothing after it, with their tensors."""
    torch.manual_seed(0)
    curved, plain = (trace(f, ["y"], [torch.zeros((), dtype=dtype)]).program for f in (activation, lambda x: x * 1.0))
    shapes = list(enumerate(pairwise(sizes)))
    layers = tuple(Dense(a, b, place % 2 == 0, curved if b != sizes[-1] else plain) for place, (a, b) in shapes)
    tensors = []
    for layer in layers:
        missing = filled_up(layer.columns, dtype) - layer.columns
        weight = torch.randn(layer.inputs, layer.columns, dtype=dtype) / layer.inputs**0.5
        tensors.append(nn.functional.pad(weight, (0, missing)))
        if layer.bias:
            tensors.append(nn.functional.pad(torch.randn(layer.columns, dtype=dtype), (0, missing)))
    return layers, tensors


def strided(rows, columns, dtype):
    return torch.randn(rows, 2 * columns + 1, dtype=dtype)[:, 1::2]


def entry(native):
    """The native code as a function of tensors; it writes nowhere but to its results."""
    text = "Work work; memcpy(&work, places, sizeof work); work.run(rows);"
    run = library(f'{INCLUDES}\n{native.source}\nextern "C" void run(void **places, long rows) {{ {text} }}').run
    run.argtypes = [ctypes.c_void_p, ctypes.c_long]

    def call(*tensors):
        rows, given = len(tensors[0]), dict(zip(native.inputs, tensors, strict=True))
        shapes = [[rows if size is None else size for size in shape] for shape in native.outputs.values()]
        room = [torch.full((torch.Size(shape).numel() + 1,), 7.0, dtype=native.dtype) for shape in shapes]
        places = [one.data_ptr() for one in (*tensors, *room)]
        places += [stride for name in native.strided for stride in given[name].stride()]
        run((ctypes.c_void_p * len(places))(*places), rows)
        assert all(one[-1] == 7.0 for one in room)
        return [one[:-1].view(shape) for one, shape in zip(room, shapes, strict=True)]

    return call


def close(found, expected, dtype):
    tight = {"rtol": 2e-5, "atol": 2e-5} if dtype == F32 else {"rtol": 1e-12, "atol": 1e-12}
    torch.testing.assert_close(found, expected, **tight)


@pytest.mark.parametrize("dtype", [F32, F64])
@pytest.mark.parametrize("sizes", SIZES)
def test_forwards(sizes, dtype):
    layers, tensors = network(sizes, dtype)
    run, run_keeping = entry(forward(layers, dtype)), entry(keeping(layers, dtype))
    for rows in ROWS:
        x = strided(rows, sizes[0], dtype)
        expected, kept = registered(keeping(layers, dtype))(x, *tensors)
        close(registered(forward(layers, dtype))(x, *tensors), expected, dtype)
        close(run(x, *tensors), [expected], dtype)
        out, found = run_keeping(x, *tensors)
        close(out, expected, dtype)
        used = kept != 0  # in columns that fill up, zeros stand for anything
        close(found[used], kept[used], dtype)


@pytest.mark.parametrize("dtype", [F32, F64])
@pytest.mark.parametrize("sizes", SIZES)
def test_back(sizes, dtype):
    layers, tensors = network(sizes, dtype)
    given = dict(zip(names(layers), tensors, strict=True))
    back = [transposed(layer, given[f"weight{place}"]) for place, layer in enumerate(layers)]
    for wanted in ([True] * len(given), [place % 2 == 1 for place in range(len(given))]):
        sums = Sums.of(layers, wanted, dtype)
        run, reference = entry(pullback(layers, sums, dtype)), registered(pullback(layers, sums, dtype))
        for rows in ROWS:
            x, gradient = strided(rows, sizes[0], dtype), strided(rows, sizes[-1], dtype)
            _, kept = registered(keeping(layers, dtype))(x, *tensors)
            many = max(rows, 1) ** 0.5  # as sums of so many numbers are larger
            to_x, found = run(gradient, kept, x, *back)
            expected, expected_sums = reference(gradient, kept, x, *back)
            close(to_x, expected, dtype)
            parts, expected_parts = sums.taken_apart(found), sums.taken_apart(expected_sums)
            assert list(parts) == [name for name, one in zip(given, wanted, strict=True) if one]
            for name, one in parts.items():
                columns = layers[int(name[-1])].columns
                close(one[..., :columns] / many, expected_parts[name][..., :columns] / many, dtype)
