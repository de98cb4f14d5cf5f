"""C++ for a solve: a traced right-hand side, a tableau and a controller, as one translation unit.

The text is that of ``lanes.h`` and ``math.h``, what is printed here, and ``driver.h``; nothing of it comes
from a user but numbers and the structure of a traced program.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import torch

from kutta.solvers.controllers import PID, Controller
from kutta.solvers.engines.tracing.program import Node, Program
from kutta.solvers.method import Method
from kutta.solvers.tableaus.tableau import Tableau

HERE = Path(__file__).parent
# Bytes of a register of the widest machines (on others the compiler uses several), and registers in a block.
BYTES, PARTS = 64, 2
# Operations from which on a right-hand side is long.
LONG = 300

# Per precision: bits of the fraction and of the exponent's bias, and how long the series of `math.h` are.
_PRECISION = {
    torch.float64: {
        "real": "double", "whole": "int64_t", "size": 8, "digits": 52, "bias": 1023, "exp_terms": 13, "log_terms": 11,
        "sine_terms": 9, "tanh_terms": 10, "exp_range": (-745.2, 709.8),
        "log2": ("0x1.62e42fee00000p-1", "0x1.a39ef35793c76p-33"),
        "half_pi": ("0x1.921fb54400000p+0", "0x1.0b4611a600000p-34", "0x1.3198a2e037073p-69"), "farthest": "1e5",
    },
    torch.float32: {
        "real": "float", "whole": "int32_t", "size": 4, "digits": 23, "bias": 127, "exp_terms": 7, "log_terms": 4,
        "sine_terms": 5, "tanh_terms": 5, "exp_range": (-103.9, 88.72), "log2": ("0x1.62e400p-1", "0x1.7f7d1cp-20"),
        "half_pi": ("0x1.920000p+0", "0x1.fb4000p-12", "0x1.4442d2p-24"), "farthest": "2e3",
    },
}  # fmt: skip

_INFIX = {"add": "+", "sub": "-", "mul": "*", "div": "/", "lt": "<", "le": "<=", "gt": ">", "ge": ">=", "eq": "==",
          "ne": "!=", "and": "&", "or": "|"}  # fmt: skip


@dataclass(frozen=True)
class Layout:
    """Where the inputs of a program lie.

    Attributes:
        size: entries of the state.
        own: which places of the parameters are a trajectory's own, in order; the others are shared.
        shared: number of shared numbers: the other parameters, then what was captured.
        places: for every parameter whether it is its own, and where.
        captured: where the captured numbers begin among the shared ones.
    """

    size: int
    own: int
    shared: int
    places: tuple[tuple[bool, int], ...]
    captured: int


def source_of(program: Program, layout: Layout, method: Any, controller: Controller, dtype: torch.dtype) -> str:
    """The whole text."""
    parts = [
        elementary_functions(dtype),
        _constants(layout, method, controller),
        _right_hand_side(program, layout),
        _stages(method.tableau),
        _interpolant(method.tableau),
        (HERE / "driver.h").read_text(encoding="utf-8"),
    ]
    return "\n".join(parts)


def elementary_functions(dtype: torch.dtype) -> str:
    """The types of a precision, and what can be computed with blocks of them."""
    files = (HERE / name for name in ("lanes.h", "math.h"))
    return "\n".join([_types(dtype), *(file.read_text(encoding="utf-8") for file in files)])


def _types(dtype: torch.dtype) -> str:
    one = _PRECISION[dtype]
    digits = one["digits"]
    series = ", ".join(repr(1.0 / float(_factorial(term))) for term in range(one["exp_terms"] + 1))
    # Adding 1.5 * 2^digits leaves no room for a fraction: what is left is the nearest whole number.
    lines = [
        "#include <cstdint>",
        f"typedef {one['real']} real;",
        f"typedef {one['whole']} whole;",
        f"enum {{ BYTES = {BYTES}, PARTS = {PARTS}, EXP_TERMS = {one['exp_terms']}, "
        f"LOG_TERMS = {one['log_terms']}, SINE_TERMS = {one['sine_terms']}, TANH_TERMS = {one['tanh_terms']} }};",
        f"static const whole DIGITS = {digits}, BIAS = {one['bias']}, SIGN = whole(1) << {one['size'] * 8 - 1};",
        f"static const real MAGIC = {1.5 * 2.0**digits!r}, SMALLEST_NORMAL = {2.0 ** (1 - one['bias'])!r}, "
        f"LIFT = {2.0**digits * 4!r}, LIFTED = {digits + 2};",
        f"static const real EXP_LOWEST = {one['exp_range'][0]}, EXP_HIGHEST = {one['exp_range'][1]}, "
        f"EXP_SERIES[] = {{{series}}};",
        f"static const real LOG2_HIGH = {one['log2'][0]}, LOG2_LOW = {one['log2'][1]};",
        f"static const real HALF_PI_1 = {one['half_pi'][0]}, HALF_PI_2 = {one['half_pi'][1]}, "
        f"HALF_PI_3 = {one['half_pi'][2]}, FARTHEST = {one['farthest']};",
    ]
    return "\n".join(lines)


def _factorial(number: int) -> int:
    return 1 if number < 2 else number * _factorial(number - 1)


def _constants(layout: Layout, method: Method, controller: Controller) -> str:
    tableau: Tableau = method.tableau  # type: ignore[attr-defined]
    adaptive = isinstance(controller, PID)
    memory = controller.memory if adaptive else 0
    extra = 0 if tableau.interpolant is None else len(tableau.interpolant.extra_c)
    after = not tableau.first_same_as_last  # the slope at the end of the step has to be evaluated for an interpolant
    values = {
        "D": layout.size,
        "OWN": layout.own,
        "STAGES": tableau.stages,
        "EXTRA": extra + after,
        "ALL_STAGES": tableau.stages + extra + after,
        "ORDER": method.order,
        "REUSES_LAST": int(tableau.first_same_as_last),
        "ADAPTIVE": int(adaptive),
        "HISTORY": memory,
    }
    enum = ", ".join(f"{name} = {value}" for name, value in values.items())
    return f"enum {{ {enum} }};\nstatic const real POWERS[] = {{{', '.join(map(repr, _powers(method, controller)))}}};"


def _powers(method: Method, controller: Controller) -> list[float]:
    """What the error ratios are raised to, the newest first."""
    if not isinstance(controller, PID):
        return [0.0]
    return list(controller.powers(method.error_order or 1)[: 1 + controller.memory])


def _right_hand_side(program: Program, layout: Layout) -> str:
    lines = [f"  const {_kind(node)} v{i} = {_expression(node, layout)};" for i, node in enumerate(program.nodes)]
    lines += [f"  dy[{place}] = v{node};" for place, node in enumerate(program.outputs)]
    # A long one is compiled once, and not into every stage.
    kind = "static inline" if program.cost <= LONG else "__attribute__((noinline)) static"
    head = f"{kind} void f(V t, const V *y, const V *own, const real *shared, V *dy) {{"
    return "\n".join([head, *lines, "}"])


def _kind(node: Node) -> str:
    truth = node.operation in ("lt", "le", "gt", "ge", "eq", "ne", "and", "or", "not") or isinstance(node.value, bool)
    return "M" if truth else "V"


def _expression(node: Node, layout: Layout) -> str:
    arguments = [f"v{one}" for one in node.arguments]
    if isinstance(node.value, bool):
        return f"splat(0) {'==' if node.value else '!='} splat(0)"
    if node.operation == "const":
        return _splat(node.value)
    if node.operation == "input":
        name, place = node.value
        return _input(name, place, layout)
    if node.operation in _INFIX:
        return f" {_INFIX[node.operation]} ".join(arguments)
    if node.operation == "neg":
        return f"-{arguments[0]}"
    if node.operation == "not":
        return f"~{arguments[0]}"
    name = {"where": "sel"}.get(node.operation, f"v_{node.operation}")
    return f"{name}({', '.join(arguments)})"


def _input(name: str, place: int, layout: Layout) -> str:
    if name == "t":
        return "t"
    if name == "y":
        return f"y[{place}]"
    if name == "captured":
        return f"splat(shared[{layout.captured + place}])"
    own, where = layout.places[place]
    return f"own[{where}]" if own else f"splat(shared[{where}])"


def _splat(value: float) -> str:
    if value != value:
        return "splat(NAN)"
    if value in (float("inf"), float("-inf")):
        return "splat(INFINITY)" if value > 0 else "splat(-INFINITY)"
    return f"splat(real({value!r}))"


def _stages(tableau: Tableau) -> str:
    """One step: the stages after the first, the new state, and the error."""
    arguments = "V t, V h, const V *y, const V *own, const real *shared, V (*k)[D], V *y1, V *error"
    lines = [f"static inline void stages({arguments}) {{", "  V g[D]; (void)g;"]
    if not tableau.first_same_as_last:
        lines.append("  f(t, y, own, shared, k[0]);")
    for stage in range(1, tableau.stages):
        target = "y1" if tableau.first_same_as_last and stage == tableau.stages - 1 else "g"
        lines += _stage(tableau.a[stage], tableau.c[stage], stage, target)
    if not tableau.first_same_as_last:
        lines.append(f"  for (int d = 0; d < D; d++) y1[d] = y[d] + h * ({_sum(tableau.b)});")
    lines += _error(tableau)
    return "\n".join([*lines, "}"])


def _error(tableau: Tableau) -> list[str]:
    """The error estimate; of two, the first damped by the second entry by entry, as in `runge_kutta`."""
    if tableau.error is None:
        return []
    if tableau.second_error is None:
        return [f"  for (int d = 0; d < D; d++) error[d] = h * ({_sum(tableau.error)});"]
    return [
        "  for (int d = 0; d < D; d++) {",
        f"    V fine = h * ({_sum(tableau.error)}), rough = h * ({_sum(tableau.second_error)});",
        "    V total = fine * fine + real(0.01) * rough * rough;",
        "    error[d] = fine * v_abs(fine) / v_sqrt(sel(total > 0, total, splat(1)));",
        "  }",
    ]


def _stage(row: Iterable[Fraction], c: Fraction, stage: int, target: str) -> list[str]:
    return [
        f"  for (int d = 0; d < D; d++) {target}[d] = y[d] + h * ({_sum(row)});",
        f"  f(t + h * {_number(c)}, {target}, own, shared, k[{stage}]);",
    ]


def _sum(weights: Iterable[Fraction]) -> str:
    terms = [f"{_number(weight)} * k[{stage}][d]" for stage, weight in enumerate(weights) if weight]
    return " + ".join(terms) or "splat(0)"


def _number(value: Fraction) -> str:
    return f"real({float(value)!r})"


def _interpolant(tableau: Tableau) -> str:
    """Stages that the interpolant needs besides, and the value at a position in the step of one lane."""
    dense, stage = tableau.interpolant, tableau.stages
    head = "(V t, V h, const V *y, const V *own, const real *shared, V (*k)[D], const V *y1) {"
    lines = [f"static inline void interpolant_stages{head}", "  V g[D]; (void)g;"]
    if not tableau.first_same_as_last:
        lines.append(f"  f(t + h, y1, own, shared, k[{stage}]);")
        stage += 1
    if dense is not None:
        for row, c in zip(dense.extra_a, dense.extra_c, strict=True):
            lines += _stage(row, c, stage, "g")
            stage += 1
    lines += ["}", "static inline void between(double theta, int l, V h, const V *y, V (*k)[D], real *out) {"]
    weights = _hermite(tableau) if dense is None else dense.weights
    lines.append("  double p[ALL_STAGES] = {" + ", ".join(_polynomial(row) for row in weights) + "};")
    lines.append("  for (int d = 0; d < D; d++) {\n    double sum = 0;")
    lines.append("    for (int i = 0; i < ALL_STAGES; i++) sum += p[i] * k[i][d][l];")
    lines.append("    out[d] = real(y[d][l] + h[l] * sum);\n  }\n}")
    return "\n".join(lines)


def _hermite(tableau: Tableau) -> list[list[Fraction]]:
    """Cubic Hermite interpolation as weights of the stages: ``y1 = y + h sum b_i k_i`` and both end slopes."""
    last = tableau.stages - 1 if tableau.first_same_as_last else tableau.stages
    rows = [[Fraction(0), 3 * b, -2 * b] for b in tableau.b] + [[Fraction(0)] * 3] * (last - tableau.stages + 1)
    rows = [list(row) for row in rows]
    for place, slope in ((0, (1, -2, 1)), (last, (0, -1, 1))):
        rows[place] = [old + new for old, new in zip(rows[place], slope, strict=True)]
    return rows


def _polynomial(row: Sequence[Fraction]) -> str:
    """``theta (w_1 + theta (w_2 + ...))``."""
    text = "0.0"
    for weight in reversed(row):
        text = f"theta * ({float(weight)!r} + {text})"
    return text
