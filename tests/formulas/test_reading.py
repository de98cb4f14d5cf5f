"""Formulas are read by a grammar, or refused with the place."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kutta.formulas.functions import ARITIES
from kutta.formulas.reading import DEEPEST, LONGEST, FormulaError, nearest, read
from kutta.formulas.tree import Call, Name, Number, Power, Product, Sum, Tree

x, y = Name("x"), Name("y")


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("x", x),
        ("  x\n", x),
        ("2.5e-1", Number(0.25)),
        (".5", Number(0.5)),
        ("7.", Number(7.0)),
        ("pi", Number(math.pi)),
        ("x + y", Sum((x, y))),
        ("x - y", Sum((x, Product((Number(-1.0), y))))),
        ("x - -y", Sum((x, y))),
        ("-x**2", Product((Number(-1.0), Power(x, Number(2.0))))),
        ("x**-1", Power(x, Number(-1.0))),
        ("x / y", Product((x, Power(y, Number(-1.0))))),
        ("x**y**2", Power(x, Power(y, Number(2.0)))),
        ("2 * 3 + 4", Number(10.0)),
        ("2**3**2", Number(512.0)),
        ("x + y * x", Sum((x, Product((y, x))))),
        ("(x + y) * x", Product((Sum((x, y)), x))),
        ("x + (y + 1) + 2", Sum((x, y, Number(3.0)))),
        ("x * 1", x),
        ("x ** 1", x),
        ("x ** 0", Number(1.0)),
        ("sin(x)", Call("sin", (x,))),
        ("atan2(x, y)", Call("atan2", (x, y))),
        ("k*x", Product((Number(3.0), x))),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_grammar(text, tree):
    assert read(text, ARITIES, {"k": 3.0}) == tree


HOSTILE = {
    "code": "__import__('os').system('touch kutta-was-here')",
    "attribute": "x.__class__",
    "subscript": "x[0]",
    "lambda": "lambda: 1",
    "walrus": "(x := 1)",
    "f-string": "f'{x}'",
    "string": "'x'",
    "comparison": "x < 1",
    "and": "x and y",
    "comprehension": "[x for x in y]",
    "call of no function": "eval(x)",
    "call of a call": "sin(x)(x)",
    "call of a number": "2(x)",
    "function without a call": "sin",
    "too many arguments": "sin(x, x)",
    "no arguments": "sin()",
    "keyword": "sin(x=1)",
    "star": "sin(*x)",
    "tower": "9**9**9",
    "high power": "x**65",
    "high power of a sum": "(x + y)**1000000",
    "huge number": "1e999",
    "many digits": "9" * 9000,
    "infinite product": "1e300 * 1e300",
    "division by zero": "1 / 0",
    "no real number": "(-8)**0.5",
    "long": "x+" * LONGEST,
    "brackets": "(" * 5000,
    "nested brackets": "(" * (DEEPEST + 1) + "x" + ")" * (DEEPEST + 1),
    "nested calls": "sin(" * (DEEPEST + 1) + "x" + ")" * (DEEPEST + 1),
    "tower of names": "**".join(["x"] * (DEEPEST + 2)),
    "open bracket": "(x",
    "closed bracket": "x)",
    "empty": "",
    "blank": " \t\n",
    "sign alone": "-",
    "comma": "x, y",
    "two names": "x y",
    "caret": "x^2",
    "wide letters": "\uff58 + 1",
    "minus of typesetters": "x \u2212 1",
    "superscript": "x\u00b2",
    "digits of other scripts": "\u0663 + x",
    "zero width": "x\u200b + 1",
    "right to left": "\u202ex + 1",
    "null": "x\x00",
    "comment": "x # y",
    "semicolon": "x; y",
    "backslash": "x\\\n+ y",
    "complex": "1j",
    "hexadecimal": "0x10",
    "underscores": "1_000",
    "decorator": "@x",
    "await": "await x",
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_anything_else_is_refused_with_its_place(text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FormulaError, match=r", at character \d+ of\n") as refused:
        read(text, ARITIES)
    assert 0 <= refused.value.place <= len(text)
    _, line, pointer = str(refused.value).rsplit("\n", 2)
    assert pointer.strip() == "^" and len(line) < 100 and line.isascii()
    assert not list(tmp_path.iterdir())


def test_the_pointer_stands_below_what_is_meant():
    with pytest.raises(FormulaError) as refused:
        read("1 + lapalce(x)", {"laplace": 1})
    *_, line, pointer = str(refused.value).splitlines()
    assert line[pointer.index("^") :].startswith("lapalce")
    assert "did you mean laplace?" in str(refused.value)


def test_long_texts_are_shown_around_the_place():
    with pytest.raises(FormulaError) as refused:
        read("x + " * 500 + "? + x" + " + x" * 500, ARITIES)
    *_, line, pointer = str(refused.value).splitlines()
    assert line[pointer.index("^")] == "?" and line.strip().startswith("... ") and line.endswith(" ...")


@pytest.mark.parametrize("value", [None, 3, b"x", ["x"]], ids=["none", "number", "bytes", "list"])
def test_only_text_is_read(value):
    with pytest.raises(TypeError, match="must be a text"):
        read(value, ARITIES)


def test_deep_and_long_are_read_up_to_the_limits():
    assert read("(" * (DEEPEST - 1) + "x" + ")" * (DEEPEST - 1), ARITIES) == x
    assert len(read("+".join(["x"] * (LONGEST // 2)), ARITIES).terms) == LONGEST // 2
    assert read("-" * (LONGEST - 1) + "x", ARITIES) == Product((Number(-1.0), x))


def test_nearest_lists_what_there_is_if_nothing_is_near():
    assert nearest("qqq", ["x", "y"]) == "; there are x, y"
    assert nearest("x", []) == ""


letters = st.text(alphabet="xyuvt0123456789.+-*/()eE_ ,\n", max_size=60)
words = st.lists(
    st.sampled_from(
        ["x", "sin", "(", ")", "+", "-", "*", "/", "**", ",", "2", "1e9", "exp", "lambda", ".", "'", "=", "\u00b2"]
    ),
    max_size=40,
).map(" ".join)


@settings(deadline=None, max_examples=300)
@given(st.one_of(st.text(max_size=60), letters, words))
def test_garbage_is_a_formula_or_a_formula_error(text):
    try:
        assert isinstance(read(text, ARITIES), Tree)
    except FormulaError as refused:
        assert 0 <= refused.place <= len(text)


def test_an_error_reads_no_more_of_a_text_than_it_shows():
    class Endless(str):
        def __iter__(self):
            raise AssertionError("all of it")

    with pytest.raises(FormulaError, match="a formula may have 10000 characters"):
        read(Endless("x+" * LONGEST), ARITIES)
