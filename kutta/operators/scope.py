"""What a surrogate was trained for, and what it reads off a problem."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any

import torch
from torch import Tensor

from kutta.pde.grids.boundary import Condition
from kutta.pde.grids.grid import Grid, conditions
from kutta.pde.problem import PDEProblem
from kutta.pde.steady import SteadyProblem

STATE, SOURCE = "u0", "source"


@dataclass(frozen=True, eq=False)
class Scope:
    """Problems that a model knows.

    Attributes:
        equation: the name of their class, such as ``"Darcy"``.
        components: the names of the unknowns, a channel each of what the model returns.
        grid: where it was trained; of the data of its sides only numbers count.
        inputs: what the channels of its input are: ``"u0"``, a channel for each component; ``"source"``, of a steady
            equation; or the name of a coefficient, of which numbers are constant fields.
        lowest, highest: what each channel of the input had in training.
        fixed: coefficients that were the same number throughout training.
        step: the time that a call advances by; ``None`` for equations without time.
        times: how many calls in a row it was meant for; one for a map to the final time.
    """

    equation: str
    components: tuple[str, ...]
    grid: Grid
    inputs: tuple[str, ...]
    lowest: tuple[float, ...]
    highest: tuple[float, ...]
    fixed: Mapping[str, float] = field(default_factory=dict)
    step: float | None = None
    times: int = 1

    @property
    def channels(self) -> tuple[str, ...]:
        """The names of the channels of the input."""
        return channel_names(self.inputs, self.components)


def channel_names(inputs: Sequence[str], components: Sequence[str]) -> tuple[str, ...]:
    """A name for each channel."""
    names: list[str] = []
    for name in inputs:
        names += [f"u0 ({one})" for one in components] if name == STATE and len(components) > 1 else [name]
    return tuple(names)


def scope_of(problem: PDEProblem | SteadyProblem, inputs: Sequence[str], a: Tensor, times: int = 1) -> Scope:
    """The scope of what is trained on problems such as one.

    Args:
        problem: one of them.
        inputs: what the model reads.
        a: all of it, ``(n, channels, *shape)``.
        times: how many steps the time span is divided into.
    """
    step = None
    if isinstance(problem, PDEProblem):
        start, end = problem.t_span
        step = float(end - start) / times
    equation, grid = parts_of(problem)
    return Scope(
        type(equation).__name__,
        tuple(equation.components),
        grid,
        tuple(inputs),
        *ranges(a),
        _numbers(equation, inputs),
        step,
        times,
    )


def ranges(a: Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """The lowest and the highest value of each channel of ``(n, channels, *shape)``."""
    channels = a.transpose(0, 1).flatten(1)
    return tuple(map(float, channels.amin(1))), tuple(map(float, channels.amax(1)))


def read_inputs(problem: PDEProblem | SteadyProblem, inputs: Sequence[str]) -> Tensor:
    """What a model reads off a problem, ``(*batch, channels, *shape)``.

    Raises:
        ValueError: for names that the problem has not.
    """
    equation, grid = parts_of(problem)
    several = len(equation.components) > 1
    channels: list[Tensor] = []
    for name in inputs:
        one = _field(problem, equation, name)
        channels += one.unbind(-grid.dim - 1) if name == STATE and several else [one]
    like = next((one for one in channels if one.dim() >= grid.dim), channels[0])
    lead = torch.broadcast_shapes(*(one.shape[: max(one.dim() - grid.dim, 0)] for one in channels))
    return torch.stack([one.to(like).expand(*lead, *grid.shape) for one in channels], len(lead))


def parts_of(problem: Any) -> tuple[Any, Grid]:
    """The equation and the grid of a problem.

    Raises:
        TypeError: for what is no partial differential equation.
    """
    if not isinstance(problem, PDEProblem | SteadyProblem):
        raise TypeError(
            "a surrogate answers problems of kutta.pde, such as kutta.pde.Darcy(a).problem(grid, 1.0); "
            f"got {type(problem).__name__}"
        )
    return problem.equation, problem.grid  # type: ignore[return-value]


def difference(first: Grid, second: Grid) -> str:
    """In which way two grids differ, or nothing: points, box, or what holds at the sides."""
    if first.shape != second.shape:
        return f"{first.shape} points, not {second.shape}"
    for name in ("length", "origin", "centring"):
        mine, other = getattr(first, name), getattr(second, name)
        if mine != other:
            return f"{name} {mine}, not {other}"
    for axis, pairs in enumerate(zip(first.boundary, second.boundary, strict=True)):
        for side, (one, other) in enumerate(zip(*pairs, strict=True)):
            if _side(one) != _side(other):
                return f"{_words(one)} at side {side} of axis {axis}, not {_words(other)}"
    return ""


def other_use(first: Scope, second: Scope) -> str:
    """In which way two scopes make other use of a model, or nothing; ranges and fixed coefficients may differ."""
    for name in ("equation", "components", "inputs", "step"):
        mine, other = getattr(first, name), getattr(second, name)
        if mine != other:
            return f"{name} {mine!r}, not {other!r}"
    return difference(first.grid, second.grid)


def check_scopes(scopes: Sequence[Scope]) -> None:
    """Refuse models that are not for the same problems.

    Raises:
        ValueError: naming the first that is not, and in which way.
    """
    for number, scope in enumerate(scopes):
        if words := other_use(scope, scopes[0]):
            raise ValueError(f"models must be of the same scope; model[{number}] has {words} as model[0]")


def _field(problem: Any, equation: Any, name: str) -> Tensor:
    known = {STATE: "u0", SOURCE: "source"}
    found = getattr(problem, known[name], None) if name in known else getattr(equation, name, None)
    if callable(found):
        found = found(problem.grid.points())
    if isinstance(found, Tensor):
        return found
    if isinstance(found, int | float) and not isinstance(found, bool):
        return torch.tensor(float(found), dtype=torch.float64)
    raise ValueError(
        f"the model reads {name!r}, a field or a number, which {type(equation).__name__} has not: its inputs can be "
        f"{', '.join(_readable(problem, equation))}"
    )


def _readable(problem: Any, equation: Any) -> list[str]:
    first = STATE if isinstance(problem, PDEProblem) else SOURCE
    return [repr(name) for name in (first, *_coefficients(equation))]


def _coefficients(equation: Any) -> list[str]:
    declared = fields(equation) if is_dataclass(equation) else ()
    return [one.name for one in declared if not isinstance(getattr(equation, one.name), str)]


def varying(equation: Any, axes: int) -> dict[str, Tensor]:
    """The coefficients that are tensors of at least so many axes."""
    values = {name: getattr(equation, name) for name in _coefficients(equation)}
    return {name: one for name, one in values.items() if isinstance(one, Tensor) and one.dim() >= axes}


def _numbers(equation: Any, inputs: Sequence[str]) -> dict[str, float]:
    """The coefficients that are numbers, and not read."""
    found = {name: getattr(equation, name) for name in _coefficients(equation) if name not in inputs}
    return {
        name: float(value)
        for name, value in found.items()
        if isinstance(value, int | float) or (isinstance(value, Tensor) and value.numel() == 1)
    }


def _side(one: Any) -> tuple[Any, ...]:
    g = getattr(one, "g", 0.0)
    given = float(g) if isinstance(g, int | float) else "data"
    return type(one).__name__, getattr(one, "a", None), getattr(one, "b", None), given


def _words(one: Any) -> str:
    name, _, _, given = _side(one)
    return f"{name}({given})" if isinstance(one, Condition) else f"{name}()"


def sides_with_data(grid: Grid) -> bool:
    """Whether something other than a number is given at a side."""
    return any(not isinstance(one.g, int | float) for _, _, one in conditions(grid))
