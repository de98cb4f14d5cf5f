"""A partial differential equation with all that makes it a problem."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from inspect import signature
from numbers import Real
from typing import Any

import torch
from torch import Tensor

from kutta.pde.grids.finite import check_finite
from kutta.pde.grids.given import filled
from kutta.pde.grids.grid import Grid
from kutta.pde.lowering.forms import whole
from kutta.pde.schemes.scheme import Scheme
from kutta.pde.terms import Terms
from kutta.problems import ODEProblem
from kutta.solvers.controllers import CFL


@dataclass(frozen=True, eq=False)
class PDEProblem:
    """An initial value problem for a partial differential equation on a grid.

    Equations have a method ``problem(grid, u0, t_span)`` that makes one. `kutta.solve` lowers it to an `ODEProblem` or
    a `SplitODEProblem`, so that all their methods apply.

    Attributes:
        equation: such as ``kutta.pde.Heat(0.1)``, or a function ``(ops, t, u) -> du/dt``, with ``ops`` the operations
            of the scheme; see `kutta.pde.Discretisation`.
        grid: with its boundary conditions.
        u0: the initial state, ``(..., *grid.shape)``; or a function of the coordinates ``(d, *shape)``, which are
            float64, that returns it, or a list of its components. Leading axes are a batch that shares its step size.
            Gradients flow to it, to the coefficients of the equation and to the data of the boundary.
        t_span: initial and final time.
        scheme: how it is discretised in space; by default what the equation says.

    Raises:
        TypeError, ValueError: for what does not fit together.

    Example:
        An equation of one's own:

        >>> import torch, kutta as kt
        >>> def fisher(ops, t, u):
        ...     return 0.01 * ops.laplacian(u) + u * (1 - u)
        >>> grid = kt.pde.Grid(64, 1.0, boundary=kt.pde.Neumann())
        >>> problem = kt.pde.PDEProblem(fisher, grid, lambda x: torch.exp(-50 * x[0] ** 2), (0.0, 10.0))
        >>> bool(kt.solve(problem).y1.mean() > 0.9)
        True
    """

    equation: Any
    grid: Grid
    u0: Any
    t_span: Sequence[Any]
    scheme: Scheme | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.grid, Grid):
            raise TypeError(f"grid must be a kutta.pde.Grid; got {type(self.grid).__name__}")
        equation = self.equation if isinstance(self.equation, Terms) else _of_function(self.equation)
        if self.grid.dim not in equation.dimensions:
            wanted = " or ".join(map(str, equation.dimensions))
            raise ValueError(
                f"{_name(equation)} is an equation in {wanted} dimensions; got a grid of {self.grid.dim}"
                f"{_in_as_many(equation, self.grid.dim)}"
            )
        _check_span(self.t_span)
        scheme = equation.scheme(self.grid) if self.scheme is None else self.scheme
        if not isinstance(scheme, Scheme):
            raise TypeError(f"scheme must be such as kutta.pde.FiniteDifference(); got {scheme!r}")
        u0 = scheme.sampled(_of_places(self.u0), self.grid) if callable(self.u0) else self.u0
        u0 = _checked_state(u0, self.grid, equation)
        equation.check(self.grid, scheme, u0)
        scheme.check(self.grid)
        u0 = equation.admissible(u0, self.grid)
        for name, value in (("equation", equation), ("scheme", scheme), ("u0", u0)):
            object.__setattr__(self, name, value)

    def as_ode(self) -> ODEProblem:
        """The same as an ordinary problem, whose state are the values at the points of the grid.

        For what takes no partial differential equation, such as `kutta.Integrator`. At nodes on `kutta.pde.Dirichlet`
        sides its state keeps the values of the initial time, also where they change with the time: the equation takes
        those of each time there, but its solutions do not show them, as those of this problem do.
        """
        return whole(self).problem  # type: ignore[return-value]

    def cfl(self, number: float = 0.5) -> CFL:
        """Steps by the condition of Courant, Friedrichs and Lewy: ``dt sum_i |v_i| / dx_i <= number`` everywhere.

        The speeds are those that the equation says for the state at the start of each step; a batch takes the steps of
        its fastest member. With 0.5 `kutta.SSPRK33` is stable for all schemes, and without new extrema for `MUSCL`.

        Args:
            number: Courant's.

        Raises:
            TypeError: for an equation that does not say its speeds.

        Example:
            >>> import torch, kutta as kt
            >>> problem = kt.pde.Burgers(0.0).problem(kt.pde.Grid(100), lambda x: 1 + x[0], (0.0, 0.1))
            >>> kt.solve(problem, kt.SSPRK33(), controller=problem.cfl(0.4)).stats.steps
            49
        """
        if not self.says_speeds:
            raise TypeError(
                f"{_name(self.equation)} does not say how fast its waves are, and has no cfl(): pass "
                "controller=kutta.Fixed(dt), or leave the step size to a method with error control"
            )
        return CFL(self._crossing, number)

    def _crossing(self, t: Any, u: Tensor) -> Tensor:
        """The time in which the fastest wave crosses a cell."""
        u = filled(self.grid, u, t)
        speeds = [torch.as_tensor(one, dtype=u.dtype, device=u.device) for one in self.speeds(t, u)]  # type: ignore[union-attr]
        return 1.0 / torch.stack([one.abs().amax() / h for one, h in zip(speeds, self.grid.spacing, strict=True)]).sum()

    @property
    def says_speeds(self) -> bool:
        """Whether the equation says how fast its waves are, which `cfl` needs."""
        return self.speeds(self.t_span[0], self.u0) is not None

    def speeds(self, t: Any, u: Tensor) -> Sequence[Any] | None:
        """Those of the equation, see `Evolution.speeds`."""
        return self.equation.speeds(self.grid, t, u)


def _in_as_many(equation: Any, dim: int) -> str:
    """How an equation that has a `dimension` is written for another one; nothing for all others."""
    with suppress(TypeError, ValueError):
        replace(equation, dimension=dim)
        return f": write {_name(equation)}(dimension={dim})"
    return ""


def _name(equation: Any) -> str:
    return type(equation).__name__


def _of_function(function: Any) -> Terms:
    """An equation from a function ``(ops, t, u)``."""
    if not callable(function) or isinstance(function, type):
        raise TypeError(f"equation must be such as kutta.pde.Heat(0.1), or a function (ops, t, u); got {function!r}")

    class Given(Terms):
        degree = 3

        def nonlinear(self, ops: Any, t: Any, u: Any) -> Any:
            return function(ops, t, u)

    name = getattr(function, "__name__", "")
    Given.__name__ = name if name.isidentifier() else "Given"
    return Given()


def _check_span(t_span: Any) -> None:
    try:
        times = tuple(t_span)
    except TypeError:
        times = ()
    if len(times) != 2 or not all(isinstance(one, Real | Tensor) for one in times):
        raise ValueError(f"t_span must hold the initial and the final time, such as (0.0, 1.0); got {t_span!r}")


def _of_places(u0: Callable[..., Any]) -> Callable[[Tensor], Any]:
    """An initial state as a function of the coordinates, whose components may come in a list."""
    with suppress(ValueError):  # of functions without a signature
        try:
            signature(u0).bind(None)
        except TypeError as problem:
            raise TypeError(
                "u0 must be a tensor, or a function of one argument, the coordinates (d, *shape), such as "
                f"lambda x: torch.sin(x[0]): {problem}"
            ) from problem

    def sampled(x: Tensor) -> Any:
        value = u0(x)
        if not isinstance(value, list | tuple):
            return value
        return torch.stack(torch.broadcast_tensors(*(torch.as_tensor(one) for one in value)))

    return sampled


def _checked_state(u0: Any, grid: Grid, equation: Terms) -> Tensor:
    try:
        u0 = torch.as_tensor(u0)
    except (TypeError, ValueError, RuntimeError) as problem:
        raise TypeError(f"u0 must be a tensor or a function of the coordinates: {problem}") from problem
    if not (u0.is_floating_point() or u0.is_complex()):
        raise TypeError(f"u0 must have a floating-point or complex dtype; got {u0.dtype}")
    count = len(equation.components)
    wanted = (*((count,) if count > 1 else ()), *grid.shape)
    if u0.dim() == 0 and count == 1:
        u0 = u0.expand(grid.shape)
    if tuple(u0.shape[max(u0.dim() - len(wanted), 0) :]) != wanted:
        names = f", with {count} components {', '.join(equation.components)}" if count > 1 else ""
        raise ValueError(
            f"u0 must have the shape (..., {', '.join(map(str, wanted))}) of {_name(equation)} on this grid{names}; "
            f"got {tuple(u0.shape)}"
        )
    check_finite("u0", u0)
    return u0
