"""The problems: one definition each, evaluated by NumPy, torch and JAX alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from benchmarks import _extrapolation

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Problem:
    """An initial value problem.

    Attributes:
        name: for tables and files.
        formula: the derivative: of numbers, ``formula(*components, *parameters)``, which works on columns
            of an ensemble too; or of arrays, ``formula(xp, y, *parameters)``, when `arrays` is set.
        y0: initial state.
        span: initial and final time.
        arrays: how `formula` is written.
        parameters: what a solve takes where it is given no others, ``(..., P)``, as ``p``.
    """

    name: str
    formula: Callable[..., Any]
    y0: tuple[float, ...]
    span: tuple[float, float]
    arrays: bool = False
    parameters: tuple[float, ...] = ()

    def numpy(self, t: Any, y: Array, *p: float) -> Any:
        """For solvers that work on NumPy arrays; small systems are fastest as Python numbers."""
        p = p or self.parameters
        return self.formula(np, y, *p) if self.arrays else self.formula(*y.tolist(), *p)

    def numpy_ensemble(self, t: Any, y: Array, p: Array | None = None) -> Array:
        """For many trajectories, ``y`` of shape ``(..., D)``."""
        parameters = self.parameters if p is None else np.moveaxis(p, -1, 0)
        return np.stack(self.formula(*np.moveaxis(y, -1, 0), *parameters), axis=-1)

    @property
    def torch(self) -> Callable[..., Any]:
        """For tensors of shape ``(D,)``, and ``(B, D)`` unless the formula is of arrays: a function that knows
        nothing but the formula, as a user would write it."""
        return _of_tensors(self.formula, self.parameters, self.arrays)

    def torch_rows(self, t: Any, y: Any) -> Any:
        """For a solver that wants shape ``(1, D)``."""
        return self.torch(t, y[0])[None] if self.arrays else self.torch(t, y)

    def jax(self, t: Any, y: Any, p: Any = None) -> Any:
        """For JAX arrays of shape ``(D,)``."""
        import jax.numpy as jnp

        parameters = self.parameters if p is None else p
        return self.formula(jnp, y, *parameters) if self.arrays else jnp.stack(self.formula(*y, *parameters))

    def extended(self, t: Any, y: Array) -> Array:
        """In the precision of `y`."""
        return self.formula(np, y, *self.parameters) if self.arrays else np.array(self.formula(*y, *self.parameters))

    def reference(self, times: Sequence[float] | None = None) -> Array:
        """The solution in float64, at the final time by default, ``(D,)``; else ``(T, D)``."""
        if times is None:
            return _reference(self, self.span)[-1]
        return _reference(self, tuple(times))


def _of_tensors(formula: Callable[..., Any], usual: tuple[float, ...], arrays: bool) -> Callable[..., Any]:
    import torch

    def of_components(t: Any, y: Any, p: Any = None) -> Any:
        return torch.stack(formula(*y.unbind(-1), *(usual if p is None else p.unbind(-1))), -1)

    def of_arrays(t: Any, y: Any, p: Any = None) -> Any:
        return formula(torch, y, *(usual if p is None else p.unbind(-1)))

    return of_arrays if arrays else of_components


@lru_cache(maxsize=32)
def _reference(problem: Problem, times: tuple[float, ...]) -> Array:
    return _extrapolation.reference(problem.extended, problem.y0, times)


def relative_error(ys: Any, reference: Any) -> float:
    """``|ys - reference| / |reference|`` in the root mean square over all entries."""
    return float(np.linalg.norm(np.asarray(ys) - reference) / np.linalg.norm(reference))


def _van_der_pol(x: Any, v: Any) -> tuple[Any, Any]:
    return v, 5.0 * (1.0 - x * x) * v - x


def _lorenz(x: Any, y: Any, z: Any) -> tuple[Any, Any, Any]:
    return 10.0 * (y - x), x * (28.0 - z) - y, x * y - (8.0 / 3.0) * z


MOON = 0.012277471
EARTH = 1.0 - MOON


def _arenstorf(x: Any, y: Any, u: Any, v: Any) -> tuple[Any, Any, Any, Any]:
    from_earth, from_moon = x + MOON, x - EARTH
    pull_earth = EARTH / (from_earth * from_earth + y * y) ** 1.5
    pull_moon = MOON / (from_moon * from_moon + y * y) ** 1.5
    ax = x + 2.0 * v - pull_earth * from_earth - pull_moon * from_moon
    ay = y - 2.0 * u - (pull_earth + pull_moon) * y
    return u, v, ax, ay


def _pleiades(xp: Any, state: Any) -> Any:
    """Seven stars of masses 1 to 7 in a plane; state ``x, y, x', y'``."""
    x, y, masses = state[:7], state[7:14], _masses(xp, state)
    dx, dy = x - x[:, None], y - y[:, None]
    square = dx * dx + dy * dy + _identity(xp, state)
    pull = masses / (square * xp.sqrt(square))
    return xp.concatenate([state[14:], (pull * dx).sum(-1), (pull * dy).sum(-1)])


@lru_cache(maxsize=16)
def _constants(xp: Any, dtype: Any) -> tuple[Any, Any]:
    return xp.arange(1, 8, dtype=dtype), xp.eye(7, dtype=dtype)


def _masses(xp: Any, like: Any) -> Any:
    return _constants(xp, like.dtype)[0] if "jax" not in xp.__name__ else xp.arange(1, 8, dtype=like.dtype)


def _identity(xp: Any, like: Any) -> Any:
    """Keeps the distance of a star to itself away from zero; that star's pull is zero all the same."""
    return _constants(xp, like.dtype)[1] if "jax" not in xp.__name__ else xp.eye(7, dtype=like.dtype)


