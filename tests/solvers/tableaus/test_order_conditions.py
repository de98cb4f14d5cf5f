"""Order conditions of every coefficient table, in exact arithmetic.

A Runge-Kutta method has order p if ``sum_i b_i Phi_i(tree) = 1 / gamma(tree)`` for all rooted trees of
up to p vertices, where ``Phi_i`` is the product over the subtrees at the root of
``sum_j a_ij Phi_j(subtree)`` and ``gamma`` is the product of the sizes of all subtrees. An interpolant
has order p if ``sum_i P_i(theta) Phi_i(tree) = theta**size / gamma(tree)``, power by power of theta.
"""

from fractions import Fraction
from functools import cache
from math import lcm, log2, prod

import mpmath
import pytest

from kutta.solvers import tableaus

TABLES = [t for t in vars(tableaus).values() if isinstance(t, tableaus.Tableau)]
SPLITTINGS = [s for s in vars(tableaus).values() if isinstance(s, tableaus.Splitting)]
ROSENBROCK = [t for t in vars(tableaus).values() if isinstance(t, tableaus.RosenbrockTableau)]
EMBEDDED = [t for t in TABLES if t.error is not None]
DENSE = [t for t in TABLES if t.interpolant is not None]

# Sources that give decimals: the residual their digits allow. All other tables are exact.
DECIMAL = {"Tsitouras 5(4)": 1e-37, "Dormand-Prince 8(5,3)": 1e-26, "Verner 9(8)": 1e-37}
DECIMAL_INTERPOLANT = {
    "Tsitouras 5(4)": 1e-37,
    "Dormand-Prince 8(5,3)": 1e-24,
    "Verner 7(6)": 1e-34,
    "Verner 8(7)": 1e-32,
    "Verner 9(8)": 1e-34,
}

named = {"ids": lambda record: record.name}


# Rooted trees: a tree is the tuple of the subtrees at its root.


@cache
def trees(size):
    """All rooted trees with `size` vertices."""
    return tuple(forests(size - 1, size - 1, None))


def forests(total, largest, bound):
    """Multisets of trees with `total` vertices, in non-increasing order of (size, position)."""
    if total == 0:
        yield ()
        return
    for size in range(min(total, largest), 0, -1):
        candidates = trees(size)
        last = bound if bound is not None and size == largest else len(candidates) - 1
        for position in range(last, -1, -1):
            for rest in forests(total - size, size, position):
                yield (candidates[position], *rest)


@cache
def size(tree):
    return 1 + sum(map(size, tree))


@cache
def gamma(tree):
    return size(tree) * prod(map(gamma, tree))


class Stages:
    """Elementary weights of the stages of a method, over a common denominator."""

    def __init__(self, rows):
        self.denominator = lcm(*(entry.denominator for row in rows for entry in row))
        self.rows = [[(j, int(entry * self.denominator)) for j, entry in enumerate(row) if entry] for row in rows]
        self.known = {}

    def phi(self, tree):
        """``Phi_i(tree) * denominator**(size - 1)`` for every stage."""
        weights = [1] * len(self.rows)
        for subtree in tree:
            weights = [x * y for x, y in zip(weights, self.pushed(subtree), strict=True)]
        return weights

    def pushed(self, tree):
        if tree not in self.known:
            phi = self.phi(tree)
            self.known[tree] = [sum(entry * phi[j] for j, entry in row) for row in self.rows]
        return self.known[tree]

    def residual(self, weights, order, power=None):
        """Largest residual of the conditions with `order` vertices; zero only if it is exactly zero.

        With `power`, the weights are those of ``theta**power`` and the sum is zero unless it is `order`.
        """
        target = 1 if power in (None, order) else 0
        scale = lcm(*(weight.denominator for weight in weights))
        integers = [int(weight * scale) for weight in weights]
        worst = 0.0
        for tree in trees(order):
            whole = scale * self.denominator ** (order - 1)
            total = sum(weight * phi for weight, phi in zip(integers, self.phi(tree), strict=True))
            excess = abs(total * gamma(tree) - target * whole)
            if excess:
                worst = max(worst, excess / (whole * gamma(tree)), 1e-300)
        return worst


