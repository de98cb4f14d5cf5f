"""Equations in words, such as ``laplace(c**3 - c - laplace(c))``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from kutta.formulas.formula import is_name, numbers_and_tensors
from kutta.formulas.functions import ARITIES
from kutta.formulas.program import Program
from kutta.formulas.reading import read
from kutta.pde.coefficients import check_coefficient
from kutta.pde.equations.evolution import Evolution
from kutta.pde.grids.grid import AXES, Grid
from kutta.pde.schemes.scheme import Discretisation, Field, Scheme
from kutta.pde.strings.meaning import Meaning, meaning_of
from kutta.pde.strings.operators import OPERATORS
from kutta.pde.strings.scope import FieldScope

WORDS = {**ARITIES, **OPERATORS}
RESERVED = {*AXES, "t", "pi", *WORDS}
_RESERVED = "x y z t pi, nor a function or an operator"


@dataclass(frozen=True, eq=False)
class Equation(Evolution):
    """``du/dt`` in words: the right-hand side as a text, or for several unknowns one text each.

    A text is made of numbers, ``+ - * / **``, brackets, and

        the unknowns and parameters; ``x``, ``y``, ``z``, the place; ``t``, the time; ``pi``
        abs acos asin atan atan2 cos cosh erf exp heaviside log maximum minimum sech sign sin sinh sqrt tan tanh
        laplace(f), biharmonic(f), inverse_laplace(f), d_dx(f), d2_dx2(f), d3_dx3(f), d4_dx4(f), also along y and z
        gradient_squared(f), dot(v, w), divergence(v), of vectors gradient(f), their sums and multiples a*gradient(f)

    It is read by a grammar of its own and never evaluated as Python. What is linear in the unknowns, with constant
    coefficients, is known as such to exponential and implicit-explicit methods.

    The unknowns have the boundary conditions of the grid; even derivatives of them have the same with zeros for data.
    Of functions of the unknowns, such as ``laplace(c**3)``, it is the unknown that is continued beyond walls.
    Derivatives of anything else are refused at walls, where `kutta.pde.PseudoSpectral` does not know them by symmetry.
    ``inverse_laplace(f)`` is the field whose Laplacian is ``f``, at walls with the boundary conditions of the grid and
    zeros for their data; where only its slopes are determined, both it and ``f`` are freed of their means.

    By default `kutta.pde.PseudoSpectral` keeps products of up to four fields free of aliasing; those of more, such as
    ``u**8``, and functions such as ``exp`` have some, which vanishes as fast as the waves that the grid does not hold.

    Attributes:
        text: the right-hand side, whose unknown is the one name that has no other meaning; or of each unknown, by name.
        parameters: their values by name: numbers, tensors with one entry, or tensors at the points of the grid. Tensors
            receive gradients.

    Raises:
        FormulaError: with the place in the text; it is a ``ValueError``.
        TypeError, ValueError: for names and values that cannot be.

    Example:
        >>> import torch, kutta as kt
        >>> separation = kt.pde.Equation("laplace(c**3 - c - width**2 * laplace(c))", {"width": 0.1})
        >>> separation.components, separation.degree
        (('c',), 3)
        >>> def drops(x):
        ...     return 0.2 * torch.cos(6 * x[0]) * torch.cos(4 * x[1])
        >>> problem = separation.problem(kt.pde.Grid((32, 32), 2 * torch.pi), drops, (0.0, 0.05))
        >>> sol = kt.solve(problem, kt.ETDRK4(), controller=kt.Fixed(0.01))
        >>> bool(sol.y1.mean().abs() < 1e-12)
        True
        >>> kt.pde.Equation({"u": "laplace(u) - u*v", "v": "u*v - rate*v"}, {"rate": 0.5}).components
        ('u', 'v')
        >>> kt.pde.Equation("lapalce(u)")
        Traceback (most recent call last):
        ...
        kutta.formulas.reading.FormulaError: there is no function lapalce; did you mean laplace?, at character 1 of
            lapalce(u)
            ^
    """

    text: str | Mapping[str, str]
    parameters: Mapping[str, Any] = field(default_factory=dict)
    components: tuple[str, ...] = field(init=False, repr=False)  # type: ignore[misc]
    dimensions: tuple[int, ...] = field(init=False, repr=False)  # type: ignore[misc]
    degree: int = field(init=False, repr=False)  # type: ignore[misc]
    meaning: Meaning = field(init=False, repr=False)

    def __post_init__(self) -> None:
        numbers, tensors = _parameters(self.parameters)
        texts = _texts(self.text)
        trees = {name: read(text, WORDS, numbers) for name, text in texts.items()}
        meaning = meaning_of(texts, trees, tensors, numbers)
        for name in ("components", "dimensions", "degree"):
            object.__setattr__(self, name, getattr(meaning, name))
        object.__setattr__(self, "meaning", meaning)

    def check(self, grid: Grid, scheme: Scheme, u0: Tensor) -> None:
        super().check(grid, scheme, u0)
        for name, value in self.meaning.tensors.items():
            check_coefficient(f"parameter {name}", value, grid)

    def linear(self, ops: Discretisation, u: Field) -> Field | None:
        return self._value(self.meaning.linear, ops, 0.0, u)

    def nonlinear(self, ops: Discretisation, t: Any, u: Field) -> Field | None:
        return self._value(self.meaning.rest, ops, t, u)

    def _value(self, program: Program | None, ops: Discretisation, t: Any, u: Field) -> Field | None:
        if program is None:
            return None
        scope = FieldScope(ops, t, u, self.components, self.meaning.tensors, self.meaning.axes)
        found = program.run(scope)
        return found[0] if len(found) == 1 else ops.join(found)


def _parameters(parameters: Any) -> tuple[dict[str, float], dict[str, Tensor]]:
    if not isinstance(parameters, Mapping):
        raise TypeError(f"parameters must be a dict of values by name; got {type(parameters).__name__}")
    for name in parameters:
        _check_name("parameters", name)
    numbers, tensors = numbers_and_tensors(parameters)
    return numbers, {name: value.reshape(()) if value.numel() == 1 else value for name, value in tensors.items()}


def _check_name(what: str, name: Any) -> None:
    if not is_name(name) or name in RESERVED:
        raise ValueError(f"{what}: {name!r} cannot be a name; names are letters, digits and _, and none of {_RESERVED}")


def _texts(text: Any) -> dict[str | None, str]:
    """The right-hand sides; the unknown of a single text is found out later."""
    if isinstance(text, str):
        return {None: text}
    if not isinstance(text, Mapping) or not text or not all(isinstance(one, str) for one in text.values()):
        raise TypeError(
            f'text must be a text, or a dict of one for each unknown, such as {{"u": "laplace(u)"}}; got {text!r}'
        )
    for name in text:
        _check_name("text", name)
    return dict(text)
