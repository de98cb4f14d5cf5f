"""Fourier transforms in a compiled loop: operations on real tensors, in C++ of our own around PyTorch's library.

A complex tensor is here its two parts, one after the other on a first axis. A transform is along the last axes. Called
from native code it takes a tenth of the time that a call of ``torch.fft`` takes for a few hundred numbers, and where
there are several axes it never copies a tensor into another order.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from kutta.solvers.engines.compiled.layers_native import announce, library
from kutta.solvers.engines.compiled.layers_source import header

# Factors of the lengths of axes, the last one apart, and how many axes there may be.
_FACTORS, _MOST_AXES = (2, 3, 5, 7), 8


def parts(z: Tensor) -> Tensor:
    """A complex tensor as its parts, ``(2, *z.shape)``."""
    return torch.stack((z.real, z.imag))


def whole(x: Tensor) -> Tensor:
    """The complex tensor of these parts."""
    return torch.complex(x[0], x[1])


@cache
def available() -> bool:
    """Whether PyTorch brings the library whose transforms are called."""
    try:
        found = ctypes.CDLL(str(Path(torch.__file__).parent / "lib" / "libtorch_cpu.so"))
        return all(hasattr(found, f"Dfti{name}") for name in ("SetValue", "CommitDescriptor", "ComputeForward"))
    except OSError:
        return False


def suits(sizes: list[int], dtype: torch.dtype) -> bool:
    """Whether there are transforms of this dtype along axes of these lengths."""
    simple = len(sizes) <= _MOST_AXES and all(map(_has_small_factors, sizes[:-1]))
    return simple and dtype in (torch.float32, torch.float64) and available()


def _has_small_factors(size: int) -> bool:
    for factor in _FACTORS:
        while size > 0 and size % factor == 0:
            size //= factor
    return size == 1


def _axes(count: int) -> tuple[int, ...]:
    return tuple(range(-count, 0))


def _real_to_parts(x: Tensor, axes: int, scale: float) -> Tensor:
    return scale * parts(torch.fft.rfftn(x, dim=_axes(axes)))


def _parts_to_real(x: Tensor, axes: int, size: int, scale: float) -> Tensor:
    sizes = (*x.shape[x.dim() - axes : -1], size)
    return scale * torch.fft.irfftn(whole(x), s=sizes, dim=_axes(axes), norm="forward")


def _parts_to_parts(x: Tensor, axes: int, forward: bool, scale: float) -> Tensor:
    z, dims = whole(x), _axes(axes)
    return scale * parts(torch.fft.fftn(z, dim=dims) if forward else torch.fft.ifftn(z, dim=dims, norm="forward"))


def _defined(schema: str, value: Callable[..., Tensor], like: Callable[..., Tensor], back: Callable[..., Any]) -> Any:
    name = schema.partition("(")[0]
    library.define(schema)
    library.impl(name, value, "CPU")
    torch.library.register_fake(f"kutta::{name}", like, lib=library)

    def remember(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.given = inputs[1:]
        ctx.size = inputs[0].shape[-1]

    torch.library.register_autograd(f"kutta::{name}", back, setup_context=remember, lib=library)
    return getattr(torch.ops.kutta, name).default


def _counted(x: Tensor, size: int, inner: float) -> Tensor:
    """Of a real function half of the coefficients are written down: the inner ones stand for two, conjugate ones."""
    twice = (2 * torch.arange(size // 2 + 1, device=x.device)) % size != 0
    return x * torch.where(twice, inner, 1.0).to(x.dtype)


def _back_to_real(ctx: Any, gradient: Tensor) -> tuple[Any, ...]:
    axes, scale = ctx.given
    return parts_to_real(_counted(gradient, ctx.size, 0.5), axes, ctx.size, scale), None, None


def _back_to_half(ctx: Any, gradient: Tensor) -> tuple[Any, ...]:
    axes, size, scale = ctx.given
    return _counted(real_to_parts(gradient.contiguous(), axes, scale), size, 2.0), None, None, None


def _back_to_parts(ctx: Any, gradient: Tensor) -> tuple[Any, ...]:
    axes, forward, scale = ctx.given
    return parts_to_parts(gradient.contiguous(), axes, not forward, scale), None, None, None


# The sums of ``torch.fft.rfftn``, ``irfftn`` and ``fftn`` or ``ifftn``, times a scale.
real_to_parts = _defined(
    "real_to_parts(Tensor x, int axes, float scale) -> Tensor",
    _real_to_parts,
    lambda x, axes, scale: x.new_empty((2, *x.shape[:-1], x.shape[-1] // 2 + 1)),
    _back_to_real,
)
parts_to_real = _defined(
    "parts_to_real(Tensor x, int axes, int size, float scale) -> Tensor",
    _parts_to_real,
    lambda x, axes, size, scale: x.new_empty((*x.shape[1:-1], size)),
    _back_to_half,
)
parts_to_parts = _defined(
    "parts_to_parts(Tensor x, int axes, bool forward, float scale) -> Tensor",
    _parts_to_parts,
    lambda x, axes, forward, scale: torch.empty_like(x, memory_format=torch.contiguous_format),
    _back_to_parts,
)

# Each is written in terms of those before it.
_NATIVE = ("fourier", "squares", "rows", "work", "library", "columns", "transforms", "operations")
_HEADERS = "\n".join(header(f"native_fourier/{name}.h") for name in _NATIVE)
_TEXT = f'"C++" {{\n{_HEADERS}\n}}'  # after Inductor's ``extern``
for _operation in (real_to_parts, parts_to_real, parts_to_parts):
    announce(_operation, _TEXT)
