"""The coefficients of ROCK4: order conditions and stability for every number of stages."""

import numpy as np
import pytest

from kutta.solvers.stabilised.rock import ROCK4
from kutta.solvers.tableaus.rock import rock4

TABLES = rock4()


def butcher(table):
    """Rows of ``a`` and weights, with the embedded weights, the slope at the end being the last stage."""
    m = len(table.recurrence) + 1
    units = np.eye(m + 5)
    moves = [0 * units[0], table.start * units[0]]
    for j, (mu, kappa) in enumerate(table.recurrence, start=1):
        moves.append(mu * units[j] + (1 + kappa) * moves[-1] - kappa * moves[-2])
    last = moves[m]
    rows = [*moves[:m], *(last + sum((w * units[m + i] for i, w in enumerate(row)), 0 * last) for row in table.a)]
    weights = last + sum(w * units[m + i] for i, w in enumerate(table.b))
    embedded = last + sum(w * units[m + i] for i, w in enumerate(table.embedded))
    return np.array([*rows, weights]), weights, embedded


def residuals(a, b):
    c = a.sum(1)
    first = [b.sum() - 1, b @ c - 1 / 2, b @ c**2 - 1 / 3, b @ a @ c - 1 / 6]
    fourth = [b @ c**3 - 1 / 4, b @ (c * (a @ c)) - 1 / 8, b @ a @ c**2 - 1 / 12, b @ a @ a @ c - 1 / 24]
    return np.abs(first).max(), np.abs(fourth).max()


@pytest.mark.parametrize("stages", TABLES)
def test_order(stages):
    a, weights, embedded = butcher(TABLES[stages])
    assert len(a) == stages + 1
    assert max(residuals(a, weights)) < 1e-14
    lower, fourth = residuals(a, embedded)
    assert lower < 1e-14 and fourth > 1e-5


def growth(table, z):
    before, now = np.ones_like(z), 1 + table.start * z
    for mu, kappa in table.recurrence:
        before, now = now, mu * z * now + (1 + kappa) * now - kappa * before
    slopes, total = [], now
    for row, weight in zip(table.a, table.b, strict=True):
        slopes.append(z * (now + sum(w * k for w, k in zip(row, slopes, strict=True))))
        total = total + weight * slopes[-1]
    return np.abs(total)


@pytest.mark.parametrize("stages", TABLES)
def test_stability(stages):
    """All that a number of stages is taken for is damped."""
    size = 0.353 * stages**2 - 3
    assert ROCK4().stages(0.99 * size) <= stages
    assert growth(TABLES[stages], -np.linspace(0, size, 20001)).max() <= 1 + 1e-12


def test_the_stiffest_step_has_stages():
    assert ROCK4().stages(ROCK4().stiffest(2.0**-52)) <= max(TABLES)
