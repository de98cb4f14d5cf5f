"""The two precisions and the three targets: what the headers need to know of a type, and which they are."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import torch

from kutta.solvers.engines import tangent

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Target:
    """What the text is for.

    Attributes:
        marks: the header that says how functions are marked.
        registers: the header of the registers that numbers are kept in.
        entry: the header of the function that is called.
    """

    marks: str
    registers: str
    entry: str


# A processor with blocks of many lanes, one with one lane, and a GPU, where a thread is a lane.
BLOCK = Target("cpu.h", "registers_vector.h", "run_cpu.h")
ALONE = Target("cpu.h", "registers_scalar.h", "run_cpu.h")
CUDA = Target("cuda.h", "registers_scalar.h", "run_cuda.h")

# Per precision: bits of the fraction and of the exponent's bias, and how long the series of `elementary.h` are.
_PRECISION = {
    torch.float64: {
        "real": "double", "size": 8, "digits": 52, "bias": 1023, "exp_terms": 13, "log_terms": 11,
        "sine_terms": 9, "tanh_terms": 10, "exp_range": (-745.2, 709.8),
        "log2": ("0x1.62e42fee00000p-1", "0x1.a39ef35793c76p-33"),
        "half_pi": ("0x1.921fb54400000p+0", "0x1.0b4611a600000p-34", "0x1.3198a2e037073p-69"), "farthest": "1e5",
    },
    torch.float32: {
        "real": "float", "size": 4, "digits": 23, "bias": 127, "exp_terms": 7, "log_terms": 4,
        "sine_terms": 5, "tanh_terms": 5, "exp_range": (-103.9, 88.72), "log2": ("0x1.62e400p-1", "0x1.7f7d1cp-20"),
        "half_pi": ("0x1.920000p+0", "0x1.fb4000p-12", "0x1.4442d2p-24"), "farthest": "2e3",
    },
}  # fmt: skip


def header(name: str) -> str:
    """The text of one of the headers."""
    return (HERE / name).read_text(encoding="utf-8")


def elementary_functions(dtype: torch.dtype, target: Target) -> str:
    """The types of a precision, and what can be computed with blocks of them."""
    kinds = [header(target.marks), f"typedef {_PRECISION[dtype]['real']} real;", header(target.registers)]
    return "\n".join([*kinds, _constants(dtype), header("lanes.h"), header("elementary.h")])


def _constants(dtype: torch.dtype) -> str:
    one = _PRECISION[dtype]
    digits = one["digits"]
    quotient = dtype == torch.float32
    tangents = {"ODD": tangent.ODD, "EVEN": tangent.EVEN} if quotient else {"ODD": (0.0,), "EVEN": (0.0,)}
    series = ", ".join(repr(1.0 / float(math.factorial(term))) for term in range(one["exp_terms"] + 1))
    # Adding 1.5 * 2^digits leaves no room for a fraction: what is left is the nearest whole number.
    lines = [
        f"enum {{ EXP_TERMS = {one['exp_terms']}, "
        f"LOG_TERMS = {one['log_terms']}, SINE_TERMS = {one['sine_terms']}, TANH_TERMS = {one['tanh_terms']} }};",
        f"static const whole DIGITS = {digits}, BIAS = {one['bias']}, SIGN = whole(1) << {one['size'] * 8 - 1};",
        f"static const real MAGIC = {1.5 * 2.0**digits!r}, SMALLEST_NORMAL = {2.0 ** (1 - one['bias'])!r}, "
        f"LIFT = {2.0**digits * 4!r}, LIFTED = {digits + 2};",
        f"static const real EXP_LOWEST = {one['exp_range'][0]}, EXP_HIGHEST = {one['exp_range'][1]};",
        f"TABLE real EXP_SERIES[] = {{{series}}};",
        f"static const real LOG2_HIGH = {one['log2'][0]}, LOG2_LOW = {one['log2'][1]};",
        f"static const real HALF_PI_1 = {one['half_pi'][0]}, HALF_PI_2 = {one['half_pi'][1]}, "
        f"HALF_PI_3 = {one['half_pi'][2]}, FARTHEST = {one['farthest']};",
        f"static const real TANH_FARTHEST = {tangent.FARTHEST};",
        f"enum {{ TANH_QUOTIENT = {int(quotient)}, "
        f"{', '.join(f'TANH_{name}_TERMS = {len(values)}' for name, values in tangents.items())} }};",
        *(f"TABLE real TANH_{name}[] = {{{', '.join(map(repr, values))}}};" for name, values in tangents.items()),
    ]
    return "\n".join(lines)
