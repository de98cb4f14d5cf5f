"""Sequences of systems whose best relaxation changes, and what every relaxation costs on each of them."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

import kutta as kt
from kutta.solvers.engines.kernel.build import library

F64 = torch.float64
OMEGAS = torch.linspace(1.0, 1.95, 20, dtype=F64).tolist()
TOLERANCE, MOST = 1e-8, 100_000
# In which contexts lie: the shift itself, and the logarithm of the diffusivity.
SHIFTS, DIFFUSIVITIES = (-0.15, 0.45), (-3.0, 1.0)
BY_HAND = Path(__file__).parent / "_relaxation.cpp"


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


class System(NamedTuple):
    """``A x = b`` with the five-point operator of ``n x n`` points.

    Attributes:
        diagonal, beside: its entries are ``diagonal``, and ``-beside`` for neighbours.
        b: the right-hand side, ``(n^2,)``.
        guess: a first solution, where there is one.
    """

    diagonal: float
    beside: float
    b: Tensor
    guess: Tensor | None = None

    def iterations(self, omega: float) -> int:
        """Of SOR, or with a guess of CG with SSOR; by a program for this operator alone, for the sake of its speed."""
        n, numbers = math.isqrt(len(self.b)), (self.diagonal, self.beside, omega)
        vectors = [ctypes.c_void_p(one.data_ptr()) for one in (self.b, self.guess) if one is not None]
        call = by_hand().sor if self.guess is None else by_hand().conjugate_gradients
        return call(ctypes.c_long(n), *map(ctypes.c_double, numbers), *vectors, ctypes.c_double(TOLERANCE), MOST)

    def solved(self, omega: float) -> kt.Solution:
        """The same by kutta."""
        operator = self.beside * laplacian(math.isqrt(len(self.b)))
        operator = operator.shifted(self.diagonal - 4.0 * self.beside, 1.0)
        problem = kt.LinearProblem(operator, self.b, guess=self.guess)
        if self.guess is None:
            return kt.solve(problem, kt.SOR(omega), rtol=TOLERANCE)
        atol = TOLERANCE * float((self.b - operator.apply(self.guess)).norm())
        return kt.solve(problem, kt.CG(kt.SOR(omega, symmetric=True)), rtol=0.0, atol=atol)


@cache
def by_hand() -> Any:
    """The program in ``_relaxation.cpp``."""
    found = library(BY_HAND.read_text(encoding="utf-8"))
    found.sor.restype = found.conjugate_gradients.restype = ctypes.c_long
    return found


@cache
def laplacian(n: int) -> kt.algebra.Sparse:
    """4 on the diagonal and -1 for neighbours on ``n x n`` points, with zeros around them."""
    place = torch.arange(n * n).reshape(n, n)
    one = torch.cat([place[1:].flatten(), place[:, 1:].flatten()])
    other = torch.cat([place[:-1].flatten(), place[:, :-1].flatten()])
    rows, columns = (torch.cat([*both, place.flatten()]) for both in ((one, other), (other, one)))
    values = torch.where(rows == columns, 4.0, -1.0).to(F64)
    places = torch.stack([rows, columns])
    matrix = torch.sparse_coo_tensor(places, values, (n * n, n * n), check_invariants=True)
    return kt.algebra.Sparse(matrix.coalesce(), definite=True)


def shifted_laplacians(alpha: float, beta: float, count: int, side: int = 10, seed: int = 0) -> tuple[Tensor, Tensor]:
    """``(A + c I) x = b`` on points of a square, with ``c`` from -0.15 to 0.45 by a beta distribution.

    Right-hand sides have a normal distribution; how long they are does not matter to a relative tolerance.

    Returns:
        shifts ``(count,)`` and right-hand sides ``(count, side^2)``.
    """
    generator = np.random.default_rng(seed)
    low, high = SHIFTS
    shifts = torch.from_numpy(low + (high - low) * generator.beta(alpha, beta, count))
    return shifts, torch.from_numpy(generator.standard_normal((count, side**2)))


def shifts_sequence(shifts: Tensor, b: Tensor) -> Sequence:
    """What SOR costs on each of them."""
    systems = [System(4.0 + float(c), 1.0, one) for c, one in zip(shifts, b, strict=True)]
    return Sequence(torch.tensor([[one.iterations(w) for w in OMEGAS] for one in systems]), shifts, SHIFTS)


def diffusivity(t: float) -> float:
    """Small and large by turns."""
    return max(0.1 * math.sin(2.0 * math.pi * t), -10.0 * math.sin(2.0 * math.pi * t))


def context_of(kappa: float) -> float:
    """The logarithm of a diffusivity, no less than what tuners are told to expect."""
    return math.log10(max(kappa, 10.0 ** DIFFUSIVITIES[0]))


def heat(n: int, steps: int, dt: float = 1e-3, solve: Callable[[float, System], Tensor] | None = None) -> Iterator[Any]:
    """The systems of the heat equation on the unit square by Crank and Nicolson's rule, each with its diffusivity.

    ``u_t = kappa(t) (u_xx + u_yy) + f``, zero at the walls, from a bump of radius 1/4 in the middle, with a bump of
    radius 1/8, times 32, that circles 8 times in a unit of time as the forcing. The guess is the state before.

    Args:
        n: interior points of each axis.
        steps: how many.
        dt: the size of the steps.
        solve: how to go on, of the diffusivity and the system; by default `exactly`.
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

    u, go_on = bump(0.5, 0.5, 0.25), exactly(n) if solve is None else solve
    for step in range(steps):
        t = step * dt
        now, later = (0.5 * dt / h**2 * diffusivity(time) for time in (t, t + dt))
        b = u - now * laplacian(n).apply(u) + 0.5 * dt * (forcing(t) + forcing(t + dt))
        system = System(1.0 + 4.0 * later, later, b, u)
        yield diffusivity(t + dt), system
        u = go_on(diffusivity(t + dt), system)


