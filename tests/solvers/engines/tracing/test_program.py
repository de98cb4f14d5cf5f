"""The builder simplifies without changing results by more than rounding."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kutta.solvers.engines.tracing.operations import OPERATIONS
from kutta.solvers.engines.tracing.program import Builder


@pytest.fixture
def b():
    return Builder()


def test_the_same_twice_is_one_node(b):
    x, y = b.input("y", 0), b.input("y", 1)
    assert b.mul(x, y) == b.mul(y, x) and b.sub(x, y) != b.sub(y, x)
    program = b.program([b.add(b.mul(x, y), b.mul(y, x))])
    assert dict(program.operations) == {"mul": 1, "add": 1}


def test_identities(b):
    x, y = b.input("y", 0), b.input("y", 1)
    zero, one = b.const(0.0), b.const(1.0)
    assert b.add(x, zero) == x == b.mul(one, x) == b.sub(x, zero) == b.neg(b.neg(x)) == b.div(x, one)
    assert b.add(x, b.neg(y)) == b.sub(x, y) and b.sub(x, b.neg(y)) == b.add(x, y)
    assert b.neg(b.sub(x, y)) == b.sub(y, x)
    assert b.mul(b.const(2.0), b.mul(b.const(3.0), x)) == b.mul(b.const(6.0), x)
    assert b.pow(x, b.const(0.5)) == b.apply("sqrt", x)
    assert b.where(b.const(True), x, y) == x and b.where(b.apply("lt", x, y), y, y) == y


def test_constant_factors_and_divisors_are_merged(b):
    x, two, three, six = b.input("y", 0), b.const(2.0), b.const(3.0), b.const(6.0)
    assert b.div(b.mul(six, x), three) == b.div(b.mul(x, six), three) == b.mul(two, x)
    assert b.div(b.div(x, three), three) == b.mul(b.const(1.0 / 3.0 / 3.0), x)
    assert b.mul(three, b.div(x, six)) == b.mul(b.const(0.5), x)
    assert b.nodes[b.div(b.mul(six, x), b.const(0.0))].operation == "div"
    assert b.nodes[b.div(b.mul(b.const(1e-20), x), b.const(1e20))].operation == "div"
    assert b.nodes[b.mul(b.const(1e20), b.div(x, b.const(1e-20)))].operation == "mul"


@given(st.floats(-1e3, 1e3), st.floats(1e-9, 1e9), st.floats(1e-9, 1e9))
def test_merged_constants_change_rounding_only(value, factor, divisor):
    b = Builder()
    x, c, d = b.input("y", 0), b.const(factor), b.const(divisor)
    asked = [factor * value / divisor, value / divisor * factor, value / factor / divisor]
    program = b.program([b.div(b.mul(c, x), d), b.mul(b.div(x, d), c), b.div(b.div(x, c), d)])
    assert program.evaluate({"y": [value]}) == pytest.approx(asked, rel=1e-15)


def test_what_is_constant_is_computed(b):
    assert b.value(b.apply("sin", b.mul(b.const(2.0), b.const(3.0)))) == math.sin(6.0)
    assert b.value(b.apply("lt", b.const(2.0), b.const(3.0))) is True
    assert b.value(b.div(b.const(1.0), b.const(0.0))) == math.inf


@given(st.floats(0.1, 10.0), st.integers(-16, 16))
def test_powers_are_products(base, power):
    b = Builder()
    program = b.program([b.pow(b.input("y", 0), b.const(power))])
    assert "pow" not in program.operations and program.cost <= 9
    (found,) = program.evaluate({"y": [base]})
    assert found == pytest.approx(base**power, rel=1e-14)


def test_what_is_not_needed_is_left_out(b):
    x = b.input("y", 0)
    b.apply("exp", x)
    program = b.program([b.mul(x, x)])
    assert program.cost == 1 and len(program.nodes) == 2


def test_zero_times_anything_is_not_simplified_away(b):
    program = b.program([b.mul(b.const(0.0), b.input("y", 0))])
    with np.errstate(invalid="ignore"):
        assert np.isnan(program.evaluate({"y": [np.inf]})[0])


def test_constants_that_look_alike_are_told_apart(b):
    assert len({b.const(0.0), b.const(-0.0), b.const(1.0), b.const(True)}) == 4
    assert b.const(math.nan) == b.const(math.nan)


@pytest.mark.parametrize("name", [name for name, one in OPERATIONS.items() if not one.truth and name != "where"])
def test_partials_are_derivatives(name):
    b, operation = Builder(), OPERATIONS[name]
    count = 2 if name in ("add", "sub", "mul", "div", "pow", "atan2", "fmod", "max", "min") else 1
    places = [b.input("x", place) for place in range(count)]
    result = b.apply(name, *places)
    partials = operation.partials(b, result, *places) if operation.partials else (b.const(0.0),) * count
    program = b.program([one if one is not None else b.const(0.0) for one in partials])
    at, step = [0.37, 0.81][:count], 1e-6
    for place, found in enumerate(program.evaluate({"x": at})):
        ends = [[x + sign * step * (i == place) for i, x in enumerate(at)] for sign in (1, -1)]
        expected = (operation.compute(*ends[0]) - operation.compute(*ends[1])) / (2 * step)
        assert found == pytest.approx(expected, abs=1e-8)
