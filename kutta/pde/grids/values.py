"""What fields are made of: numbers and tensors, real or complex, and their sums."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor


def is_number(value: Any) -> bool:
    """Whether it is a number, or a tensor of one, and no field."""
    return isinstance(value, int | float | complex) or (isinstance(value, Tensor) and value.dim() == 0)


def total(fields: Iterable[Any]) -> Any:
    """The sum of one or more fields, from the first one on: zero is no field."""
    found, *others = fields
    for one in others:
        found = found + one
    return found


def real_dtype(dtype: torch.dtype) -> torch.dtype:
    """That of the real parts; the compiler does not know ``dtype.to_real``."""
    return {torch.complex64: torch.float32, torch.complex128: torch.float64}.get(dtype, dtype)


def converted(values: Any, dtype: torch.dtype, device: torch.device) -> Tensor:
    """A number or a tensor as a field of a dtype has it; complex ones of real fields would lose a part.

    Raises:
        TypeError: for those.
    """
    if not dtype.is_complex:
        check_real(values, dtype)
    return torch.as_tensor(values, dtype=dtype, device=device)


def check_real(values: Any, dtype: torch.dtype) -> None:
    """Refuse what makes a real field complex."""
    if isinstance(values, complex) or (isinstance(values, Tensor) and values.is_complex()):
        came = f"a tensor of {values.dtype}" if isinstance(values, Tensor) else values
        raise TypeError(
            f"the state is real, {dtype}, and a coefficient or a source of the equation is complex, {came}: give u0 a "
            f"complex dtype, such as u0.to({dtype.to_complex()}), or real coefficients"
        )
