"""Networks whose predictions fulfil an equation: they make a basis, and least squares its weights, for each expert."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from kutta.operators.constraints.estimated_error import EstimatedError
from kutta.operators.constraints.experts_of_processes import ExpertsOfProcesses
from kutta.operators.constraints.prediction import Prediction
from kutta.operators.constraints.routing.boxes import Boxes
from kutta.operators.constraints.routing.everywhere import Everywhere
from kutta.operators.constraints.sampled_points import Points, check_none_is_empty, drawn, everywhere
from kutta.operators.constraints.space_time import SpaceTime
from kutta.operators.constraints.space_time_network import SpaceTimeNetwork
from kutta.operators.constraints.weights import Residual, Weights
from kutta.operators.constraints.weights_of_experts import Agreeing, Apart, Finding, InProcesses, Sought
from kutta.operators.operator import check_counts, checked_at_least_zero
from kutta.pde.problem import PDEProblem
from kutta.solvers.algebra.nonlinear.method import LeastSquaresMethod

if TYPE_CHECKING:
    from jaxtyping import Float


class MixtureOfExperts(SpaceTimeNetwork):
    """Experts that share the basis functions of a network, each with weights of its own by its part of the equation.

        u(t, x) = u_0(x) + s(t) sum_k g_k(t, x) sum_j w_kj b_j(t, x),    s = min(1, (t - t_0) / (ramp T))

        w_k = argmin  sum_i g_k(t_i, x_i) r(t_i, x_i)^2 / m  +  ridge^2 |w|^2

    ``r`` is the residual of the problem's own equation, scheme and boundary conditions, with backward differences of
    order 2 in time, times the duration ``T``; ``g_k`` is the share of expert ``k``. Its ``m`` points lie where it has
    one, and next to walls, through which it learns of the rest. Each expert is a small problem of least squares that is
    solved in double precision whenever the network is called, beginning with weights of 1. Its derivatives are those of
    its solution, also where the residual is large, so that the network learns a basis in which solutions fit. Training
    needs no solutions: make `Prediction.loss` small.

    In training the points are drawn anew at each call, by PyTorch's random numbers; in evaluation they are always the
    same ones.

    Args:
        backbone: the network: ``backbone(a, grid)`` maps ``(n, inputs, *shape)`` on a grid of time and space to ``N``
            fields there, ``(n, N, *shape)``: such as a `kutta.operators.FNO` of one dimension more than the equation.
        steps: ``Q``, equal ones, into which the time span of problems is divided.
        routing: which expert predicts where: `Boxes` or a `Gate`.
        inputs: what the network reads off a problem: ``"u0"`` and names of coefficients.
        points: ``m`` of each expert; by default all that it has.
        measure: `EstimatedError` makes least what residuals stand for, at all points, for each expert with the weight
            ``g_k``. That is nearer to the error, and what experts see of it does not end at their boxes; but it costs
            as much for each expert as for one alone. By default residuals count themselves.
        ridge: keeps weights small of which the equation says nothing.
        ramp: how soon after the beginning the field is free, in parts of the duration: with 1, the default, slowly,
            which suits smooth fields; with 0 at once, for fronts that begin at a wall.
        continuity: how much experts agree at the faces of their boxes, in values and slopes, in units of the residual:
            by default 0, not at all. With more, those of a sample are one problem with all their weights.
        processes: of which each solves for some experts: ``True`` for all of torch.distributed, a group of these or a
            device mesh of one axis. All are given the same problems, and only weights travel. Gradients are averaged
            over processes afterwards, as `torch.nn.parallel.DistributedDataParallel` does.
        method: for least squares; by default `kutta.LevenbergMarquardt`.
        options: of `kutta.solve` for them: ``rtol``, by default 1e-5, ``atol``, ``max_steps``, by default 50, and
            ``adjoint``, by default ``kutta.Implicit()``, which has two derivatives.

    Source: Chalapathi, Du, Krishnapriyan, Scaling physics-informed hard constraints with mixture-of-experts, ICLR
    2024, arXiv 2402.13412, whose boxes do not overlap, and whose derivatives are those of
    ``kutta.Implicit(curvature=False)``.

    Example:
        >>> import torch, kutta as kt
        >>> _ = torch.manual_seed(0)
        >>> grid = kt.pde.Grid(32)
        >>> u0 = torch.sin(2 * torch.pi * grid.points()[0]) * torch.tensor([[0.5], [1.0]])
        >>> problem = kt.pde.Burgers(0.05).problem(grid, u0, (0.0, 0.5))
        >>> backbone = kt.operators.FNO(1, 8, modes=(8, 8), width=8, layers=2)
        >>> model = kt.operators.MixtureOfExperts(backbone, steps=16, routing=kt.operators.Boxes((1, 2)), points=100)
        >>> predicted = model(problem)
        >>> predicted.u.shape, predicted.weights.shape
        (torch.Size([17, 2, 32]), torch.Size([2, 2, 8]))
        >>> predicted.loss.backward()
    """

    def __init__(
        self,
        backbone: nn.Module,
        steps: int,
        routing: Any,
        inputs: Sequence[str] = ("u0",),
        points: int | None = None,
        measure: EstimatedError | None = None,
        ridge: float = 1e-4,
        ramp: float = 1.0,
        continuity: float = 0.0,
        processes: Any = None,
        method: LeastSquaresMethod | None = None,
        **options: Any,
    ):
        super().__init__(backbone, steps, inputs, measure, ramp)
        if points is not None:
            check_counts(points=points)
            if measure is not None:
                raise ValueError("points are for residuals that count themselves; an EstimatedError takes all of them")
        if not callable(getattr(routing, "shares", None)):
            raise TypeError(f"routing must be such as kutta.operators.Boxes((1, 4)); got {routing!r}")
        self.routing, self.points = routing, points
        self.ridge = checked_at_least_zero("ridge", ridge)
        self.search = Weights(method, options)
        self.continuity = checked_at_least_zero("continuity", continuity)
        self.processes = None if processes in (None, False) else ExpertsOfProcesses(processes)
        if self.continuity and not isinstance(routing, Boxes):
            raise ValueError(f"continuity is for experts in Boxes, which have faces; got {type(routing).__name__}")
        if self.continuity and self.processes is not None:
            raise ValueError("experts that agree at faces are solved at once, by one process; leave out processes")

    def forward(self, problem: PDEProblem, start: Float[Tensor, "n k weights"] | None = None) -> Prediction:
        """The field that fulfils a problem best.

        Args:
            problem: with one axis of samples at most.
            start: where the search for weights begins, such as `Prediction.weights` of an earlier call; by default 1.

        Raises:
            TypeError, ValueError: for a problem or a network that does not fit, and an expert without points.
            NotImplementedError: for equations of several unknowns.
        """
        space_time = SpaceTime(problem, self.steps)
        a, measure = self.read(space_time), self.measured_on(space_time)
        basis = self.changes(a, space_time)
        shares = self.routing.shares(a, space_time.whole_grid).double()
        points = self._points(shares, space_time)
        residual = Residual(space_time, self.ridge, measure)
        start = _checked(start, (basis.shape[2], shares.shape[1], len(basis)), basis)
        w, results, iterations = self.finding(self.search, Sought(residual, basis, shares, points, start))
        mixed = torch.einsum("nk...,nkj->jn...", shares.expand(len(w), *shares.shape[1:]), w)
        u = space_time.constant + (basis * mixed.transpose(1, 2)).sum(0)
        return self.predicted(space_time, u, measure, results, weights=w, iterations=iterations, shares=shares)

    def _points(self, shares: Tensor, space_time: SpaceTime) -> Points:
        check_none_is_empty(shares[:, :, 1:], space_time.unknown)
        seen = self.finding.seen(shares)[:, :, 1:]
        if self.measure is not None:
            return everywhere(seen)
        return drawn(seen, space_time.unknown, space_time.walls, self.points, self.training)

    @property
    def finding(self) -> Finding:
        """How weights are found."""
        if self.continuity:
            return Agreeing(self.continuity)
        return Apart() if self.processes is None else InProcesses(self.processes)


class ConstrainedBasis(MixtureOfExperts):
    """A single expert: basis functions of a network, with the weights for which the equation holds best everywhere.

        u(t, x) = u_0(x) + s(t) sum_j w_j b_j(t, x),    w = argmin  mean_i r(t_i, x_i)^2  +  ridge^2 |w|^2

    It is made with the arguments of `MixtureOfExperts` but `routing`.

    Source: Négiar, Mahoney, Krishnapriyan, Learning differentiable solvers for systems with hard constraints, ICLR
    2023, arXiv 2207.08675.

    Example:
        >>> import torch, kutta as kt
        >>> grid = kt.pde.Grid(32)
        >>> problem = kt.pde.Heat(0.05).problem(grid, lambda x: torch.sin(2 * torch.pi * x[0]), (0.0, 0.5))
        >>> model = kt.operators.ConstrainedBasis(kt.operators.FNO(1, 8, (8, 8), width=8, layers=2), steps=16)
        >>> model(problem).u.shape
        torch.Size([17, 32])
    """

    def __init__(self, backbone: nn.Module, steps: int, **options: Any):
        if "routing" in options:
            raise TypeError("a ConstrainedBasis has one expert; for a routing take a MixtureOfExperts")
        super().__init__(backbone, steps, Everywhere(), **options)


def _checked(start: Tensor | None, shape: tuple[int, ...], like: Tensor) -> Tensor:
    """Where the search begins: by default at weights of 1."""
    if start is not None and tuple(start.shape) != shape:
        raise ValueError(f"start must have the shape {shape}; got {tuple(start.shape)}")
    return like.new_ones(shape) if start is None else start.to(like)
