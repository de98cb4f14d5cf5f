"""The contenders: each library's solver as its documentation recommends it, behind one face."""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
Rhs = Callable[..., Any]


@dataclass(frozen=True)
class Outcome:
    """What one run gave.

    Attributes:
        ys: states, time first, as float64.
        evaluations: of the right-hand side, or calls of it for a whole ensemble.
        steps: attempted steps; of the slowest trajectory where each has its own.
        mean_steps: their mean over the trajectories.
    """

    ys: Array
    evaluations: int | None = None
    steps: int | None = None
    mean_steps: float | None = None


@dataclass(frozen=True)
class Contender:
    """A solver with a problem bound to it.

    Attributes:
        name: library and method.
        run: one solve, and nothing else: this is what is timed.
        read: what a run returned, as an `Outcome`; may solve once more to count.
    """

    name: str
    run: Callable[[], Any]
    read: Callable[[Any], Outcome]


class Counted:
    """A right-hand side that counts its calls."""

    def __init__(self, f: Rhs):
        self.f, self.calls = f, 0

    def __call__(self, t: Any, y: Any) -> Any:
        self.calls += 1
        return self.f(t, y)


def missing(modules: Iterable[str]) -> list[str]:
    """Those modules that are not installed."""
    return [name for name in modules if importlib.util.find_spec(name) is None]


def kutta(name: str, problem: Any, method: Any, **options: Any) -> Contender:
    """`kutta.solve` with its defaults."""
    import kutta as kt

    return Contender(f"kutta {name}", lambda: kt.solve(problem, method, **options), _read_kutta)


def _read_kutta(solution: Any) -> Outcome:
    import torch

    stats, ys = solution.stats, solution.ys.detach().double().numpy()
    steps = torch.as_tensor(stats.steps).double()
    evaluations = torch.as_tensor(stats.function_evaluations).max()
    return Outcome(ys, int(evaluations), int(steps.max()), float(steps.mean()))


def torchdiffeq(name: str, f: Rhs, y0: Any, ts: Any, method: str, rtol: float, atol: float) -> Contender:
    """`torchdiffeq.odeint`: one step size for the whole state."""
    from torchdiffeq import odeint

    def solve(rhs: Rhs = f) -> Any:
        return odeint(rhs, y0, ts, rtol=rtol, atol=atol, method=method)

    def read(ys: Any) -> Outcome:
        counted = Counted(f)
        solve(counted)
        # First same as last; the first slope and the choice of the first step take two more.
        steps = (counted.calls - 2) // {"dopri5": 6, "dopri8": 13}[method]
        return Outcome(ys.detach().double().numpy(), counted.calls, steps, float(steps))

    return Contender(f"torchdiffeq {name}", solve, read)


