"""The sums over stages of a Runge-Kutta step, and their derivatives.

`SlopeMatrix` writes the slopes into the rows of a matrix, and each sum is a matrix-vector product: few
operations, on the same memory step after step. `TapedSlopeMatrix` computes the same numbers, so that a
solve takes the same steps with and without gradients, and tells the tape what each sum consists of.

`ColumnSums` consists of PyTorch's own operations on new tensors, as the transformations of
``torch.func`` need them. As soon as ``k_j`` is known, ``h * a_ij * k_j`` is added to the inputs of all
later stages at once, and likewise to the end of the step and to the error estimates.

All have the verbs ``add(slope)``, then ``stage()`` for the next stage's input, ``end()`` for
``y + h sum_i b_i k_i``, which is rounded once, and ``errors()``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property, lru_cache
from itertools import zip_longest
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kutta.solvers.tableaus.tableau import Tableau

Time = Any  # a float, or for the trajectories of an ensemble a tensor of shape (b, 1)


class Row:
    """The weights of one sum.

    Attributes:
        vector: the weights; of the slopes known by then, for a stage.
        parts: pairs of a stage and its weight, without the zeros.
        of_state: whether the state is part of the sum.
    """

    def __init__(self, vector: Tensor, weights: Sequence[Any], of_state: bool):
        self.vector, self.of_state = vector, of_state
        self.parts = [(stage, float(weight)) for stage, weight in enumerate(weights) if weight]


class Coefficients:
    """A tableau's numbers in the dtype and on the device of a state.

    Attributes:
        nodes: the nodes ``c`` as floats.
        b: the weights ``b`` as floats.
        c: the nodes as a column of float64.
        inputs: the rows of ``a``.
        end: the row ``b``.
        errors: the weights of the error estimates.
        columns: what slope ``j`` adds to the inputs of the later stages, to the increment of the step
            and to the error estimates: column ``j`` of ``a`` below the diagonal, ``b_j`` and ``e_j``.
        sizes: their lengths.
        below: all of them one after the other, shaped to multiply the step sizes of an ensemble.
        start: one for each later stage, zero for the increment and the error estimates.
        closes: whether the last stage is evaluated at the new state.
        explicit: the number of stages before it.
        polynomials: ``P_i(theta)`` of the interpolant as rows of coefficients, of ``theta`` upward.
        extra_a: rows of the stages that only the interpolant needs.
        stiffness: the difference of the rows of two stages at the same time.
    """

    def __init__(self, tableau: Tableau, dtype: torch.dtype, device: torch.device):
        def tensor(values: Any, kind: torch.dtype = dtype) -> Tensor:
            return torch.tensor(np.array(values, dtype=np.float64), dtype=kind, device=device)

        self.nodes = [float(node) for node in tableau.c]
        self.b = [float(weight) for weight in tableau.b]
        self.c = tensor(tableau.c, torch.float64)[:, None]
        self.closes = tableau.first_same_as_last
        self.explicit = tableau.stages - self.closes
        errors = [weights for weights in (tableau.error, tableau.second_error) if weights is not None]
        ends = tableau.b[: self.explicit]  # the last weight of a method that closes is zero
        self.inputs = [Row(tensor(row), row, of_state=True) for row in tableau.a]
        self.end = Row(tensor(ends), ends, of_state=True)
        self.errors = [Row(tensor(row), row, of_state=False) for row in errors]
        inputs = tableau.a[1 : self.explicit]
        rows = [*inputs, tableau.b, *errors]
        self.columns = [tensor([row[j] for row in rows[min(j, len(inputs)) :]]) for j in range(len(tableau.c))]
        if self.closes:
            self.columns[-1] = self.columns[-1][1:]
        self.sizes = [len(column) for column in self.columns]
        self.start = tensor([1.0] * len(inputs) + [0.0] * (1 + len(errors)))
        self.below = torch.cat(self.columns)[:, None, None]
        self.stiffness = tensor(_difference_of_rows(tableau))
        dense = tableau.interpolant
        self.polynomials = None if dense is None else np.array(dense.weights, dtype=np.float64)
        self.extra_a = [] if dense is None else [tensor(row) for row in dense.extra_a]

    @cached_property
    def interpolation(self) -> list[Tensor]:
        """The columns of `polynomials`, ``(stages, 1)`` each; float64, since large ones cancel."""
        assert self.polynomials is not None
        with torch.inference_mode(False):
            return list(torch.as_tensor(self.polynomials).to(self.c.device).unsqueeze(-1).unbind(1))


def _difference_of_rows(tableau: Tableau) -> list[float]:
    """``a_first - a_second`` for the stages of `Tableau.equal_nodes`, the end of the step having the row ``b``."""
    if tableau.equal_nodes is None:
        return [0.0] * tableau.stages
    first, second = ((*tableau.a, tableau.b)[stage] for stage in tableau.equal_nodes)
    padded = zip_longest(first, second, [0] * tableau.stages, fillvalue=0)
    return [float(one - other) for one, other, _ in padded]


@lru_cache(maxsize=256)
def coefficients(tableau: Tableau, dtype: torch.dtype, device: torch.device) -> Coefficients:
    """The numbers of `tableau` for states of this dtype and device, made once."""
    with torch.inference_mode(False):
        return Coefficients(tableau, dtype, device)


class ColumnSums:
    """Sums that can be transformed, for one step size or, with a tensor `dt`, one a trajectory.

    The state is in the sums of the later stages from the start, and not in that of the increment,
    which is so rounded once a step and not once a stage.
    """

    def __init__(self, numbers: Coefficients, y: Tensor, dt: Time):
        self.y, self.dt = y, dt
        self.slopes: list[Tensor] = []
        if isinstance(dt, Tensor) and dt.dim():
            self.columns: Sequence[Tensor] = (numbers.below * dt).split_with_sizes(numbers.sizes)
            self.sums = numbers.start[:, None, None] * y
        else:
            self.columns = numbers.columns
            self.sums = torch.outer(numbers.start, y.reshape(-1))

    def add(self, slope: Tensor) -> None:
        column = self.columns[len(self.slopes)]
        self.slopes.append(slope)
        if not column.shape[0]:
            return
        if column.dim() > 1:
            self.sums = torch.addcmul(self.sums, column, slope)
        else:
            self.sums = torch.addr(self.sums, column, slope.reshape(-1), alpha=self.dt)

    def stage(self) -> Tensor:
        first, self.sums = self.sums.split_with_sizes((1, self.sums.shape[0] - 1))
        return first.view_as(self.y)

    def end(self) -> Tensor:
        return self.y + self.stage()

    def errors(self) -> list[Tensor]:
        return [error.view_as(self.y) for error in self.sums.unbind(0)]

    def stages(self) -> tuple[Tensor, ...]:
        return tuple(self.slopes)


class SlopeMatrix:
    """Sums that are not differentiated, for one step size or one a trajectory.

    Attributes:
        memory: the slopes, ``(stages, *shape)``.
    """

    def __init__(self, numbers: Coefficients, y: Tensor):
        self.numbers = numbers
        with torch.inference_mode(False):
            self.memory = torch.empty((len(numbers.nodes), *y.shape), dtype=y.dtype, device=y.device)
            self.slopes = self.memory.unbind(0)
            flat = self.memory.view(len(self.slopes), -1).t()
            self.known = [flat.narrow(1, 0, count) for count in range(len(self.slopes) + 1)]

    def begin(self, y: Tensor, dt: Time) -> SlopeMatrix:
        """Start a step; what is in the memory is written over."""
        self.y, self.flat, self.dt, self.count = y.detach(), y.detach().reshape(-1), dt, 0
        self.shared = not isinstance(dt, Tensor)
        return self

    def clear(self) -> None:
        """Let go of the tensors of the last step."""
        del self.y, self.flat, self.dt

    def add(self, slope: Tensor) -> None:
        self.slopes[self.count].copy_(slope.detach())
        self.count += 1

    def stage(self) -> Tensor:
        return self._formed(self._stage, self.numbers.inputs[self.count])

    def end(self) -> Tensor:
        return self._formed(self._end, self.numbers.end)

    def errors(self) -> list[Tensor]:
        return [self._formed(self._error, row) for row in self.numbers.errors]

    def stages(self) -> tuple[Tensor, ...]:
        return self.slopes

    def _formed(self, form: Callable[[Row], Tensor], row: Row) -> Tensor:
        return form(row)

    def _stage(self, row: Row) -> Tensor:
        if self.shared:
            return torch.addmv(self.flat, self.known[self.count], row.vector, alpha=self.dt).view_as(self.y)
        return torch.addcmul(self.y, self.dt, self._sum(row))

    def _end(self, row: Row) -> Tensor:
        if self.shared:
            return torch.add(self.y, self._sum(row), alpha=self.dt)
        return torch.addcmul(self.y, self.dt, self._sum(row))

    def _error(self, row: Row) -> Tensor:
        if self.shared:  # with beta = 0 the first argument is not read
            return torch.addmv(self.flat, self.known[self.count], row.vector, beta=0.0, alpha=self.dt).view_as(self.y)
        return self._sum(row) * self.dt

    def _sum(self, row: Row) -> Tensor:
        return torch.mv(self.known[self.count], row.vector).view_as(self.y)


class TapedSlopeMatrix(SlopeMatrix):
    """The sums of `SlopeMatrix` on the tape, which keeps weights and step sizes for them, and no states."""

    def begin(self, y: Tensor, dt: Time) -> SlopeMatrix:
        if isinstance(dt, Tensor) and dt.requires_grad:
            raise ValueError("the step size must not require gradients: the gradient is that of given steps")
        self.start, self.taped = y, []
        return super().begin(y, dt)

    def clear(self) -> None:
        super().clear()
        del self.start, self.taped

    def add(self, slope: Tensor) -> None:
        self.taped.append(slope)
        super().add(slope)

    def stages(self) -> tuple[Tensor, ...]:
        return tuple(self.taped)

    def _formed(self, form: Callable[[Row], Tensor], row: Row) -> Tensor:
        start = self.start if row.of_state else None
        slopes = [self.taped[stage] for stage, _ in row.parts]
        return _Sum.apply(form, row, self.dt, start, *slopes)  # type: ignore[return-value]


class _Sum(torch.autograd.Function):
    """``start + dt * sum_i weight_i slope_i``, formed by ``form(row)``, as a function of the start and the slopes."""

    @staticmethod
    def forward(
        ctx: Any, form: Callable[[Row], Tensor], row: Row, dt: Time, start: Tensor | None, *slopes: Tensor
    ) -> Tensor:
        ctx.row, ctx.dt = row, dt
        return form(row)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        scaled = grad * ctx.dt
        of_start = grad if ctx.needs_input_grad[3] else None
        return None, None, None, of_start, *(scaled * weight for _, weight in ctx.row.parts)


def advanced_by(start: Tensor, weights: Sequence[Any], slopes: Sequence[Tensor], size: float) -> Tensor:
    """``y + h sum_i w_i k_i`` by PyTorch's own operations, for methods with few stages of a kind of their own."""
    for weight, slope in zip(weights, slopes, strict=True):
        if weight:
            start = torch.add(start, slope, alpha=float(weight) * size)
    return start
