"""Gray-Scott and Cahn-Hilliard on periodic squares: kutta against py-pde's numba backend, at equal error."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Any

import torch
from torch import Tensor

import kutta as kt
from benchmarks import _peers
from benchmarks._measure import Spread, measure, ratio
from benchmarks._report import Report, arguments, finish, verdict

P = kt.pde
F64 = torch.float64
BAR = 2.0
FEED, KILL = 0.04, 0.06


@dataclass(frozen=True)
class Case:
    """A problem, for both libraries.

    Attributes:
        name: of the equation.
        equation: kutta's.
        texts: py-pde's right-hand sides, by the names of the unknowns.
        length: of the square's sides.
        count: of points along them.
        end: the final time.
        start: the initial state, from coordinates.
        step: of the reference.
        waves: step sizes of ETDRK4.
        explicit: py-pde's step sizes: of Euler's method, and of its Runge-Kutta method of order 4.
        tolerances: of py-pde's adaptive methods.
    """

    name: str
    equation: Any
    texts: dict[str, str]
    length: float
    count: int
    end: float
    start: Callable[[Tensor], Tensor]
    step: float
    waves: Sequence[float]
    explicit: Sequence[float]
    tolerances: Sequence[float]


@dataclass
class Solver:
    """A solver with a case bound to it.

    Attributes:
        name: library and method.
        count: of points along a side.
        dtype: that it computes with.
        run: one solve, which returns the final state, ``(components, n, n)`` at the points that it was asked for.
        offset: of its first point, in units of the spacing of those points.
        compilation: seconds before it could run.
    """

    name: str
    count: int
    dtype: str
    run: Callable[[], Any]
    offset: float = 0.0
    compilation: float = 0.0


def spots(x: Tensor) -> Tensor:
    """Two spots of the substance that makes more of itself."""
    centres = ((1.25, 1.25, 0.05), (1.75, 1.55, 0.02))
    v = sum(0.25 * torch.exp(-((x[0] - a) ** 2 + (x[1] - b) ** 2) / size) for a, b, size in centres)
    return torch.stack([1 - 2 * v, v])  # type: ignore[arg-type]


def mixture(x: Tensor) -> Tensor:
    """Some long waves."""
    x = 2 * torch.pi * x / 64
    return 0.3 * (torch.cos(2 * x[0] + x[1]) + torch.sin(3 * x[1] - x[0]) + torch.cos(4 * x[0]) * torch.sin(3 * x[1]))


GRAY_SCOTT = Case(
    "Gray-Scott",
    P.GrayScott(FEED, KILL),
    {
        "u": f"2e-5 * laplace(u) - u * v**2 + {FEED} * (1 - u)",
        "v": f"1e-5 * laplace(v) + u * v**2 - {FEED + KILL} * v",
    },
    length=2.5,
    count=256,
    end=200.0,
    start=spots,
    step=1.0,
    waves=(4.0, 8.0, 10.0),
    explicit=(1.0, 1.0),
    tolerances=(1e-3, 1e-4),
)
CAHN_HILLIARD = Case(
    "Cahn-Hilliard",
    P.CahnHilliard(1.0),
    {"c": "laplace(c**3 - c - laplace(c))"},
    length=64.0,
    count=128,
    end=10.0,
    start=mixture,
    step=0.02,
    waves=(0.1, 0.25, 0.5),
    explicit=(0.0018, 0.0025),
    tolerances=(1e-3, 1e-4),
)


class Reference:
    """The solution of the equation: waves on twice the grid in float64, with small steps; known everywhere."""

    def __init__(self, case: Case):
        grid = P.Grid((2 * case.count,) * 2, case.length)
        problem = case.equation.problem(grid, case.start, (0.0, case.end), P.PseudoSpectral(dealias=1.0))
        state = kt.solve(problem, kt.ETDRK4(), controller=kt.Fixed(case.step)).y1
        self.waves = torch.fft.fftn(state, dim=(-2, -1), norm="forward")
        self.numbers = torch.fft.fftfreq(2 * case.count, 1 / (2 * case.count), dtype=F64)

    def error(self, found: Any, offset: float) -> float:
        """Of a state, relative, in the mean square."""
        found = torch.as_tensor(found).to(F64)
        count = found.shape[-1]
        phases = 2 * torch.pi * (torch.arange(count, dtype=F64) + offset)[:, None] / count * self.numbers
        turns = torch.polar(torch.ones_like(phases), phases)
        exact = (turns @ self.waves @ turns.T).real.reshape(found.shape)
        return float((found - exact).norm() / exact.norm())


def refined(u: Tensor, count: int) -> Tensor:
    """The same waves on a finer grid."""
    few = u.shape[-1]
    if few == count:
        return u
    waves, half = torch.fft.rfftn(u, dim=(-2, -1), norm="forward"), few // 2
    more = waves.new_zeros((*u.shape[:-2], count, count // 2 + 1))
    more[..., :half, :half] = waves[..., :half, :half]
    more[..., 1 - half :, :half] = waves[..., 1 - half :, :half]
    return torch.fft.irfftn(more, s=(count, count), dim=(-2, -1), norm="forward")


def ours(
    case: Case, name: str, scheme: Any, method: Any, dt: float, count: int, dtype: Any = F64, engine: Any = None
) -> Solver:
    """A solve by kutta, compiled if it is to be. A coarser grid's solution is brought to that of the case."""
    grid = P.Grid((count,) * 2, case.length)
    u0 = case.start(grid.points()).to(dtype)
    problem = case.equation.problem(grid, u0, (0.0, case.end), scheme)

    def run() -> Tensor:
        return refined(kt.solve(problem, method, controller=kt.Fixed(dt), engine=engine or kt.Eager()).y1, case.count)

    before = perf_counter()
    if isinstance(engine, kt.Compiled):
        run()
    full = f"kutta {type(method).__name__} {name}, dt = {dt:g}, {type(engine or kt.Eager()).__name__}"
    return Solver(full, count, str(dtype).removeprefix("torch."), run, compilation=perf_counter() - before)


