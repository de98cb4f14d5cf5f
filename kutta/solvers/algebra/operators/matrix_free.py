"""An operator that is a function."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from kutta.solvers.algebra.operators.linear_operator import LinearOperator, Transposed


class MatrixFree(LinearOperator):
    """A linear function ``x -> A x``, written with differentiable operations.

    Attributes:
        function: called with a state, or a batch of such, and returns one of the same shape. It may hold parameters;
            gradients of a solve reach them.
        axes: how many trailing axes of ``x`` make one state. By default all of them, so that a solve is one system
            whatever its shape; with ``axes=1`` and ``x`` of shape ``(B, n)`` there are ``B`` systems, and the function
            must not mix them.
        transpose: ``x -> A^T x``; by default by reverse differentiation of the function.
        symmetric: whether it equals its conjugate transpose.
        definite: whether it is moreover positive definite, or negative definite.

    Example:
        >>> import torch, kutta as kt
        >>> operator = kt.algebra.MatrixFree(lambda x: 2.0 * x - x.roll(1, -1), axes=1)
        >>> operator.apply(torch.tensor([1.0, 2.0, 3.0])), operator.transposed().apply(torch.tensor([1.0, 2.0, 3.0]))
        (tensor([-1., 3., 4.]), tensor([0., 1., 5.]))
    """

    def __init__(
        self,
        function: Callable[[Tensor], Tensor],
        axes: int | None = None,
        transpose: Callable[[Tensor], Tensor] | None = None,
        symmetric: bool = False,
        definite: bool = False,
    ):
        if not callable(function):
            raise TypeError(f"function must be callable, x -> A x; got {type(function).__name__}")
        if axes is not None and (isinstance(axes, bool) or not isinstance(axes, int) or axes < 1):
            raise ValueError(f"axes must be None or a positive whole number; got {axes!r}")
        self.function, self.axes, self.transpose = function, axes, transpose
        self.symmetric, self.definite = symmetric or definite, definite

    def apply(self, x: Tensor) -> Tensor:
        image = self.function(x)
        if not isinstance(image, Tensor) or image.shape != x.shape or image.dtype != x.dtype:
            what = f"{image.dtype} {tuple(image.shape)}" if isinstance(image, Tensor) else type(image).__name__
            raise ValueError(
                f"function must return a tensor such as its argument, {x.dtype} {tuple(x.shape)}; got {what}"
            )
        return image

    def check(self, x: Tensor) -> None:
        if self.axes is not None and x.dim() < self.axes:
            raise ValueError(f"a state of this operator has axes={self.axes} axes; got shape {tuple(x.shape)}")

    def transposed(self) -> LinearOperator:
        if self.transpose is None:
            return Transposed(self)
        return MatrixFree(self.transpose, self.axes, self.function, self.symmetric, self.definite)
