"""Errors and times of methods, on the same problems."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import torch
from torch import Tensor

from kutta.operators.data.family import Family
from kutta.operators.metrics.errors import relative_l2
from kutta.operators.scope import parts_of
from kutta.optional import needed
from kutta.solve import solve


@dataclass(frozen=True)
class Row:
    """What a method achieved.

    Attributes:
        name: of it.
        error: the median over problems of ``|u - u*| / |u*|`` at the final time.
        worst: the largest.
        seconds: for one problem, the median over rounds of the time for all of them together, over their number.
    """

    name: str
    error: float
    worst: float
    seconds: float


def compare(
    family: Family,
    methods: Mapping[str, Any],
    count: int = 16,
    rounds: int = 5,
    seed: int = 2**20,
    progress: bool = False,
) -> list[Row]:
    """Let methods solve the same problems, and measure errors and times in one run.

    All take turns in each round, so that what else the machine does falls on all of them alike.

    Args:
        family: of the problems.
        methods: by name: a method, such as a `kutta.operators.Surrogate`, or a pair of a method and the arguments of
            `kutta.solve`, such as tolerances.
        count: of problems, solved as one batch.
        rounds: of which the first, in which everything is set up, does not count.
        seed: of the problems; other ones than of the training.
        progress: whether to show a bar.

    Returns:
        a row for each method. Errors are against the family's own solution.

    Example:
        >>> import kutta as kt
        >>> family = kt.operators.data.darcy(points=16)
        >>> methods = {"multigrid": (kt.Multigrid(), {"rtol": 1e-3}), "on 8^2": kt.operators.Coarsened(2)}
        >>> rows = kt.operators.compare(family, methods, count=4, rounds=2)
        >>> [row.name for row in rows], rows[0].error < rows[1].error < 0.2
        (['multigrid', 'on 8^2'], True)
    """
    problem = family.draw(count, torch.Generator().manual_seed(seed))
    _, grid = parts_of(problem)
    exact = _solved(problem, family.method, dict(family.options))
    pairs = {name: one if isinstance(one, tuple) else (one, {}) for name, one in methods.items()}
    seconds: dict[str, list[float]] = {name: [] for name in pairs}
    errors: dict[str, Tensor] = {}
    turns: Any = range(rounds + 1)
    if progress:
        turns = needed("tqdm.auto", "progress=True", "progress").tqdm(turns, "Comparing: rounds")
    for _ in turns:
        for name, (method, options) in pairs.items():
            start = time.perf_counter()
            found = _solved(problem, method, options)
            seconds[name].append((time.perf_counter() - start) / count)
            errors[name] = relative_l2(found, exact, grid)
    return [Row(name, float(e.median()), float(e.max()), median(seconds[name][1:])) for name, e in errors.items()]


def as_exact_as(family: Family, ladder: Sequence[tuple[str, Any]], error: float, **options: Any) -> Row:
    """The fastest of some methods whose error is no larger; the most exact one, if there is none.

    Args:
        family: of the problems.
        ladder: names and methods, as `compare` takes them, such as one method with several tolerances, on coarser and
            finer grids.
        error: to be reached.
        options: of `compare`.
    """
    return fastest(compare(family, dict(ladder), **options), error)


def fastest(rows: Sequence[Row], error: float) -> Row:
    """The same of methods that have been compared."""
    good = [row for row in rows if row.error <= error]
    return min(good, key=lambda row: row.seconds) if good else min(rows, key=lambda row: row.error)


def break_even(training: float, surrogate: Row, classical: Row) -> float:
    """After how many problems a surrogate has paid for what it was made from; infinite if it is not the faster one.

    Args:
        training: seconds that data and training took.
        surrogate: what it achieves.
        classical: the solver it is compared with, at equal accuracy.
    """
    saved = classical.seconds - surrogate.seconds
    return training / saved if saved > 0.0 else float("inf")


@torch.no_grad()
def _solved(problem: Any, method: Any, options: Mapping[str, Any]) -> Tensor:
    found = solve(problem, method, **options).y1
    if found.device.type == "cuda":
        torch.cuda.synchronize(found.device)
    return found
