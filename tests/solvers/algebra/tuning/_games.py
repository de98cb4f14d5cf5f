"""Costs that tuners play against."""

import math

import numpy as np

import kutta as kt

OMEGAS = np.linspace(1.0, 1.95, 20)


def play(tuner, costs, contexts=None):
    """The sum of the costs of a tuner over the rows of a table; it chooses columns."""
    total = 0.0
    for k, row in enumerate(costs):
        cost = float(row[tuner.suggest(None if contexts is None else contexts[k])])
        tuner.report(cost)
        total += cost
    return total


def tuner_of(costs, strategy=None, seed=0):
    return kt.algebra.Tuner(range(costs.shape[1]), strategy, seed)


def radius(shift, side=10):
    """Of Jacobi's iteration for the five-point Laplacian of ``side x side`` points with a shift of the diagonal."""
    return 4.0 * math.cos(math.pi / (side + 1)) / (4.0 + shift)


def best_relaxation(beta):
    return 1.0 + (beta / (1.0 + math.sqrt(1.0 - beta**2))) ** 2


def rate(omega, beta):
    """The spectral radius of a sweep for a consistently ordered matrix, by Young's theory."""
    if omega >= best_relaxation(beta):
        return omega - 1.0
    return ((omega * beta + math.sqrt((omega * beta) ** 2 - 4.0 * (omega - 1.0))) / 2.0) ** 2


def sweeps(shifts):
    """How many sweeps reduce an error by 1e-8, for each shift and relaxation."""
    return np.array([[math.ceil(math.log(1e-8) / math.log(rate(w, radius(c)))) for w in OMEGAS] for c in shifts])


def drawn_shifts(alpha, beta, count, seed=0):
    return -0.15 + 0.6 * np.random.default_rng(seed).beta(alpha, beta, count)
