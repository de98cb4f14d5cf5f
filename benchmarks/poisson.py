"""Poisson's equation and Darcy's in two and three dimensions: kutta against pyamg and SciPy."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

import kutta as kt
from benchmarks._measure import Spread, measure, ratio
from benchmarks._report import Report, arguments, finish, verdict

RTOL, BAR, FLAT = 1e-8, 4.0, 1.3
FACTORS, NEAR = (0.345, 0.102), 0.02  # of V(1,1) in two dimensions, and how near to them is met
PEER, SAME, CHOSEN = "pyamg Ruge-Stueben", "kutta Multigrid", "kutta, its choice"
# Factorisations of larger systems than these take minutes or more memory than there is, and plain iterations minutes.
LARGEST_DIRECT, LARGEST_PLAIN = {2: 512, 3: 24}, 300_000


@dataclass(frozen=True)
class Case:
    """``-div(a grad u) = f`` on the cells of a box with zero at its sides.

    Attributes:
        name: of the problem.
        shape: cells along each axis.
        a: the coefficient, or nothing where it is 1.
        u: the solution, where it is known.
        f: the right-hand side.
    """

    name: str
    shape: tuple[int, ...]
    a: torch.Tensor | None
    u: torch.Tensor | None
    f: torch.Tensor

    @property
    def grid(self) -> Any:
        return kt.pde.Grid(self.shape, boundary=kt.pde.Dirichlet())


def poisson(n: int, dim: int) -> Case:
    """``u = prod x (1 - x) exp(x)``, which is no eigenvector of anything."""
    x = kt.pde.Grid((n,) * dim, boundary=kt.pde.Dirichlet()).points()
    parts, bent = x * (1 - x) * x.exp(), -(x + 3) * x * x.exp()
    f = -sum(bent[k] * torch.cat([parts[:k], parts[k + 1 :]]).prod(0) for k in range(dim))
    return Case(f"Poisson {n}^{dim}", (n,) * dim, None, parts.prod(0), torch.as_tensor(f))


def darcy(n: int, contrast: float = 1e4) -> Case:
    """Two phases: a smooth random field, cut at its median."""
    generator = torch.Generator().manual_seed(0)
    x = kt.pde.Grid((n, n), boundary=kt.pde.Dirichlet()).points()
    k = torch.arange(12, dtype=torch.float64)
    weights = torch.randn(12, 12, generator=generator, dtype=torch.float64) / (9.0 + k[:, None] ** 2 + k**2)
    waves = [torch.cos(torch.pi * k[:, None] * x[axis].select(1 - axis, 0)) for axis in (0, 1)]
    field = waves[0].mT @ weights @ waves[1]
    a = torch.where(field > field.median(), contrast, 1.0).to(torch.float64)
    return Case(f"Darcy {n}^2, contrast {contrast:g}", (n, n), a, None, torch.ones(n, n, dtype=torch.float64))


@dataclass(frozen=True)
class Solver:
    """One way to a solution.

    Attributes:
        name: of it.
        run: all that it takes from the matrix or the grid, with its setup.
        solution: what a run returned, as a flat array.
        steps: iterations of it.
    """

    name: str
    run: Callable[[], Any]
    solution: Callable[[Any], np.ndarray[Any, Any]]
    steps: Callable[[Any], int | None]


def ours(case: Case, name: str, method: Any) -> Solver:
    """A call of ``kutta.solve``, from the grid and the coefficient on."""

    def run() -> Any:
        operator = kt.pde.Elliptic(case.grid, 1.0 if case.a is None else case.a)
        return kt.solve(kt.LinearProblem(operator, case.f), method, rtol=RTOL)

    return Solver(name, run, lambda sol: sol.y1.flatten().numpy(), lambda sol: sol.stats.steps)


def matrix(case: Case) -> Any:
    """The same matrix as a sparse one; this is not timed."""
    import scipy.sparse as sparse

    stencil = kt.pde.Elliptic(case.grid, 1.0 if case.a is None else case.a).network().stencil(case.f)
    diagonals, offsets = [stencil.diagonal.flatten().numpy()], [0]
    for axis, between in enumerate(stencil.between):
        count, stride = case.shape[axis], math.prod(case.shape[axis + 1 :])
        links = torch.zeros_like(case.f)
        links.narrow(axis, 0, count - 1).copy_(torch.as_tensor(between))
        beside = -links.flatten().numpy()[: case.f.numel() - stride]
        diagonals, offsets = [*diagonals, beside, beside], [*offsets, stride, -stride]
    return sparse.diags(diagonals, offsets, format="csr")


def theirs(case: Case) -> list[Solver]:
    """The solvers of pyamg and SciPy, with their setups."""
    import pyamg
    import scipy.sparse.linalg as linalg

    A, b = matrix(case), case.f.flatten().numpy()

    def algebraic(setup: Callable[[Any], Any], accel: str | None) -> Callable[[], Any]:
        def run() -> Any:
            residuals: list[float] = []
            return setup(A).solve(b, tol=RTOL, accel=accel, residuals=residuals), len(residuals) - 1

        return run

    def conjugate() -> Any:
        steps = [0]
        found, _ = linalg.cg(A, b, rtol=RTOL, maxiter=100_000, callback=lambda _: steps.__setitem__(0, steps[0] + 1))
        return found, steps[0]

    runs = {
        PEER: algebraic(pyamg.ruge_stuben_solver, None),
        f"{PEER}, CG": algebraic(pyamg.ruge_stuben_solver, "cg"),
        "pyamg smoothed aggregation, CG": algebraic(pyamg.smoothed_aggregation_solver, "cg"),
        "SciPy cg": conjugate,
    }
    if max(case.shape) <= LARGEST_DIRECT[len(case.shape)]:
        runs["SciPy spsolve"] = lambda: (linalg.spsolve(A.tocsc(), b), None)
    if case.a is not None or case.f.numel() > LARGEST_PLAIN:
        del runs["SciPy cg"]
    return [Solver(name, run, lambda found: found[0], lambda found: found[1]) for name, run in runs.items()]


def contenders(case: Case) -> list[Solver]:
    """All of them."""
    methods = {CHOSEN: None, SAME: kt.Multigrid(), "kutta CG(Multigrid)": kt.CG(kt.Multigrid())}
    if case.a is not None:  # the last one is the choice, and cycles alone do not converge
        methods = {CHOSEN: None}
    return [ours(case, name, method) for name, method in methods.items()] + theirs(case)


def compare(report: Report, case: Case, repeats: int) -> None:
    """Times beside residuals and errors."""
    found, A, b = contenders(case), matrix(case), case.f.flatten().numpy()
    timings = measure({one.name: one.run for one in found}, repeats)
    columns = ("solver", "ms", "residual", "error", "iterations", "ns / unknown", f"{PEER} / this", "bar")
    table = report.table(f"{case.name}, to {RTOL:g}", *columns)
    for one in found:
        result = one.run()
        x, faster = one.solution(result), ratio(timings[PEER], timings[one.name])
        residual = float(np.linalg.norm(b - A @ x) / np.linalg.norm(b))
        error = None if case.u is None else float(np.abs(x - case.u.flatten().numpy()).max())
        milliseconds = Spread.of([1e3 * seconds for seconds in timings[one.name]])
        each = Spread.of([1e9 * seconds / b.size for seconds in timings[one.name]])
        bar = verdict(faster, BAR) if case.name == "Poisson 1024^2" and one.name in (SAME, CHOSEN) else None
        table.add(one.name, milliseconds, residual, error, one.steps(result), each, faster, bar)
    report.data[case.name] = timings


def sizes(report: Report, counts: Sequence[int], dim: int, repeats: int) -> None:
    """Time of an unknown, over sizes: of a whole solve, and of one cycle."""
    cases = [poisson(n, dim) for n in counts]
    solves = {case.name: ours(case, SAME, kt.Multigrid()) for case in cases}
    cycles = {f"cycle, {case.name}": _cycle(case) for case in cases}
    timings = measure({name: one.run for name, one in solves.items()} | cycles, repeats)
    table = report.table(
        f"Multigrid over sizes, {dim}-D", "cells", "cycles", "solve, ns / unknown", "cycle, ns / unknown"
    )
    per_solve, per_cycle = [], []
    for case in cases:
        solve, cycle = (
            Spread.of([1e9 * seconds / case.f.numel() for seconds in timings[name]])
            for name in (case.name, f"cycle, {case.name}")
        )
        per_solve.append(solve.median)
        per_cycle.append(cycle.median)
        one = solves[case.name]
        table.add(case.name.removeprefix("Poisson "), one.steps(one.run()), solve, cycle)
    for name, part in (("all but the largest two", slice(-2)), ("the largest three", slice(-3, None))):
        table.add(name, None, _flat(per_solve[part]), _flat(per_cycle[part]))


def _flat(times: Sequence[float]) -> str:
    """Whether times of an unknown are the same on grids of all these sizes."""
    factor = max(times) / min(times)
    return f"within a factor of {factor:.2f}; <= {FLAT:g}: {'met' if factor <= FLAT else 'missed'}"


def _cycle(case: Case) -> Callable[[], Any]:
    operator = kt.pde.Elliptic(case.grid)
    cycles = kt.Multigrid().solver(operator, case.f, kt.algebra.Goal()).cycles
    u, f = torch.zeros_like(case.f), operator.gathered(case.f)
    return lambda: cycles.cycle_(u, f)


def factors(report: Report, quick: bool) -> None:
    """By what the thirteenth V(1,1) cycle multiplies the residual of a random field, at nodes."""
    table = report.table("Residual factors of V(1,1)", "unknowns", "damped Jacobi 4/5", "", "red-black", "")
    squares, cubes = ((31, 63), ()) if quick else ((31, 63, 127, 255, 511), (15, 31, 63))
    for shape in [(n, n) for n in squares] + [(n, n, n) for n in cubes]:
        found = [_factor(shape, smoother) for smoother in (kt.algebra.DampedJacobi(0.8), kt.algebra.RedBlack())]
        bars = [_near(*pair) if len(shape) == 2 else None for pair in zip(found, FACTORS, strict=True)]
        table.add(f"{shape[0]}^{len(shape)}", found[0], bars[0], found[1], bars[1])


def _near(found: float, wanted: float) -> str:
    met = "met" if abs(found / wanted - 1.0) <= NEAR else "missed"
    return f"{wanted:g} within {100 * NEAR:g} %: {met}"


def _factor(shape: tuple[int, ...], smoother: Any) -> float:
    starts = max(1, 2**16 // math.prod(shape))
    operator = kt.pde.Elliptic(kt.pde.Grid(tuple(n + 2 for n in shape), 1.0, "node", kt.pde.Dirichlet()))
    generator = torch.Generator().manual_seed(0)
    field = torch.randn(starts, *operator.grid.shape, generator=generator, dtype=torch.float64)
    cycles = kt.Multigrid(smoother=smoother).solver(operator, field, kt.algebra.Goal()).cycles
    u = operator.unknowns(field).clone()
    zero, norms = torch.zeros_like(u), []
    for _ in range(14):
        norms.append(float(cycles.residual(u, zero).norm()))
        cycles.cycle_(u, zero)
    return norms[13] / norms[12]


NOTES = (
    "Cells with zero at the sides; for Poisson the error is against the exact solution, the largest in any cell, "
    "which the discretisation bounds from below.",
    "All solvers start from the problem: pyamg from the assembled matrix, whose assembly is not counted; kutta from "
    "the grid and the coefficient, with all of its setup.",
    "kutta's choice is division in a sine transform for Poisson, and conjugate gradients with one cycle for Darcy.",
    "pyamg and SciPy's cg run on one thread; kutta on those of PyTorch that are said above.",
)


@torch.no_grad()
def main(argv: Sequence[str] | None = None) -> Report:
    """Run and report."""
    options = arguments(argv, __doc__, repeats=5)
    quick, repeats = options.quick, options.repeats
    load = f"{os.getloadavg()[0]:.1f}"
    settings = {"repeats": repeats, "dtype": "float64", "rtol": RTOL, "load before": load}
    report = Report("poisson", "What does an elliptic equation on a grid cost?", settings)
    report.notes += NOTES
    for case in [poisson(64, 2), poisson(12, 3)] if quick else [poisson(256, 2), poisson(1024, 2), poisson(64, 3)]:
        compare(report, case, repeats)
    compare(report, darcy(64 if quick else 512), repeats)
    sizes(report, (16, 32, 64) if quick else (64, 128, 256, 512, 1024, 2048), 2, repeats)
    sizes(report, (4, 8, 16) if quick else (32, 64, 128, 256), 3, repeats)
    factors(report, quick)
    finish(report, options)
    return report


if __name__ == "__main__":
    main()
