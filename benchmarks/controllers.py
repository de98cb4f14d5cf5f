"""Which gains of the step-size controller need the fewest evaluations over problems of different kinds?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

import kutta as kt
from benchmarks._report import Report, arguments, finish

GAINS = ((0.0, 1.0), (0.0, 0.8), (0.1, 0.9), (0.1, 0.7), (0.2, 0.8), (0.2, 0.6), (0.3, 0.5), (0.4, 0.3))


def problems() -> dict[str, tuple[Callable[[Any, Tensor], Tensor], Tensor, float, float]]:
    """Right-hand side, initial state, final time and tolerance of each problem."""
    generator = torch.Generator().manual_seed(0)
    first, second = (torch.randn(32, 32, generator=generator, dtype=torch.float64) for _ in range(2))
    state = torch.randn(128, 32, generator=generator, dtype=torch.float64)

    def network(t: Any, y: Tensor) -> Tensor:
        return torch.tanh(0.3 * y @ first) @ second * 0.3

    def van_der_pol(mu: float) -> Callable[[Any, Tensor], Tensor]:
        return lambda t, y: torch.stack([y[1], mu * (1 - y[0] ** 2) * y[1] - y[0]])

    def lorenz(t: Any, y: Tensor) -> Tensor:
        return torch.stack([10 * (y[1] - y[0]), y[0] * (28 - y[2]) - y[1], y[0] * y[1] - 8 / 3 * y[2]])

    def oscillator(t: Any, y: Tensor) -> Tensor:
        return torch.stack([y[1], -y[0]])

    def relaxation(t: Tensor, y: Tensor) -> Tensor:
        return -50 * (y - torch.cos(t))

    def start(*values: float) -> Tensor:
        return torch.tensor(values, dtype=torch.float64)

    return {
        "network": (network, state, 5.0, 1e-5),
        "van der Pol, mu = 5": (van_der_pol(5.0), start(2.0, 0.0), 10.0, 1e-6),
        "van der Pol, mu = 50": (van_der_pol(50.0), start(2.0, 0.0), 20.0, 1e-5),
        "Lorenz": (lorenz, start(1.0, 1.0, 1.0), 5.0, 1e-6),
        "oscillator": (oscillator, start(1.0, 0.0), 20.0, 1e-4),
        "relaxation": (relaxation, start(0.0), 3.0, 1e-4),
    }


@torch.no_grad()
def main(argv: Sequence[str] | None = None) -> None:
    """Run the benchmark."""
    options = arguments(argv, __doc__, repeats=1)
    cases = problems()
    if options.quick:
        cases = {name: cases[name] for name in ("oscillator", "relaxation")}
    report = Report("controllers", str(__doc__), {"method": "Tsit5", "dtype": "float64"})
    table = report.table("Steps tried (of these rejected)", "proportional", "integral", *cases)
    for proportional, integral in GAINS:
        cells = []
        for f, y0, end, tolerance in cases.values():
            stats = kt.solve(
                kt.ODEProblem(f, y0, (0.0, end)),
                kt.Tsit5(),
                rtol=tolerance,
                atol=tolerance,
                controller=kt.PID(proportional, integral),
            ).stats
            cells.append(f"{stats.steps} ({stats.rejected})")
        table.add(proportional, integral, *cells)
    report.notes.append("The first row is the integral rule, the last Gustafsson's PI.3.4; the default is (0.2, 0.8).")
    finish(report, options)


if __name__ == "__main__":
    main()
