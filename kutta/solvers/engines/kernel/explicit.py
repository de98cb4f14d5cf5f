"""An explicit Runge-Kutta tableau as C++: its stages, its error estimate and its interpolant."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction

from kutta.solvers.engines.kernel.functions import Layout
from kutta.solvers.engines.kernel.printing import interpolant_weights, number, total
from kutta.solvers.engines.tracing.program import Program
from kutta.solvers.tableaus.tableau import Tableau


def constants(tableau: Tableau) -> dict[str, int]:
    """What the loop needs to know of the method."""
    extra = 0 if tableau.interpolant is None else len(tableau.interpolant.extra_c)
    extra += not tableau.first_same_as_last  # an interpolant needs the slope at the end of the step
    return {
        "STAGES": tableau.stages,
        "EXTRA": extra,
        "REUSES_LAST": int(tableau.first_same_as_last),
        "STAGES_ARE_SLOPES": 1,
    }


def step(tableau: Tableau, program: Program, layout: Layout) -> list[str]:
    """The functions `stages`, `interpolant_stages` and `interpolant_weights`."""
    weights = interpolant_weights(tableau.interpolation_weights)
    return ["struct Scratch {};", _stages(tableau), _interpolant_stages(tableau), weights]


def _stages(tableau: Tableau) -> str:
    """One step: the stages after the first, the new state, and the error."""
    arguments = "V t, V h, const V *y, const V *own, const real *shared, V (*k)[D], V *y1, V *error, Scratch &"
    lines = [f"FUNCTION void stages({arguments}) {{", "  V g[D]; (void)g;"]
    if not tableau.first_same_as_last:
        lines.append("  f(t, y, own, shared, k[0]);")
    for stage in range(1, tableau.stages):
        target = "y1" if tableau.first_same_as_last and stage == tableau.stages - 1 else "g"
        lines += _stage(tableau.a[stage], tableau.c[stage], stage, target)
    if not tableau.first_same_as_last:
        lines.append(f"  for (int d = 0; d < D; d++) y1[d] = y[d] + h * ({total(tableau.b)});")
    lines += _error(tableau)
    return "\n".join([*lines, "}"])


def _error(tableau: Tableau) -> list[str]:
    """The error estimate; of two, the first damped by the second entry by entry, as in `runge_kutta`."""
    if tableau.error is None:
        return []
    if tableau.second_error is None:
        return [f"  for (int d = 0; d < CONTROLLED; d++) error[d] = h * ({total(tableau.error)});"]
    return [
        "  for (int d = 0; d < CONTROLLED; d++) {",
        f"    V fine = h * ({total(tableau.error)}), rough = h * ({total(tableau.second_error)});",
        "    V sum = fine * fine + real(0.01) * rough * rough;",
        "    error[d] = fine * v_abs(fine) / v_sqrt(sel(sum > 0, sum, splat(1)));",
        "  }",
    ]


def _stage(row: Iterable[Fraction], c: Fraction, stage: int, target: str) -> list[str]:
    return [
        f"  for (int d = 0; d < D; d++) {target}[d] = y[d] + h * ({total(row)});",
        f"  f(t + h * {number(c)}, {target}, own, shared, k[{stage}]);",
    ]


def _interpolant_stages(tableau: Tableau) -> str:
    """Stages that the interpolant needs besides those of the step."""
    stage = tableau.stages
    lines = [
        "FUNCTION void interpolant_stages(V t, V h, const V *y, const V *own, const real *shared, V (*k)[D], "
        "const V *y1) {",
        "  V g[D]; (void)g;",
    ]
    if not tableau.first_same_as_last:
        lines.append(f"  f(t + h, y1, own, shared, k[{stage}]);")
        stage += 1
    dense = tableau.interpolant
    if dense is not None:
        for row, c in zip(dense.extra_a, dense.extra_c, strict=True):
            lines += _stage(row, c, stage, "g")
            stage += 1
    return "\n".join([*lines, "}"])
