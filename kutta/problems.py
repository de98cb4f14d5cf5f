"""The problems: frozen records of the mathematics that know nothing of numerics."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

Time = Any  # a number, a 0-dimensional tensor, or for an ensemble a tensor of shape (B,)


@dataclass(frozen=True)
class ODEProblem:
    """An initial value problem ``dy/dt = f(t, y, *args)``, ``y(t0) = y0``.

    The state is advanced with one step size, whatever its shape: a leading batch axis shares it.
    `EnsembleProblem` gives each trajectory its own.

    Attributes:
        f: the right-hand side, called as ``f(t, y, *args)`` with ``t`` a 0-dimensional tensor of
            the state's real dtype. It returns a derivative of the state's structure, shape, dtype
            and device, and may be an ``nn.Module``.
        y0: the initial state: a tensor of any shape and real or complex floating dtype, or a
            pytree (tuples, lists, dicts) of tensors of one dtype and device. Numbers, lists of
            numbers and NumPy arrays become tensors.
        t_span: initial and final time, numbers or 0-dimensional tensors. Time may run backwards.
            Tensors that require gradients receive them.
        args: further arguments of `f`; gradients flow to the tensors among them.

    Example:
        >>> import torch, kutta as kt
        >>> decay = kt.ODEProblem(lambda t, y, rate: -rate * y, torch.ones(2), (0.0, 1.0), args=(2.0,))
        >>> kt.solve(decay, kt.Tsit5(), rtol=1e-6).y1
        tensor([0.1353, 0.1353])
    """

    f: Callable[..., Any]
    y0: Any
    t_span: Sequence[Time]
    args: tuple[Any, ...] = ()

    def derivative(self, t: Time, y: Any) -> Any:
        """The right-hand side ``f(t, y, *args)``."""
        return self.f(t, y, *self.args)


@dataclass(frozen=True)
class EnsembleProblem:
    """Independent trajectories of one right-hand side, each with its own step size and end.

    Axis 0 of every tensor in `y0` enumerates the ``B`` trajectories. So does axis 0 of each
    tensor in `args` that has ``B`` entries there (see `batched_args`). A trajectory that has ended
    is dropped from the working set, so per-trajectory data belongs into `args`, where it is
    dropped with it, and not into a closure of `f`.

    Attributes:
        f: the right-hand side of one trajectory, ``f(t, y, *args)`` with a 0-dimensional ``t`` and
            ``y`` without the ensemble axis; with ``vectorized=True`` that of all running ones,
            with ``t`` of shape ``(b,)`` and ``y`` of shape ``(b, ...)``, ``b <= B``.
        y0: initial states, shape ``(B, ...)``, or a pytree of such.
        t_span: initial and final times, each a number or a tensor of shape ``(B,)``.
        args: further arguments of `f`.
        vectorized: whether `f` takes the ensemble axis itself; otherwise ``torch.func.vmap``
            maps it.
        batched_args: one bool for each of `args`, saying which are per trajectory. By default the
            tensors whose first axis has length ``B`` are.

    Example:
        >>> import torch, kutta as kt
        >>> rates = torch.tensor([1.0, 10.0, 100.0])
        >>> family = kt.EnsembleProblem(lambda t, y, r: -r * y, torch.ones(3, 1), (0.0, 1.0), args=(rates,))
        >>> sol = kt.solve(family, kt.Tsit5(), rtol=1e-6)
        >>> sol.y1.shape, bool((sol.stats.steps[2] > sol.stats.steps[0]))
        (torch.Size([3, 1]), True)
    """

    f: Callable[..., Any]
    y0: Any
    t_span: Sequence[Time]
    args: tuple[Any, ...] = ()
    vectorized: bool = False
    batched_args: tuple[bool, ...] | None = None
