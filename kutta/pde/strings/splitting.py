"""What of an equation is linear in its unknowns with constant coefficients, and what remains.

Every expression is a sum of three parts,

    c + sum_k a_k A_k u_k + r,

where ``c`` and ``a_k`` are numbers or parameters, ``A_k`` operators of one unknown each, and ``r`` is whatever depends
on the unknowns otherwise, on the place or on the time. Sums add them up, operators act on each, and

    (c + l + r) l' = c l' + (l + r) l',       (c + l) (c' + l') = c c' + (c l' + c' l) + l l'.

Any other product is part of the remainder, so that no part is written more than twice, and the work is bounded by the
length of the text times its depth.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from kutta.formulas.reading import FormulaError
from kutta.formulas.tree import Call, Name, Number, Power, Product, Sum, Tree, added, multiplied, parts_of, raised
from kutta.pde.strings.operators import SCALAR_OPERATORS, Along, Gradient, InverseLaplace, Laplace, Operator
from kutta.pde.strings.parts import (
    Combination,
    Diffusion,
    DiffusionOfUnknown,
    Dot,
    OfDerivative,
    OfField,
    OfFunction,
    OfUnknown,
    Square,
)

# An unknown, and the operators that act on it, the first one first.
Term = tuple[str, tuple[Operator, ...]]
ZERO, ONE = Number(0.0), Number(1.0)
HIGHEST_DERIVATIVE = 4


@dataclass(frozen=True)
class Parts:
    """The three parts of an expression.

    Attributes:
        constant: ``c``.
        linear: the coefficient of each term.
        rest: trees whose sum is ``r``.
    """

    constant: Tree = ZERO
    linear: dict[Term, Tree] = field(default_factory=dict)
    rest: tuple[Tree, ...] = ()

    @property
    def linear_sum(self) -> Tree:
        """``l``."""
        return added(*(multiplied(factor, term_tree(term)) for term, factor in self.linear.items()))

    @property
    def varying(self) -> Tree:
        """``l + r``."""
        return added(self.linear_sum, *self.rest)

    @property
    def whole(self) -> Tree:
        """``c + l + r``."""
        return added(self.constant, self.varying)

    @property
    def is_constant(self) -> bool:
        """Whether there is no other part."""
        return not (self.linear or self.rest)

    def plus(self, *others: Parts) -> Parts:
        """The sum with others."""
        linear = dict(self.linear)
        for other in others:
            for term, factor in other.linear.items():
                linear[term] = added(linear[term], factor) if term in linear else factor
        constant = added(self.constant, *(other.constant for other in others))
        return Parts(constant, linear, (*self.rest, *(one for other in others for one in other.rest)))

    def times(self, number: Tree) -> Parts:
        """The product with a constant."""
        if number == ZERO:
            return Parts()
        return Parts(
            ZERO if self.constant == ZERO else multiplied(number, self.constant),
            {term: multiplied(number, factor) for term, factor in self.linear.items()},
            (multiplied(number, added(*self.rest)),) if self.rest else (),
        )


class Splitter:
    """Splits the expressions of one text.

    Args:
        text: that they are from, for errors.
        unknowns: their names.
        varying: the names of what depends on place or time.
    """

    def __init__(self, text: str, unknowns: Sequence[str], varying: Sequence[str]):
        self.text, self.unknowns, self.varying = text, frozenset(unknowns), frozenset(varying)

    def split(self, tree: Tree) -> Parts:
        """The parts of an expression."""
        if isinstance(tree, Name):
            return self._of_name(tree)
        if isinstance(tree, Sum):
            return Parts().plus(*(self.split(term) for term in tree.terms))
        if isinstance(tree, Product):
            return self._product([self.split(factor) for factor in tree.factors])
        if isinstance(tree, Power):
            base, exponent = self.split(tree.base), self.split(tree.exponent)
            return self._opaque(raised(base.whole, exponent.whole), base, exponent)
        if isinstance(tree, Call):
            return self._call(tree)
        return Parts(constant=tree)

    def _of_name(self, name: Name) -> Parts:
        if name.name in self.unknowns:
            return Parts(linear={(name.name, ()): ONE})
        return Parts(rest=(name,)) if name.name in self.varying else Parts(constant=name)

    def _product(self, factors: list[Parts]) -> Parts:
        constant = multiplied(*(one.constant for one in factors if one.is_constant))
        others = [one for one in factors if not one.is_constant]
        if not others:
            return Parts(constant=constant)
        if len(others) == 2:
            return _product_of_two(*others).times(constant)
        found = others[0] if len(others) == 1 else Parts(rest=(multiplied(*(one.whole for one in others)),))
        return found.times(constant)

    def _opaque(self, tree: Tree, *of: Parts) -> Parts:
        return Parts(constant=tree) if all(one.is_constant for one in of) else Parts(rest=(tree,))

    def _call(self, call: Call) -> Parts:
        if call.function in SCALAR_OPERATORS:
            found = self.split(call.arguments[0])
            for operator in SCALAR_OPERATORS[call.function]:
                found = self._applied(operator, found, call)
            return found
        if call.function == "divergence":
            flows = [self._flow(factor, parts, call) for factor, parts in self._vector(call.arguments[0])]
            return Parts().plus(*flows)
        if call.function == "gradient_squared":
            vector = self._combination([(Parts(ONE), self.split(call.arguments[0]))], call)
            return Parts(rest=(Square(vector),)) if vector else Parts()
        if call.function == "dot":
            first, second = (self._combination(self._vector(one), call) for one in call.arguments)
            return Parts(rest=(Dot(first, second),)) if first and second else Parts()
        if call.function == "gradient":
            raise self._error("gradient(...) is a vector, which stands in dot(...) or divergence(...) alone", call)
        arguments = [self.split(one) for one in call.arguments]
        return self._opaque(Call(call.function, tuple(one.whole for one in arguments), call.place), *arguments)

    def _applied(self, operator: Operator, parts: Parts, call: Call) -> Parts:
        """An operator of an expression; derivatives of constants vanish, and inverse ones between walls do not."""
        of_terms = [
            Parts(linear={(name, chained(before, operator)): factor}) for (name, before), factor in parts.linear.items()
        ]
        if isinstance(operator, InverseLaplace):
            rest = self._inverses((parts.constant, *parts.rest), call)
        else:
            rest = self._of_terms(operator, parts.rest, call)
        return Parts(rest=tuple(rest)).plus(*of_terms)

    def _inverses(self, terms: Sequence[Tree], call: Call) -> list[Tree]:
        """The inverse Laplacian of what is not linear, which needs only the values at the points of the grid."""
        plain, others = added(*filter(_is_plain, terms)), [one for one in terms if not _is_plain(one)]
        found: list[Tree] = [OfField(InverseLaplace(), added(*others), self._what(call))] if others else []
        if plain == ZERO:
            return found
        if not self.unknowns & {one.name for one in parts_of(plain) if isinstance(one, Name)}:
            plain = added(plain, multiplied(ZERO, Name(min(self.unknowns))))  # or a constant would be no field
        return [OfFunction(InverseLaplace(), plain), *found]

    def _of_terms(self, operator: Operator, terms: Sequence[Tree], call: Call) -> list[Tree]:
        """An operator of what is not linear: of all functions of the unknowns at once, and of the others."""
        functions = [one for one in terms if self._is_function(one)]
        others = [one for one in terms if not self._is_function(one) and not self._is_uniform(one)]
        found: list[Tree] = [OfFunction(operator, added(*functions))] if functions else []
        return found + ([OfField(operator, added(*others), self._what(call))] if others else [])

    def _gradients(self, parts: Parts, call: Call) -> list[tuple[Tree, Tree]]:
        """The gradient of an expression: coefficients and gradients."""
        terms = [(factor, term_tree((name, (*before, Gradient())))) for (name, before), factor in parts.linear.items()]
        return terms + [(ONE, one) for one in self._of_terms(Gradient(), parts.rest, call)]

    def _vector(self, tree: Tree) -> list[tuple[Parts, Parts]]:
        """``a_1 grad f_1 + ...`` as pairs of ``a`` and ``f``."""
        if isinstance(tree, Call) and tree.function == "gradient":
            return [(Parts(ONE), self.split(tree.arguments[0]))]
        if isinstance(tree, Sum):
            return [pair for term in tree.terms for pair in self._vector(term)]
        if isinstance(tree, Product):
            vectors = [one for one in tree.factors if _holds_vector(one)]
            if len(vectors) == 1:
                factor = self._product([self.split(one) for one in tree.factors if one is not vectors[0]])
                return [(self._product([factor, one]), parts) for one, parts in self._vector(vectors[0])]
        place = next((one.place for one in parts_of(tree) if isinstance(one, Call | Name)), 0)
        raise FormulaError("expected a vector: gradient(...), or sums and multiples of such", self.text, place)

    def _combination(self, vector: list[tuple[Parts, Parts]], call: Call) -> Tree | None:
        """A vector as a tree; nothing where it vanishes."""
        pairs = [
            (multiplied(factor.whole, number), gradient)
            for factor, parts in vector
            for number, gradient in self._gradients(parts, call)
        ]
        return Combination(tuple(one for one, _ in pairs), tuple(one for _, one in pairs)) if pairs else None

    def _flow(self, factor: Parts, parts: Parts, call: Call) -> Parts:
        """``div(a grad f)``."""
        if factor.is_constant:
            return self._applied(Laplace(), parts, call).times(factor.constant)
        rest: list[Tree] = []
        for (name, before), number in parts.linear.items():
            coefficient = multiplied(number, factor.whole)
            known = DiffusionOfUnknown(coefficient, name)
            rest.append(Diffusion(coefficient, term_tree((name, before)), self._what(call)) if before else known)
        varying = [one for one in parts.rest if not self._is_uniform(one)]
        if varying:
            rest.append(Diffusion(factor.whole, added(*varying), self._what(call)))
        return Parts(rest=tuple(rest))

    def _is_function(self, tree: Tree) -> bool:
        """Whether a tree is a function of the values of unknowns, with coefficients that are the same everywhere."""
        names = {one.name for one in parts_of(tree) if isinstance(one, Name)}
        return _is_plain(tree) and bool(names & self.unknowns) and names & self.varying <= {"t"}

    def _is_uniform(self, tree: Tree) -> bool:
        """Whether a tree is a number for each time."""
        names = {one.name for one in parts_of(tree) if isinstance(one, Name)}
        return _is_plain(tree) and names & (self.unknowns | self.varying) <= {"t"}

    def _what(self, call: Call) -> str:
        return f"what {call.function}(...) at character {call.place + 1} is taken of"

    def _error(self, reason: str, call: Call) -> FormulaError:
        return FormulaError(reason, self.text, call.place)


def _product_of_two(a: Parts, b: Parts) -> Parts:
    """The product, split if one factor has no remainder, and no constant beside a remainder of the other."""
    if not _splits(a, b):
        a, b = b, a
    if not _splits(a, b):
        return Parts(rest=(multiplied(a.whole, b.whole),))
    linear = Parts(linear=a.linear)
    numbers = Parts(b.constant, b.linear).times(a.constant)
    return linear.times(b.constant).plus(numbers).plus(Parts(rest=(multiplied(linear.whole, b.varying),)))


def _splits(a: Parts, b: Parts) -> bool:
    return not a.rest and (a.constant == ZERO or not b.rest)


def _is_plain(tree: Tree) -> bool:
    """Whether there is no operator in a tree."""
    return all(isinstance(one, Number | Name | Sum | Product | Power | Call) for one in parts_of(tree))


def chained(before: tuple[Operator, ...], operator: Operator) -> tuple[Operator, ...]:
    """One more operator; derivatives along one axis are one derivative of higher order."""
    last = before[-1] if before else None
    if isinstance(last, Along) and isinstance(operator, Along) and last.axis == operator.axis:
        order = last.order + operator.order
        if order <= HIGHEST_DERIVATIVE:
            return (*before[:-1], Along(last.axis, order))
    return (*before, operator)


def term_tree(term: Term) -> Tree:
    """Operators of an unknown, one after the other."""
    name, operators = term
    tree: Tree = Name(name)
    for place, operator in enumerate(operators):
        if place == 0:
            tree = OfUnknown(operator, name)
        elif all(one.even for one in operators[:place]):
            tree = OfDerivative(operator, tree)
        else:
            tree = OfField(operator, tree, f"a first or third derivative of {name}")
    return tree


def _holds_vector(tree: Tree) -> bool:
    """Whether an expression is a vector."""
    if isinstance(tree, Call):
        return tree.function == "gradient"
    return isinstance(tree, Sum | Product) and any(map(_holds_vector, tree.children))
