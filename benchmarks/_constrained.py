"""Equations that networks are told, what they are told with, and what else solves them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from statistics import median
from typing import Any

import torch
from scipy.integrate import solve_ivp
from scipy.interpolate import RBFInterpolator
from torch import Tensor

import kutta as kt

operators = kt.operators
LAYERS, FUNCTIONS, RIDGE, MOST, OVERLAP = 4, 8, 1e-3, 12, 0.25
LSODA = "LSODA, banded (SciPy)"
SOFT, HARD, APART, JOINT = "PI-SC", "PI-HC", "MoE, apart", "MoE, joint"
DRAWN = 1000  # points of an expert where residuals count themselves
SEED_OF_TESTS, SEED_OF_KNOWN = 11, 12
ROUNDS = 3


@dataclass(frozen=True)
class Case:
    """A family of problems, and the settings of all its models.

    Attributes:
        title: what it is.
        family: makes it, of so many points along each axis.
        points: along each axis.
        times: steps.
        boxes: of experts, along time and space.
        modes: of the network.
        width: of it.
        measure: of residuals.
        ramp: how soon fields are free.
        batch: problems in a step of training.
        rate: of learning.
        solvers: that it is compared with, of `SOLVERS`.
        one_number: whether its problems differ by one number, their initial state.
        published: which models are also trained by residuals, as published.
        steps: of training.
        tests: problems that errors are taken of.
        experts: which of them are trained.
    """

    title: str
    family: Callable[[int], Any]
    points: int
    times: int
    boxes: tuple[int, ...]
    modes: tuple[int, ...]
    width: int
    measure: Any
    ramp: float
    batch: int
    rate: float
    solvers: tuple[str, ...]
    one_number: bool = False
    published: tuple[str, ...] = ()
    steps: int = 200
    tests: int = 32
    experts: tuple[str, ...] = (APART, JOINT)

    @property
    def models(self) -> list[str]:
        """Those of its table, from the worst to the best that can be expected."""
        return [f"{name}, residual, boxes that meet" for name in self.published] + [SOFT, HARD, *self.experts]

    def small(self) -> Case:
        """The same in little."""
        modes = tuple(2 for _ in self.modes)
        return replace(self, points=16, times=4, modes=modes, width=4, steps=2, tests=2)


_DIFFUSES = operators.EstimatedError(1.3e-4, waves=32)  # about D / R
CASES = (
    Case(
        "Diffusion and sorption, constant initial states (as in PDEBench)",
        partial(operators.data.diffusion_sorption, varied=False),
        128, 32, (1, 4), (16, 16), 24, _DIFFUSES, 0.0, 6, 2e-3, ("RKC2", LSODA), True, (SOFT, HARD, APART),
    ),
    Case(
        "Diffusion and sorption, varied in space, varied coefficients",
        operators.data.diffusion_sorption,
        128, 32, (1, 4), (16, 16), 24, _DIFFUSES, 0.0, 6, 2e-3, ("RKC2", LSODA),
    ),
    Case(
        "Burgers, viscosity 0.01",
        operators.data.burgers,
        128, 32, (1, 4), (16, 16), 24, operators.EstimatedError(0.01, waves=32), 0.3, 6, 5e-3,
        ("RKC2", "ETDRK4"),
    ),
    Case(
        "Navier-Stokes, vorticity in the plane, viscosity 0.001",
        partial(operators.data.navier_stokes, viscosity=1e-3, end=5.0),
        24, 12, (1, 2, 2), (6, 8, 8), 16, operators.EstimatedError(1e-3, waves=16), 1.0, 2, 2e-3,
        ("RKC2", "ETDRK4"), False, (HARD, APART),
    ),
)  # fmt: skip
CONSTANT_SORPTION, _, BURGERS, _ = CASES


def model_of(name: str, case: Case) -> Any:
    """A model of a table."""
    inputs = case.family(case.points).inputs
    kind, published = name.split(", residual")[0], "residual" in name
    functions = 1 if kind == SOFT else FUNCTIONS
    backbone = operators.FNO(len(inputs), functions, case.modes, width=case.width, layers=LAYERS)
    shared: dict[str, Any] = {"inputs": inputs, "ramp": case.ramp}
    shared |= {} if published else {"measure": case.measure}
    hard = {**shared, "ridge": RIDGE, "max_steps": MOST}
    boxes = operators.Boxes(case.boxes, 0.0 if published else OVERLAP)
    makers: dict[str, Callable[[], Any]] = {
        SOFT: lambda: operators.SoftConstraint(backbone, case.times, **shared),
        HARD: lambda: operators.ConstrainedBasis(
            backbone, case.times, **hard, points=DRAWN * boxes.experts if published else None
        ),
        APART: lambda: operators.MixtureOfExperts(
            backbone, case.times, boxes, **hard, points=DRAWN if published else None
        ),
        JOINT: lambda: operators.JointExperts(backbone, case.times, boxes, **hard),
    }
    return makers[kind]()


def solved(case: Case, count: int, seed: int) -> tuple[Any, Tensor]:
    """Problems, and their solutions at all times."""
    family = case.family(case.points)
    problem = family.draw(count, torch.Generator().manual_seed(seed))
    return problem, kt.solve(problem, family.method, save_at=_times(case, problem), **family.options).ys


def tests(case: Case) -> tuple[Any, Tensor]:
    """Those that all errors of a case are taken of, and their solutions."""
    return solved(case, case.tests, SEED_OF_TESTS)


def errors(u: Tensor, exact: Tensor, problem: Any) -> Tensor:
    """The relative L2 error of each, over all times."""
    return operators.metrics.relative_l2(u.transpose(0, 1), exact.transpose(0, 1), problem.grid)


def between_constants(case: Case, count: int, tests: tuple[Any, Tensor]) -> float:
    """Errors, in percent, of interpolation between the solutions for so many constant initial states."""
    problem, exact = tests
    levels = torch.linspace(0.0, 0.2, count, dtype=torch.float64)
    known = problem.equation.problem(problem.grid, levels[:, None].expand(-1, case.points), problem.t_span)
    family = case.family(case.points)
    solutions = kt.solve(known, family.method, save_at=_times(case, problem), **family.options).ys
    place = problem.u0[:, 0] / levels[1]
    left = place.floor().clamp(max=count - 2).long()
    share = (place - left)[None, :, None]
    u = (1.0 - share) * solutions[:, left] + share * solutions[:, left + 1]
    return 100.0 * float(errors(u, exact, problem).mean())


def between_random(case: Case, count: int, tests: tuple[Any, Tensor]) -> tuple[float, float]:
    """The same between random problems, by radial functions of all that differs; and the seconds that all takes."""
    begun = time.perf_counter()
    known, solutions = solved(case, count, SEED_OF_KNOWN)
    names = case.family(case.points).inputs
    scale = _read(known, names).std(0).clamp(min=1e-12)
    change = (solutions - known.u0).movedim(1, 0).flatten(1)
    interpolate = RBFInterpolator((_read(known, names) / scale).numpy(), change.numpy(), kernel="linear", degree=0)
    seconds = time.perf_counter() - begun
    problem, exact = tests
    found = torch.from_numpy(interpolate((_read(problem, names) / scale).numpy()))
    u = problem.u0 + found.unflatten(1, (exact.shape[0], *exact.shape[2:])).movedim(0, 1)
    return 100.0 * float(errors(u, exact, problem).mean()), seconds


def _read(problem: Any, names: Sequence[str]) -> Tensor:
    """All that a network reads, as rows."""
    fields = [problem.u0 if name == "u0" else getattr(problem.equation, name) for name in names]
    return torch.cat([one.flatten(1) for one in fields], 1)


def by_kutta(method: Any, case: Case, problem: Any, rtol: float) -> Tensor:
    """All problems at once."""
    return kt.solve(problem, method, save_at=_times(case, problem), rtol=rtol, atol=1e-2 * rtol).ys


def by_lsoda(case: Case, problem: Any, rtol: float) -> Tensor:
    """One problem after the other, with tridiagonal Jacobians."""
    return torch.stack([_one_by_lsoda(case, problem, number, rtol) for number in range(len(problem.u0))], 1)


def _one_by_lsoda(case: Case, problem: Any, number: int, rtol: float) -> Tensor:
    varied = [name for name in case.family(case.points).inputs if name != "u0"]
    equation = replace(problem.equation, **{name: getattr(problem.equation, name)[number] for name in varied})
    f = replace(problem, equation=equation, u0=problem.u0[number]).as_ode().f
    found = solve_ivp(
        lambda t, u: f(torch.tensor(t), torch.from_numpy(u)).numpy(),
        tuple(map(float, problem.t_span)),
        problem.u0[number].numpy(),
        "LSODA",
        _times(case, problem).numpy(),
        rtol=rtol,
        atol=1e-2 * rtol,
        lband=1,
        uband=1,
    )
    return torch.from_numpy(found.y.T)


SOLVERS: dict[str, Callable[[Case, Any, float], Tensor]] = {
    "RKC2": partial(by_kutta, kt.RKC2()),
    "ETDRK4": partial(by_kutta, kt.ETDRK4()),
    LSODA: by_lsoda,
}


def solver(case: Case, name: str, rtol: float, tests: tuple[Any, Tensor]) -> tuple[float, float]:
    """Errors, in percent, and seconds a problem of a solver with this tolerance, the median of three."""
    problem, exact = tests
    seconds = []
    for _ in range(ROUNDS):
        begun = time.perf_counter()
        u = SOLVERS[name](case, problem, rtol)
        seconds.append((time.perf_counter() - begun) / exact.shape[1])
    return 100.0 * float(errors(u, exact, problem).mean()), median(seconds)  # type: ignore[possibly-undefined]


def _times(case: Case, problem: Any) -> Tensor:
    return torch.linspace(0.0, float(problem.t_span[1]), case.times + 1, dtype=torch.float64)
