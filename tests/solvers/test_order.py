"""Observed orders of every exported method, on three problems with known solutions."""

import math

import mpmath
import pytest
import torch

import kutta as kt
from tests._helpers import tensor

BASES = (
    kt.Method,
    kt.RungeKutta,
    kt.Rosenbrock,
    kt.SymplecticSplitting,
    kt.LowStorageRungeKutta,
    kt.ExponentialRungeKutta,
    kt.ImexRungeKutta,
)
WITH_ORDER = {kt.AdamsBashforth: range(1, 10), kt.AdamsBashforthMoulton: range(2, 10)}
ECCENTRICITY = 0.3


def every_method():
    """All exported methods for any right-hand side, found by their class, so that a new one cannot be forgotten.

    Those for split problems have tests of their own.
    """
    kinds = [kind for kind in vars(kt).values() if isinstance(kind, type) and issubclass(kind, kt.Method)]
    for kind in dict.fromkeys(kinds):
        if kind in WITH_ORDER:
            yield from (kind(order) for order in WITH_ORDER[kind])
        elif kind not in BASES and not kind.needs_split:
            yield kind()


METHODS = list(every_method())
SPLITTINGS = [one for one in METHODS if isinstance(one, kt.SymplecticSplitting)]
STEPPERS = [one for one in METHODS if not isinstance(one, kt.SymplecticSplitting)]
RUNGE_KUTTA = [one for one in STEPPERS if isinstance(one, kt.RungeKutta)]
ROSENBROCK = [one for one in STEPPERS if isinstance(one, kt.Rosenbrock)]
STABILISED = [one for one in STEPPERS if isinstance(one, kt.RKC2 | kt.ROCK4)]
ADAMS = [one for one in STEPPERS if type(one) in WITH_ORDER]
# Above order four the leading error of the best methods is so small that in float64 the next term is
# larger down to step sizes where rounding hides both. Those are measured in many digits instead, and
# the float64 step is shown to be the same step.
PLAIN = [one for one in METHODS if one.order <= 4 and one in STEPPERS]
# The number of stages of a stabilised method depends on the problem; its tables are checked for every number.
DEFINED = [one for one in STEPPERS if one not in STABILISED]


def name(method):
    given = f"({method.order})" if type(method) in WITH_ORDER else ""
    return f"{type(method).__name__}{given}"


# Each problem: right-hand side, initial state and the solution, with the functions of `m`
# (torch or mpmath), states as lists.


class Linear:
    """y' = (cos 2t - 1/2) y."""

    start = (1.0,)

    def f(self, m, t, y):
        return [(m.cos(2 * t) - 0.5) * y[0]]

    def exact(self, m, t):
        return [m.exp(m.sin(2 * t) / 2 - t / 2)]


class Logistic:
    """y' = y (1 - y), from 1/10."""

    start = (0.1,)

    def f(self, m, t, y):
        return [y[0] * (1 - y[0])]

    def exact(self, m, t):
        return [1 / (1 + 9 * m.exp(-t))]


class Kepler:
    """An orbit of eccentricity 0.3 from its pericentre."""

    start = (0.7, 0.0, 0.0, math.sqrt(1.3 / 0.7))

    def f(self, m, t, y):
        cube = m.sqrt(y[0] * y[0] + y[1] * y[1]) ** 3
        return [y[2], y[3], -y[0] / cube, -y[1] / cube]

    def exact(self, m, t):
        e = m.mpf(3) / 10 if m is mpmath else ECCENTRICITY
        anomaly = t
        for _ in range(10):
            anomaly = anomaly - (anomaly - e * m.sin(anomaly) - t) / (1 - e * m.cos(anomaly))
        r, flat = 1 - e * m.cos(anomaly), m.sqrt(1 - e * e)
        return [
            m.cos(anomaly) - e,
            flat * m.sin(anomaly),
            -m.sin(anomaly) / r,
            flat * m.cos(anomaly) / r,
        ]


PROBLEMS = [Linear(), Logistic(), Kepler()]


def in_torch(problem):
    def f(t, y):
        return torch.stack(problem.f(torch, t, y.unbind(0)))

    return f


FINE = {1: 256, 2: 128, 3: 128, 4: 128}


def observed(error, n):
    """The slope between n and 2 n steps."""
    return math.log2(error(n) / error(2 * n))


@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda p: type(p).__name__)
@pytest.mark.parametrize("method", PLAIN, ids=name)
def test_the_error_falls_with_the_nominal_order(method, problem):
    ends = torch.linspace(0.0, 3.0, 9, dtype=torch.float64)
    exact = torch.stack([tensor(*problem.exact(math, float(t))) for t in ends])

    def error(n):
        ode = kt.ODEProblem(in_torch(problem), tensor(*problem.start), (0.0, 3.0))
        sol = kt.solve(ode, method, controller=kt.Fixed(3.0 / n), save_at=ends)
        return float((sol.ys - exact).abs().sum())

    slope = observed(error, FINE[method.order])
    print(f"order of {name(method)} on {type(problem).__name__}: {slope:.3f}")
    assert abs(slope - method.order) < 0.1


