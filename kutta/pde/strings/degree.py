"""How many fields an expression multiplies with each other, which aliasing depends on."""

from __future__ import annotations

from collections.abc import Collection

from kutta.formulas.tree import Call, Name, Number, Power, Product, Tree, multiplied, parts_of
from kutta.pde.strings.parts import Combination, Diffusion, DiffusionOfUnknown, Dot, OfFunction, OfUnknown, Square

# Functions such as exp are products of any number of fields; the waves of three are kept apart.
OF_FUNCTIONS = 3

# Products of more fields than this are treated as products of this many. To keep all of them free of aliasing would
# leave hardly any wave: of a product of 64 fields on 64 points only the mean.
HIGHEST = 4


def degree_of(tree: Tree, unknowns: Collection[str], data: Collection[str]) -> int:
    """The degree of an expression as a polynomial in fields.

    Args:
        tree: the expression.
        unknowns: the names of the unknowns.
        data: the names of what else depends on the place. Whatever is made of data alone counts as one field.
    """
    if isinstance(tree, OfUnknown):
        return 1
    if isinstance(tree, OfFunction):
        return degree_of(tree.argument, unknowns, data)
    if isinstance(tree, DiffusionOfUnknown):
        return 1 + degree_of(tree.coefficient, unknowns, data)
    if not depends_on(tree, unknowns):
        return int(any(isinstance(one, Name) and one.name in data for one in parts_of(tree)))
    if isinstance(tree, Combination):
        pairs = zip(tree.coefficients, tree.gradients, strict=True)
        return max(degree_of(multiplied(*pair), unknowns, data) for pair in pairs)
    parts = [degree_of(one, unknowns, data) for one in tree.children]
    if isinstance(tree, Product):
        depend = [depends_on(one, unknowns) for one in tree.factors]
        of_data = max((part for part, own in zip(parts, depend, strict=True) if not own), default=0)
        return of_data + sum(part for part, own in zip(parts, depend, strict=True) if own)
    if isinstance(tree, Dot | Diffusion):
        return sum(parts)
    if isinstance(tree, Square):
        return 2 * parts[0]
    if isinstance(tree, Power) and isinstance(tree.exponent, Number) and _is_count(tree.exponent.number):
        return int(tree.exponent.number) * parts[0]
    return max(OF_FUNCTIONS if isinstance(tree, Power | Call) else 0, *parts, 1)


def depends_on(tree: Tree, unknowns: Collection[str]) -> bool:
    """Whether an expression depends on the unknowns."""
    kinds = OfUnknown | OfFunction | DiffusionOfUnknown
    return any(isinstance(one, kinds) or (isinstance(one, Name) and one.name in unknowns) for one in parts_of(tree))


def _is_count(number: float) -> bool:
    return number > 0.0 and number.is_integer()