def torchode(name: str, f: Rhs, y0: Any, ts: Any, method: str, rtol: float, atol: float) -> Contender:
    """torchode in eager mode: one step size a row, integral control, no gradient through the control.

    ``torch.compile(solver).solve``, as its README has it, compiles ``forward`` only, so that ``solve``
    runs in eager mode all the same.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import torchode as to

    def solve(with_stats: bool = False) -> Any:
        term = to.ODETerm(f, with_stats=with_stats)
        step = getattr(to, method)(term=term)
        control = to.IntegralController(atol=atol, rtol=rtol, term=term)
        solver = to.AutoDiffAdjoint(step, control, backprop_through_step_size_control=False)
        return solver.solve(to.InitialValueProblem(y0=y0, t_eval=ts.expand(y0.shape[0], -1)))

    # Setting up costs sympy work for the interpolant of Tsit5, so the timed runs share one solver.
    term = to.ODETerm(f, with_stats=False)
    control = to.IntegralController(atol=atol, rtol=rtol, term=term)
    solver = to.AutoDiffAdjoint(getattr(to, method)(term=term), control, backprop_through_step_size_control=False)

    def run() -> Any:
        return solver.solve(to.InitialValueProblem(y0=y0, t_eval=ts.expand(y0.shape[0], -1)))

    def read(solution: Any) -> Outcome:
        steps = solution.stats["n_steps"]
        evaluations = int(solve(with_stats=True).stats["n_f_evals"].max())
        ys = solution.ys.detach().double().transpose(0, 1).numpy()
        return Outcome(ys, evaluations, int(steps.max()), float(steps.double().mean()))

    return Contender(f"torchode {name}", run, read)


def float64_in_jax(absent: Sequence[str]) -> Any:
    """JAX computes in float32 unless told otherwise."""
    if "diffrax" in absent:
        return nullcontext()
    import jax

    return jax.enable_x64(True)


def diffrax(
    name: str,
    f: Rhs,
    y0: Any,
    span: tuple[float, float],
    ts: Any,
    method: str,
    rtol: float,
    atol: float,
    p: Array | None = None,
) -> Contender:
    """diffrax under ``jit``; for a 2-dimensional `y0`, under ``vmap``. `ts` is ``None`` for the end only.

    Parameters `p`, ``(B, P)``, are the third argument of `f`.
    """
    import diffrax as dfx
    import jax
    import jax.numpy as jnp

    solve = _diffrax_solve(f, span, ts is None, method, np.ndim(y0) == 2, p is not None)
    start, tol = jnp.asarray(y0), (jnp.asarray(rtol, y0.dtype), jnp.asarray(atol, y0.dtype))
    times = jnp.asarray([span[1]] if ts is None else ts, y0.dtype)
    own = None if p is None else jnp.asarray(p)
    solver = getattr(dfx, method)()
    implicit = isinstance(solver, dfx.AbstractImplicitSolver)
    calls = len(solver.tableau.c) + (0 if solver.tableau.fsal else 1)

    def read(result: Any) -> Outcome:
        ys, steps = result
        ys, steps = np.asarray(ys, np.float64), np.asarray(steps)
        ys = np.moveaxis(ys, 1, 0) if ys.ndim == 3 else ys
        evaluations = None if implicit else int(steps.max()) * calls + 2
        return Outcome(ys, evaluations, int(steps.max()), float(steps.mean()))

    return Contender(f"diffrax {name}", lambda: jax.block_until_ready(solve(start, own, times, *tol)), read)


def diffrax_joint(
    name: str, f: Rhs, args: Any, y0: Any, span: tuple[float, float], method: str, rtol: float, atol: float
) -> Contender:
    """diffrax under ``jit``, one step size for the whole state; ``f(t, y, args)``. Only the end is asked for."""
    import jax

    solve = jax.jit(joint_solve(f, span, method, rtol, atol))

    def read(result: Any) -> Outcome:
        y1, steps, calls = result
        return Outcome(np.asarray(y1, np.float64)[None], int(steps) * int(calls) + 2, int(steps), float(steps))

    return Contender(f"diffrax {name}", lambda: jax.block_until_ready(solve(y0, args)), read)


def joint_solve(f: Rhs, span: tuple[float, float], method: str, rtol: float, atol: float) -> Any:
    """A function ``(y0, args) -> (final state, steps, evaluations a step)`` for JAX to transform."""
    import diffrax as dfx

    solver = getattr(dfx, method)()
    calls = len(solver.tableau.c) + (0 if solver.tableau.fsal else 1)
    control = dfx.PIDController(rtol=rtol, atol=atol)

    def solve(y0: Any, args: Any) -> Any:
        solution = dfx.diffeqsolve(
            dfx.ODETerm(f), solver, *span, dt0=None, y0=y0, args=args, stepsize_controller=control
        )
        return solution.ys[-1], solution.stats["num_steps"], calls

    return solve


_COMPILED: dict[Any, Any] = {}


def _diffrax_solve(f: Rhs, span: tuple[float, float], end_only: bool, method: str, mapped: bool, own: bool) -> Any:
    """The compiled solve, in which tolerances are arguments, so that one compilation serves them all."""
    import diffrax as dfx
    import jax

    key = (f, span, end_only, method, mapped, own, jax.config.jax_enable_x64)
    if key in _COMPILED:
        return _COMPILED[key]

    def solve(y0: Any, p: Any, times: Any, rtol: Any, atol: Any) -> Any:
        solution = dfx.diffeqsolve(
            dfx.ODETerm(f),
            getattr(dfx, method)(),
            *span,
            dt0=None,
            y0=y0,
            args=p,
            saveat=dfx.SaveAt(t1=True) if end_only else dfx.SaveAt(ts=times),
            stepsize_controller=dfx.PIDController(rtol=rtol, atol=atol),
            max_steps=10**6,
        )
        return solution.ys, solution.stats["num_steps"]

    axes = (0, 0 if own else None, None, None, None)
    _COMPILED[key] = jax.jit(jax.vmap(solve, in_axes=axes) if mapped else solve)
    return _COMPILED[key]


def scipy_ivp(method: str, f: Rhs, y0: Any, span: tuple[float, float], rtol: float, atol: float) -> Contender:
    """SciPy's `solve_ivp` with its loop in Python."""
    from scipy.integrate import solve_ivp

    def read(solution: Any) -> Outcome:
        return Outcome(solution.y[:, -1:].T, solution.nfev)

    return Contender(f"SciPy {method}", lambda: solve_ivp(f, span, y0, method, rtol=rtol, atol=atol), read)


def scipy_lsoda(f: Rhs, y0: Any, span: tuple[float, float], rtol: float, atol: float) -> Contender:
    """LSODA through SciPy's `odeint`, whose loop is compiled."""
    from scipy.integrate import odeint

    def solve() -> Any:
        return odeint(f, y0, span, tfirst=True, rtol=rtol, atol=atol, mxstep=10**6, full_output=True)

    def read(result: Any) -> Outcome:
        ys, record = result
        return Outcome(ys[-1:], int(record["nfe"][-1]), int(record["nst"][-1]))

    return Contender("SciPy LSODA", solve, read)


def cvode(f: Rhs, y0: Any, span: tuple[float, float], method: str, rtol: float, atol: float) -> Contender:
    """CVODE of SUNDIALS through scikit-sundae, whose loop is compiled."""
    from sksundae.cvode import CVODE

    def rhs(t: float, y: Array, out: Array) -> None:
        out[:] = f(t, y)

    solver = CVODE(rhs, method=method, rtol=rtol, atol=atol, max_num_steps=10**6)
    # Two times would save every step; an output close to the start asks for the end only.
    times = np.array([span[0], span[0] + 1e-3 * (span[1] - span[0]), span[1]])

    def read(solution: Any) -> Outcome:
        return Outcome(solution.y[-1:], int(solution.nfev))

    return Contender(f"CVODE {method}", lambda: solver.solve(times, y0), read)