def theirs(case: Case, method: str, dt: float, tolerance: float | None = None) -> Solver:
    """A solve by py-pde; its function of a whole solve is compiled beforehand."""
    import numpy as np
    import pde

    grid = pde.CartesianGrid([[0.0, case.length]] * 2, case.count, periodic=True)
    values = case.start(torch.as_tensor(np.moveaxis(grid.cell_coords, -1, 0))).numpy()
    fields = [pde.ScalarField(grid, one) for one in values.reshape(-1, case.count, case.count)]
    state: Any = pde.FieldCollection(fields) if len(fields) > 1 else fields[0]
    kinds = {"Euler": pde.solvers.EulerSolver, "Runge-Kutta": pde.solvers.RungeKuttaSolver}
    options = {} if tolerance is None else {"adaptive": True, "tolerance": tolerance}
    solver = kinds[method](pde.PDE(case.texts), backend="numba", **options)

    def run() -> Any:
        found = state.copy()
        advance(found, 0.0, case.end)
        return found.data

    before = perf_counter()
    advance = solver.make_stepper(state, dt=dt)
    advance(state.copy(), 0.0, dt)
    how = f"dt = {dt:g}" if tolerance is None else f"tolerance {tolerance:g}"
    return Solver(f"py-pde {method}, {how}", case.count, "float64", run, 0.5, perf_counter() - before)