def step_in_mpmath(nodes, rows, weights, problem, t, h, y):
    """One Runge-Kutta step in mpmath, straight from the definition."""

    def number(q):
        return mpmath.mpf(q.numerator) / q.denominator

    slopes = []
    for c, row in zip(nodes, rows, strict=True):
        inner = [
            y_i + h * sum((number(a) * k[i] for a, k in zip(row, slopes, strict=True)), mpmath.mpf(0))
            for i, y_i in enumerate(y)
        ]
        slopes.append(problem.f(mpmath, t + number(c) * h, inner))
    return [y_i + h * sum(number(b) * k[i] for b, k in zip(weights, slopes, strict=True)) for i, y_i in enumerate(y)]


def rosenbrock_in_mpmath(tableau, problem, t, h, y):
    """One Rosenbrock step in mpmath, straight from the definition, with derivatives by differences of 1e-30."""

    def number(q):
        return mpmath.mpf(q.numerator) / q.denominator

    def combined(row):
        return sum((number(a) * u for a, u in zip(row, increments, strict=False)), mpmath.zeros(len(y), 1))

    def f(t, y):
        return mpmath.matrix(problem.f(mpmath, t, list(y)))

    def along(t_move, y_move):
        eps = mpmath.mpf(10) ** -30
        return (f(t + eps * t_move, y + eps * y_move) - f(t - eps * t_move, y - eps * y_move)) / (2 * eps)

    y, increments, unit = mpmath.matrix(y), [], mpmath.eye(len(y))
    matrix = unit / (h * number(tableau.gamma))
    for column in range(len(y)):
        matrix[:, column] -= along(0, unit[:, column])
    in_time = along(1, 0 * y)
    for node, row, coupling, weight in zip(
        tableau.nodes, tableau.a, tableau.coupling, tableau.time_weights, strict=True
    ):
        right = f(t + number(node) * h, y + combined(row)) + combined(coupling) / h + number(weight) * h * in_time
        increments.append(mpmath.lu_solve(matrix, right))
    return list(y + combined(tableau.weights))


def adams_in_mpmath(method, problem, t, h):
    """One Adams step in mpmath from exact earlier states, by the definition of its weights."""

    def increment(positions, slopes):
        powers = range(len(positions))
        table = mpmath.matrix([[mpmath.mpf(tau) ** p for tau in positions] for p in powers])
        weights = mpmath.lu_solve(table, mpmath.matrix([mpmath.mpf(1) / (p + 1) for p in powers]))
        return [h * sum(w * k[i] for w, k in zip(weights, slopes, strict=True)) for i in range(len(slopes[0]))]

    corrects = isinstance(method, kt.AdamsBashforthMoulton)
    earlier = [-i for i in range(method.order - corrects)]
    past = [problem.f(mpmath, t + i * h, problem.exact(mpmath, t + i * h)) for i in earlier]
    y = problem.exact(mpmath, t)
    y1 = [a + b for a, b in zip(y, increment(earlier, past), strict=True)]
    if corrects:
        ahead = problem.f(mpmath, t + h, y1)
        y1 = [a + b for a, b in zip(y, increment([1, *earlier], [ahead, *past]), strict=True)]
    return y1


def butcher(table):
    return (table.nodes, *table.butcher) if hasattr(table, "butcher") else (table.c, table.a, table.b)


def step_of(method, problem, t, h):
    if isinstance(method, kt.RungeKutta | kt.LowStorageRungeKutta):
        return step_in_mpmath(*butcher(method.tableau), problem, t, h, problem.exact(mpmath, t))
    if isinstance(method, kt.Rosenbrock):
        return rosenbrock_in_mpmath(method.tableau, problem, t, h, problem.exact(mpmath, t))
    return adams_in_mpmath(method, problem, t, h)


T0 = 1.3  # away from the symmetry of the pericentre, with room for earlier steps
PLACES = (0.9, 1.3, 1.7, 2.1, 2.5)


@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda p: type(p).__name__)
@pytest.mark.parametrize("method", DEFINED, ids=name)
def test_the_local_error_in_many_digits_falls_with_the_nominal_order(method, problem):
    # The coefficients of Rodas5P have 16 digits, of Dopri8 26, and of Vern9 40, too few for smaller steps.
    power = {"Rodas5P": 5, "CarpenterKennedy54": 5, "Dopri8": 7, "Vern9": 9}.get(type(method).__name__, 13)
    with mpmath.workdps(90):
        errors = []
        for h in (mpmath.mpf(2) ** -power, mpmath.mpf(2) ** -(power + 1)):
            total = mpmath.mpf(0)
            for t in map(mpmath.mpf, PLACES):
                wanted = problem.exact(mpmath, t + h)
                total += sum(abs(a - b) for a, b in zip(step_of(method, problem, t, h), wanted, strict=True))
            errors.append(total)
        slope = float(mpmath.log(errors[0] / errors[1], 2)) - 1
    print(f"order of {name(method)} on {type(problem).__name__}: {slope:.3f}")
    assert abs(slope - method.order) < 0.1