@cache
def stages(table):
    return Stages(table.a)


def extended(table):
    """Nodes and rows of all stages an interpolant may use."""
    closing = () if table.first_same_as_last else (table.b,)
    nodes = (*table.c, *(Fraction(1) for _ in closing), *table.interpolant.extra_c)
    return nodes, (*table.a, *closing, *table.interpolant.extra_a)


@cache
def extended_stages(table):
    return Stages(extended(table)[1])


def closing_stage(table):
    """Index of the derivative at the end of the step among the stages of the interpolant."""
    return table.stages - 1 if table.first_same_as_last else table.stages


def is_within(residual, allowed):
    return residual <= allowed if allowed else residual == 0


def test_rooted_trees_are_all_there():
    assert [len(trees(n)) for n in range(1, 11)] == [1, 1, 2, 4, 9, 20, 48, 115, 286, 719]
    assert [len(set(trees(n))) for n in range(1, 9)] == [1, 1, 2, 4, 9, 20, 48, 115]
    assert sum(Fraction(1, gamma(tree)) for tree in trees(3)) == Fraction(1, 3) + Fraction(1, 6)


# Runge-Kutta methods.


def test_every_constant_is_a_table():
    assert {t.name for t in (*TABLES, *SPLITTINGS, *ROSENBROCK)} == {
        table.name
        for table in (getattr(tableaus, name) for name in tableaus.__all__ if name.isupper())
        if not isinstance(table, tableaus.ExponentialTableau | tableaus.ImexTableau | tableaus.LowStorageTableau)
    }
    assert len(TABLES) == 18 and len(SPLITTINGS) == 5 and len(ROSENBROCK) == 2
    for table in TABLES:
        numbers = [*table.c, *table.b, *(x for row in table.a for x in row)]
        assert all(isinstance(number, Fraction) for number in numbers)
        assert table.source


@pytest.mark.parametrize("table", TABLES, **named)
def test_row_sums_are_the_nodes(table):
    allowed = DECIMAL.get(table.name, 0)
    assert all(is_within(abs(sum(row) - node), allowed) for node, row in zip(table.c, table.a, strict=True))


@pytest.mark.parametrize("table", TABLES, **named)
def test_order(table):
    conditions, allowed = stages(table), DECIMAL.get(table.name, 0)
    for order in range(1, table.order + 1):
        assert is_within(conditions.residual(table.b, order), allowed), order
    assert conditions.residual(table.b, table.order + 1) > 1e-7


@pytest.mark.parametrize("table", EMBEDDED, **named)
def test_embedded_order(table):
    conditions, allowed = stages(table), DECIMAL.get(table.name, 0)
    embedded = [weight - error for weight, error in zip(table.b, table.error, strict=True)]
    for order in range(1, table.embedded_order + 1):
        assert is_within(conditions.residual(embedded, order), allowed), order
    assert conditions.residual(embedded, table.embedded_order + 1) > 1e-7


def test_second_estimate_of_dopri8_has_order_three():
    table = tableaus.DOPRI8
    embedded = [weight - error for weight, error in zip(table.b, table.second_error, strict=True)]
    for order in (1, 2, 3):
        assert is_within(stages(table).residual(embedded, order), DECIMAL[table.name]), order
    assert stages(table).residual(embedded, 4) > 1e-2


# One weight of each published embedded solution: the order conditions do not see the sign of the error.
PUBLISHED_WEIGHTS = {
    "FEHLBERG2": (0, "1/256"),
    "BOSH3": (3, "1/8"),
    "DOPRI5": (6, "1/40"),
    "TSIT5": (6, "1/66"),
    "VERN6": (8, "1/30"),
    "VERN7": (9, "2152106665253777/106040260335225546"),
    "VERN8": (12, "-28735456870978964189/79783493704265043693"),
    "VERN9": (15, "1839190071060649887127895100784/38045139523510634351420875415397"),
}


