"""Which gains of the step-size controller need the fewest evaluations over problems of different kinds?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

import kutta as kt
from benchmarks._neural import SPAN, TOLERANCE, Field, initial_state
from benchmarks._problems import ARENSTORF, LORENZ, PLEIADES, VAN_DER_POL
from benchmarks._report import Report, arguments, finish

GAINS = ((0.0, 1.0), (0.0, 0.8), (0.1, 0.9), (0.1, 0.7), (0.2, 0.8), (0.2, 0.6), (0.3, 0.5), (0.4, 0.3))


class Case(NamedTuple):
    """Right-hand side, initial state, time span and tolerance."""

    f: Callable[[Any, Tensor], Tensor]
    y0: Tensor
    span: tuple[float, float]
    tolerance: float


def stiff_van_der_pol(t: Any, y: Tensor) -> Tensor:
    """With mu = 50, where stability limits the steps for most of the time."""
    return torch.stack([y[1], 50.0 * (1.0 - y[0] ** 2) * y[1] - y[0]])


def oscillator(t: Any, y: Tensor) -> Tensor:
    """The harmonic one."""
    return torch.stack([y[1], -y[0]])


def relaxation(t: Tensor, y: Tensor) -> Tensor:
    """Towards a cosine, at a rate of 50."""
    return -50.0 * (y - torch.cos(t))


def cases() -> dict[str, Case]:
    """Problems that accuracy limits, and problems that stability limits."""

    def start(*values: float) -> Tensor:
        return torch.tensor(values, dtype=torch.float64)

    small = {
        one.name: Case(one.torch, start(*one.y0), one.span, 1e-6) for one in (VAN_DER_POL, LORENZ, ARENSTORF, PLEIADES)
    }
    return {
        "neural ODE": Case(Field().double(), initial_state().double(), SPAN, TOLERANCE),
        **small,
        "van der Pol, mu = 50": Case(stiff_van_der_pol, start(2.0, 0.0), (0.0, 20.0), 1e-5),
        "oscillator": Case(oscillator, start(1.0, 0.0), (0.0, 20.0), 1e-4),
        "relaxation": Case(relaxation, start(0.0), (0.0, 3.0), 1e-4),
    }


@torch.no_grad()
def main(argv: Sequence[str] | None = None) -> Report:
    """Run and report."""
    options = arguments(argv, __doc__, repeats=1)
    found = cases()
    if options.quick:
        found = {name: found[name] for name in ("oscillator", "relaxation")}
    report = Report("controllers", str(__doc__), {"method": "Tsit5", "dtype": "float64"})
    table = report.table("Steps tried (of these rejected)", "proportional", "integral", *found)
    for proportional, integral in GAINS:
        cells = []
        for case in found.values():
            stats = kt.solve(
                kt.ODEProblem(case.f, case.y0, case.span),
                kt.Tsit5(),
                rtol=case.tolerance,
                atol=case.tolerance,
                controller=kt.PID(proportional, integral),
            ).stats
            cells.append(f"{stats.steps} ({stats.rejected})")
        table.add(proportional, integral, *cells)
    report.notes.append("The first row is the integral rule, the last Gustafsson's PI.3.4; the default is (0.2, 0.8).")
    finish(report, options)
    return report


if __name__ == "__main__":
    main()