def exactly(n: int) -> Callable[[float, System], Tensor]:
    """Solutions by the eigenvectors of the operator, which are sines."""
    k = torch.arange(1, n + 1, dtype=F64)
    sines = math.sqrt(2.0 / (n + 1)) * torch.sin(math.pi / (n + 1) * k[:, None] * k)
    cosines = torch.cos(math.pi / (n + 1) * k)

    def solve(kappa: float, system: System) -> Tensor:
        values = system.diagonal - 2.0 * system.beside * (cosines[:, None] + cosines)
        return (sines @ ((sines @ system.b.reshape(n, n) @ sines) / values) @ sines).reshape(-1)

    return solve


def heat_sequence(n: int, steps: int) -> Sequence:
    """What CG with SSOR costs on each of the systems of `heat`."""
    contexts, costs = zip(
        *((context_of(kappa), [one.iterations(w) for w in OMEGAS]) for kappa, one in heat(n, steps)), strict=True
    )
    return Sequence(torch.tensor(costs), torch.tensor(contexts, dtype=F64), DIFFUSIVITIES)


def heat_online(n: int, steps: int, tuner: kt.algebra.Tuner[float]) -> int:
    """Iterations of `heat` in the hands of a tuner, each system solved once, by kutta."""
    total = 0

    def solve(kappa: float, system: System) -> Tensor:
        nonlocal total
        solution = system.solved(tuner.suggest(context_of(kappa)))
        tuner.report(solution.stats.steps)
        total += int(solution.stats.steps)
        return solution.y1

    for _ in heat(n, steps, solve=solve):
        pass
    return total


def played(sequence: Sequence, strategy: kt.algebra.Strategy, seed: int) -> float:
    """Iterations a system of a tuner that sees nothing of a table of costs but what it chooses."""
    costs, contexts = sequence.costs.tolist(), sequence.contexts.tolist()
    contextual = not isinstance(strategy, kt.algebra.TsallisINF)
    tuner, total = kt.algebra.Tuner(range(len(costs[0])), strategy, seed), 0.0
    for row, context in zip(costs, contexts, strict=True):
        cost = row[tuner.suggest(context if contextual else None)]
        tuner.report(cost)
        total += cost
    return total / len(costs)


def strategies(sequence: Sequence) -> dict[str, kt.algebra.Strategy]:
    """The tuners that are compared."""
    return {
        "TsallisINF(least=1)": kt.algebra.TsallisINF(1.0),
        "TsallisINF()": kt.algebra.TsallisINF(),
        "Binned": kt.algebra.Binned(*sequence.interval),
        "ChebyshevBandit": kt.algebra.ChebyshevBandit(*sequence.interval),
    }


def difference(systems: list[System], costs: Tensor) -> int:
    """The largest difference between the counts of a table and kutta's own."""
    pairs = [(k, j) for k in range(len(systems)) for j in range(0, len(OMEGAS), 5)]
    return max(abs(int(systems[k].solved(OMEGAS[j]).stats.steps) - int(costs[k, j])) for k, j in pairs)
