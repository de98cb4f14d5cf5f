"""From an equation on a grid to an ordinary differential equation.

Three forms of it have the same solution:

    whole     du/dt = L u + N(t, u)                       for every method
    split     du/dt = A u + f(t, u)                       A linear; f = N and what the boundary data add to L u
    waves     du^/dt = A^ u^ + N^(t, u^)                  of coefficients, where the scheme is one of waves and `A^` a
                                                          number for each wave, or a matrix of the components

The last one saves the transforms at both ends of every stage, and is what a method with a given step size and a linear
part takes; with error control the state is at the points of the grid, where tolerances mean what they say.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, Protocol

import torch
from torch import Tensor

from kutta.autodiff import read, under_transform
from kutta.pde.grids.given import filled, where_unknown
from kutta.pde.grids.grid import Grid
from kutta.pde.lowering.structure import random_field, real_if_it_is, structured
from kutta.pde.schemes.finite_volume import FiniteVolume
from kutta.pde.schemes.pseudo_spectral import WaveSpace
from kutta.pde.schemes.scheme import Discretisation, Field, Scheme
from kutta.problems import ODEProblem, SplitODEProblem
from kutta.solvers.algebra.operators.block_diagonal import BlockDiagonal
from kutta.solvers.algebra.operators.diagonal import Diagonal
from kutta.solvers.algebra.operators.linear_operator import LinearOperator
from kutta.solvers.algebra.operators.matrix_free import MatrixFree


class Posed(Protocol):
    """What lowering reads of a `kutta.pde.PDEProblem`."""

    @property
    def equation(self) -> Any: ...

    @property
    def grid(self) -> Grid: ...

    @property
    def u0(self) -> Any: ...

    @property
    def t_span(self) -> Sequence[Any]: ...

    @property
    def scheme(self) -> Scheme | None: ...


@dataclass(frozen=True)
class Lowered:
    """An ordinary problem, and how its states become fields.

    Attributes:
        problem: to be solved.
        shown: from its states, with any leading axes, to values at the points of the grid.
    """

    problem: ODEProblem | SplitODEProblem
    shown: Callable[[Tensor], Tensor]


class Forms:
    """The forms of one problem, each made when it is first asked for."""

    def __init__(self, problem: Posed):
        self.problem: Any = problem

    @cached_property
    def whole(self) -> Lowered:
        """See `whole`."""
        return whole(self.problem, self._operations)

    @cached_property
    def split(self) -> Lowered:
        """See `split`."""
        return split(self.problem, self._operations)

    @cached_property
    def is_split(self) -> bool:
        """Whether the equation says what is linear."""
        ops = self._operations
        with torch.no_grad():
            return self.problem.equation.linear(ops, ops.enter(self.problem.u0.detach())) is not None

    @cached_property
    def waves(self) -> Lowered:
        """See `waves`; the split one where there is none."""
        return waves(self.problem, self._operations) or self.split

    @cached_property
    def _operations(self) -> Discretisation:
        return operations(self.problem)


def whole(problem: Posed, ops: Discretisation | None = None) -> Lowered:
    """With one right-hand side.

    Args:
        problem: to be lowered.
        ops: its operations, where they have been made.
    """
    ops = ops or operations(problem)
    f = partial(_right_hand_side, problem.equation, ops)
    return Lowered(ODEProblem(f, _start(problem), problem.t_span), _same)


def split(problem: Posed, ops: Discretisation | None = None) -> Lowered:
    """With the linear part apart; arguments as of `whole`."""
    ops = ops or operations(problem)
    f = partial(_remainder, problem.equation, ops)
    return Lowered(SplitODEProblem(linear_part(problem, ops), f, _start(problem), problem.t_span), _same)


def waves(problem: Posed, ops: Any = None) -> Lowered | None:
    """The same of the coefficients of waves; ``None`` where the linear part does not leave each wave to itself."""
    ops = ops or operations(problem)
    basis = ops.basis(ops.kinds)
    linear = of_each_wave(problem, ops)
    if linear is None:
        return None
    remainder, start = _remainder_of_waves, basis.forward(problem.u0)
    if len(basis.wrapped) > 1 and _some_wave_grows(linear):
        remainder, start = _remainder_of_real_fields, basis.of_real_fields(start)
    f = partial(remainder, problem.equation, ops)
    return Lowered(SplitODEProblem(linear, f, start, problem.t_span), basis.backward)


def operations(problem: Posed) -> Discretisation:
    """Those of the scheme on the grid of a problem, having been used once.

    So the operations have computed what they keep, and an equation that does not fit is found before the first step.
    """
    start, end = (torch.as_tensor(t).detach() for t in problem.t_span)
    if isinstance(problem.scheme, FiniteVolume) and read((end < start).any()):
        raise ValueError(
            f"t_span must rise for FiniteVolume(), whose fluxes look to where waves come from and grow without bound "
            f"backwards in time; got {problem.t_span!r}: use kutta.pde.FiniteDifference()"
        )
    ops = problem.scheme.on(problem.grid, problem.equation.degree)  # type: ignore[union-attr]
    ops = ops.like(problem.u0) if isinstance(ops, WaveSpace) else ops
    with torch.no_grad():
        slope = _right_hand_side(problem.equation, ops, _first_time(problem), problem.u0.detach())
    if slope.shape != problem.u0.shape or slope.dtype != problem.u0.dtype:
        raise ValueError(
            f"equation turns u0, {problem.u0.dtype} of shape {tuple(problem.u0.shape)}, into {slope.dtype} of shape "
            f"{tuple(slope.shape)}; give it the dtype and the shape of u0"
        )
    return ops


def _first_time(problem: Posed) -> Tensor:
    """The time as methods have it: of double precision where the state has less."""
    return torch.as_tensor(problem.t_span[0], dtype=torch.float64, device=problem.u0.device)


def _start(problem: Posed) -> Tensor:
    return filled(problem.grid, problem.u0, _first_time(problem))


def _same(u: Tensor) -> Tensor:
    return u


def _right_hand_side(equation: Any, ops: Discretisation, t: Any, u: Tensor) -> Tensor:
    ops = ops.at(t)
    field = ops.enter(filled(ops.grid, u, t))
    slope = _sum(equation.linear(ops, field), equation.nonlinear(ops, t, field))
    return torch.zeros_like(u) if slope is None else where_unknown(ops.grid, ops.leave(slope))


def _remainder(equation: Any, ops: Discretisation, t: Any, u: Tensor) -> Tensor:
    ops = ops.at(t)
    remainder = equation.nonlinear(ops, t, ops.enter(filled(ops.grid, u, t)))
    if ops.has_data:
        remainder = _sum(remainder, equation.linear(ops, ops.enter(filled(ops.grid, torch.zeros_like(u), t))))
    return torch.zeros_like(u) if remainder is None else where_unknown(ops.grid, ops.leave(remainder))


def _remainder_of_waves(equation: Any, ops: WaveSpace, t: Any, coefficients: Tensor) -> Tensor:
    remainder = equation.nonlinear(ops, t, ops.of(coefficients))
    return torch.zeros_like(coefficients) if remainder is None else ops.coefficients(remainder)


def _remainder_of_real_fields(equation: Any, ops: WaveSpace, t: Any, coefficients: Tensor) -> Tensor:
    return ops.basis(ops.kinds).of_real_fields(_remainder_of_waves(equation, ops, t, coefficients))


def _some_wave_grows(linear: Diagonal | BlockDiagonal) -> bool:
    """By itself, as in phase separation; of matrices it is taken for granted."""
    return isinstance(linear, BlockDiagonal) or under_transform() or bool((linear.symbols.detach().real > 0.0).any())


def _sum(first: Field | None, second: Field | None) -> Field:
    return second if first is None else first if second is None else first + second


def linear_part(problem: Posed, ops: Discretisation) -> LinearOperator:
    """``L`` with homogeneous boundary conditions, of as much structure as it has."""
    if isinstance(ops, WaveSpace):
        basis = ops.basis(ops.kinds)
        found = of_each_wave(problem, ops, basis.forward, basis.backward)
        if found is not None:
            return found
    homogeneous = ops.homogeneous()
    function = partial(_homogeneous_part, problem.equation, homogeneous)
    return structured(MatrixFree(function, _axes_within(function, problem)), homogeneous.grid, problem.u0)


def _axes_within(function: Callable[[Tensor], Tensor], problem: Posed) -> int:
    """How many axes make a state of ``L``: those of one sample, or all where coefficients differ between samples."""
    u0, axes = problem.u0.detach(), _axes(problem)
    single = torch.zeros(u0.shape[u0.dim() - axes :], dtype=u0.dtype, device=u0.device)
    return axes if function(single).shape == single.shape else u0.dim()


def _homogeneous_part(equation: Any, ops: Discretisation, u: Tensor) -> Tensor:
    found = equation.linear(ops, ops.enter(filled(ops.grid, u, 0.0)))
    return torch.zeros_like(u) if found is None else where_unknown(ops.grid, ops.leave(found))


def _axes(problem: Posed) -> int:
    return problem.grid.dim + (len(problem.equation.components) > 1)


def of_each_wave(problem: Posed, ops: WaveSpace, *transforms: Any) -> Any:
    """``L`` as what it does to each wave: a number, or a matrix where it couples components.

    Args:
        problem: whose linear part is meant.
        ops: the waves.
        transforms: to the coefficients and back, where the states are fields.

    Returns:
        a `Diagonal` or a `BlockDiagonal`; ``None`` if waves act on one another, as where coefficients vary in space,
        or where they differ between samples.
    """
    blocks = _blocks(problem, ops.like(problem.u0.to(torch.promote_types(problem.u0.dtype, torch.float64))))
    if blocks is None:
        return None
    blocks = blocks.to(ops.coefficient_dtype)
    if len(problem.equation.components) == 1:
        return Diagonal(real_if_it_is(blocks[0, 0]), *transforms, axes=_axes(problem))
    if _is_uncoupled(blocks):
        symbols = blocks.diagonal(dim1=0, dim2=1).movedim(-1, 0)
        return Diagonal(real_if_it_is(symbols), *transforms, axes=_axes(problem))
    return BlockDiagonal(blocks, *transforms)


def _blocks(problem: Posed, ops: WaveSpace) -> Tensor | None:
    """The matrix of each wave, ``(c, c, *waves)``: what ``L`` makes of waves of one component each."""
    count, basis = len(problem.equation.components), ops.basis(ops.kinds)
    ones = torch.ones(basis.shape, dtype=ops.coefficient_dtype, device=ops.device)
    units = torch.eye(count, dtype=ones.dtype, device=ops.device).reshape(count, count, *[1] * ones.dim()) * ones
    blocks = _image(problem, ops, units)
    if blocks.shape != units.shape:  # coefficients differ between samples
        return None
    blocks = blocks.transpose(0, 1)
    probe = basis.forward(random_field((count, *problem.grid.shape)).to(ops.device, ops.dtype))
    parts = blocks * probe
    error, size = (parts.sum(1) - _image(problem, ops, probe)).detach().abs(), parts.detach().abs().sum(1)
    if read((error > 1e-6 * size + 1e-12 * size.amax()).any()):
        return None
    return blocks


def _image(problem: Posed, ops: WaveSpace, coefficients: Tensor) -> Tensor:
    """What ``L`` makes of the coefficients of all components, ``(..., c, *waves)``."""
    single = len(problem.equation.components) == 1
    dim = -problem.grid.dim - 1
    found = problem.equation.linear(ops, ops.of(coefficients.squeeze(dim) if single else coefficients))
    if found is None:
        return torch.zeros_like(coefficients)
    return ops.coefficients(found).unsqueeze(dim) if single else ops.coefficients(found)


def _is_uncoupled(blocks: Tensor) -> bool:
    apart = torch.eye(len(blocks), dtype=torch.bool, device=blocks.device).reshape(
        *blocks.shape[:2], *[1] * (blocks.dim() - 2)
    )
    return not under_transform() and not bool(torch.where(apart, 0.0, blocks).any())
