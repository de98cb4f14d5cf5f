"""A Rosenbrock tableau as C++: one linear system a stage, with the Jacobian of the traced right-hand side.

Sensitivities solve the same system. With ``W = I / (h gamma) - J`` and a stage ``W u = r`` of the state, the
derivative of the stage in a direction is ``W u' = r' + K u``, where ``K`` is the derivative of ``J S + f_p``
by the state.
"""

from __future__ import annotations

from kutta.solvers.engines.kernel.functions import Layout, function
from kutta.solvers.engines.kernel.precision import header
from kutta.solvers.engines.kernel.printing import interpolant_weights, number, total
from kutta.solvers.engines.tracing.derivative import jacobian
from kutta.solvers.engines.tracing.program import Program, needed
from kutta.solvers.tableaus.rosenbrock import RosenbrockTableau


def constants(tableau: RosenbrockTableau) -> dict[str, int]:
    """What the loop needs to know of the method."""
    return {"STAGES": tableau.stages, "EXTRA": 0, "REUSES_LAST": 0, "STAGES_ARE_SLOPES": 0}


def step(tableau: RosenbrockTableau, program: Program, layout: Layout) -> list[str]:
    """The functions `stages`, `interpolant_stages` and `interpolant_weights`, and the linear algebra."""
    nothing = "FUNCTION void interpolant_stages(V, V, const V *, const V *, const real *, V (*)[D], const V *) {}"
    return [
        header("linear.h"),
        _linearised(program, layout),
        _stages(tableau),
        nothing,
        interpolant_weights(tableau.interpolant),
    ]


def _linearised(program: Program, layout: Layout) -> str:
    """The function that gives the derivatives by the state, row by row, and those by time."""
    size, rows = layout.size, len(program.outputs)
    whole = jacobian(program, [*(("y", place) for place in range(size)), ("t", 0)])
    slopes = whole.outputs[rows:]
    by_state = [slopes[row * (size + 1) + place] for row in range(rows) for place in range(size)]
    by_time = slopes[size :: size + 1]
    return function(
        "linearise",
        needed(whole.nodes, [*by_state, *by_time]),
        layout,
        {"jacobian": len(by_state), "by_time": len(by_time)},
    )


def _stages(tableau: RosenbrockTableau) -> str:
    lines = [
        "FUNCTION void stages(V t, V h, const V *y, const V *own, const real *shared, V (*k)[D], V *y1, V *error, "
        "Scratch &system) {",
        "  V g[D], by_time[D], per_step = 1 / h;",
        "  linearise(t, y, own, shared, system.jacobian, by_time);",
        f"  system.factor(per_step * {number(1 / tableau.gamma)});",
    ]
    for stage in range(tableau.stages):
        lines += _stage(tableau, stage)
    lines.append(f"  for (int d = 0; d < D; d++) y1[d] = y[d] + ({total(tableau.weights)});")
    lines.append(f"  for (int d = 0; d < CONTROLLED; d++) error[d] = {total(tableau.error)};")
    return "\n".join([*lines, "}"])


def _stage(tableau: RosenbrockTableau, stage: int) -> list[str]:
    slope = f"k[{stage}]"
    lines = []
    if stage:
        lines.append(f"  for (int d = 0; d < D; d++) g[d] = y[d] + ({total(tableau.a[stage])});")
    lines.append(f"  f(t + h * {number(tableau.nodes[stage])}, {'g' if stage else 'y'}, own, shared, {slope});")
    terms = [f"per_step * ({total(tableau.coupling[stage])})"] if any(tableau.coupling[stage]) else []
    if tableau.time_weights[stage]:
        terms.append(f"h * {number(tableau.time_weights[stage])} * by_time[d]")
    if terms:
        lines.append(f"  for (int d = 0; d < D; d++) {slope}[d] += {' + '.join(terms)};")
    return [*lines, f"  system.solve({slope});"]
