"""Newton's steps for constrained problems, exact or not, judged by an exact augmented Lagrange function."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

from kutta.solution import Result
from kutta.solvers.algebra.direct.factorised import LU
from kutta.solvers.algebra.method import LinearMethod
from kutta.solvers.algebra.nonlinear.constrained.directions import Directions
from kutta.solvers.algebra.nonlinear.constrained.optimality import Optimality
from kutta.solvers.algebra.nonlinear.iteration import LARGEST_RATE, Iteration, chosen, distance
from kutta.solvers.algebra.nonlinear.line_search import backtrack
from kutta.solvers.algebra.nonlinear.method import ConstrainedMethod
from kutta.solvers.magnitude import norm
from kutta.solvers.tolerance import Tolerance


@dataclass(frozen=True)
class ExactAugmentedLagrangian(ConstrainedMethod):
    """Newton's steps for unknowns and multipliers at once, as far as an exact augmented Lagrange function falls.

        [B G^T; G 0] (dx, dlambda) = -(grad L, c),
        x <- x + s dx - s^2 G^+ c(x + dx),    lambda <- lambda + s dlambda,
        M(x, lambda) = L + eta1 / 2 |c|^2 + eta2 / 2 |G grad L|^2,      L = f + lambda . c,      G = dc/dx

    ``B`` is the Hessian of ``L``, with a multiple of the identity added where it is not positive definite on the null
    space of ``G``. ``M`` is smooth, and for a large ``eta1`` and a small ``eta2`` has its minima where the solutions
    are, so that whole steps are taken near one; the last term for ``x``, which is of second order, keeps it
    near curved constraints. A system may be left unsolved to ``theta accuracy |(grad L, c)|``, but
    for its rows ``G dx = -c``, which are then made true by the shortest change, if the direction leads down,
    ``grad M . d <= -eta2 / 2 |(grad L, c)|^2``. If it does not, ``theta`` is made smaller, from 1 for each step; and if
    that does not help, ``eta1`` is raised and ``eta2`` lowered.

    Constraints are measured in units of their gradients at the beginning, where those are larger than 1; multipliers
    that the solution holds are of the constraints themselves.

    It begins with the multipliers that make ``grad L`` least. What it comes to is stationary: a minimum, as a rule, but
    a maximum if it begins there. The unknowns are estimated to be off by the next step, ``d``, and what comes after it;
    and the multipliers likewise, by the largest of the tolerances.

    Attributes:
        inner: the method for steps: a direct one, `LU` by default, factorises dense matrices; an iteration, such as
            `MINRES` or `Sketch`, is given products with the Hessian only. Of a batch all problems share its iterations.
        constraint_penalty: ``eta1`` at the beginning: by default 10, which with 1 for ``eta2`` took few steps on
            eight problems of Hock and Schittkowski.
        gradient_penalty: ``eta2`` at the beginning.
        factor: by what ``eta2`` is divided, and by whose square ``eta1`` is multiplied.
        accuracy: of systems, relative to their right-hand sides, with ``theta = 1`` at the beginning.

    Source: Hong, Na, Mahoney and Kolar, Constrained optimization via exact augmented Lagrangian and randomized
    iterative sketching, 2023.

    Example:
        >>> import torch, kutta as kt
        >>> def f(x):
        ...     return (1.0 - x[0]) ** 2
        >>> def circle(x):
        ...     return x[0] ** 2 + x[1] ** 2 - 1.0
        >>> problem = kt.ConstrainedProblem(f, circle, torch.tensor([0.0, 2.0], dtype=torch.float64))
        >>> for inner in (kt.LU(), kt.MINRES(), kt.Sketch(2)):
        ...     sol = kt.solve(problem, kt.ExactAugmentedLagrangian(inner), rtol=1e-6, atol=1e-6)
        ...     print(sol.result.name, bool(f(sol.y1) < 1e-6))
        SUCCESS True
        SUCCESS True
        SUCCESS True
    """

    inner: LinearMethod = field(default_factory=LU)
    constraint_penalty: float = 10.0
    gradient_penalty: float = 1.0
    factor: float = 2.0
    accuracy: float = 0.1
    source = (
        "Hong, Na, Mahoney and Kolar, Constrained optimization via exact augmented Lagrangian and randomized iterative "
        "sketching, 2023"
    )

    def __post_init__(self) -> None:
        if not isinstance(self.inner, LinearMethod):
            raise TypeError(f"inner must be a method for linear systems such as kutta.MINRES(); got {self.inner!r}")
        _check("constraint_penalty", self.constraint_penalty, 0.0, math.inf)
        _check("gradient_penalty", self.gradient_penalty, 0.0, math.inf)
        _check("factor", self.factor, 1.0, math.inf)
        _check("accuracy", self.accuracy, 0.0, 1.0)

    def begin(self, equations: Optimality, tolerance: Tolerance) -> ExactAugmentedLagrangianIteration:  # type: ignore[override]
        return ExactAugmentedLagrangianIteration(equations, tolerance, self)


def _check(name: str, value: float, least: float, most: float) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not least < value < most:
        raise ValueError(f"{name} must be a number between {least:g} and {most:g}; got {value!r}")


class ExactAugmentedLagrangianIteration(Iteration):
    """The method on its way; its unknowns are followed by the multipliers.

    Attributes:
        directions: where steps come from, with what is learnt on the way.
        next: the direction at `x`, and the merit there.
        distance: how long it is, in units of what is tolerated, ``(B,)``.
        first: the norm of the equations at the beginning.
    """

    def __init__(self, equations: Optimality, tolerance: Tolerance, method: ExactAugmentedLagrangian):
        super().__init__(equations.start)
        self.equations, self.tolerance = equations, tolerance
        penalties = method.constraint_penalty, method.gradient_penalty
        self.directions = Directions(equations, method.inner, penalties, method.factor, method.accuracy)
        self.size = self.error = self.distance = torch.full_like(self.x[:, 0], torch.inf)
        self.first = equations.norm(equations(self.x))
        self._look(~self.broken)

    @property
    def penalties(self) -> Tensor:
        """``eta1`` and ``eta2`` of each problem, ``(B, 2)``."""
        return self.directions.weights[:, 1:]

    @property
    def merit(self) -> Tensor:
        """``M`` of each problem, ``(B,)``."""
        return self.directions.merit(self.next.merits)

    def advance(self, running: Tensor) -> None:
        # Where M does not tell points apart any more, the equations do.
        rounded = running & self._rounded()
        whole = torch.where(rounded[:, None], self.x + self.next.d, self.x)
        nearer = rounded & (norm(self.equations(whole)) < norm(self.next.right))
        merits, slope, others = self.next.merits, self.next.slope, running & ~rounded
        reached = backtrack(self.equations.merits, self.directions.merit, self._path, self.x, merits, slope, others)
        moved, x = reached.gained | nearer, chosen(nearer, whole, reached.x)
        self._stuck(running & ~moved)
        self.x = x
        self._look(moved)

    def _path(self, part: Tensor) -> Tensor:
        """A parabola, which follows the constraints."""
        part = part[:, None]
        return self.x + part * self.next.d + part.square() * self.next.bend

    def _look(self, moved: Tensor) -> None:
        """Where to go from here, and how far the solution is, for those that have moved."""
        found = self.directions.find(self.x, moved, self._is_near)
        there = self._long(found.d)
        error = there / (1.0 - (there / self.distance).clamp(max=LARGEST_RATE))
        error = torch.where(there == 0.0, 0.0, error)
        error = torch.where(found.solved & torch.isfinite(there), error, torch.inf)
        self.size = torch.where(moved, self.equations.norm(found.right), self.size)
        self.error, self.distance = chosen(moved, error, self.error), chosen(moved, there, self.distance)
        self.next = found
        self.breaks(moved & ~found.solved, int(Result.SINGULAR))
        self._stuck(moved & found.solved & ~found.falls)

    def _is_near(self, d: Tensor) -> Tensor:
        """Whether a direction is so short that it may be the last."""
        return self._long(d) <= 1.0

    def _long(self, d: Tensor) -> Tensor:
        """How long a direction is, in units of what is tolerated: that of the unknowns, or of the multipliers."""
        (x, multipliers), (dx, change) = self.equations.parts(self.x), self.equations.parts(d)
        rtol, atol = (torch.as_tensor(one).amax() for one in (self.tolerance.rtol, self.tolerance.atol))
        of_multipliers = norm(change) / (atol + rtol * norm(multipliers))
        return torch.maximum(distance(self.tolerance, dx, x), torch.where(norm(change) == 0.0, 0.0, of_multipliers))

    def _stuck(self, where: Tensor) -> None:
        """No step was taken: rounding keeps a short one from gaining, or none gains."""
        rounding = self._rounded() & (self.size <= torch.finfo(self.x.dtype).eps ** 0.5 * self.first)
        self.breaks(where, torch.where(rounding, int(Result.STAGNATION), int(Result.NOT_CONVERGED)))

    def _rounded(self) -> Tensor:
        """Whether a step changes ``M`` by no more than rounding does."""
        eps = torch.finfo(self.x.dtype).eps
        sums = self.directions.merit(self.next.merits.abs())
        return (norm(self.next.d) <= 4.0 * eps**0.5 * norm(self.x)) | (self.next.slope.abs() <= 8.0 * eps * sums)
