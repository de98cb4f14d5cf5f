"""Networks that know an equation, and the part of the report on them."""

import dataclasses

import pytest
import torch

import kutta as kt
from kutta.demo import hard_constraints, hard_constraints_report
from tests.demo.conftest import SMALL_CONSTRAINTS

F64 = torch.float64


def test_errors_are_those_against_the_solver_of_the_family(constrained):
    family = kt.operators.data.diffusion_sorption(SMALL_CONSTRAINTS.points, hard_constraints.END)
    times = torch.linspace(0.0, hard_constraints.END, SMALL_CONSTRAINTS.times + 1, dtype=F64)
    exact = kt.solve(constrained.problem, family.method, save_at=times, **family.options).ys
    for one in (*constrained.networks, constrained.solver, constrained.apart):
        assert one.predicted.u.shape == exact.shape and torch.equal(one.predicted.u[0], exact[0])
        assert one.seconds > 0.0
        each = [(one.predicted.u[:, n] - exact[:, n]).norm() / exact[:, n].norm() for n in range(exact.shape[1])]
        assert torch.allclose(one.errors, torch.stack(each))
    assert constrained.solver.error < constrained.best.error
    assert constrained.solver.training is None and all(one.training > 0.0 for one in constrained.networks)


def test_networks_learn():
    found = [hard_constraints.study(0, dataclasses.replace(SMALL_CONSTRAINTS, steps=steps)) for steps in (1, 12)]
    begun, trained = ([one.size for one in study.networks] for study in found)
    assert trained[0] < begun[0] and trained[1] < begun[1]


def test_what_is_random_is_of_the_seed_alone(constrained):
    before = torch.get_rng_state()
    again = hard_constraints.study(0, SMALL_CONSTRAINTS)
    assert torch.equal(torch.get_rng_state(), before)
    other = hard_constraints.study(1, dataclasses.replace(SMALL_CONSTRAINTS, steps=1))
    for one, same in zip(constrained.networks, again.networks, strict=True):
        assert torch.equal(one.predicted.u, same.predicted.u)
    assert not torch.equal(other.problem.u0, constrained.problem.u0)


def test_the_section_says_what_was_measured(constrained):
    section = hard_constraints_report.section(constrained)
    words = " ".join(section.text)
    assert f"the most exact network, {constrained.best.name}, is off by" in words
    assert [one.name for one in section.tables] == ["hard-constraints", "seams"] and len(section.pictures) == 3
    names = [row[0] for row in section.tables[0].rows]
    assert names == ["SoftConstraint", "ConstrainedBasis", "JointExperts", "RKC2, rtol = 0.01"]


@pytest.mark.parametrize(
    ("seconds", "error", "words"),
    [
        (0.5, 0.5, "it is faster and better, and needs no training."),
        (2.0, 0.5, "it is better, and needs no training, but slower."),
        (0.5, 2.0, "it is faster and less exact."),
        (2.0, 2.0, "it is slower and less exact."),
    ],
)
def test_the_solver_is_better_only_if_it_is(seconds, error, words, constrained):
    best = constrained.best
    solver = dataclasses.replace(constrained.solver, seconds=seconds * best.seconds, errors=error * best.errors)
    assert hard_constraints_report.verdict(dataclasses.replace(constrained, solver=solver)).find(words) > 0


@pytest.mark.parametrize(
    ("part", "words"), [(1e-6, "more exact is more training."), (1e6, "more exact is more times.")]
)
def test_below_the_residual_of_the_solution_only_times_help(part, words, constrained):
    solution = dataclasses.replace(constrained.solution, error=part * constrained.solution.error)
    assert hard_constraints_report.limit(dataclasses.replace(constrained, solution=solution)).endswith(words)
