"""Order conditions, stability and published forms of the Rosenbrock tables.

A Rosenbrock method has order p if ``sum_i b_i Phi_i(tree) = 1 / gamma(tree)`` for all rooted trees of up to p
vertices, where a vertex with one subtree contributes ``sum_j beta_ij Phi_j``, ``beta = alpha + gamma``, and one
with several subtrees the product of ``sum_j alpha_ij Phi_j`` (Hairer and Wanner II, IV.7, table 7.1). Time is a
further state if ``alpha_i = sum_j alpha_ij`` and ``gamma_i = sum_j gamma_ij``.
"""

from dataclasses import replace
from fractions import Fraction

import mpmath
import numpy as np
import pytest

from kutta.solvers import tableaus
from tests.solvers.tableaus.test_order_conditions import gamma, size, trees

TABLES = [tableaus.ROSENBROCK23, tableaus.RODAS5P]
# What the digits of the source allow: sixteen for Rodas5P, forty for the root of two in the other.
ALLOWED = {"Rodas5P": 1e-13, tableaus.ROSENBROCK23.name: 1e-38}

each = pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)


@pytest.fixture(autouse=True)
def fifty_digits():
    with mpmath.workdps(50):
        yield


def number(fraction):
    return mpmath.mpf(fraction.numerator) / fraction.denominator


class Published:
    """The coefficients ``alpha, gamma, b`` behind a table, from ``G^-1 = I / gamma - c``."""

    def __init__(self, table):
        self.table, count = table, table.stages
        self.gammas = (mpmath.eye(count) / number(table.gamma) - lower(table.coupling)) ** -1
        self.alphas = lower(table.a) * self.gammas
        self.betas = self.alphas + self.gammas

    def weights(self, of_increments):
        """The weights of the slopes ``k_i`` that stand for those of the ``u_i``."""
        return (mpmath.matrix([list(map(number, of_increments))]) * self.gammas).T

    def phi(self, tree):
        if len(tree) == 1:
            return self.betas * self.phi(tree[0])
        values = mpmath.matrix([1] * self.table.stages)
        for subtree in tree:
            factors = self.alphas * self.phi(subtree)
            values = mpmath.matrix([value * factor for value, factor in zip(values, factors, strict=True)])
        return values

    def residual(self, of_increments, order, theta=1):
        weights = self.weights(of_increments)
        return max(
            abs(mpmath.fdot(weights, self.phi(tree)) - mpmath.mpf(theta) ** order / gamma(tree))
            for tree in trees(order)
        )


def lower(rows):
    matrix = mpmath.zeros(len(rows))
    for i, row in enumerate(rows):
        for j, entry in enumerate(row):
            matrix[i, j] = number(entry)
    return matrix


def at(table, theta):
    """The interpolant's weights at a position."""
    return [sum(c * Fraction(theta) ** (power + 1) for power, c in enumerate(row)) for row in table.interpolant]


@each
def test_time_is_a_state_like_any_other(table):
    published, ones = Published(table), mpmath.matrix([1] * table.stages)
    for matrix, sums in ((published.alphas, table.nodes), (published.gammas, table.time_weights)):
        assert all(
            abs(total - number(wanted)) < ALLOWED[table.name] for total, wanted in zip(matrix * ones, sums, strict=True)
        )
    assert all(abs(published.gammas[i, i] - number(table.gamma)) < 1e-45 for i in range(table.stages))


@each
def test_order(table):
    assert sum(len(trees(n)) for n in range(1, 6)) == 17 and max(map(size, trees(5))) == 5
    published = Published(table)
    for order in range(1, table.order + 1):
        assert published.residual(table.weights, order) < ALLOWED[table.name], order
    assert published.residual(table.weights, table.order + 1) > 1e-4


@each
def test_embedded_order(table):
    published = Published(table)
    embedded = [weight - error for weight, error in zip(table.weights, table.error, strict=True)]
    for order in range(1, table.embedded_order + 1):
        assert published.residual(embedded, order) < ALLOWED[table.name], order
    assert published.residual(embedded, table.embedded_order + 1) > 1e-3


@each
@pytest.mark.parametrize("theta", ["1/7", "1/2", "9/10"])
def test_interpolant_order(table, theta):
    published = Published(table)
    for order in range(1, table.interpolant_order + 1):
        assert published.residual(at(table, theta), order, number(Fraction(theta))) < ALLOWED[table.name], order
    assert published.residual(at(table, theta), table.interpolant_order + 1, number(Fraction(theta))) > 1e-6


@each
def test_the_interpolant_ends_where_the_step_ends(table):
    assert all(
        abs(number(value - weight)) < ALLOWED[table.name]
        for value, weight in zip(at(table, 1), table.weights, strict=True)
    )


