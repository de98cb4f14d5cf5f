"""A problem file as a problem, a method and the arguments of `kutta.solve`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import kutta as kt
from kutta.formulas.formula import Formula, is_name, numbers_and_tensors
from kutta.formulas.functions import FUNCTIONS
from kutta.pde.grids.grid import AXES
from kutta.pde.strings.equation import Equation
from kutta.problem_files import space, start
from kutta.problem_files.file import tables, title_of
from kutta.problem_files.record import CONTROLLERS, EQUATIONS, METHODS, SCHEMES, record
from kutta.problem_files.section import (
    ProblemFileError,
    Section,
    count,
    number,
    one_of,
    positive,
    several,
    shown,
    taken,
    text,
    told,
)

DTYPES = {"float32": torch.float32, "float64": torch.float64}
ENGINES = {"auto": lambda: "auto", "eager": lambda: "eager", "compiled": kt.Compiled, "kernel": kt.Kernel}
_SAVED = 50


@dataclass(frozen=True)
class Task:
    """What a problem file asks for.

    Attributes:
        title: in the words of the file.
        problem: to be solved.
        method: how; ``None`` for what `kutta.solve` chooses.
        options: further arguments of `kutta.solve`.
        source: the text of the file.
    """

    title: str
    problem: Any
    method: Any
    options: dict[str, Any]
    source: str

    @property
    def components(self) -> tuple[str, ...]:
        """The names of the unknowns."""
        return self.problem.equation.components if self.space else tuple(self.problem.y0)

    @property
    def space(self) -> bool:
        """Whether this is a partial differential equation."""
        return isinstance(self.problem, kt.pde.PDEProblem)


def read(path: Path) -> Task:
    """The task of a file.

    Raises:
        ProblemFileError: for a file that cannot be read, or says what has no meaning.
    """
    content, source = tables(path)
    try:
        return task_of(content, path.parent, source, path.stem)
    except ProblemFileError as problem:
        raise ProblemFileError(f"{path}: {problem}") from problem


def task_of(content: Mapping[str, Any], folder: Path, source: str = "", name: str = "problem") -> Task:
    """The task of what a file holds.

    Args:
        content: the tables of the file.
        folder: that names of files in it are relative to.
        source: its text.
        name: the title, if the file has none.
    """
    file = Section(content)
    title = title_of(file, name)
    if ("equation" in file) == ("ode" in file):
        raise ProblemFileError("expected either a table equation, or a table ode for ordinary differential equations")
    solving = file.section("solve", needed=False)
    dtype = DTYPES[solving.take("dtype", one_of(tuple(DTYPES)), "float64")]
    times = file.section("time")
    t_span, save_at = space.span(times), None
    save_at = times.take("save", lambda given: _saved(given, t_span), _saved(_SAVED + 1, t_span))
    times.close()
    if "equation" in file:
        problem = _partial(file, solving, t_span, len(save_at), dtype, folder)
    else:
        problem = _ordinary(file, t_span, dtype)
    file.close()
    method, options = _solving(solving)
    solving.close()
    return Task(title, problem, method, {"save_at": save_at, **options}, source)


def _check_size(size: int, saved: int) -> None:
    """Refuse a solution that has no room in memory."""
    if size * saved > space.MOST_POINTS:
        raise ProblemFileError(
            f"time.save: expected at most {space.MOST_POINTS} values in the solution; "
            f"got {saved} times of {size} values"
        )


def _saved(value: Any, t_span: tuple[float, float]) -> Tensor:
    """Output times: how many, from the first to the last, or which."""
    if isinstance(value, list):
        return torch.tensor(several(number)(value), dtype=torch.float64)
    return torch.linspace(*t_span, count(2, 1_000_000)(value), dtype=torch.float64)


def _partial(
    file: Section, solving: Section, t_span: Any, saved: int, dtype: torch.dtype, folder: Path
) -> kt.pde.PDEProblem:
    described, gridded = file.section("equation"), file.section("grid")
    in_words = _in_words(described) if "text" in described else None
    components = in_words.components if in_words else _components(described)
    words = space.Words(components, _numbers_of(described) if in_words else {}, dtype)
    grid = space.grid(gridded, words)
    _check_size(math.prod(grid.shape) * len(components), saved)
    equation = in_words or record(described.values, EQUATIONS, "equation", lambda one: _coefficient(one, grid, words))
    scheme = solving.take("scheme", lambda given: record(given, SCHEMES, solving.named("scheme")), None)
    u0 = start.state(file.section("start"), grid, words, folder)
    with told("equation"):
        return equation.problem(grid, u0, t_span, scheme)


def _in_words(described: Section) -> Equation:
    """An equation by its right-hand sides."""
    right = described.take("text", lambda given: given)
    parameters = described.section("parameters", needed=False)
    found = {name: parameters.take(name, number) for name in parameters.values}
    described.close()
    with told("equation.text"):
        return Equation(right, found)


def _components(described: Section) -> tuple[str, ...]:
    """The unknowns of an equation of the library, which may depend on its coefficients, but on no formula."""
    kind = EQUATIONS[described.take("name", one_of(sorted(EQUATIONS)))]
    if not isinstance(kind.components, property):
        return kind.components
    numbers = {key: one for key, one in described.values.items() if not isinstance(one, str) or key == "name"}
    return record(numbers, EQUATIONS, "equation").components


def _numbers_of(described: Section) -> dict[str, float]:
    return described.values.get("parameters", {})


def _coefficient(words_of: str | list[Any], grid: kt.pde.Grid, words: space.Words) -> Any:
    """A formula among the coefficients: values at the points, or with ``t`` a function of place and time.

    A list of one for each axis, such as those of a force, is a function in any case.
    """
    if isinstance(words_of, list):
        return space.vector(words_of, grid.dim, words)
    formula = words.at_places(words_of, grid.dim, "t")
    if "t" in formula.used:
        return lambda x, t: formula(**dict(zip(AXES, x, strict=False)), t=t)
    return start.values(formula, grid).to(words.dtype)


def _ordinary(file: Section, t_span: Any, dtype: torch.dtype) -> kt.ODEProblem:
    described = file.section("ode")
    rates, given = described.section("rates"), described.section("parameters", needed=False)
    parameters = {name: given.take(name, number) for name in given.values}
    described.close()
    with told("ode.parameters"):
        numbers_and_tensors(parameters)
    names = tuple(rates.values)
    for name in names:
        if not is_name(name) or name in {"t", "pi", *FUNCTIONS, *parameters}:
            raise ProblemFileError(f"ode.rates: {shown(name)} cannot be the name of an unknown, or has another meaning")
    if not names:
        raise ProblemFileError("ode.rates: expected the rate of change of at least one unknown")
    formulas = {
        name: taken(rates.take(name, text), lambda one: Formula(one, [*names, "t"], parameters), rates.named(name))
        for name in names
    }
    y0 = start.numbers(file.section("start"), names, parameters, dtype)
    return kt.ODEProblem(_Rates(formulas, dtype), y0, t_span)


class _Rates:
    """The right-hand side of ordinary differential equations, by name."""

    def __init__(self, formulas: Mapping[str, Formula], dtype: torch.dtype):
        self.formulas, self.dtype = formulas, dtype

    def __call__(self, t: Any, y: dict[str, Tensor]) -> dict[str, Tensor]:
        found = {name: formula(**y, t=t) for name, formula in self.formulas.items()}
        return {name: torch.as_tensor(one).to(self.dtype) for name, one in found.items()}


def _solving(section: Section) -> tuple[Any, dict[str, Any]]:
    """The method, and how it is used."""
    method = section.take("method", lambda given: record(given, METHODS, section.named("method")), None)
    controller = section.take("controller", lambda given: record(given, CONTROLLERS, section.named("controller")), None)
    step = section.take("step", positive, None)
    if step is not None and controller is not None:
        raise ProblemFileError(f"{section.named('step')} is for fixed steps, and there is a controller: leave out one")
    options = {
        "controller": kt.Fixed(step) if step is not None else controller,
        "rtol": section.take("rtol", positive, None),
        "atol": section.take("atol", positive, None),
        "dt0": section.take("first_step", positive, None),
        "max_steps": section.take("max_steps", count(1, 2**62), None),
        "engine": ENGINES[section.take("engine", one_of(tuple(ENGINES)), "auto")](),
    }
    return method, {name: value for name, value in options.items() if value is not None}
