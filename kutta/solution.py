"""What comes out of a solve: times, states, statistics, and how it ended."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING, Any, ClassVar

import torch

from kutta.history import History

if TYPE_CHECKING:
    from jaxtyping import Int
    from torch import Tensor
    from xarray import Dataset

    from kutta.pde.pictures.animation import Animation


class Result(IntEnum):
    """How a solve, or one trajectory of it, ended. Codes from `MAX_STEPS` up are failures."""

    SUCCESS = 0
    EVENT = 1
    MAX_STEPS = 2
    STEP_UNDERFLOW = 3
    NON_FINITE = 4
    NOT_CONVERGED = 5
    SINGULAR = 6
    INDEFINITE = 7
    BREAKDOWN = 8
    TOO_STIFF = 9
    STAGNATION = -1
    EXTRAPOLATED = -2

    @property
    def failed(self) -> bool:
        """Whether the final time (or a terminal event), or the solution of a system, was not reached."""
        return self >= Result.MAX_STEPS

    @property
    def advice(self) -> str:
        """What happened, and what to try."""
        return _ADVICE[self]


_ADVICE = {
    Result.SUCCESS: "the final time was reached",
    Result.EVENT: "a terminal event ended the solve",
    Result.MAX_STEPS: (
        "the largest number of steps was taken before the final time; raise max_steps, loosen rtol and atol, "
        "or, if the steps stay small where the solution is smooth, use a method for stiff problems such as "
        "kutta.Rodas5P()"
    ),
    Result.STEP_UNDERFLOW: (
        "the step size fell below the smallest one allowed; the solution may be singular here, or stiff (try "
        "kutta.Rodas5P()), the tolerances too tight for the state's dtype (try float64), or dtmin too large"
    ),
    Result.NON_FINITE: (
        "the state or its derivative became infinite or NaN, and smaller steps did not help; "
        "look at f near this time, or scale the problem"
    ),
    Result.NOT_CONVERGED: (
        "the iteration for the noise of the samples did not come to rest, so that what it left is no solution; take "
        "more steps, a shorter t_span or kutta.DDIM(), raise max_iterations, or, if the residuals are as small as the "
        "dtype of the state allows, raise tolerance or use float64"
    ),
    Result.SINGULAR: (
        "the operator is singular, or nearly so, and nothing that it is applied to gives this right-hand side to more "
        "than two digits, or elimination needs an exchange of rows; look at what it does to constants, or use "
        "kutta.LU(), which exchanges rows, or kutta.GMRES() instead of kutta.CyclicReduction()"
    ),
    Result.INDEFINITE: (
        "the operator, or the preconditioner, is not definite; use kutta.MINRES() for a symmetric operator, with a "
        "positive definite preconditioner, and kutta.LU() or kutta.GMRES() for any other"
    ),
    Result.BREAKDOWN: (
        "the recurrence would divide by zero, or does not converge; use kutta.GMRES(), with kutta.Multigrid() as its "
        "preconditioner if that was the method, or begin at another guess"
    ),
    Result.EXTRAPOLATED: (
        "the problem is not of those that the surrogate was trained on, so that nothing is known of the error; solve "
        "it by a classical method, or train on such problems, too"
    ),
    Result.TOO_STIFF: (
        "a step of this size would need more than 100,000 stages to be stable; use a method for stiff problems such as "
        "kutta.Rodas5P(), or take smaller steps; where spectral_radius is given, look at whether it is so large"
    ),
    Result.STAGNATION: (
        "rounding keeps the residual of the system above the tolerance, so that the solution is as exact as its dtype "
        "allows; for a smaller one use float64"
    ),
}

_FOR_DERIVATIVES = "The method, its preconditioner, rtol, atol and max_steps are those given to the solve itself."


class SolveError(RuntimeError):
    """A solve that did not reach its end.

    Attributes:
        result: the `Result` that names the failure.
        t: the time that was reached.
        dt: the step size that failed.
        trajectory: index of the (first) failing trajectory in an ensemble, else ``None``.
        solution: the partial `Solution`.
        advice: what happened, and what to try; `Result.advice` unless the solver has better.
    """

    def __init__(
        self,
        result: Result,
        t: float,
        dt: float,
        trajectory: int | None = None,
        failures: int = 1,
        solution: Solution | None = None,
        advice: str | None = None,
    ):
        self.advice = result.advice if advice is None else advice
        where = "" if trajectory is None else f" in trajectory {trajectory}"
        more = "" if failures <= 1 else f" ({failures} trajectories failed; solution.result names each)"
        super().__init__(
            f"{result.name}{where} at t = {t:.9g} with step size {dt:.3g}: {self.advice}{more}. "
            "Pass throw=False to get the partial solution."
        )
        self.result, self.t, self.dt, self.trajectory, self.solution = result, t, dt, trajectory, solution
        self.failures = failures

    def __reduce__(self) -> Any:
        """For other processes; the partial solution, which may hold functions, stays here."""
        return SolveError, (self.result, self.t, self.dt, self.trajectory, self.failures, None, self.advice)


class SystemSolveError(SolveError):
    """A system of equations that was not solved: a `LinearSolveError` or a `NonlinearSolveError`.

    Attributes:
        result: the `Result` that names the failure.
        trajectory: the (first) failing system of a batch, counted through all its axes; else ``None``.
        iterations: that were taken for it.
        residual: the norm of what should be zero.
        solution: the partial `Solution`; ``None`` for a system that a derivative leads to.
        way: for such a system, the pass that leads to it, in words; else ``None``.
    """

    meanings: ClassVar[dict[Result, str]] = {}

    def __init__(
        self,
        result: Result,
        iterations: int,
        residual: float,
        trajectory: int | None = None,
        failures: int = 1,
        solution: Solution | None = None,
        way: str | None = None,
    ):
        where = "" if trajectory is None else f" in system {trajectory}"
        where += f" in {way}," if way else ""
        named = "" if way else "; solution.result names each"
        more = "" if failures <= 1 else f" ({failures} systems failed{named})"
        ending = _FOR_DERIVATIVES if way else "Pass throw=False to get the partial solution."
        self.advice = self.meanings.get(result, result.advice)
        RuntimeError.__init__(
            self,
            f"{result.name}{where} after {iterations} iterations with a residual of {residual:.3g}: "
            f"{self.advice}{more}. {ending}",
        )
        self.way = way
        self.result, self.t, self.dt, self.trajectory, self.solution = result, 0.0, 0.0, trajectory, solution
        self.iterations, self.residual, self.failures = iterations, residual, failures

    def __reduce__(self) -> Any:
        return type(self), (
            self.result,
            self.iterations,
            self.residual,
            self.trajectory,
            self.failures,
            None,
            self.way,
        )


class LinearSolveError(SystemSolveError):
    """A linear system ``A x = b`` that was not solved."""

    meanings: ClassVar = {
        Result.MAX_STEPS: (
            "the residual was not small enough after the largest number of iterations; raise max_steps, loosen rtol, "
            "or give the method a preconditioner"
        ),
        Result.NON_FINITE: (
            "the residual became infinite or NaN; look for such entries in the operator and the right-hand side, and "
            "at whether the method converges for this operator"
        ),
    }


class NonlinearSolveError(SystemSolveError):
    """Nonlinear equations that were not solved."""

    meanings: ClassVar = {
        Result.MAX_STEPS: (
            "the solution was not known well enough after the largest number of iterations; raise max_steps, loosen "
            "rtol and atol, or begin nearer to it"
        ),
        Result.NON_FINITE: (
            "the equations are infinite or NaN where the iteration begins, or has come to; look at x0 and at the "
            "arguments of the function, or begin elsewhere"
        ),
        Result.NOT_CONVERGED: (
            "no further step makes the residual smaller, though it is not zero: the iteration has come to a local "
            "minimum, or derivatives do not fit the function; begin elsewhere, or take another method"
        ),
        Result.SINGULAR: (
            "the derivative is singular where the iteration has come to, so that it does not say where to go; begin "
            "elsewhere, or minimise the residual by a kutta.LeastSquaresProblem"
        ),
    }


class Results:
    """The `Result` of every trajectory of an ensemble, or system of a batch: a sequence over a tensor of codes.

    Attributes:
        codes: one code a trajectory.
    """

    def __init__(self, codes: Int[Tensor, " B"]):
        self.codes = codes

    def __len__(self) -> int:
        return self.codes.shape[0]

    def __getitem__(self, trajectory: int) -> Result:
        return Result(int(self.codes[trajectory]))

    def __iter__(self) -> Iterator[Result]:
        return (Result(code) for code in self.codes.tolist())

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Results):
            return torch.equal(self.codes.cpu(), other.codes.cpu())
        return NotImplemented

    __hash__ = None  # type: ignore[assignment]

    @property
    def failed(self) -> Tensor:
        """Which trajectories failed, a bool tensor of shape ``(B,)``."""
        return torch.ge(self.codes, int(Result.MAX_STEPS))

    def __repr__(self) -> str:
        counts = {
            result.name: int((self.codes == int(result)).sum())
            for result in Result
            if bool((self.codes == int(result)).any())
        }
        return f"Results({counts})"


@dataclass(frozen=True)
class Stats:
    """What a solve cost: whole numbers, or int64 tensors of shape ``(B,)`` for an ensemble.

    Attributes:
        steps: attempted steps, ``accepted + rejected``; for a linear system, iterations.
        accepted: steps that were kept.
        rejected: steps that were tried again with a smaller step size.
        function_evaluations: calls of ``f`` (in an ensemble, those made while the trajectory ran).
        jacobian_evaluations: Jacobians ``df/dy``, for implicit methods; each comes from one of the calls above and
            one backward pass for every entry of the state.
        linear_solves: linear systems, for implicit methods.
        residual_norms: of ``b - A x``, for linear systems; of ``F(x)`` for roots, of ``T(x) - x`` for fixed points,
            of what a change of one unknown could take away of ``F(x)`` for least squares, and of the gradient of the
            Lagrange function and the constraints together for constrained problems.
        engine: what executed the loop.
        reason: why this engine did.
        history: what every accepted step was like, with ``diagnostics=True``.
    """

    steps: int | Tensor = 0
    accepted: int | Tensor = 0
    rejected: int | Tensor = 0
    function_evaluations: int | Tensor = 0
    jacobian_evaluations: int | Tensor = 0
    linear_solves: int | Tensor = 0
    residual_norms: float | Tensor = field(default=0.0, compare=False)
    engine: str = "eager"
    reason: str = field(default="engine= says so", compare=False)
    history: History | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True)
class EventRecord:
    """One event that happened, or in an ensemble the trajectories that an event ended together.

    Attributes:
        event: position in ``events``.
        t: the time, a 0-dimensional tensor, or ``(n,)`` for ``n`` trajectories; differentiable.
        y: the state then, before any change of state.
        trajectories: their indices, ``(n,)``; ``None`` outside ensembles.
    """

    event: int
    t: Tensor
    y: Any
    trajectories: Tensor | None = None


@dataclass(frozen=True)
class Solution:
    """The result of `kutta.solve`.

    Attributes:
        ts: output times, shape ``(T,)``; ``(T, B)`` where the trajectories of an ensemble have
            their own.
        ys: states at those times, time first: ``(T, *y0.shape)``, or a pytree of such. In an
            ensemble, outputs past a trajectory's end are NaN.
        y1: state at the final time, or where the solve stopped.
        t1: the time of `y1`; shape ``(B,)`` in an ensemble.
        stats: what it cost.
        result: how it ended; `Results` in an ensemble.
        events: what happened, in order.
        penalties: values of the regularisers, by name.
        draws: the steps that local regularisers drew, by name; see `kutta.regularizers.sampling.Draws`.
        space: of a partial differential equation, the grid and the names of the unknowns; see `kutta.pde.Space`.
        band: by how much `ys` may be off, with the sign of neither side, where the method knows: see
            `kutta.operators.Surrogate`.
        multipliers: of a `kutta.ConstrainedProblem`, one for each constraint, ``(m,)``, or ``(B, m)`` of a batch.
    """

    ts: Tensor
    ys: Any
    y1: Any
    t1: Tensor
    stats: Stats
    result: Result | Results
    events: tuple[EventRecord, ...] = ()
    penalties: dict[str, Tensor] = field(default_factory=dict)
    interpolant: Callable[[Any], Any] | None = None
    draws: dict[str, Any] = field(default_factory=dict)
    space: Any = None
    band: Tensor | None = None
    multipliers: Tensor | None = None

    def plot(self) -> Any:
        """Draw the solution and, with ``diagnostics=True``, step sizes, error ratios and stiffness (needs matplotlib).

        Fields of one dimension are drawn over space and time and as lines at some times, those of two dimensions at
        some times, of three as slices through the middle; of a batch the first one. Of other states at most ten entries
        are drawn, and of trajectories with output times of their own the first entry of each.

        Returns:
            a matplotlib figure.

        Raises:
            ValueError: of a solution at one time only, without an interpolant, that is no field.
        """
        from kutta.plotting import plot

        return plot(self)

    def animate(
        self, path: str | os.PathLike[str] | None = None, fps: float = 20.0, progress: bool = False
    ) -> Animation:
        """The fields of a partial differential equation in motion, a frame for each of `ts` (needs matplotlib, Pillow).

        Args:
            path: a file to write, ending in ``.gif``, or in ``.mp4``, for which the program ffmpeg must be there.
            fps: frames a second, at most 100; in a GIF, where each lasts whole hundredths of a second, at most 50.
            progress: show a bar.

        Returns:
            the animation, which notebooks show; without a path a GIF.

        Raises:
            ValueError: of a solution at one time only, or that is no field, and for another ending.
            RuntimeError: without ffmpeg, for a ``.mp4``.

        Example:
            >>> import torch, kutta as kt
            >>> problem = kt.pde.Burgers(0.02).problem(kt.pde.Grid(64), lambda x: torch.sin(6.2832 * x[0]), (0.0, 0.3))
            >>> kt.solve(problem, save_at=torch.linspace(0.0, 0.3, 3)).animate().frames
            3
        """
        from kutta.pde.pictures.animation import animate

        return animate(self, path, fps, progress)

    def to_xarray(self) -> Dataset:
        """The solution as a data set with named axes (needs xarray): what `kutta.pde.formats` writes to files.

        Fields are variables by the names of their components, with the dimensions ``time``, ``batch`` and ``x``, ``y``,
        ``z`` and the places of the grid as coordinates, whose attributes hold the boundary conditions. Other states are
        variables ``y``, or by the names in their pytree, with the dimensions ``time``, ``trajectory`` and
        ``component``; in an ensemble with output times of its own for each trajectory ``time`` is a coordinate over
        ``output`` and ``trajectory``. Solutions of linear systems have no time. Attributes hold the equation, the
        scheme, the method, what the solve cost and how it ended.

        Example:
            >>> import torch, kutta as kt
            >>> grid = kt.pde.Grid((32, 16), (2.0, 1.0), boundary=kt.pde.Neumann())
            >>> problem = kt.pde.Heat(0.1).problem(grid, lambda x: torch.cos(torch.pi * x[1]), (0.0, 1.0))
            >>> fields = kt.solve(problem, save_at=torch.linspace(0.0, 1.0, 5)).to_xarray()
            >>> dict(fields.u.sizes), fields.x.attrs["left"]
            ({'time': 5, 'x': 32, 'y': 16}, 'Neumann(0.0)')
        """
        from kutta.labelled import labelled

        return labelled(self)

    def __call__(self, t: float | Tensor) -> Any:
        """The solution at any time between the first and the last, with ``dense=True``.

        Args:
            t: a number, or a tensor of shape ``(n,)`` of times.

        Returns:
            the state, shape ``y0.shape``; ``(n, *y0.shape)`` for ``n`` times.

        Raises:
            ValueError: without ``dense=True``, or for a time outside the solve.
        """
        if self.interpolant is None:
            raise ValueError("this solution has no interpolant: call solve(..., dense=True)")
        return self.interpolant(t)
