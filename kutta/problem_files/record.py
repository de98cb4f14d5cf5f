"""Objects of the library by name and arguments: ``"ETDRK4"``, or ``{ name = "FiniteDifference", accuracy = 4 }``."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Collection, Mapping
from typing import Any

import kutta as kt
from kutta.formulas.reading import nearest
from kutta.pde.equations.evolution import Evolution
from kutta.pde.schemes.scheme import Scheme
from kutta.problem_files.section import ProblemFileError, Section, one_of, shown, told
from kutta.solvers.controllers import Controller
from kutta.solvers.method import Method


def classes(place: Any, base: type, *without: type) -> dict[str, type]:
    """The public classes of a kind, by name."""
    found = {name: getattr(place, name) for name in place.__all__}
    return {
        name: one
        for name, one in found.items()
        if isinstance(one, type) and issubclass(one, base) and one not in (base, *without)
    }


EQUATIONS = classes(kt.pde, Evolution, kt.pde.Equation)
SCHEMES = classes(kt.pde, Scheme)
METHODS = classes(kt, Method)
CONTROLLERS = classes(kt, Controller)

# Parts of schemes, by the type of the argument.
_PARTS = {one.__name__: classes(kt.pde, one) for one in (kt.pde.Reconstruction, kt.pde.NumericalFlux)}

# What files can hold, and how the types of arguments that take it begin.
_IN_FILES = {
    "true or false": ("bool",),
    "a whole number": ("int",),
    "a number": ("float", "Any"),
    "a list of numbers": ("Any", "Sequence", "tuple"),
    "a text": ("str",),
}

# What a text among the arguments stands for, such as a field by its formula, or a list with one for each axis.
Reader = Callable[[str | list[Any]], Any]


def record(value: Any, known: Mapping[str, type], path: str, reader: Reader | None = None) -> Any:
    """An object.

    Args:
        value: a name, or a table with the key ``name`` and arguments.
        known: the classes that may be named.
        path: of the value in the file.
        reader: of texts among the arguments, and of lists where they are vectors; without one texts are refused.

    Raises:
        ProblemFileError: for what is not known, or arguments that are refused.
    """
    if not isinstance(value, str | dict):
        raise ProblemFileError(f"{path}: expected a name, or a table with a name and arguments; got {shown(value)}")
    section = Section({"name": value} if isinstance(value, str) else value, path)
    kind = known[section.take("name", one_of(sorted(known)))]
    given = arguments(section, kind, reader)
    with told(path):
        return kind(**given)


def arguments(
    section: Section, of: Callable[..., Any], reader: Reader | None = None, without: Collection[str] = ()
) -> dict[str, Any]:
    """The arguments of a class or a function in a table: all keys that nobody has asked for.

    Args:
        section: the table.
        of: the class or the function, whose annotations are texts.
        reader: as above.
        without: arguments that come from elsewhere, and have no place in the table.

    Raises:
        ProblemFileError: for keys that are no arguments, values of another kind, and arguments that are missing.
    """
    known = {name: one for name, one in inspect.signature(of).parameters.items() if name not in without}
    given = {}
    for key, one in section.values.items():
        if key in section.asked:
            continue
        if key not in known:
            raise ProblemFileError(f"{section.named(key)} has no meaning here{nearest(key, known)}")
        given[key] = _argument(one, known[key].annotation, section.named(key), reader)
    for key, one in known.items():
        if key not in given and one.default is inspect.Parameter.empty:
            raise ProblemFileError(f"{section.named(key)} is missing")
    return given


def _argument(value: Any, annotation: Any, path: str, reader: Reader | None) -> Any:
    """An argument, if it is of a kind that a file can hold and the class takes."""
    kinds = {one.strip() for one in str(annotation).split("|")}
    for part in kinds & _PARTS.keys():
        return record(value, _PARTS[part], path)
    if isinstance(value, bool):
        fits, wanted = "bool" in kinds, value
    elif isinstance(value, int | float):
        fits, wanted = bool(kinds & {"int", "float", "Any"}), _number(value, path)
    elif isinstance(value, list) and reader is not None and _is_vector(kinds) and not _holds_numbers(value, kinds):
        with told(path):
            fits, wanted = True, reader(value)
    elif isinstance(value, list):
        fits, wanted = any(one.startswith(("Any", "Sequence", "tuple")) for one in kinds), _numbers(value, path)
    elif isinstance(value, str) and reader is not None and "Any" in kinds:
        with told(path):
            fits, wanted = True, reader(value)
    elif isinstance(value, str):
        fits, wanted = "str" in kinds, value
    else:
        fits, wanted = False, None
    if not fits:
        known = [words for words, of in _IN_FILES.items() if any(one.startswith(of) for one in kinds)]
        known += ["a list with a number or a formula for each axis"] * (reader is not None and _is_vector(kinds))
        if not known:
            raise ProblemFileError(f"{path} cannot be given in a file, only in Python; got {shown(value)}")
        raise ProblemFileError(f"{path}: expected {' or '.join(known)}; got {shown(value)}")
    return wanted


def _is_vector(kinds: Collection[str]) -> bool:
    """Whether an argument may be a function, and is no field of one component."""
    return "Callable[..., Any]" in kinds and ("Any" not in kinds or "Sequence[Any]" in kinds)


def _holds_numbers(value: list[Any], kinds: Collection[str]) -> bool:
    """Whether a list without formulas will do as it is."""
    return any(one.startswith("Sequence") for one in kinds) and not any(isinstance(one, str) for one in value)


def _number(value: Any, path: str) -> Any:
    """A number as it is, whole or not; infinite where a class has a meaning for it."""
    if value != value or (isinstance(value, int) and abs(value) > sys.float_info.max):
        raise ProblemFileError(f"{path}: expected a number; got {shown(value)}")
    return value


def _numbers(values: list[Any], path: str) -> tuple[Any, ...]:
    for one in values:
        if isinstance(one, bool) or not isinstance(one, int | float):
            raise ProblemFileError(f"{path}: expected a list of numbers; got {shown(one)} in it")
    return tuple(_number(one, path) for one in values)
