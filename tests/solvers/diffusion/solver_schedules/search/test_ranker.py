"""The ranking network: it learns an order, repeats itself, and sees all of a schedule."""

import numpy as np
import torch
from scipy.stats import spearmanr

import kutta as kt
from kutta.solvers.diffusion.solver_schedules.search.breeding import Breeder
from kutta.solvers.diffusion.solver_schedules.search.evolution import seeds
from kutta.solvers.diffusion.solver_schedules.search.ranker import FEATURES, Ranker, encoded
from kutta.solvers.diffusion.solver_schedules.search.teacher import Axis, Teacher
from tests.solvers.diffusion.problems import t1

AXIS = Axis(kt.diffusion.EDM(start=5.0, end=0.05), 5.0, 0.05)


def population(count, seed):
    numbers, parents = np.random.default_rng(seed), seeds(AXIS, 5)
    return list(dict.fromkeys(Breeder(AXIS, 5).child(parents, numbers) for _ in range(count)))


def test_ranks_schedules_that_it_has_not_seen():
    judge = Teacher.of([t1().problem], [t1().reference], 1)
    known, new = population(120, 0), population(50, 1)
    ranked = Ranker(AXIS, known, [judge(one) for one in known], 0).best(new, len(new))
    assert spearmanr(range(len(ranked)), [judge(one) for one in ranked]).statistic > 0.4


def test_same_seed_same_ranks_whatever_the_global_numbers():
    known, new = population(40, 0), population(20, 1)
    errors = [float(index) for index in range(len(known))]
    ranks = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        ranks.append(Ranker(AXIS, known, errors, 7).best(new, 10))
    assert ranks[0] == ranks[1]


def test_encoding():
    found = population(100, 0)
    rows = [encoded(one, AXIS) for one in found]
    assert all(row.shape == (len(one.steps), FEATURES) for row, one in zip(rows, found, strict=True))
    assert len({str(row.tolist()) for row in rows}) == len(found)
