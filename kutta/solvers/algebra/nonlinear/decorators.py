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
from kutta.solvers.algebra.implicit import implicit, undifferentiated
from kutta.solvers.algebra.nonlinear.derivatives import AtSolution, Implicit
from kutta.solvers.algebra.nonlinear.equations import Changes, SquareEquations, check_callable
from kutta.solvers.algebra.nonlinear.jacobians import products
from kutta.solvers.algebra.solving import report
from kutta.solvers.magnitude import norm
from kutta.state import as_state, layout_of

# A solution at which more than this part of the optimality at the beginning is left has no derivative to speak of.
LARGEST_LEFT = 1e-3
# Of a solution: by how much it may be off, whatever the beginning was.
_EXACT = 1e-6

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
    check_callable("optimality", optimality)
    return _decorator(SquareEquations, optimality, has_aux, batched, symmetric, rule)


def implicit_fixed_point(
    step: Callable[..., Any],
    *,
    has_aux: bool = False,
    batched: bool = False,
    rule: Implicit | None = None,
) -> Callable[[Solver], Solver]:
    """The same for functions that find a fixed point ``x = step(x, *args)``.

    Such as a step of projected or proximal gradients, of Newton's method, or of any other iteration.

    Args:
        step: ``T(x, *args)``, of the shape of ``x``.
        has_aux: as of `implicit_root`.
        batched: likewise.
        rule: likewise.

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
    check_callable("step", step)
    return _decorator(Changes, step, has_aux, batched, False, rule)


def _decorator(
    kind: type[SquareEquations],
    function: Callable[..., Any],
    has_aux: bool,
    batched: bool,
    symmetric: bool,
    rule: Implicit | None,
) -> Callable[[Solver], Solver]:
    """A decorator for solvers of equations of a kind."""
    rule = Implicit() if rule is None else rule
    if not isinstance(rule, Implicit):
        raise TypeError(f"rule must be a kutta.Implicit; got {rule!r}")

    def decorate(solver: Solver) -> Solver:
        @functools.wraps(solver)
        def found(x0: Any, *args: Any) -> Any:
            with forward_ad._set_fwd_grad_enabled(False):
                answer = solver(*_detached((x0, *args)))
            if has_aux and not (isinstance(answer, tuple) and len(answer) == 2):
                raise TypeError(
                    f"with has_aux=True {solver.__name__} must return (x, aux); got {type(answer).__name__}"
                )
            x, aux = answer if has_aux else (answer, None)
            x = _differentiable(kind("optimality", function, x, args, batched), x0, symmetric, rule)
            return (x, _detached(aux)) if has_aux else x

        return found

    return decorate


def _differentiable(equations: SquareEquations, x0: Any, symmetric: bool, rule: Implicit) -> Any:
    point = equations.start
    with undifferentiated():
        worst = _part_left(equations, _start(equations, x0), point)
    if worst > LARGEST_LEFT:
        warnings.warn(
            f"|{equations.name}| at what the function returned is {worst:.3g} of what it is at x0: its derivatives are "
            "no more exact; let it go on for longer",
            RuntimeWarning,
            stacklevel=3,
        )
    solved, told = torch.ones(point.shape[0], dtype=torch.bool, device=point.device), partial(report, True)

    def residual(x: Tensor) -> Tensor:
        return -equations.image(x)

    solver = AtSolution(residual, point, solved, rule, told, symmetric=symmetric)
    return equations.shaped(implicit(point, residual, solver, told, rule.orders))


def _start(equations: SquareEquations, x0: Any) -> Tensor:
    """The beginning as rows, if it is like what was returned."""
    x0, there = as_state(x0, "x0"), equations.single
    here = layout_of(x0, there.batch is not None, "x0")
    if (here.spec, here.shapes, here.dtype) != (there.spec, there.shapes, there.dtype):
        raise ValueError(
            f"x0 must be like what the function returns, {there.dtype} {list(map(tuple, there.shapes))}; "
            f"got {here.dtype} {list(map(tuple, here.shapes))}"
        )
    return equations.flat(x0).detach()


def _part_left(equations: SquareEquations, start: Tensor, x: Tensor) -> float:
    """Of the optimality at the beginning, for the worst problem; none where `x` is exact to six digits."""
    at_x, along_x = products(equations.image, x)(x)
    left, first = norm(at_x), norm(equations.image(start))
    part = torch.where(left <= _EXACT * norm(along_x), 0.0, left / first)
    return read(torch.where(torch.isnan(part), torch.inf, part).amax(0, keepdim=True))[0]


def _detached(tree: Any) -> Any:
    return pytree.tree_map(lambda leaf: leaf.detach() if isinstance(leaf, Tensor) else leaf, tree)
