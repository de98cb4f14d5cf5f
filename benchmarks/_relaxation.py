"""Sequences of systems whose best relaxation changes, and what every relaxation costs on each of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

import kutta as kt

F64 = torch.float64
Solve = Callable[[float], kt.Solution]
OMEGAS = torch.linspace(1.0, 1.95, 20, dtype=F64).tolist()
TOLERANCE = 1e-8
# Contexts: the shift itself, and the logarithm of the diffusivity.
SHIFTS, DIFFUSIVITIES = (-0.15, 0.45), (-3.0, 1.0)


@dataclass(frozen=True)
class Sequence:
    """Systems, one after the other.

    Attributes:
        costs: iterations of each with each relaxation, ``(systems, relaxations)``.
        contexts: what is known of each beforehand, ``(systems,)``.
        interval: in which contexts lie.
    """

    costs: Tensor
    contexts: Tensor
    interval: tuple[float, float]


def five_point(n: int) -> Tensor:
    """The Laplacian of ``n x n`` interior points without the ``1 / h^2``, negated: 4 on the diagonal, and -1."""
    place = torch.arange(n * n).reshape(n, n)
    pairs = torch.stack(
        [
            torch.cat([place[1:].flatten(), place[:, 1:].flatten()]),
            torch.cat([place[:-1].flatten(), place[:, :-1].flatten()]),
        ]
    )
    places = torch.cat([pairs, pairs.flip(0), place.reshape(1, -1).expand(2, -1)], 1)
    values = torch.where(places[0] == places[1], 4.0, -1.0).to(F64)
    return torch.sparse_coo_tensor(places, values, (n * n, n * n), check_invariants=True).coalesce()


def shifted_laplacians(alpha: float, beta: float, count: int, side: int = 10, seed: int = 0) -> Sequence:
    """SOR for ``(A + c I) x = b`` on points of a square, with ``c`` from -0.15 to 0.45 by a beta distribution.

    Right-hand sides are directions of a normal distribution; lengths do not matter to a relative tolerance.
    """
    generator = np.random.default_rng(seed)
    low, high = SHIFTS
    shifts = torch.from_numpy(low + (high - low) * np.sort(generator.beta(alpha, beta, count)))
    b = torch.from_numpy(generator.standard_normal((count, side**2)))
    matrix, eye = five_point(side).to_dense(), torch.eye(side**2, dtype=F64)
    parts = []
    # Neighbours in a batch need about as many iterations.
    for c, right in zip(shifts.split(250), b.split(250), strict=True):
        operator = kt.algebra.Dense(matrix + c[:, None, None] * eye, definite=True)
        columns = [kt.solve(kt.LinearProblem(operator, right), kt.SOR(w), rtol=TOLERANCE).stats.steps for w in OMEGAS]
        parts.append(torch.stack([torch.as_tensor(column) for column in columns], -1))
    mixed = torch.from_numpy(generator.permutation(count))
    return Sequence(torch.cat(parts)[mixed], shifts[mixed], SHIFTS)


def diffusivity(t: float) -> float:
    """Small and large by turns."""
    return max(0.1 * math.sin(2.0 * math.pi * t), -10.0 * math.sin(2.0 * math.pi * t))


def heat(n: int, steps: int, choose: Callable[[float, Solve], tuple[Tensor, Any]], dt: float = 1e-3) -> Iterator[Any]:
    """The heat equation on the unit square by Crank and Nicolson's rule; what `choose` gave for each step's system.

    ``u_t = kappa(t) (u_xx + u_yy) + f``, zero at the walls, from a bump of radius 1/4 in the middle, with a bump of
    radius 1/8 and height factor 32 that circles 8 times per unit of time as the forcing.

    Args:
        n: interior points of each axis.
        steps: how many.
        choose: is given ``kappa`` and ``solve(omega)``, and says what the next state is, and what to yield.
        dt: the size of the steps.
    """
    h = 1.0 / (n + 1)
    axis = h * torch.arange(1, n + 1, dtype=F64)
    x, y = torch.meshgrid(axis, axis, indexing="ij")

    def bump(centre_x: float, centre_y: float, radius: float) -> Tensor:
        r = (((x - centre_x) ** 2 + (y - centre_y) ** 2) / radius**2).reshape(-1)
        return torch.where(r < 1.0, torch.exp(-1.0 / (1.0 - r).clamp_min(1e-9)), 0.0)

    def forcing(t: float) -> Tensor:
        angle = 16.0 * math.pi * t
        return 32.0 * bump(0.5 + 0.25 * math.cos(angle), 0.5 + 0.25 * math.sin(angle), 0.125)

    laplacian = kt.algebra.Sparse(five_point(n), definite=True).shifted(0.0, -1.0 / h**2)
    u = bump(0.5, 0.5, 0.25)
    for step in range(steps):
        t = step * dt
        now, later = diffusivity(t), diffusivity(t + dt)
        b = u + 0.5 * dt * (now * laplacian.apply(u) + forcing(t) + forcing(t + dt))
        operator = laplacian.shifted(1.0, -0.5 * dt * later)
        u, found = choose(later, partial(conjugate_gradients, kt.LinearProblem(operator, b, guess=u)))
        yield found


def conjugate_gradients(problem: kt.LinearProblem, omega: float) -> kt.Solution:
    """A solve to a tolerance relative to the residual of the guess."""
    atol = TOLERANCE * float((problem.b - problem.operator.apply(problem.guess)).norm())
    return kt.solve(problem, kt.CG(kt.SOR(omega, symmetric=True)), rtol=0.0, atol=atol)


def context_of(kappa: float) -> float:
    """The logarithm of a diffusivity, no less than what the tuner is told to expect."""
    return math.log10(max(kappa, 10.0 ** DIFFUSIVITIES[0]))


def heat_sequence(n: int, steps: int) -> Sequence:
    """The systems of `heat`, each solved with every relaxation."""

    def choose(kappa: float, solve: Solve) -> tuple[Tensor, Any]:
        solutions = [solve(omega) for omega in OMEGAS]
        return solutions[0].y1, (context_of(kappa), [one.stats.steps for one in solutions])

    contexts, costs = zip(*heat(n, steps, choose), strict=True)
    return Sequence(torch.tensor(costs), torch.tensor(contexts, dtype=F64), DIFFUSIVITIES)


def heat_online(n: int, steps: int, tuner: kt.algebra.Tuner[float], contextual: bool) -> int:
    """Iterations of `heat` in the hands of a tuner, each system solved once."""

    def choose(kappa: float, solve: Solve) -> tuple[Tensor, Any]:
        solution = solve(tuner.suggest(context_of(kappa) if contextual else None))
        tuner.report(solution.stats.steps)
        return solution.y1, solution.stats.steps

    return sum(heat(n, steps, choose))


def played(sequence: Sequence, strategy: kt.algebra.Strategy, rounds: int, seed: int) -> float:
    """Iterations of a tuner over so many systems: all in their order, or drawn where there are fewer or more."""
    costs, contexts = sequence.costs.tolist(), sequence.contexts.tolist()
    order = range(rounds) if rounds == len(costs) else np.random.default_rng(seed).integers(len(costs), size=rounds)
    contextual = not isinstance(strategy, kt.algebra.TsallisINF)
    tuner, total = kt.algebra.Tuner(range(len(costs[0])), strategy, seed), 0.0
    for k in order:
        cost = costs[k][tuner.suggest(contexts[k] if contextual else None)]
        tuner.report(cost)
        total += cost
    return total