# Positions and velocities of the test set of Mazzia and Magherini; van der Pol, the Lorenz equations
# and the Arenstorf orbit are those of Hairer, Norsett and Wanner, sections I.16, I.16 and II.0.
_STARS = (3, 3, -1, -3, 2, -2, 2, 3, -3, 2, 0, 0, -4, 4, 0, 0, 0, 0, 0, 1.75, -1.5, 0, 0, 0, -1.25, 1, 0, 0)

VAN_DER_POL = Problem("van der Pol", _van_der_pol, (2.0, 0.0), (0.0, 20.0))
LORENZ = Problem("Lorenz", _lorenz, (-8.0, 8.0, 27.0), (0.0, 10.0))
PLEIADES = Problem("Pleiades", _pleiades, tuple(map(float, _STARS)), (0.0, 3.0), arrays=True)
ARENSTORF = Problem(
    "Arenstorf",
    _arenstorf,
    (0.994, 0.0, 0.0, -2.00158510637908252240537862224),
    (0.0, 17.0652165601579625588917206249),
)
SMALL_SYSTEMS = (VAN_DER_POL, LORENZ, PLEIADES, ARENSTORF)


def ensemble_of_van_der_pol(size: int, seed: int = 0) -> Array:
    """Initial states with normal displacement and velocity, float32, shape ``(size, 2)``."""
    return np.random.default_rng(seed).normal(size=(size, 2)).astype(np.float32)


def ensemble_reference(y0: Array, times: Array, problem: Problem = VAN_DER_POL, p: Array | None = None) -> Array:
    """The ensemble in float64 by DOP853 with tolerance 1e-12, shape ``(T, B, D)``."""
    from scipy.integrate import solve_ivp

    def f(t: float, y: Array) -> Array:
        return problem.numpy_ensemble(t, y.reshape(y0.shape), p).ravel()

    start = y0.astype(np.float64).ravel()
    solution = solve_ivp(f, (times[0], times[-1]), start, "DOP853", times, rtol=1e-12, atol=1e-12)
    return solution.y.T.reshape(len(times), *y0.shape)
