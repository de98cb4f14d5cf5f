"""Periodic equations of kutta.pde by ETDRK4, compiled, against exponax on the same grid with the same steps."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

import kutta as kt
from benchmarks import _peers
from benchmarks._measure import Spread, measure, ratio
from benchmarks._report import Report, arguments, finish, verdict

OURS, EAGER = "kutta ETDRK4, compiled", "kutta ETDRK4, eager"
CALLED, INSIDE = "exponax, a call a step", "exponax, in Fourier space"
FINER = 4  # how much smaller the steps of the reference are
BETWEEN = {1: 4, 2: 2}  # how many of its points there are to one, by the number of axes


@dataclass(frozen=True)
class Case:
    """One equation on one grid.

    Attributes:
        name: of the equation.
        points: along each axis.
        length: of each axis.
        dt: the step size.
        steps: how many.
        equation: kutta's.
        peer: makes exponax's stepper of a case.
        axes: how many axes.
        sign: exponax's Navier-Stokes equations have the velocity of ``-w``, so that its vorticity has the other sign.
    """

    name: str
    points: int
    length: float
    dt: float
    steps: int
    equation: kt.pde.Evolution
    peer: Callable[[Case], Any]
    axes: int = 1
    sign: float = 1.0

    def __str__(self) -> str:
        return f"{self.name}, {self.points}" + "²" * (self.axes - 1)

    @property
    def start(self) -> Any:
        """A smooth field."""
        x = 2 * math.pi * np.arange(self.points) / self.points
        if self.axes == 1:
            return np.sin(x) + 0.3 * np.cos(2 * x)
        return np.sin(2 * x)[:, None] * np.cos(3 * x)[None] + 0.5 * np.cos(x)[:, None]


def _ks_peer(case: Case) -> Any:
    import exponax

    return exponax.stepper.KuramotoSivashinskyConservative(1, case.length, case.points, case.dt, order=4)


def _burgers_peer(case: Case) -> Any:
    import exponax

    return exponax.stepper.Burgers(1, case.length, case.points, case.dt, diffusivity=0.03, conservative=True, order=4)


def _vorticity_peer(case: Case) -> Any:
    import exponax

    return exponax.stepper.NavierStokesVorticity(2, case.length, case.points, case.dt, diffusivity=1e-3, order=4)


def cases(quick: bool) -> list[Case]:
    """All equations, on the grids that users take."""
    tau, few = 2 * math.pi, 20 if quick else None
    lines = (64,) if quick else (128, 256, 512, 1024, 2048)
    planes = ((16, 10),) if quick else ((64, 200), (128, 100), (256, 40), (512, 10))
    flame, waves, flow = kt.pde.KuramotoSivashinsky(), kt.pde.Burgers(0.03), kt.pde.NavierStokesVorticity(1e-3)
    return [
        *(Case("Kuramoto-Sivashinsky", n, 100.0, 0.05, few or 1000, flame, _ks_peer) for n in lines),
        *(Case("Burgers", n, tau, 1e-3, few or 1000, waves, _burgers_peer) for n in lines),
        *(Case("Navier-Stokes", n, tau, 5e-3, steps, flow, _vorticity_peer, 2, -1.0) for n, steps in planes),
    ]


def with_kutta(case: Case, dtype: torch.dtype, engine: Any, finer: int = 1) -> Callable[[], Any]:
    """From a field to a field."""
    grid = kt.pde.Grid((case.points,) * case.axes, case.length)
    start, span = torch.tensor(case.start, dtype=dtype), (0.0, case.dt * case.steps)

    def run() -> Any:
        problem = case.equation.problem(grid, start, span)
        controller = kt.Fixed(case.dt / finer)
        return kt.solve(problem, kt.ETDRK4(), controller=controller, engine=engine, max_steps=10**9).y1.numpy()

    return run


def with_exponax(case: Case, dtype: torch.dtype) -> dict[str, Callable[[], Any]]:
    """The same, by calls of the stepper, which go to Fourier space and back, and by its steps there."""
    import exponax
    import jax

    stepper = case.peer(case)
    start = jax.numpy.asarray(case.sign * case.start[None], dtype=str(dtype).removeprefix("torch."))

    def many(step: Callable[[Any], Any], state: Any) -> Any:
        return jax.lax.scan(lambda u, _: (step(u), None), state, None, length=case.steps)[0]

    def inside(u: Any) -> Any:
        ends = many(stepper.step_fourier, exponax.fft(u, num_spatial_dims=case.axes))
        return exponax.ifft(ends, num_spatial_dims=case.axes, num_points=case.points)

    compiled = {CALLED: jax.jit(lambda u: many(stepper, u)), INSIDE: jax.jit(inside)}
    return {name: lambda run=run: case.sign * np.asarray(run(start))[0] for name, run in compiled.items()}


def reference(case: Case) -> Any:
    """The solution of the equation, from a finer grid and smaller steps."""
    between = BETWEEN[case.axes]
    found = with_kutta(replace(case, points=between * case.points), torch.float64, kt.Eager(), FINER)()
    return found[(slice(None, None, between),) * case.axes]


def compare(report: Report, case: Case, dtype: torch.dtype, repeats: int, absent: Sequence[str]) -> None:
    """Times of a step, errors, and ratios round by round."""
    runs = {OURS: with_kutta(case, dtype, kt.Compiled()), EAGER: with_kutta(case, dtype, kt.Eager())}
    expected = reference(case)
    if "exponax" not in absent:
        runs |= with_exponax(case, dtype)
    errors = {name: np.abs(run() - expected).max() / np.abs(expected).max() for name, run in runs.items()}
    timings = measure(runs, repeats)
    title = f"{case}, {str(dtype).removeprefix('torch.')}, {case.steps} steps of {case.dt:g}"
    table = report.table(title, "solver", "microseconds a step", "error", f"this / {OURS}", "bar")
    for name, seconds in timings.items():
        slower = ratio(seconds, timings[OURS])
        bar = verdict(slower, 1.0) if name in (CALLED, INSIDE) else None
        table.add(name, Spread.of([1e6 * one / case.steps for one in seconds]), float(errors[name]), slower, bar)
    report.data[title] = timings


NOTES = (
    "The same equation, grid and step size, and two thirds of the waves in products; a whole call from a field to a "
    "field, of kutta's with all that `kutta.solve` does for a problem that it is given. Right-hand sides take the same "
    "transforms, but for the Navier-Stokes equations, where kutta's takes four and exponax's five. Compilation is not "
    "in the times.",
    "A call a step: exponax's stepper, as its users iterate it, transforms the state back after every step. In Fourier "
    "space: its `step_fourier`, which does not. kutta's state stays there likewise. JAX takes as many threads as there "
    "are cores, and kutta those of PyTorch that are said above.",
    f"Error: the largest, over the largest value, against steps {FINER} times smaller in float64 on a grid of "
    f"{BETWEEN[1]} times the points in one dimension and {BETWEEN[2]} times along each axis in two: so waves that a "
    "grid lacks count, and which of them a library leaves out. Solutions of the Kuramoto-Sivashinsky equation part "
    "exponentially, so that roundings show in float32.",
)


@torch.no_grad()
def main(argv: Sequence[str] | None = None) -> Report:
    """Run and report."""
    options = arguments(argv, __doc__, repeats=9)
    absent = _peers.missing(("exponax",))
    settings = {"repeats": options.repeats, "absent": absent}
    report = Report("spectral-exponax", "What does a step in a Fourier space cost?", settings)
    report.notes += NOTES
    for dtype in (torch.float32, torch.float64):
        for case in cases(options.quick):
            with _precision(dtype, absent):
                compare(report, case, dtype, options.repeats, absent)
    finish(report, options)
    return report


def _precision(dtype: torch.dtype, absent: Sequence[str]) -> Any:
    if "exponax" in absent or dtype is torch.float32:
        return nullcontext()
    import jax

    return jax.enable_x64(True)


if __name__ == "__main__":
    main()
