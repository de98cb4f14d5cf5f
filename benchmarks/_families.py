"""Families of problems: systems with parameters, and ensembles drawn from them."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks._problems import Array, Problem


def _lorenz(x: Any, y: Any, z: Any, rho: Any) -> tuple[Any, Any, Any]:
    return 10.0 * (y - x), x * (rho - z) - y, x * y - (8.0 / 3.0) * z


def _robertson(a: Any, b: Any, c: Any, slow: Any, fast: Any, middle: Any) -> tuple[Any, Any, Any]:
    decay, pair, back = slow * a, fast * b * b, middle * b * c
    return back - decay, decay - pair - back, pair


def _lotka_volterra(prey: Any, hunters: Any, birth: Any, catch: Any, gain: Any, death: Any) -> tuple[Any, Any]:
    return birth * prey - catch * prey * hunters, gain * prey * hunters - death * hunters


def _pollution(*values: Any) -> tuple[Any, ...]:
    """Twenty species of the lower atmosphere, and the rates of their 25 reactions."""
    y1, y2, y3, y4, y5, y6, y7, _, y9, y10, y11, _, y13, y14, _, y16, y17, _, y19, y20 = values[:20]
    partners = (y1, y2 * y4, y5 * y2, y7, y7, y7 * y6, y9, y9 * y6, y11 * y2, y11 * y1, y13, y10 * y2, y14, y1 * y6,
                y3, y4, y4, y16, y16, y17 * y6, y19, y19, y1 * y4, y19 * y1, y20)  # fmt: skip
    (r1, r2, r3, r4, r5, r6, r7, r8, r9, r10, r11, r12, r13, r14, r15, r16, r17, r18, r19, r20, r21, r22, r23, r24,
     r25) = (k * partner for k, partner in zip(values[20:], partners, strict=True))  # fmt: skip
    return (
        r2 + r3 + r9 + r11 + r12 + r22 + r25 - r1 - r10 - r14 - r23 - r24,
        r1 + r21 - r2 - r3 - r9 - r12,
        r1 + r17 + r19 + r22 - r15,
        r15 - r2 - r16 - r17 - r23,
        2.0 * r4 + r6 + r7 + r13 + r20 - r3,
        r3 + 2.0 * r18 - r6 - r8 - r14 - r20,
        r13 - r4 - r5 - r6,
        r4 + r5 + r6 + r7,
        -r7 - r8,
        r7 + r9 - r12,
        r8 + r11 - r9 - r10,
        r9,
        r10 - r11,
        r12 - r13,
        r14,
        r16 - r18 - r19,
        -r20,
        r20,
        r23 + r25 - r21 - r22 - r24,
        r24 - r25,
    )


CELLS = 8
SPREADING = 0.1


def _brusselator(xp: Any, y: Any, feed: Any) -> Any:
    """Two substances on a square of 8 by 8 cells with periodic boundaries, flat."""
    u, v = y.reshape(2, CELLS, CELLS)
    made = u * u * v
    du = 1.0 + made - (feed + 1.0) * u + SPREADING * CELLS**2 * _laplacian(xp, u)
    dv = feed * u - made + SPREADING * CELLS**2 * _laplacian(xp, v)
    return xp.stack([du, dv]).reshape(-1)


def _laplacian(xp: Any, w: Any) -> Any:
    return xp.roll(w, 1, 0) + xp.roll(w, -1, 0) + xp.roll(w, 1, 1) + xp.roll(w, -1, 1) - 4.0 * w


def _brusselator_start() -> tuple[float, ...]:
    x = np.arange(CELLS) / CELLS
    bump = (x * (1.0 - x)) ** 1.5
    u, v = np.broadcast_arrays(22.0 * bump[None, :], 27.0 * bump[:, None])
    return tuple(np.stack([u, v]).ravel().tolist())


# Robertson's reactions, the pollution problem (Verwer, Gauss-Seidel iteration for stiff ODEs from chemical kinetics,
# SIAM J. Sci. Comput. 15, 1994) as in the test set for IVP solvers of Mazzia and Magherini; the Brusselator with
# diffusion is that of Hairer and Wanner, section IV.10, without its jump in time.
_RATES = (0.35, 26.6, 12.3e3, 8.6e-4, 8.2e-4, 15e3, 1.3e-4, 24e3, 16.5e3, 9e3, 0.022, 12e3, 1.88, 16.3e3, 4.8e6, 3.5e-4,
          0.0175, 1e8, 4.44e11, 1.24e3, 2.1, 5.78, 0.0474, 1.78e3, 3.12)  # fmt: skip
_SPECIES = (0, 0.2, 0, 0.04, 0, 0, 0.1, 0.3, 0.01, 0, 0, 0, 0, 0, 0, 0, 0.007, 0, 0, 0)

LORENZ_SWEEP = Problem("Lorenz", _lorenz, (1.0, 0.0, 0.0), (0.0, 10.0), parameters=(28.0,))
ROBERTSON = Problem("Robertson", _robertson, (1.0, 0.0, 0.0), (0.0, 1e5), parameters=(0.04, 3e7, 1e4))
LOTKA_VOLTERRA = Problem("Lotka-Volterra", _lotka_volterra, (1.0, 1.0), (0.0, 10.0), parameters=(1.5, 1.0, 1.0, 3.0))
POLLUTION = Problem("pollution", _pollution, tuple(map(float, _SPECIES)), (0.0, 60.0), parameters=_RATES)
BRUSSELATOR = Problem("Brusselator", _brusselator, _brusselator_start(), (0.0, 2.0), arrays=True, parameters=(3.4,))


def varied(problem: Problem, count: int, seed: int = 0) -> tuple[Array, Array]:
    """Initial states ``(B, D)`` and parameters ``(B, P)`` from ``1/sqrt(2)`` to ``sqrt(2)`` times the usual ones."""
    draws = np.random.default_rng(seed).uniform(-0.5, 0.5, size=(count, len(problem.parameters)))
    return np.tile(problem.y0, (count, 1)), np.array(problem.parameters) * 2.0**draws


def stiff_reference(problem: Problem, y0: Array, p: Array) -> Array:
    """Final states by Radau IIA of order 5 with tolerance 1e-10, one trajectory after the other, ``(B, D)``."""
    from scipy.integrate import solve_ivp

    def final(start: Array, own: Array) -> Array:
        f = lambda t, y: problem.numpy(t, y, *own.tolist())  # noqa: E731
        return solve_ivp(f, problem.span, start, "Radau", rtol=1e-10, atol=1e-15).y[:, -1]

    return np.stack([final(*pair) for pair in zip(y0, p, strict=True)])
