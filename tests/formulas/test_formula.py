"""Formulas have the values of ordinary arithmetic."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kutta.formulas.formula import Formula
from kutta.formulas.functions import ARITIES, FUNCTIONS
from kutta.formulas.reading import FormulaError
from tests.formulas._expressions import expressions, names, numbers

F64 = torch.float64


@settings(deadline=None, max_examples=200)
@given(expressions(st.one_of(numbers, names("x", "y", "k"))), st.integers(0, 10_000))
def test_values_are_those_of_arithmetic(expression, seed):
    text, reference = expression
    generator = torch.Generator().manual_seed(seed)
    x, y = 4 * torch.rand(2, 5, dtype=F64, generator=generator) - 2
    functions = {"sin": torch_or_math("sin"), "cos": torch_or_math("cos"), "tanh": torch_or_math("tanh")}
    value, scale = reference({"x": (x, x.abs()), "y": (y, y.abs()), "k": (1.5, 1.5), **functions})
    found = torch.as_tensor(Formula(text, ["x", "y"], {"k": 1.5})(x=x, y=y), dtype=F64)
    assert bool(((found - value).abs() <= 1e-13 * (1 + torch.as_tensor(scale))).all())


def torch_or_math(function):
    return lambda value: getattr(torch, function)(value) if torch.is_tensor(value) else getattr(math, function)(value)


REFERENCES = {
    "sech": lambda x: 1 / torch.cosh(x),
    "heaviside": lambda x: torch.heaviside(x, torch.tensor(0.5, dtype=F64)),
}


@pytest.mark.parametrize("function", [one for one, count in ARITIES.items() if count == 1])
def test_functions_of_one_argument(function):
    x = torch.tensor([-1.5, -0.25, 0.0, 0.5, 2.0], dtype=F64)
    wanted = REFERENCES.get(function, getattr(torch, function, None))(x)
    torch.testing.assert_close(Formula(f"{function}(x)", ["x"])(x=x), wanted, equal_nan=True)
    torch.testing.assert_close(Formula(f"{function}(0.5)", [])(), wanted[3])


@pytest.mark.parametrize("function", [one for one, count in ARITIES.items() if count == 2])
def test_functions_of_two_arguments(function):
    x, y = torch.tensor([[-1.5, 0.0, 2.0], [1.0, -1.0, 0.5]], dtype=F64)
    found = Formula(f"{function}(x, y)", ["x", "y"])(x=x, y=y)
    torch.testing.assert_close(found, FUNCTIONS[function](x, y))
    single = Formula(f"{function}(x, 0)", ["x"])(x=x.float())
    assert single.dtype == torch.float32


@pytest.mark.parametrize("function", sorted(set(ARITIES) - {"sign", "heaviside"}))
def test_functions_have_gradients(function):
    arguments = ("x", "y")[: ARITIES[function]]
    values = [torch.tensor([0.3, 0.6], dtype=F64, requires_grad=True), torch.tensor([0.7, 0.2], dtype=F64)]
    formula = Formula(f"{function}({', '.join(arguments)})" if function != "acosh" else "x", arguments)
    assert torch.autograd.gradcheck(
        lambda x: formula(**dict(zip(arguments, (x, values[1]), strict=False))), (values[0],)
    )


def test_powers_with_any_exponent():
    x, k = torch.tensor([0.5, 2.0], dtype=F64), torch.tensor(1.5, dtype=F64, requires_grad=True)
    torch.testing.assert_close(Formula("x**k", ["x"], {"k": k})(x=x), x**k)
    torch.testing.assert_close(Formula("2**x", ["x"])(x=x), 2**x)
    torch.testing.assert_close(Formula("x**0.5", ["x"])(x=x), x.sqrt())
    torch.testing.assert_close(Formula("x**-2", ["x"])(x=x), x**-2)
    (slope,) = torch.autograd.grad(Formula("x**k", ["x"], {"k": k})(x=x).sum(), k)
    torch.testing.assert_close(slope, (x**1.5 * x.log()).sum())


def test_numbers_leave_the_dtype_as_it_is():
    x = torch.ones(3, dtype=torch.float32)
    assert Formula("sin(2) * x + exp(k) - x**k", ["x"], {"k": 0.5})(x=x).dtype == torch.float32


def test_names_must_have_a_meaning():
    with pytest.raises(FormulaError, match=r"there is no widht; did you mean width\?, at character 5"):
        Formula("2 * widht", ["x"], {"width": 1.0})
    assert Formula("x + y", ["x", "y", "z"]).used == ("x", "y")


@pytest.mark.parametrize(
    ("constants", "error", "reason"),
    [
        ({"pi": 3.0}, ValueError, "'pi' cannot be the name"),
        ({"sin": 3.0}, ValueError, "'sin' cannot be the name"),
        ({"a b": 3.0}, ValueError, "'a b' cannot be the name"),
        ({"\u03bd": 3.0}, ValueError, "cannot be the name"),
        ({3: 3.0}, ValueError, "3 cannot be the name"),
        ({"k": "3"}, TypeError, "parameter k must be a number or a tensor; got '3'"),
        ({"k": True}, TypeError, "parameter k must be a number"),
        ({"k": math.nan}, ValueError, "parameter k must be finite"),
        ({"k": math.inf}, ValueError, "parameter k must be finite"),
    ],
    ids=["pi", "function", "blank", "greek", "no text", "text", "truth", "nan", "infinite"],
)
def test_constants_are_checked(constants, error, reason):
    with pytest.raises(error, match=reason):
        Formula("x", ["x"], constants)


def test_constants_that_make_a_number_too_large_are_refused_in_the_text():
    with pytest.raises(FormulaError, match="too large"):
        Formula("x * k**4", ["x"], {"k": 1e300})
