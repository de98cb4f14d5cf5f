"""The kernel's elementary functions, to a few units of the last place."""

import ctypes
import functools
import math

import pytest
import torch

from kutta.solvers.engines.kernel.build import CompilerMissing, compiler, library
from kutta.solvers.engines.kernel.precision import BLOCK, elementary_functions

try:
    compiler()
except CompilerMissing:  # pragma: no cover
    pytest.skip("needs a C++ compiler", allow_module_level=True)

FUNCTIONS = {
    "exp": (torch.exp, (-700.0, 700.0), (-87.0, 88.0)),
    "log": (torch.log, (1e-300, 1e300), (1e-37, 1e38)),
    "sin": (torch.sin, (-1e4, 1e4), (-1e3, 1e3)),
    "cos": (torch.cos, (-1e4, 1e4), (-1e3, 1e3)),
    "tanh": (torch.tanh, (-30.0, 30.0), (-30.0, 30.0)),
    "sqrt": (torch.sqrt, (0.0, 1e9), (0.0, 1e9)),
}
SPECIAL = [0.0, -0.0, math.inf, -math.inf, math.nan, 1e-310, 1e-40, 1e7, -1e7, 1e300, 0.6, 0.7071067811865476]


@functools.cache
def compiled(name, dtype):
    body = f"V v; memcpy(&v, x + i, sizeof v); v = v_{name}(v); memcpy(y + i, &v, sizeof v);"
    text = f'extern "C" void apply(const real *x, real *y, long n) {{ for (long i = 0; i < n; i += W) {{ {body} }} }}'
    return library(elementary_functions(dtype, BLOCK) + text)


def values(name, x):
    """The function at every entry, in whole blocks."""
    padded = torch.cat([x, x.new_ones(-len(x) % 32)]).contiguous()
    y = torch.empty_like(padded)
    pointers = (ctypes.c_void_p(one.data_ptr()) for one in (padded, y))
    compiled(name, x.dtype).apply(*pointers, ctypes.c_long(len(padded)))
    return y[: len(x)]


def points(low, high, dtype):
    generator = torch.Generator().manual_seed(0)
    uniform = low + (high - low) * torch.rand(4000, dtype=torch.float64, generator=generator)
    near = torch.randn(2000, dtype=torch.float64, generator=generator)
    x = torch.cat([uniform, near, near * 1e-5, 10.0 ** (6 * near)])
    return x.clamp(low, high).to(dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_errors_are_a_few_units_of_the_last_place(name, dtype):
    f, *ranges = FUNCTIONS[name]
    x = points(*ranges[dtype == torch.float32], dtype)
    exact = f(x.double())
    found = values(name, x).double()
    unit = torch.finfo(dtype).eps
    # Around a zero of sine or cosine the argument's own rounding is what counts.
    errors = (found - exact).abs() / (exact.abs().clamp(min=1e-3 if name in ("sin", "cos") else 1e-300) * unit)
    print(f"{name}: {errors.max().item():.2f} units")
    assert errors.max() <= 4.0


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_special_values(name, dtype):
    f = FUNCTIONS[name][0]
    x = torch.tensor(SPECIAL, dtype=torch.float64).to(dtype)
    found, exact = values(name, x), f(x.double()).to(dtype)
    torch.testing.assert_close(found, exact, rtol=1e-5, atol=1e-44, equal_nan=True)
