"""What the texts of an equation say: its unknowns, where it makes sense, and its two parts as programs."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from torch import Tensor

from kutta.formulas.formula import check_names
from kutta.formulas.program import Program, program_of
from kutta.formulas.reading import FormulaError
from kutta.formulas.tree import Call, Name, Tree, added, multiplied, names_of, parts_of
from kutta.pde.grids.grid import AXES
from kutta.pde.strings.degree import HIGHEST, degree_of, depends_on
from kutta.pde.strings.operators import SCALAR_OPERATORS, Along
from kutta.pde.strings.splitting import ZERO, Splitter


@dataclass(frozen=True, eq=False)
class Meaning:
    """What an equation is made of.

    Attributes:
        components: the names of its unknowns.
        dimensions: of the space in which it makes sense.
        degree: of the products of fields in what is not linear, at most `kutta.pde.strings.degree.HIGHEST`.
        tensors: the parameters that are tensors.
        axes: the coordinates that it depends on.
        linear: what is linear, for all unknowns.
        rest: what remains.
    """

    components: tuple[str, ...]
    dimensions: tuple[int, ...]
    degree: int
    tensors: dict[str, Tensor]
    axes: tuple[int, ...]
    linear: Program | None
    rest: Program | None


def meaning_of(
    texts: Mapping[str | None, str],
    trees: Mapping[str | None, Tree],
    tensors: Mapping[str, Tensor],
    numbers: Collection[str] = (),
) -> Meaning:
    """The meaning of right-hand sides.

    Args:
        texts: by unknown; of a single one the name may be left open.
        trees: of these texts.
        tensors: the parameters that are tensors.
        numbers: the names of those that are numbers, which the trees hold as such.

    Raises:
        FormulaError: for names without a meaning.
    """
    unknowns = _unknowns(texts, trees, {*tensors, *numbers})
    for name, tree in trees.items():
        check_names(tree, texts[name], {*unknowns, *tensors, *numbers, *AXES, "t"})
    varying = [*(name for name, value in tensors.items() if value.dim()), *AXES]
    parts = [Splitter(texts[name], unknowns, [*varying, "t"]).split(tree) for name, tree in trees.items()]
    linear = [one.linear_sum for one in parts]
    rest = [added(one.constant, *one.rest) for one in parts]
    used = {name for tree in trees.values() for name in names_of(tree)}
    axes = tuple(axis for axis, name in enumerate(AXES) if name in used)
    return Meaning(
        components=unknowns,
        dimensions=tuple(range(1 + max([0, *axes, *_directions(trees.values())]), 4)),
        degree=min(max([1, *(degree_of(one, unknowns, varying) for one in rest)]), HIGHEST),
        tensors={name: value for name, value in tensors.items() if name in used},
        axes=axes,
        linear=None if _vanishes(linear) else _program(linear, unknowns),
        rest=None if _vanishes(rest) and not _vanishes(linear) else _program(rest, unknowns),
    )


def _unknowns(texts: Mapping, trees: Mapping, parameters: Collection[str]) -> tuple[str, ...]:
    """The names of the unknowns: those given, or the only one that a text leaves open."""
    if None not in texts:
        for name in texts:
            if name in parameters:
                raise ValueError(f"{name} is both an unknown and a parameter")
        return tuple(texts)
    found = {name: at for name, at in names_of(trees[None]).items() if name not in {*parameters, *AXES, "t"}}
    if len(found) == 1:
        return tuple(found)
    first, *others = found or ["u"]
    if not others:
        hint = f'write {{"{first}": ...}}, in a problem file text = {{ {first} = ... }}'
        raise FormulaError(f"there is no unknown; if it is {first}, {hint}", texts[None], 0)
    raise FormulaError(
        f"{', '.join(found)} are unknown, and an equation has one; give the others as parameters, or a dict of texts",
        texts[None],
        found[others[0]],
    )


def _directions(trees) -> list[int]:
    """The axes along which something is differentiated."""
    calls = [one for tree in trees for one in parts_of(tree) if isinstance(one, Call)]
    operators = [one for call in calls for one in SCALAR_OPERATORS.get(call.function, ())]
    return [one.axis for one in operators if isinstance(one, Along)]


def _of_shape(tree: Tree, name: str, unknowns: Collection[str]) -> Tree:
    """An expression that has the shape of an unknown, even if it does not depend on any."""
    return tree if depends_on(tree, unknowns) else added(tree, multiplied(ZERO, Name(name)))


def _program(trees: list[Tree], unknowns: tuple[str, ...]) -> Program:
    return program_of(_of_shape(tree, name, unknowns) for tree, name in zip(trees, unknowns, strict=True))


def _vanishes(trees: list[Tree]) -> bool:
    return all(tree == ZERO for tree in trees)
