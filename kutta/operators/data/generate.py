"""Data from the library's own solvers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from typing import Any

import torch
from torch import Tensor

from kutta.operators.data.family import Family
from kutta.operators.data.fields import Data
from kutta.operators.scope import read_inputs, scope_of
from kutta.optional import needed
from kutta.pde.problem import PDEProblem
from kutta.solve import solve

# A large odd factor keeps the seeds of neighbouring runs and batches apart.
_APART = 0x9E3779B97F4A7C15


def generate(
    family: Family,
    count: int,
    seed: int = 0,
    batch: int = 32,
    dtype: torch.dtype = torch.float32,
    progress: bool = False,
) -> Data:
    """Draw problems, solve them, and keep what a network learns from.

    A problem depends on the seed and on its number alone for the same `batch`.

    Args:
        family: of problems.
        count: of problems; with ``family.times`` steps each, there are as many times more samples.
        seed: of the random numbers.
        batch: problems that are solved at once.
        dtype: of the fields that are kept; solutions are computed in float64.
        progress: whether to show a bar.

    Returns:
        the samples; steps of one trajectory follow one another.

    Raises:
        ValueError: for no problems.
        SolveError: for a problem that is not solved.

    Example:
        >>> import kutta as kt
        >>> family = kt.operators.data.burgers(points=32, times=4, end=0.4)
        >>> data = kt.operators.data.generate(family, 3, seed=1)
        >>> data.inputs.shape, data.scope.step, bool((data.inputs[1] == data.outputs[0]).all())
        (torch.Size([12, 1, 32]), 0.1, True)
    """
    if count < 1 or batch < 1:
        raise ValueError(f"count and batch must be at least 1; got {count} and {batch}")
    rounds = -(-count // batch)
    batches: Any = islice(solved_batches(family, seed, batch), rounds)
    if progress:
        batches = needed("tqdm.auto", "progress=True", "progress").tqdm(batches, f"{family.name}: batches", rounds)
    found = list(batches)
    rows, problem = count * family.times, found[0][0]
    a, u = (torch.cat([one[place] for one in found])[:rows] for place in (1, 2))
    manifest = {
        "family": family.name,
        "count": count,
        "seed": seed,
        "batch": batch,
        "method": "" if family.method is None else repr(family.method),
        "options": dict(family.options),
    }
    scope = scope_of(problem, family.inputs, a, family.times)
    return Data(a.to(dtype), u.to(dtype), scope, manifest)


def solved_batches(family: Family, seed: int, batch: int, first: int = 0) -> Iterator[tuple[Any, Tensor, Tensor]]:
    """Problems without end, each batch with what is read off it and its solution, in float64.

    Args:
        family: of problems.
        seed: of the random numbers.
        batch: problems that are solved at once.
        first: the number of the first batch.
    """
    number = first
    while True:
        generator = torch.Generator().manual_seed((seed + _APART * (number + 1)) % 2**63)
        problem = family.draw(batch, generator)
        yield problem, *samples(family, problem)
        number += 1


@torch.no_grad()
def samples(family: Family, problem: Any) -> tuple[Tensor, Tensor]:
    """The inputs and outputs of a batch of problems, ``(n times, channels, *shape)``."""
    options: dict[str, Any] = dict(family.options)
    if isinstance(problem, PDEProblem):
        start, end = map(float, problem.t_span)
        options["save_at"] = torch.linspace(start, end, family.times + 1, dtype=torch.float64)
        states = solve(problem, family.method, **options).ys
        before = [read_inputs(replace(problem, u0=u), family.inputs) for u in states[:-1]]
        a, u = torch.stack(before, 1), states[1:].transpose(0, 1)
        u = u if len(problem.equation.components) > 1 else u.unsqueeze(2)
        return a.flatten(0, 1), u.flatten(0, 1)
    return read_inputs(problem, family.inputs), solve(problem, family.method, **options).y1.unsqueeze(1)