@pytest.mark.parametrize("name", PUBLISHED_WEIGHTS)
def test_error_is_the_solution_less_the_embedded_solution(name):
    table, (stage, weight) = getattr(tableaus, name), PUBLISHED_WEIGHTS[name]
    embedded = table.b[stage] - table.error[stage]
    assert is_within(abs(embedded - Fraction(weight)), DECIMAL.get(table.name, 0))


def test_second_error_of_dopri8_is_the_solution_less_the_embedded_solution():
    embedded = [weight - error for weight, error in zip(tableaus.DOPRI8.b, tableaus.DOPRI8.second_error, strict=True)]
    assert [stage for stage, weight in enumerate(embedded) if weight] == [0, 8, 11]


@pytest.mark.parametrize("table", DENSE, **named)
def test_interpolant_order(table):
    interpolant, allowed = table.interpolant, DECIMAL_INTERPOLANT.get(table.name, 0)
    nodes, rows = extended(table)
    assert len(interpolant.weights) == len(rows)
    assert all(is_within(abs(sum(row) - node), allowed) for node, row in zip(nodes, rows, strict=True))

    conditions = extended_stages(table)
    powers = list(enumerate(zip(*interpolant.weights, strict=True), start=1))
    for order in range(1, interpolant.order + 1):
        for power, weights in powers:
            assert is_within(conditions.residual(weights, order, power), allowed), (order, power)
    assert max(conditions.residual(w, interpolant.order + 1, power) for power, w in powers) > 1e-4


@pytest.mark.parametrize("table", DENSE, **named)
def test_interpolant_meets_both_ends_with_its_derivative(table):
    """All interpolants here are continuously differentiable from step to step."""
    weights, allowed = table.interpolant.weights, DECIMAL_INTERPOLANT.get(table.name, 0)
    solution = (*table.b, *[Fraction(0)] * (len(weights) - table.stages))
    for stage, polynomial in enumerate(weights):
        slope = sum(power * coefficient for power, coefficient in enumerate(polynomial, start=1))
        assert is_within(abs(sum(polynomial) - solution[stage]), allowed)
        assert polynomial[0] == (stage == 0)
        assert is_within(abs(slope - (stage == closing_stage(table))), allowed)


def test_first_same_as_last():
    closing = {t.name for t in TABLES if t.first_same_as_last}
    assert closing == {"Bogacki-Shampine 3(2)", "Dormand-Prince 5(4)", "Tsitouras 5(4)", "Verner 6(5)"}


@pytest.mark.parametrize("table", [t for t in TABLES if t.equal_nodes], **named)
def test_equal_nodes(table):
    nodes = (*table.c, Fraction(1))
    first, second = table.equal_nodes
    assert first < second and nodes[first] == nodes[second]


@pytest.mark.parametrize("table", TABLES, **named)
def test_stability_size(table):
    """``|R(-x)|`` stays at most one up to the stability size and exceeds one just beyond it."""
    phi, coefficients = [Fraction(1)] * table.stages, [Fraction(1)]
    for _ in range(table.stages):
        coefficients.append(sum(weight * value for weight, value in zip(table.b, phi, strict=True)))
        phi = [sum(entry * value for entry, value in zip(row, phi, strict=False)) for row in table.a]
    numbers = [float(c) for c in coefficients]

    def growth(x):
        return abs(sum(c * (-x) ** power for power, c in enumerate(numbers)))

    inside = table.stability_size - 1e-4
    assert all(growth(inside * step / 500) <= 1 + 1e-9 for step in range(501))
    assert growth(table.stability_size + 1e-4) > 1


