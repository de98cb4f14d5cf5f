"""A user's function as methods see it: of flat unknowns, ``(B, n)``, one row a problem."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from kutta.solvers.algebra.nonlinear.bands import Bands
from kutta.solvers.algebra.nonlinear.block_chain import BlockChain
from kutta.solvers.algebra.nonlinear.jacobians import by_columns, by_rows
from kutta.solvers.algebra.operators.dense import Dense
from kutta.solvers.algebra.operators.linear_operator import LinearOperator
from kutta.state import as_state, layout_of


def check_callable(name: str, function: Any) -> None:
    """Refuse what is no function."""
    if not callable(function):
        raise TypeError(f"{name} must be callable; got {type(function).__name__}")


def check_real(problem: str, dtype: torch.dtype) -> None:
    """Refuse complex unknowns of what has a least value."""
    if dtype.is_complex:
        raise TypeError(
            f"x0 of a {problem} must be real; got {dtype}: take real and imaginary parts as unknowns, such as "
            "torch.view_as_real(x0)"
        )


class Equations:
    """``x -> F(x)``, from ``(B, n)`` to ``(B, m)``, of which no row sees another.

    Attributes:
        layout: of the unknowns of all problems, as rows.
        single: the layout as the user has it.
        start: where iterations begin, ``(B, n)``, without derivatives.
        square: whether there are as many equations as unknowns.
        evaluations: of ``F``, for all problems at once.
        jacobians: likewise.
        count: of the equations of a problem, ``m``, once it is known.
    """

    square: ClassVar[bool] = False

    def __init__(self, name: str, f: Callable[..., Any], x0: Any, args: Any, batched: bool, jacobian: Any = None):
        check_callable(name, f)
        if not isinstance(args, tuple):
            raise TypeError(f"args must be a tuple; got {type(args).__name__}: write args=(value,)")
        if not (jacobian is None or callable(jacobian) or (self.square and isinstance(jacobian, Bands))):
            raise TypeError(f"jacobian must be a function of the arguments of {name}; got {jacobian!r}")
        x0 = as_state(x0, "x0")
        self.name, self.f, self.args = name, f, args
        self.given: Any = jacobian
        self.single = layout_of(x0, batched, "x0")
        self.layout = self.single if batched else replace(self.single, batch=1)
        self.start = self.flat(x0).detach().contiguous()  # derivatives in forward mode need a memory of its own
        self.evaluations = self.jacobians = self.count = 0

    @property
    def rows(self) -> int:
        """How many problems there are."""
        return self.layout.batch or 1

    def flat(self, x: Any) -> Tensor:
        """Unknowns as rows."""
        return self.single.ravel(x).reshape(self.rows, -1)

    def shaped(self, x: Tensor) -> Any:
        """Rows as the user has them."""
        return self.single.unravel(x if self.single.batch is not None else x.reshape(-1))

    def __call__(self, x: Tensor) -> Tensor:
        """``F``, as rows."""
        self.evaluations += 1
        return self.image(x)

    def image(self, x: Tensor) -> Tensor:
        """The same, not counted: for derivatives of what was found."""
        parts = pytree.tree_leaves(self.f(self.shaped(x), *self.args))
        self._check(parts)
        rows = torch.cat([part.reshape(self.rows, -1) for part in parts], 1)
        self.count = rows.shape[1]
        if self.square and rows.shape != x.shape:
            raise ValueError(f"{self.name} must have as many equations as unknowns, {x.shape[1]}; got {self.count}")
        return rows

    def linearised(self, x: Tensor) -> tuple[Tensor, Any]:
        """``F`` and ``dF/dx``, ``(B, m, n)``, or a `BlockChain` of that shape.

        By columns, a derivative in forward mode for every unknown, where there are more equations than unknowns; by
        rows, a backward pass for every equation, elsewhere.
        """
        self.evaluations, self.jacobians = self.evaluations + 1, self.jacobians + 1
        if self.given is not None:
            return self.image(x), self._matrix(self.given(self.shaped(x), *self.args), x)
        m = self.count if self.count else self.image(x).shape[1]
        return by_columns(self.image, x) if m > x.shape[1] else by_rows(self.image, x, m)

    def slope(self, x: Tensor) -> LinearOperator:
        """``dF/dx`` as an operator on rows, of the structure that the problem says it has."""
        self.jacobians += 1
        if isinstance(self.given, Bands):
            return self.given.of(self.image, x)
        if self.given is None:
            return Dense(by_rows(self.image, x, x.shape[1])[1])
        found = self.given(self.shaped(x), *self.args)
        is_operator = isinstance(found, LinearOperator)
        return self._operator(found, x) if is_operator else Dense(self._matrix(found, x))

    def dense_jacobian(self, x: Tensor) -> Tensor:
        """``dF/dx``, ``(B, m, n)``."""
        found = self.linearised(x)[1]
        return found.dense() if isinstance(found, BlockChain) else found

    def square_matrix(self, name: str, found: Any, x: Tensor) -> Tensor:
        """A user's matrices of as many rows as unknowns, as ``(B, n, n)``."""
        return self._checked(name, found, x, x.shape[1])

    def _matrix(self, found: Any, x: Tensor) -> Any:
        """The user's Jacobian, as ``(B, m, n)``."""
        m = self.count if self.count else self.image(x).shape[1]
        if isinstance(found, BlockChain) and not self.square:
            self._check_shape("jacobian", found, x, m)
            return found.batched(self.rows)
        return self._checked("jacobian", found, x, m)

    def _checked(self, name: str, found: Any, x: Tensor, m: int) -> Tensor:
        if not isinstance(found, Tensor):
            raise ValueError(f"{name} must return a tensor; got {type(found).__name__}")
        self._check_shape(name, found, x, m)
        return found.reshape(self.rows, m, x.shape[1])

    def _check_shape(self, name: str, found: Tensor | BlockChain, x: Tensor, m: int) -> None:
        wanted = (self.rows, m, x.shape[1]) if self.single.batch is not None else (m, x.shape[1])
        if tuple(found.shape) != wanted or found.dtype != x.dtype:
            raise ValueError(
                f"{name} must return a tensor {x.dtype} of shape {wanted}; got {found.dtype} {tuple(found.shape)}"
            )

    def _operator(self, found: LinearOperator, x: Tensor) -> LinearOperator:
        """The user's Jacobian, if it acts on rows."""
        try:
            found.check(x)
        except (TypeError, ValueError) as wrong:
            raise ValueError(
                f"jacobian must return an operator on flattened unknowns, {tuple(x.shape)}: {wrong}"
            ) from None
        return found

    def _check(self, parts: list[Any]) -> None:
        """Refuse what is no tensor, or no batch."""
        for part in parts:
            if not isinstance(part, Tensor) or part.dtype != self.layout.dtype:
                kind = part.dtype if isinstance(part, Tensor) else type(part).__name__
                raise TypeError(f"{self.name} must return tensors of the dtype of x0, {self.layout.dtype}; got {kind}")
            if self.single.batch is not None and part.shape[:1] != (self.single.batch,):
                raise ValueError(
                    f"{self.name} must return tensors with the {self.single.batch} problems of x0 along axis 0; got "
                    f"shape {tuple(part.shape)}"
                )
        if not parts:
            raise ValueError(f"{self.name} returned nothing: it must return at least one tensor")


class SquareEquations(Equations):
    """As many equations as unknowns."""

    square = True


class Changes(SquareEquations):
    """``T(x) - x`` for a function ``T``, which is zero at its fixed points."""

    def image(self, x: Tensor) -> Tensor:
        return super().image(x) - x
