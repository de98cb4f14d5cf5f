"""A neural ODE as a module: the solution of ``dy/dt = field(t, y)`` as a function of its start."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from kutta.problems import EnsembleProblem, ODEProblem
from kutta.regularizers.steer import Steer
from kutta.solution import Solution
from kutta.solve import solve
from kutta.solvers.method import Method


class NeuralODE(nn.Module):
    """Solves ``dy/dt = field(t, y)`` from the state it is called with; thin over `kutta.solve`.

    Args:
        field: the right-hand side, a module called as ``field(t, y, *args)``.
        method: by default `Tsit5`.
        t_span: initial and final time.
        autonomous: whether `field` does not depend on the time and is called as ``field(y, *args)``, as
            an ``nn.Sequential`` is.
        each_alone: whether each sample along axis 0 takes steps of its own, as in an `EnsembleProblem`,
            where ``t`` has one entry a sample; otherwise a batch shares its steps.
        steer: draws the final time in training; in evaluation it is the true one.
        generator: where `steer` draws from; by default PyTorch's global one.
        options: of `kutta.solve`: tolerances, adjoint, penalties and the like. Those given to a call
            take precedence.

    Example:
        >>> import torch, kutta as kt
        >>> flow = torch.nn.Sequential(torch.nn.Linear(2, 8), torch.nn.Tanh(), torch.nn.Linear(8, 2))
        >>> penalties = {"error": kt.regularizers.ErrorEstimate()}
        >>> model = kt.models.NeuralODE(flow, autonomous=True, rtol=1e-4, atol=1e-4, penalties=penalties)
        >>> sol = model(torch.randn(16, 2))
        >>> (sol.y1.square().mean() + 0.1 * sol.penalties["error"]).backward()
        >>> flow[0].weight.grad.shape, model(torch.randn(2), save_at=[0.5, 1.0]).ys.shape
        (torch.Size([8, 2]), torch.Size([2, 2]))
    """

    def __init__(
        self,
        field: nn.Module,
        method: Method | None = None,
        t_span: tuple[Any, Any] = (0.0, 1.0),
        *,
        autonomous: bool = False,
        each_alone: bool = False,
        steer: Steer | None = None,
        generator: torch.Generator | None = None,
        **options: Any,
    ):
        super().__init__()
        check_field(field)
        self.field, self.method, self.t_span = field, method, t_span
        self.autonomous, self.each_alone = autonomous, each_alone
        self.steer, self.generator, self.options = steer, generator, options

    def slope(self, t: Tensor, y: Any, *args: Any) -> Any:
        """``dy/dt``."""
        return self.field(y, *args) if self.autonomous else self.field(t, y, *args)

    def forward(self, y0: Any, *args: Any, **options: Any) -> Solution:
        """The solution from `y0`, whose ``y1`` is the state at the final time.

        Args:
            y0: a tensor or pytree of tensors, a batch along axis 0.
            args: handed on to the field after the state.
            options: of `kutta.solve`, and ``t_span`` or ``each_alone``.
        """
        options = {"t_span": self.t_span, "each_alone": self.each_alone} | self.options | options
        span, alone = options.pop("t_span"), options.pop("each_alone")
        if self.training and self.steer is not None:
            save_at = options.get("save_at")
            if save_at is not None and not isinstance(save_at, str):
                raise ValueError("steer draws the final time, so save_at must not be given in training: see Steer.grid")
            span = self.steer.span(span, self.generator)
        return solve_batch(self.slope, y0, span, args, self.method, alone, options)

    def extra_repr(self) -> str:
        """The settings, for ``print(model)``."""
        method = "Tsit5" if self.method is None else type(self.method).__name__
        settings = ", ".join(f"{name}={value!r}" for name, value in self.options.items())
        return f"method={method}, t_span={self.t_span}" + (f", {settings}" if settings else "")


def check_field(field: Any) -> None:
    """Refuse a right-hand side whose parameters would not be found."""
    if not isinstance(field, nn.Module):
        raise TypeError(f"field must be an nn.Module, so that its parameters are found; got {type(field).__name__}")


def solve_batch(
    f: Any,
    y0: Any,
    t_span: Any,
    args: tuple[Any, ...],
    method: Method | None,
    each_alone: bool,
    options: dict[str, Any],
) -> Solution:
    """Solve for the samples along axis 0, together or each with steps of its own."""
    kind: Any = partial(EnsembleProblem, vectorized=True) if each_alone else ODEProblem
    return solve(kind(f, y0, t_span, args), method, **options)