def our_solvers(case: Case, quick: bool) -> list[Solver]:
    """Waves on the grid of the case and on coarser ones."""
    waves, counts = P.PseudoSpectral(dealias=1.0), (case.count, 5 * case.count // 8, case.count // 2)
    engines = [kt.Eager()] if quick else [kt.Eager(), kt.Compiled()]
    found = [
        ours(case, "waves", waves, kt.ETDRK4(), dt, count, dtype, engine)
        for engine in engines
        for count in counts
        for dtype in (F64, torch.float32)
        for dt in case.waves
    ]
    if case.name == "Gray-Scott" and not quick:
        found += [
            ours(case, f"differences {accuracy}", P.FiniteDifference(accuracy), method, dt, count, dtype, kt.Compiled())
            for accuracy, method, dt, count in ((2, kt.Euler(), 1.0, case.count), (4, kt.RK4(), 4.0, case.count // 2))
            for dtype in (F64, torch.float32)
        ]
    return found


def compare(report: Report, case: Case, repeats: int, absent: Sequence[str], quick: bool) -> None:
    """Times and errors of all, and who is fastest at the error of each of py-pde's."""
    solvers, peers = our_solvers(case, quick), []
    if "pde" not in absent:
        peers = [theirs(case, "Euler", case.explicit[0])]
        if not quick:
            peers += [
                theirs(case, "Euler", 0.5 * case.explicit[0]),
                theirs(case, "Runge-Kutta", case.explicit[1]),
                theirs(case, "Runge-Kutta", 0.1 * case.explicit[1], case.tolerances[0]),
                theirs(case, "Euler", 0.1 * case.explicit[0], case.tolerances[0]),
            ]
    reference = Reference(case)
    everyone = {f"{one.name}, {one.count}², {one.dtype}": one for one in (*solvers, *peers)}
    errors = {name: reference.error(one.run(), one.offset) for name, one in everyone.items()}
    timings = measure({name: one.run for name, one in everyone.items()}, repeats)
    report.data[case.name] = {"seconds": timings, "errors": errors}
    times = {name: Spread.of([1e3 * second for second in seconds]) for name, seconds in timings.items()}
    table = report.table(
        f"{case.name}, {case.count}² points, to t = {case.end:g}", "solver", "ms", "error", "compilation, s"
    )
    for name, one in everyone.items():
        table.add(name, times[name], errors[name], one.compilation or None)
    columns = (
        "py-pde",
        "ms",
        "its error",
        "kutta, fastest with no larger error",
        "ms",
        "error",
        "py-pde / kutta",
        "bar",
    )
    best = report.table(f"{case.name} at equal error", *columns[:4], "kutta's ms", *columns[5:])
    for peer in list(everyone)[len(solvers) :]:
        for same_grid in (True, False):
            rivals = [
                name
                for name, one in list(everyone.items())[: len(solvers)]
                if errors[name] <= errors[peer] and (one.count == case.count or not same_grid)
            ]
            if rivals:
                name = min(rivals, key=lambda one: times[one].median)
                faster = ratio(timings[peer], timings[name])
                best.add(peer, times[peer], errors[peer], name, times[name], errors[name], faster, verdict(faster, BAR))


NOTES = (
    "Errors: relative, in the mean square over all components and points, against the solution of the differential "
    "equation itself: sums of waves on twice the grid in float64 with small steps.",
    "py-pde 0.59, numba backend, float64, central differences of order 2; the function of a whole solve is compiled "
    "beforehand, and the time of that is stated apart, as kutta's is. kutta's times are those of whole calls of "
    "kutta.solve, with the functions of the linear part that exponential methods need.",
    "At equal error: two lines for each of py-pde's solvers, the fastest of kutta's on the same grid, and the fastest "
    "on any grid; what was solved on a coarser one is brought to the finer one's points, which is timed, too.",
)


@torch.no_grad()
def main(argv: Sequence[str] | None = None) -> Report:
    """Run and report."""
    options = arguments(argv, __doc__, repeats=7)
    absent = _peers.missing(("pde",))
    report = Report(
        "reaction-diffusion",
        "What do reaction and diffusion on periodic squares cost at equal error?",
        {"repeats": options.repeats, "absent": absent},
    )
    report.notes += NOTES
    for case in (GRAY_SCOTT, CAHN_HILLIARD):
        small = replace(case, count=32, end=10 * case.explicit[0], length=case.length / 4, step=case.explicit[0])
        compare(report, small if options.quick else case, options.repeats, absent, options.quick)
    finish(report, options)
    return report


if __name__ == "__main__":
    main()