def stability(table, z):
    """``R(z) = 1 + z b^T (I - z B)^-1 1``, the growth over a step of ``y' = (z / h) y``."""
    published = Published(table)
    weights = np.array([float(weight) for weight in published.weights(table.weights)])
    betas = np.array(published.betas.tolist(), dtype=float)
    ones = np.ones(table.stages)
    return np.array([1 + one * weights @ np.linalg.solve(np.eye(table.stages) - one * betas, ones) for one in z])


@each
def test_stiff_modes_are_damped_completely(table):
    published = Published(table)
    growth = 1 - mpmath.fdot(published.weights(table.weights), published.betas**-1 * mpmath.ones(table.stages, 1))
    assert abs(growth) < ALLOWED[table.name]
    assert abs(stability(table, [-1e8])[0]) < 1e-6


@each
def test_it_is_a_stable(table):
    """``R`` has its only pole at ``1 / gamma > 0``, so that by the maximum principle the imaginary axis decides."""
    assert table.gamma > 0
    growth = np.abs(stability(table, 1j * np.logspace(-2, 6, 1000)))
    assert growth.max() < 1 + 1e-13
    assert np.abs(stability(table, [0.1 / float(table.gamma)]))[0] > 1  # it does not damp what grows


def test_rodas5p_is_stiffly_accurate():
    published = Published(tableaus.RODAS5P)
    last = published.betas[tableaus.RODAS5P.stages - 1, :]
    weights = published.weights(tableaus.RODAS5P.weights)
    assert all(abs(weight - beta) < 1e-13 for weight, beta in zip(weights, last, strict=True))


def test_rosenbrock23_is_the_published_scheme():
    """One step of ``y' = y^2 cos t``, as the paper writes it and by the table."""
    table, h, t, y = tableaus.ROSENBROCK23, mpmath.mpf("0.3"), mpmath.mpf("0.4"), mpmath.mpf("0.7")

    def f(t, y):
        return y**2 * mpmath.cos(t)

    jacobian, in_time = 2 * y * mpmath.cos(t), -(y**2) * mpmath.sin(t)
    d, e = 1 / (2 + mpmath.sqrt(2)), 6 + mpmath.sqrt(2)
    w = 1 - h * d * jacobian
    f0 = f(t, y)
    k1 = (f0 + h * d * in_time) / w
    f1 = f(t + h / 2, y + h / 2 * k1)
    k2 = (f1 - k1) / w + k1
    end = y + h * k2
    k3 = (f(t + h, end) - e * (k2 - f1) - 2 * (k1 - f0) + h * d * in_time) / w
    third_order = end + h / 6 * (k1 - 2 * k2 + k3)

    increments = []
    for i in range(3):
        inside, coupled = (
            sum((number(a) * u for a, u in zip(rows[i], increments, strict=True)), mpmath.mpf(0))
            for rows in (table.a, table.coupling)
        )
        right = (
            f(t + number(table.nodes[i]) * h, y + inside) + coupled / h + number(table.time_weights[i]) * h * in_time
        )
        increments.append(right / (1 / (h * number(table.gamma)) - jacobian))
    by_table, error = (
        sum(number(w) * u for w, u in zip(weights, increments, strict=True)) for weights in (table.weights, table.error)
    )
    assert abs(y + by_table - end) < 1e-38
    assert abs(error - (end - third_order)) < 1e-38
    for theta in (mpmath.mpf("0.25"), mpmath.mpf("0.75")):
        dense = y + h / (1 - 2 * d) * (theta * (1 - theta) * k1 + theta * (theta - 2 * d) * k2)
        weights = at(table, str(theta))
        assert abs(y + sum(number(w) * u for w, u in zip(weights, increments, strict=True)) - dense) < 1e-37


def test_the_last_evaluation_of_rosenbrock23_is_at_the_end():
    assert tableaus.ROSENBROCK23.first_same_as_last and not tableaus.RODAS5P.first_same_as_last


@pytest.mark.parametrize("field", ["a", "coupling", "time_weights", "weights", "error", "interpolant"])
def test_tables_of_the_wrong_size_are_refused(field):
    with pytest.raises(ValueError, match=f"{field} must have 8 entries"):
        replace(tableaus.RODAS5P, **{field: getattr(tableaus.RODAS5P, field)[:-1]})


@pytest.mark.parametrize("field", ["a", "coupling"])
def test_rows_of_the_wrong_length_are_refused(field):
    rows = getattr(tableaus.RODAS5P, field)
    with pytest.raises(ValueError, match=f"row 2 of {field} must have 2 entries, got 1"):
        replace(tableaus.RODAS5P, **{field: (*rows[:2], rows[2][:1], *rows[3:])})
