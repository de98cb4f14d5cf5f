"""The problems: frozen records of the mathematics that know nothing of numerics."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
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
class SplitODEProblem:
    """An initial value problem ``dy/dt = L y + f(t, y, *args)``, ``y(t0) = y0``, whose linear part is known.

    Exponential and IMEX methods solve the linear part exactly or implicitly, however stiff it is, and the remainder `f`
    explicitly. Every other method takes the sum for its right-hand side.

    Attributes:
        linear: ``L``: a `kutta.algebra.LinearOperator`, or a matrix ``(n, n)`` that acts on the last axis of the state.
        f: the remainder, called as ``f(t, y, *args)``; see `ODEProblem`.
        y0: the initial state, one tensor; leading axes are a batch that shares its step size.
        t_span: initial and final time.
        args: further arguments of `f`. Gradients flow to the tensors among them, and to those that ``L`` is made of.

    Example:
        >>> import torch, kutta as kt
        >>> stiff = torch.tensor([[-1000.0, 999.0], [0.0, -1.0]], dtype=torch.float64)
        >>> def forcing(t, y):
        ...     return torch.stack([torch.zeros_like(t), torch.cos(t)])
        >>> problem = kt.SplitODEProblem(stiff, forcing, torch.ones(2, dtype=torch.float64), (0.0, 1.0))
        >>> sol = kt.solve(problem, kt.ETDRK4(), controller=kt.Fixed(0.1))
        >>> round(float(sol.y1[1]), 5)  # (sin t + cos t + exp(-t)) / 2
        0.87483
    """

    linear: Any
    f: Callable[..., Any]
    y0: Any
    t_span: Sequence[Time]
    args: tuple[Any, ...] = ()

    def whole(self) -> ODEProblem:
        """The same with one right-hand side, the sum of its parts; `linear` must be an operator."""
        return ODEProblem(partial(_sum_of_parts, self.linear, self.f), self.y0, self.t_span, self.args)


def _sum_of_parts(linear: Any, f: Callable[..., Any], t: Time, y: Any, *args: Any) -> Any:
    return linear.apply(y) + f(t, y, *args)


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


@dataclass(frozen=True)
class DiffusionProblem:
    """Samples from a diffusion or flow model: the way from noise to data.

    The state is ``x_t = alpha(t) x_0 + sigma(t) z``; the deterministic samplers follow the probability-flow
    equation ``dx/dt = alpha'(t) D(x, t) + sigma'(t) e(x, t)`` from the noisiest time to the data, where `D` and `e`
    are the expected data and noise.

    Sampling is differentiable: with a network whose weights require gradients, PyTorch remembers every evaluation for a
    backward pass, and memory grows with the steps. To sample only, solve under ``torch.no_grad()``, as in the second
    example. To differentiate through the sampling, do not.

    Attributes:
        model: called as ``model(x, t)``, or with a condition as ``model(x, t, condition)``, where ``t`` has shape
            ``(B,)``, and the dtype of ``x`` but float32 at least: half precision cannot tell time 999 from 1000. It
            returns a tensor of the shape and on the device of ``x``; of a network that returns an object or a tuple,
            give a function that takes the tensor out, such as ``lambda x, t: unet(x, t).sample``.
        schedule: the noise schedule, such as ``kutta.diffusion.VP()``.
        x: the state at the first time, shape ``(B, ...)``: noise of standard deviation ``sigma``, or for editing
            a noisy sample.
        prediction: what the model returns: ``"epsilon"``, ``"data"``, ``"v"``, ``"score"`` or ``"flow"``; see
            `kutta.solvers.diffusion.levels.conversions`.
        condition: handed on to the model.
        guidance: such as ``kutta.diffusion.CFG(7.5)``.
        t_span: first and last time; by default those of the schedule.

    Example:
        >>> import torch, kutta as kt
        >>> teacher = kt.diffusion.GaussianMixture([0.5, 0.5], [[-2.0, 0.0], [2.0, 0.0]], [0.1, 0.1])
        >>> schedule = kt.diffusion.EDM(start=10.0, end=0.01)
        >>> x = 10.0 * torch.randn(256, 2, generator=torch.Generator().manual_seed(0))
        >>> problem = kt.DiffusionProblem(teacher.model(schedule), schedule, x)
        >>> sol = kt.solve(problem, kt.DDIM(), steps=20)
        >>> bool((sol.y1[:, 0].abs() - 2.0).abs().mean() < 0.5), sol.stats.function_evaluations
        (True, 20)

        A network, without gradients:

        >>> class Network(torch.nn.Linear):
        ...     def forward(self, x, t):
        ...         return super().forward(torch.cat([x, t[:, None]], 1))
        >>> problem = kt.DiffusionProblem(Network(3, 2), kt.diffusion.VP(), torch.randn(8, 2))
        >>> with torch.no_grad():
        ...     samples = kt.solve(problem, kt.DPMSolverPP(2), steps=10).y1
        >>> samples.shape, samples.requires_grad
        (torch.Size([8, 2]), False)
    """

    model: Callable[..., Any]
    schedule: Any
    x: Any
    prediction: str = "epsilon"
    condition: Any = None
    guidance: Any = None
    t_span: tuple[float, float] | None = None


@dataclass(frozen=True)
class LinearProblem:
    """A system of linear equations ``A x = b``, or a batch of such.

    The solution is differentiable by the implicit rule, once and twice, in reverse and forward mode: gradients reach
    `b` and whatever the operator is made of, and cost a solve with ``A^T``, however `x` was found.

    Of a batch, the statistics have its shape, and ``sol.result`` holds the results of its systems one after the other.

    Attributes:
        operator: ``A``: a matrix ``(n, n)``, or ``(*batch, n, n)``, or a sparse one; or a linear operator such as
            ``kutta.algebra.MatrixFree(function)``. Methods for symmetric matrices need to be told that it is one:
            ``kutta.algebra.Dense(matrix, symmetric=True)``.
        b: the right-hand side: one state, such as ``(n,)``, or with leading axes a batch of such.
        guess: where iterations begin; by default at zero. It broadcasts with `b`, and receives no gradient.

    Example:
        >>> import torch, kutta as kt
        >>> A = torch.tensor([[2.0, 1.0], [1.0, 3.0]], dtype=torch.float64, requires_grad=True)
        >>> sol = kt.solve(kt.LinearProblem(A, torch.tensor([3.0, 5.0], dtype=torch.float64)))
        >>> sol.y1.detach()
        tensor([0.8000, 1.4000], dtype=torch.float64)
        >>> torch.autograd.grad(sol.y1.sum(), A)[0]
        tensor([[-0.3200, -0.5600],
                [-0.1600, -0.2800]], dtype=torch.float64)
    """

    operator: Any
    b: Any
    guess: Any = None


@dataclass(frozen=True)
class RootProblem:
    """Equations ``F(x) = 0``, as many as unknowns, or a batch of such.

    The root is differentiable by the implicit rule, in reverse and forward mode: gradients reach whatever ``F`` is made
    of, and cost one linear system, however `x` was found. ``x0`` receives none.

    Attributes:
        f: ``F(x, *args)``, of the shape of ``x``: a tensor, or a pytree of tensors.
        x0: where iterations begin.
        args: further arguments of `f`.
        batched: whether axis 0 of every tensor of ``x0`` counts problems, each of which is solved for itself; `f` is
            called with all of them, and must not mix them.
        jacobian: of `f`, on flattened unknowns: a function of the same arguments that returns a tensor ``(n, n)``,
            ``(B, n, n)`` of a batch, or a linear operator such as `kutta.algebra.Banded`; or `kutta.algebra.Bands`,
            which says where it is zero. By default it is found by differentiation, and dense.

    Example:
        >>> import torch, kutta as kt
        >>> a = torch.tensor(2.0, dtype=torch.float64, requires_grad=True)
        >>> sol = kt.solve(kt.RootProblem(lambda x, a: x**2 - a, torch.ones((), dtype=torch.float64), (a,)))
        >>> sol.y1.backward()
        >>> sol.y1.detach(), a.grad
        (tensor(1.4142, dtype=torch.float64), tensor(0.3536, dtype=torch.float64))
    """

    f: Callable[..., Any]
    x0: Any
    args: tuple[Any, ...] = ()
    batched: bool = False
    jacobian: Any = None


@dataclass(frozen=True)
class FixedPointProblem:
    """A fixed point ``x = T(x)``, or a batch of such; with derivatives such as those of a `RootProblem`.

    Attributes:
        f: ``T(x, *args)``, of the shape of ``x``: a tensor, or a pytree of tensors.
        x0: where iterations begin.
        args: further arguments of `f`.
        batched: whether axis 0 of every tensor of ``x0`` counts problems; see `RootProblem`.

    Example:
        >>> import torch, kutta as kt
        >>> kt.solve(kt.FixedPointProblem(torch.cos, torch.ones((), dtype=torch.float64))).y1
        tensor(0.7391, dtype=torch.float64)
    """

    f: Callable[..., Any]
    x0: Any
    args: tuple[Any, ...] = ()
    batched: bool = False


@dataclass(frozen=True)
class LeastSquaresProblem:
    """The least ``|F(x)|^2``, of real unknowns, or a batch of such.

    The solution is differentiable by the implicit rule at ``J^T F = 0``, whose derivative is the full Hessian,
    ``J^T J + sum_i F_i F_i''``, also where the residual is large.

    Attributes:
        residual: ``F(x, *args)``: a tensor of any shape, or a pytree of such, whose entries are squared and added up.
        x0: where iterations begin: a tensor, or a pytree of tensors.
        args: further arguments of `residual`.
        batched: whether axis 0 of every tensor of ``x0``, and of what `residual` returns, counts problems; see
            `RootProblem`.
        jacobian: of `residual`, ``(m, n)``, ``(B, m, n)`` of a batch, on flattened unknowns and equations: a function
            of the same arguments, which may also return a `kutta.algebra.BlockChain`. By default it is found by
            differentiation.
        curvature: ``sum_i F_i F_i''`` of `residual`, ``(n, n)`` or ``(B, n, n)``: a function of the same arguments,
            for derivatives of the solution; by default they are found by a backward pass for each unknown.

    Example:
        >>> import torch, kutta as kt
        >>> t = torch.linspace(0.0, 1.0, 20, dtype=torch.float64)
        >>> data = 2.0 * torch.exp(-3.0 * t)
        >>> problem = kt.LeastSquaresProblem(lambda x: x[0] * torch.exp(-x[1] * t) - data, torch.ones(2).double())
        >>> kt.solve(problem).y1
        tensor([2.0000, 3.0000], dtype=torch.float64)
    """

    residual: Callable[..., Any]
    x0: Any
    args: tuple[Any, ...] = ()
    batched: bool = False
    jacobian: Any = None
    curvature: Callable[..., Any] | None = None


@dataclass(frozen=True)
class ConstrainedProblem:
    """The least ``f(x)`` where ``c(x) = 0``, of real unknowns, or a batch of such.

    What is found is a point of Karush, Kuhn and Tucker: with multipliers ``lambda``, ``sol.multipliers``,

        grad f + G^T lambda = 0,    c = 0,    G = dc/dx.

    Both are differentiable by the implicit rule at these equations.

    Attributes:
        f: ``f(x, *args)``, one number, or of a batch ``B`` of them, each of its own problem.
        constraints: ``c(x, *args)``: a tensor of any shape, or a pytree of such, whose entries are made zero; no more
            than there are unknowns, whose derivatives are independent of each other at the solution.
        x0: where iterations begin: a tensor, or a pytree of tensors. It need not fulfil the constraints.
        args: further arguments of both.
        batched: whether axis 0 of every tensor of ``x0``, and of what both functions return, counts problems; see
            `RootProblem`.

    Example:
        >>> import torch, kutta as kt
        >>> x0 = torch.ones(2, dtype=torch.float64)
        >>> problem = kt.ConstrainedProblem(lambda x: x.sum(), lambda x: x @ x - 2.0, -2.0 * x0)
        >>> sol = kt.solve(problem)
        >>> sol.y1, sol.multipliers
        (tensor([-1., -1.], dtype=torch.float64), tensor([0.5000], dtype=torch.float64))
    """

    f: Callable[..., Any]
    constraints: Callable[..., Any]
    x0: Any
    args: tuple[Any, ...] = ()
    batched: bool = False
