"""From text to a tree, by a grammar of its own.

    sum      = ["+" | "-"] product { ("+" | "-") product }
    product  = power { ("*" | "/") power }
    power    = atom [ "**" { "+" | "-" } power ]
    atom     = number | name | function "(" sum { "," sum } ")" | "(" sum ")"

A text is data here. There is no other way from it to what is computed than through these four rules and the tables of
names that the caller gives; nothing of it is handed to Python.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Mapping
from difflib import get_close_matches
from typing import NamedTuple, NoReturn

from kutta.formulas.tree import Call, Name, Number, NumberError, Tree, added, multiplied, raised

LONGEST, DEEPEST = 10_000, 32

_TOKEN = re.compile(
    r"(?P<space>[ \t\r\n]+)"
    r"|(?P<number>(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)"
    r"|(?P<name>[A-Za-z_][A-Za-z_0-9]*)"
    r"|(?P<sign>\*\*|[-+*/(),])"
)
_HINTS = {"^": "write ** for powers", "=": "write the right-hand side alone", ".": "numbers look like 0.5 or 1e-3"}
_SHOWN = 36


class FormulaError(ValueError):
    """A formula that cannot be read, with the place in the text.

    Attributes:
        reason: what is wrong.
        place: of the first letter that is meant, from 0 on.
    """

    def __init__(self, reason: str, text: str, place: int):
        self.reason, self.place = reason, place
        first = max(place - _SHOWN, 0)
        part = text[first : place + _SHOWN]  # of a text that may be of any length
        line = "".join(one if " " <= one <= "~" else " " if one.isspace() else "?" for one in part)
        before, after = "... " if first else "", " ..." if len(text) > place + _SHOWN else ""
        shown = f"{before}{line}{after}"
        pointer = " " * (len(before) + place - first) + "^"
        super().__init__(f"{reason}, at character {place + 1} of\n    {shown}\n    {pointer}")


class Token(NamedTuple):
    """A word of a formula."""

    kind: str
    text: str
    place: int


def read(text: str, functions: Mapping[str, int], numbers: Mapping[str, float] | None = None) -> Tree:
    """The tree of a formula.

    Args:
        text: the formula, of letters, digits and signs of ASCII.
        functions: how many arguments each function has that may be called.
        numbers: the values of some names; ``pi`` is known.

    Raises:
        FormulaError: for anything that is no formula, is too long or nested too deeply, or holds numbers that are
            infinite or powers that are too high.
        TypeError: for what is not a text.
    """
    if not isinstance(text, str):
        raise TypeError(f"a formula must be a text; got {type(text).__name__}")
    if len(text) > LONGEST:
        raise FormulaError(f"a formula may have {LONGEST} characters; this one has {len(text)}", text, LONGEST)
    return _Reader(text, functions, {"pi": math.pi, **(numbers or {})}).whole()


def _tokens(text: str) -> list[Token]:
    tokens, place = [], 0
    while place < len(text):
        match = _TOKEN.match(text, place)
        if match is None:
            hint = f": {_HINTS[text[place]]}" if text[place] in _HINTS else ""
            raise FormulaError(f"{text[place]!a} has no meaning in a formula{hint}", text, place)
        if match.lastgroup != "space":
            tokens.append(Token(str(match.lastgroup), match.group(), place))
        place = match.end()
    return [*tokens, Token("end", "", len(text))]


class _Reader:
    """One pass over the words of a text."""

    def __init__(self, text: str, functions: Mapping[str, int], numbers: Mapping[str, float]):
        self.text, self.functions, self.numbers = text, functions, numbers
        self.tokens, self.at, self.depth = _tokens(text), 0, 0

    @property
    def next(self) -> Token:
        return self.tokens[self.at]

    def taken(self, *signs: str) -> str | None:
        """The next word, if it is one of these signs."""
        if self.next.kind != "sign" or self.next.text not in signs:
            return None
        self.at += 1
        return self.tokens[self.at - 1].text

    def fail(self, reason: str, token: Token | None = None) -> NoReturn:
        raise FormulaError(reason, self.text, (token or self.next).place)

    def whole(self) -> Tree:
        tree = self.sum()
        if self.next.kind != "end":
            self.fail(f"expected +, -, *, /, ** or the end; got {self.next.text!r}")
        return tree

    def nested(self, rule: Callable[[], Tree]) -> Tree:
        """A rule one level deeper."""
        self.depth += 1
        if self.depth > DEEPEST:
            self.fail(f"nested more than {DEEPEST} levels deep")
        tree = rule()
        self.depth -= 1
        return tree

    def sum(self) -> Tree:
        terms, sign = [], self.signs()
        while True:
            place = self.next
            term = self.product()
            terms.append(term if sign > 0 else self.made(place, multiplied, Number(-1.0), term))
            operator = self.taken("+", "-")
            if operator is None:
                return self.made(place, added, *terms)
            sign = self.signs() * (1 if operator == "+" else -1)

    def product(self) -> Tree:
        place, factors, operator = self.next, [self.power()], self.taken("*", "/")
        while operator is not None:
            place, sign = self.next, self.signs()
            factor = self.power()
            if operator == "/":
                factor = self.made(place, raised, factor, Number(-1.0))
            factors += [factor] if sign > 0 else [Number(-1.0), factor]
            operator = self.taken("*", "/")
        return self.made(place, multiplied, *factors)

    def power(self) -> Tree:
        base = self.atom()
        if self.taken("**") is None:
            return base
        place, sign = self.next, self.signs()
        exponent = self.nested(self.power)
        return self.made(place, raised, base, exponent if sign > 0 else multiplied(Number(-1.0), exponent))

    def signs(self) -> int:
        """The product of signs that follow each other."""
        sign = 1
        while (one := self.taken("+", "-")) is not None:
            sign = sign if one == "+" else -sign
        return sign

    def atom(self) -> Tree:
        token = self.next
        self.at += token.kind != "end"
        if token.kind == "number":
            value = float(token.text)
            return Number(value) if math.isfinite(value) else self.fail(f"{_short(token.text)} is too large", token)
        if token.kind == "name":
            called = self.taken("(")
            return self.call(token) if called else self.name(token)
        if token.text == "(":
            tree = self.nested(self.sum)
            if self.taken(")") is None:
                self.fail("the bracket is not closed", token)
            return tree
        got = f"got {token.text!r}" if token.text else "it ends here"
        self.fail(f"expected a number, a name or a bracket; {got}", token)

    def name(self, token: Token) -> Tree:
        if token.text in self.functions:
            self.fail(f"{token.text} is a function: write {token.text}(...)", token)
        value = self.numbers.get(token.text)
        return Name(token.text, token.place) if value is None else Number(value)

    def call(self, token: Token) -> Tree:
        if token.text not in self.functions:
            self.fail(f"there is no function {_short(token.text)}{nearest(token.text, self.functions)}", token)
        arguments = [self.nested(self.sum)]
        while self.taken(","):
            arguments.append(self.nested(self.sum))
        if self.taken(")") is None:
            self.fail(f"the bracket of {token.text} is not closed", token)
        wanted = self.functions[token.text]
        if len(arguments) != wanted:
            self.fail(f"{token.text} takes {wanted} argument{'s' * (wanted > 1)}; got {len(arguments)}", token)
        return Call(token.text, tuple(arguments), token.place)

    def made(self, place: Token, make: Callable[..., Tree], *parts: Tree) -> Tree:
        try:
            return make(*parts)
        except NumberError as problem:
            self.fail(str(problem), place)


def nearest(name: str, known: Collection[str]) -> str:
    """What was probably meant, as the end of a sentence."""
    found = get_close_matches(name[:100], sorted(known), n=1)
    return f"; did you mean {found[0]}?" if found else f"; there are {', '.join(sorted(known))}" if known else ""


def _short(text: str) -> str:
    return text if len(text) <= 24 else f"{text[:20]}..."