def test_ninth_order_in_practice():
    """Global error of Vern9 on ``y' = cos(t) y**2``, whose solution is ``1 / (1 - sin t)``."""

    def error(steps):
        t, y, h = mpmath.mpf(0), mpmath.mpf(1), mpmath.mpf(1) / (2 * steps)
        for _ in range(steps):
            slopes = []
            for node, row in zip(c, a, strict=True):
                stage = y + h * mpmath.fdot(row, slopes)
                slopes.append(mpmath.cos(t + node * h) * stage**2)
            y += h * mpmath.fdot(b, slopes)
            t += h
        return abs(y - 1 / (1 - mpmath.sin(t)))

    with mpmath.workdps(40):
        a = [[number(entry) for entry in row] for row in tableaus.VERN9.a]
        b = [number(weight) for weight in tableaus.VERN9.b]
        c = [number(node) for node in tableaus.VERN9.c]
        assert log2(error(160) / error(320)) == pytest.approx(9, abs=0.1)


# Symplectic splittings.

DECIMAL_SPLITTING = {"Yoshida 4": 1e-38, "Kahan-Li 6": 1e-24}


def number(fraction):
    return mpmath.mpf(fraction.numerator) / fraction.denominator


def advance(splitting, p, q, h):
    """One step for the Hamiltonian ``p**2 / 2 + p**4 / 12 - cos q``."""
    for kick, drift in zip(splitting.kick, splitting.drift, strict=True):
        if kick:
            p = p - h * number(kick) * mpmath.sin(q)
        if drift:
            q = q + h * number(drift) * (p + p**3 / 3)
    return p, q


@pytest.mark.parametrize("splitting", SPLITTINGS, **named)
def test_splitting_is_consistent(splitting):
    assert sum(splitting.kick) == 1 and sum(splitting.drift) == 1


@pytest.mark.parametrize("splitting", SPLITTINGS, **named)
def test_splitting_order_conditions(splitting):
    """A splitting is a partitioned Runge-Kutta method: a kick sees earlier drifts, a drift earlier kicks.

    Forces depend on positions only and velocities on momenta only, so vertices of a tree alternate
    between kicks and drifts, and the colour of the root decides all others.
    """
    count, nothing = len(splitting.kick), (Fraction(0),) * len(splitting.kick)
    kicks = [nothing + splitting.drift[:index] for index in range(count)]
    drifts = [splitting.kick[: index + 1] for index in range(count)]
    conditions, allowed = Stages(kicks + drifts), DECIMAL_SPLITTING.get(splitting.name, 0)
    momentum, position = splitting.kick + nothing, nothing + splitting.drift
    for order in range(1, splitting.order + 1):
        assert is_within(conditions.residual(momentum, order), allowed), order
        assert is_within(conditions.residual(position, order), allowed), order
    beyond = splitting.order + 1
    assert max(conditions.residual(momentum, beyond), conditions.residual(position, beyond)) > 1e-5


@pytest.mark.parametrize("splitting", SPLITTINGS, **named)
def test_splitting_order(splitting):
    def solution(steps):
        p, q = mpmath.mpf("0.3"), mpmath.mpf("1.2")
        for _ in range(steps):
            p, q = advance(splitting, p, q, mpmath.mpf(1) / steps)
        return p, q

    with mpmath.workdps(30):
        start = [mpmath.mpf("0.3"), mpmath.mpf("1.2")]
        p, q = mpmath.odefun(lambda t, y: [-mpmath.sin(y[1]), y[0] + y[0] ** 3 / 3], 0, start)(1)
        coarse, fine = (
            mpmath.hypot(approximate[0] - p, approximate[1] - q) for approximate in (solution(40), solution(80))
        )
        assert log2(coarse / fine) == pytest.approx(splitting.order, abs=0.1)


@pytest.mark.parametrize("splitting", [tableaus.VELOCITY_VERLET, tableaus.YOSHIDA4, tableaus.KAHAN_LI6], **named)
def test_symmetric_splitting_runs_backwards(splitting):
    with mpmath.workdps(30):
        p, q = mpmath.mpf("0.3"), mpmath.mpf("1.2")
        back = advance(splitting, *advance(splitting, p, q, mpmath.mpf("0.2")), mpmath.mpf("-0.2"))
        assert max(abs(back[0] - p), abs(back[1] - q)) < mpmath.mpf("1e-28")
