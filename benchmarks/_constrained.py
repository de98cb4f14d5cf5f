"""Equations that networks are told, what they are told with, and what else solves them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from scipy.interpolate import RBFInterpolator
from torch import Tensor

import kutta as kt

operators = kt.operators
LAYERS, FUNCTIONS, RIDGE, MOST, OVERLAP = 4, 8, 1e-3, 12, 0.25
DRAWN = 1000  # points of an expert where residuals count themselves
SEED_OF_TESTS, SEED_OF_KNOWN = 11, 12


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
        solvers: that it is compared with.
        one_number: whether its problems differ by one number, their initial state.
        published: which models are also trained as published, by residuals.
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
    solvers: tuple[Any, ...]
    one_number: bool = False
    published: tuple[str, ...] = ()

    @property
    def models(self) -> list[str]:
        """Those of its table, from the worst to the best that can be expected."""
        return [f"{name}, residual (as published)" for name in self.published] + [SOFT, HARD, APART, JOINT]

    def small(self) -> Case:
        """The same in little."""
        return replace(self, points=16, times=4, modes=tuple(2 for _ in self.modes), width=4)


SOFT, HARD, APART, JOINT = "PI-SC", "PI-HC", "MoE, apart", "MoE, joint"
_DIFFUSES = operators.EstimatedError(1.3e-4, waves=32)  # about D / R
CASES = (
    Case(
        "Diffusion and sorption, constant initial states (PDEBench)",
        lambda points: operators.data.diffusion_sorption(points, varied=False),
        128, 32, (1, 4), (16, 16), 24, _DIFFUSES, 0.0, 6, 2e-3, (kt.RKC2(), kt.Rodas5P()), True, (SOFT, HARD, APART),
    ),
    Case(
        "Diffusion and sorption, varied in space, varied coefficients",
        operators.data.diffusion_sorption,
        128, 32, (1, 4), (16, 16), 24, _DIFFUSES, 0.0, 6, 2e-3, (kt.RKC2(), kt.Rodas5P()),
    ),
    Case(
        "Burgers, viscosity 0.01",
        operators.data.burgers,
        128, 32, (1, 4), (16, 16), 24, operators.EstimatedError(0.01, waves=32), 0.3, 6, 5e-3,
        (kt.RKC2(), kt.ETDRK4(), kt.Rodas5P()),
    ),
    Case(
        "Navier-Stokes, vorticity in the plane, viscosity 0.001",
        lambda points: operators.data.navier_stokes(points, 1e-3, 5.0),
        24, 12, (1, 2, 2), (6, 8, 8), 16, operators.EstimatedError(1e-3, waves=16), 1.0, 2, 2e-3,
        (kt.RKC2(), kt.ETDRK4()), False, (HARD, APART),
    ),
)  # fmt: skip


def model_of(name: str, case: Case) -> Any:
    """A model of a table."""
    inputs = case.family(case.points).inputs
    kind, published = name.split(", residual")[0], "published" in name
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


def errors(u: Tensor, exact: Tensor) -> Tensor:
    """The relative L2 error of each, over all times."""
    squares = [one.square().movedim(1, 0).flatten(1).sum(1) for one in (u - exact, exact)]
    return (squares[0] / squares[1]).sqrt()


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
    return 100.0 * float(errors(u, exact).mean())


def between_random(case: Case, count: int, tests: tuple[Any, Tensor]) -> float:
    """The same between random problems, by radial functions of all that differs."""
    known, solutions = solved(case, count, SEED_OF_KNOWN)
    names = case.family(case.points).inputs
    scale = _read(known, names).std(0).clamp(min=1e-12)
    change = (solutions - known.u0).movedim(1, 0).flatten(1)
    interpolate = RBFInterpolator((_read(known, names) / scale).numpy(), change.numpy(), kernel="linear", degree=0)
    problem, exact = tests
    found = torch.from_numpy(interpolate((_read(problem, names) / scale).numpy()))
    u = problem.u0 + found.unflatten(1, (exact.shape[0], *exact.shape[2:])).movedim(0, 1)
    return 100.0 * float(errors(u, exact).mean())


def _read(problem: Any, names: Sequence[str]) -> Tensor:
    """All that a network reads, as rows."""
    fields = [problem.u0 if name == "u0" else getattr(problem.equation, name) for name in names]
    return torch.cat([one.flatten(1) for one in fields], 1)


def solver(case: Case, method: Any, rtol: float, tests: tuple[Any, Tensor]) -> tuple[float, float]:
    """Errors, in percent, and seconds a problem of a solver with this tolerance, of all problems at once."""
    problem, exact = tests
    begun = time.perf_counter()
    u = kt.solve(problem, method, save_at=_times(case, problem), rtol=rtol, atol=1e-2 * rtol).ys
    return 100.0 * float(errors(u, exact).mean()), (time.perf_counter() - begun) / exact.shape[1]


def _times(case: Case, problem: Any) -> Tensor:
    return torch.linspace(0.0, float(problem.t_span[1]), case.times + 1, dtype=torch.float64)