@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda p: type(p).__name__)
@pytest.mark.parametrize("method", RUNGE_KUTTA, ids=name)
def test_a_step_is_that_of_the_tableau_to_rounding(method, problem):
    h, table = 0.5, method.tableau
    start = [float(value) for value in problem.exact(math, T0)]
    with mpmath.workdps(40):
        exact = step_in_mpmath(*butcher(table), problem, mpmath.mpf(T0), mpmath.mpf(h), list(map(mpmath.mpf, start)))
    ode = kt.ODEProblem(in_torch(problem), tensor(*start), (T0, T0 + h))
    got = kt.solve(ode, method, controller=kt.Fixed(1.0)).y1
    # Coefficients of up to 200 in Verner's methods amplify the rounding of a stage.
    sizes = max(abs(a) for row in table.a for a in row or (0,)), max(map(abs, table.b))
    assert float((got - tensor(*map(float, exact))).abs().max()) < 1e-15 * (1 + float(sizes[0] * sizes[1]))


@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda p: type(p).__name__)
@pytest.mark.parametrize("method", ROSENBROCK, ids=name)
def test_a_rosenbrock_step_is_that_of_the_tableau_to_rounding(method, problem):
    h, start = 0.5, [float(value) for value in problem.exact(math, T0)]
    with mpmath.workdps(60):
        exact = rosenbrock_in_mpmath(
            method.tableau, problem, mpmath.mpf(T0), mpmath.mpf(h), list(map(mpmath.mpf, start))
        )
    ode = kt.ODEProblem(in_torch(problem), tensor(*start), (T0, T0 + h))
    got = kt.solve(ode, method, controller=kt.Fixed(1.0)).y1
    # The coupling coefficients are as large as 165.
    assert float((got - tensor(*map(float, exact))).abs().max()) < 1e-13


class Recorded:
    """A right-hand side as methods see it."""

    def __init__(self, problem):
        self.derivative = lambda t, y: in_torch(problem)(torch.as_tensor(t, dtype=y.dtype), y)


@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda p: type(p).__name__)
@pytest.mark.parametrize("method", ADAMS, ids=name)
def test_an_adams_step_is_that_of_its_definition_to_rounding(method, problem):
    h, field = 2.0**-5, Recorded(problem)
    times = [T0 + i * h for i in range(1 - method.order, 1)]
    carry = method.init(field, times[0], tensor(*problem.exact(math, times[0])))
    for t in times:
        step, carry = method.step(field, t, tensor(*problem.exact(math, t)), h, carry)
    with mpmath.workdps(40):
        exact = adams_in_mpmath(method, problem, mpmath.mpf(T0), mpmath.mpf(h))
    assert float((step.y1 - tensor(*map(float, exact))).abs().max()) < 1e-13


# Splittings take separable problems: f(t, (q, p)) = (V(t, p), F(t, q)).


def forced(t, state):
    q, p = state
    return p, -q + torch.cos(2 * t)


def forced_exact(t):
    """From q = 1, p = 0."""
    return [(4 * math.cos(t) - math.cos(2 * t)) / 3, (2 * math.sin(2 * t) - 4 * math.sin(t)) / 3]


def orbit(t, state):
    q, p = state
    return p, -q / torch.linalg.vector_norm(q) ** 3


def coupled(t, state):
    """The potential is a cosine and the kinetic energy a quartic; the solution is taken from Vern9."""
    q, p = state
    return p**3 + p, -torch.sin(q)


def separable_problems():
    yield "forced oscillator", forced, (tensor(1.0), tensor(0.0)), tensor(*forced_exact(3.0))
    kepler = Kepler()
    yield "orbit", orbit, (tensor(0.7, 0.0), tensor(*kepler.start[2:])), tensor(*kepler.exact(math, 3.0))
    start = (tensor(1.0), tensor(0.5))
    reference = kt.solve(kt.ODEProblem(coupled, start, (0.0, 3.0)), kt.Vern9(), controller=kt.Fixed(0.02)).y1
    yield "pendulum with quartic kinetic energy", coupled, start, torch.cat(reference)


SEPARABLE = list(separable_problems())


@pytest.mark.parametrize("problem", SEPARABLE, ids=lambda p: p[0])
@pytest.mark.parametrize("method", SPLITTINGS, ids=name)
def test_splittings_have_their_nominal_order(method, problem):
    label, f, start, exact = problem

    def error(n):
        y1 = kt.solve(kt.ODEProblem(f, start, (0.0, 3.0)), method, controller=kt.Fixed(3.0 / n)).y1
        return float((torch.cat(y1) - exact).abs().max())

    slope = observed(error, {1: 256, 2: 128, 3: 768, 4: 96, 6: 48}[method.order])
    print(f"order of {name(method)} on {label}: {slope:.3f}")
    assert abs(slope - method.order) < 0.1


def test_every_method_names_its_order_and_source():
    for method in METHODS:
        assert method.order >= 1 and method.source and method.kind, name(method)
