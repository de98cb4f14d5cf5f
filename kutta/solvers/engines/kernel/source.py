"""C++ or CUDA C++ for a solve: a traced right-hand side, a tableau and a controller, as one translation unit.

The text is that of the headers in this folder and what is printed here; nothing of it comes from a user but
numbers and the structure of a traced program.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from kutta.solvers.controllers import PID, Controller
from kutta.solvers.engines.kernel import explicit, rosenbrock
from kutta.solvers.engines.kernel.functions import Layout, function
from kutta.solvers.engines.kernel.precision import Target, elementary_functions, header
from kutta.solvers.engines.tracing.program import Program
from kutta.solvers.tableaus.rosenbrock import RosenbrockTableau
from kutta.solvers.tableaus.tableau import Tableau

# What prints a tableau.
PRINTERS: dict[type, Any] = {Tableau: explicit, RosenbrockTableau: rosenbrock}


@dataclass(frozen=True)
class System:
    """What is integrated.

    Attributes:
        program: the derivative of the state, and of its sensitivities if there are any.
        layout: where the inputs lie.
        conditions: of events, one output each.
        directions: the sign changes that count, -1, 1, or 0 for both.
    """

    program: Program
    layout: Layout
    conditions: Program
    directions: tuple[int, ...] = ()


def source_of(system: System, method: Any, controller: Controller, dtype: torch.dtype, target: Target) -> str:
    """The whole text."""
    program, layout = system.program, system.layout
    printer = PRINTERS[type(method.tableau)]
    constants = {
        "D": len(program.outputs),
        "CONTROLLED": layout.size,
        "OWN": layout.own,
        "EVENTS": len(system.directions),
        "ORDER": method.order,
        "ADAPTIVE": int(isinstance(controller, PID)),
        "HISTORY": getattr(controller, "memory", 0),
        **printer.constants(method.tableau),
    }
    parts = [
        elementary_functions(dtype, target),
        f"enum {{ {', '.join(f'{name} = {value}' for name, value in constants.items())} }};",
        f"TABLE real POWERS[] = {{{', '.join(map(repr, _powers(method, controller)))}}};",
        f"TABLE int WANTED[] = {{{', '.join(map(str, (*system.directions, 0)))}}};",
        function("f", program, layout, {"dy": len(program.outputs)}),
        function("conditions", system.conditions, layout, {"values": len(system.directions)}),
        *printer.step(method.tableau, program, layout),
        *map(header, ("events.h", "driver.h", target.entry)),
    ]
    return "\n".join(parts)


def _powers(method: Any, controller: Controller) -> list[float]:
    """What the error ratios are raised to, the newest first."""
    if not isinstance(controller, PID):
        return [0.0]
    p, i, d = controller.proportional, controller.integral, controller.derivative
    order = method.error_order or 1
    return [-(p + i + d) / order, (p + 2 * d) / order, -d / order][: 1 + controller.memory]
