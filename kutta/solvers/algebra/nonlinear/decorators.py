"""Derivatives for solvers of one's own, whatever they do, by the implicit function theorem.

Source: Blondel et al., Efficient and modular implicit differentiation, 2022.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.utils import _pytree as pytree

from kutta.autodiff import read
from kutta.solvers.algebra.implicit import implicit
from kutta.solvers.algebra.nonlinear.derivatives import AtSolution, Implicit
from kutta.solvers.algebra.nonlinear.equations import SquareEquations
from kutta.solvers.algebra.nonlinear.posed import change
from kutta.solvers.algebra.solving import report

# A solution at which more than this part of the optimality at the beginning is left has no derivative to speak of.
LARGEST_LEFT = 1e-3

Solver = Callable[..., Any]


def implicit_root(
    optimality: Callable[..., Any],
    *,
    has_aux: bool = False,
    batched: bool = False,
    symmetric: bool = False,
    rule: Implicit | None = None,
) -> Callable[[Solver], Solver]:
    """A decorator for functions ``(x0, *args) -> x`` that find a root of ``optimality(x, *args)``.

    What they return is then differentiable in `args`, and in all else that `optimality` is made of, in reverse and
    forward mode; ``x0`` receives no gradient. What the function does on its way is not looked at. `optimality` may say
    that a gradient vanishes, or the conditions of Karush, Kuhn and Tucker; see also `implicit_fixed_point`.

    Args:
        optimality: ``G(x, *args)``, zero at the solution, of the shape of ``x``: a tensor, or a pytree of tensors.
        has_aux: whether the function returns ``(x, aux)``; ``aux`` passes, without gradients.
        batched: whether axis 0 of every tensor of ``x`` counts problems that `optimality` does not mix.
        symmetric: whether ``dG/dx`` is symmetric, as where ``G`` is a gradient.
        rule: options of the derivatives; see `Implicit`.

    Returns:
        the decorator. The function warns, by a ``RuntimeWarning``, of a solution where more than a thousandth of
        ``|G|`` at ``x0`` is left: derivatives are then no better.

    Example:
        >>> import torch, kutta as kt
        >>> def optimality(x, matrix, data, ridge):
        ...     return matrix.T @ (matrix @ x - data) + ridge * x
        >>> @kt.implicit_root(optimality, symmetric=True)
        ... def ridge_regression(x0, matrix, data, ridge):
        ...     return torch.linalg.solve(matrix.T @ matrix + ridge * torch.eye(len(x0)), matrix.T @ data)
        >>> def first(ridge):
        ...     return ridge_regression(torch.zeros(1), torch.ones(2, 1), torch.ones(2), ridge)[0]
        >>> first(torch.tensor(1.0)), torch.func.grad(first)(torch.tensor(1.0))  # 2 / (2 + r), -2 / (2 + r)^2
        (tensor(0.6667), tensor(-0.2222))
    """
    rule = Implicit() if rule is None else rule

    def decorate(solver: Solver) -> Solver:
        @functools.wraps(solver)
        def found(x0: Any, *args: Any) -> Any:
            with forward_ad._set_fwd_grad_enabled(False):
                answer = solver(*_detached((x0, *args)))
            x, *aux = answer if has_aux else (answer,)
            x = _differentiable(optimality, x0, x, args, batched, symmetric, rule)
            return (x, *_detached(tuple(aux))) if has_aux else x

        return found

    return decorate


def implicit_fixed_point(step: Callable[..., Any], **options: Any) -> Callable[[Solver], Solver]:
    """The same for functions that find a fixed point ``x = step(x, *args)``.

    Such as a step of projected or proximal gradients, of Newton's method, or of any other iteration.

    Args:
        step: ``T(x, *args)``, of the shape of ``x``.
        options: of `implicit_root`.

    Example:
        >>> import torch, kutta as kt
        >>> @kt.implicit_fixed_point(lambda x, a: 0.5 * (x + a / x))
        ... def heron(x, a):
        ...     for _ in range(30):
        ...         x = 0.5 * (x + a / x)
        ...     return x
        >>> torch.func.grad(lambda a: heron(torch.ones(()), a))(torch.tensor(4.0))
        tensor(0.2500)
    """
    return implicit_root(partial(change, step), **options)


def _differentiable(
    optimality: Callable[..., Any], x0: Any, x: Any, args: Any, batched: bool, symmetric: bool, rule: Implicit
) -> Any:
    equations = SquareEquations("optimality", optimality, x, args, batched)
    point = equations.start
    _check_solution(equations, equations.flat(x0).detach(), point)

    def residual(x: Tensor) -> Tensor:
        return -equations.image(x)

    solved = torch.ones(point.shape[0], dtype=torch.bool, device=point.device)
    told = partial(report, True)
    solver = AtSolution(residual, point, solved, symmetric, rule, told)
    return equations.shaped(implicit(point, residual, solver, told, rule.orders))


@torch.no_grad()
def _check_solution(equations: SquareEquations, start: Tensor, x: Tensor) -> None:
    """Warn of what is no solution."""
    with forward_ad._set_fwd_grad_enabled(False):
        left, first = (torch.linalg.vector_norm(equations.image(one), dim=1) for one in (x, start))
    worst = (left / first.clamp(min=torch.finfo(first.dtype).tiny)).amax(0, keepdim=True)
    tiny = left.amax(0, keepdim=True) <= torch.finfo(first.dtype).eps ** 0.5
    (part,), (small,) = read(worst), read(tiny)
    if not small and not part <= LARGEST_LEFT:
        warnings.warn(
            f"|optimality| at what the function returned is {part:.3g} of what it is at x0: its derivatives are no "
            "more exact; let it go on for longer",
            RuntimeWarning,
            stacklevel=4,
        )


def _detached(tree: Any) -> Any:
    return pytree.tree_map(lambda leaf: leaf.detach() if isinstance(leaf, Tensor) else leaf, tree)
