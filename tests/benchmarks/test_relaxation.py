"""Learned relaxations: the systems, the counts by hand against kutta's, and the figures that must come out."""

import math
from itertools import pairwise

import pytest
import torch

import kutta as kt
from benchmarks import _relaxation
from benchmarks._relaxation import OMEGAS, System, played
from benchmarks.learned_relaxation import EXPECTED
from tests._helpers import F64, relative_error

RANDOM = torch.randn(36, dtype=F64, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("guess", [None, torch.ones(36, dtype=F64)], ids=["sor", "cg"])
def test_counts_are_those_of_kutta(guess):
    for diagonal, beside in ((5.0, 1.0), (1.4, 0.1)):
        system = System(diagonal, beside, RANDOM, guess)
        for omega in OMEGAS[:15:4]:
            assert system.iterations(omega) == system.solved(omega).stats.steps


def test_the_operator_is_the_laplacian():
    matrix = _relaxation.laplacian(10).dense(torch.ones(100, dtype=F64))
    values = torch.linalg.eigvalsh(matrix)
    assert float(values[0]) == pytest.approx(8.0 * math.sin(math.pi / 22) ** 2)
    assert float(values[-1]) == pytest.approx(8.0 * math.cos(math.pi / 22) ** 2)


def test_states_are_those_of_the_heat_equation():
    systems = [system for _, system in _relaxation.heat(6, 4)]
    for before, after in pairwise(systems):
        assert relative_error(before.solved(1.2).y1, after.guess) < 1e-7
    later = 0.5e-3 * 49.0 * _relaxation.diffusivity(1e-3)
    assert systems[0].beside == pytest.approx(later) and systems[0].diagonal == pytest.approx(1.0 + 4.0 * later)


def test_a_tuner_in_kutta_meets_the_systems_of_the_table():
    sequence = _relaxation.heat_sequence(8, 40)
    strategy = kt.algebra.ChebyshevBandit(*sequence.interval)
    online = _relaxation.heat_online(8, 40, kt.algebra.Tuner(OMEGAS, strategy, seed=2))
    # The states differ by the tolerance, which can move a count by one.
    assert abs(online - 40 * played(sequence, strategy, seed=2)) <= 4


@pytest.mark.slow
@pytest.mark.parametrize("n", EXPECTED)
def test_the_figures_of_the_heat_equation(n):
    sequence = _relaxation.heat_sequence(n, 1000)
    fixed = sequence.costs.double().mean(0)
    best, without = EXPECTED[n]
    assert float(fixed.min() / fixed[0]) == pytest.approx(best, rel=0.05)
    mean = sum(played(sequence, kt.algebra.TsallisINF(1.0), seed) for seed in range(20)) / 20
    assert mean / float(fixed[0]) == pytest.approx(without, rel=0.05)
    # Who knows the diffusivity is far better than the best fixed relaxation.
    assert played(sequence, kt.algebra.ChebyshevBandit(*sequence.interval), 0) < 0.9 * float(fixed.min())


@pytest.mark.slow
@pytest.mark.parametrize("alpha, beta, near", [(0.5, 1.5, 1.8), (2.0, 6.0, 1.65)], ids=["wide", "narrow"])
def test_the_orderings_of_shifted_systems(alpha, beta, near):
    sequence = _relaxation.shifts_sequence(*_relaxation.shifted_laplacians(alpha, beta, 5000))
    fixed = sequence.costs.double().mean(0)
    assert OMEGAS[int(fixed.argmin())] == pytest.approx(near)
    # Of 1, 1.2, 1.4, 1.6 and 1.8 only the best is better than the bandit without context.
    assert int((fixed[[0, 4, 8, 12, 16]] < played(sequence, kt.algebra.TsallisINF(1.0), 0)).sum()) == 1
    assert played(sequence, kt.algebra.ChebyshevBandit(*sequence.interval), 0) < 0.85 * float(fixed.min())
