"""Plans are written once for equal samplers, schedules and times, and anew for what differs or may have changed."""

from dataclasses import dataclass, field

import pytest
import torch

import kutta as kt
from kutta.solvers.diffusion.levels.grids import nodes
from kutta.solvers.diffusion.plans import remembered
from kutta.solvers.diffusion.plans.remembered import fixed_plan

D = kt.diffusion


@dataclass(frozen=True)
class Counted(kt.DDIM):
    """Counts how often it is asked."""

    name: str = ""
    asked: list = field(default_factory=list, compare=False, hash=False)

    def plan(self, nodes):
        self.asked.append(nodes.steps)
        return super().plan(nodes)


def grid(steps=5, schedule=None, end=1e-3):
    return nodes(D.Rho(7), schedule or D.VP(), steps, 1.0, end)


@pytest.fixture(autouse=True)
def forgotten():
    remembered._plans.clear()


def test_equal_samplers_share_a_plan():
    first, second = Counted(), Counted()
    assert fixed_plan(first, grid()) is fixed_plan(second, grid(schedule=D.VP()))
    assert first.asked == [5] and second.asked == []


@pytest.mark.parametrize(
    "other", [grid(6), grid(end=2e-3), grid(schedule=D.VP(beta_max=19.0)), grid().with_clean_end()]
)
def test_other_nodes_are_planned_anew(other):
    sampler = Counted()
    fixed_plan(sampler, grid())
    fixed_plan(sampler, other)
    assert len(sampler.asked) == 2


def test_other_options_are_planned_anew():
    one, other = Counted("a"), Counted("b")
    assert fixed_plan(one, grid()) is not fixed_plan(other, grid())
    assert fixed_plan(kt.DPMSolverPP(1), grid()) is not fixed_plan(kt.DPMSolverPP(2), grid())


def test_a_sampler_that_may_change_is_asked_every_time():
    class Free(D.Sampler):
        weight = 1.0

        def plan(self, nodes):
            draft = D.Draft(nodes)
            for n in range(nodes.steps):
                draft.arrive(n + 1, {n: self.weight})
            return draft.plan()

    sampler = Free()
    before = fixed_plan(sampler, grid())
    sampler.weight = 2.0
    assert fixed_plan(sampler, grid()).moves[0].states == {0: 2.0} != before.moves[0].states


def test_a_class_that_adds_to_one_of_ours_is_asked_every_time():
    class Part(kt.DDIM):
        def __init__(self, kept):
            object.__setattr__(self, "kept", kept)

        def plan(self, nodes):
            draft = D.Draft(nodes)
            for n in range(nodes.steps):
                draft.arrive(n + 1, {n: self.kept})
            return draft.plan()

    assert Part(1.0) == Part(0.5)  # no field of DDIM tells them apart
    assert fixed_plan(Part(0.5), grid()).moves[0].states == {0: 0.5} != fixed_plan(Part(1.0), grid()).moves[0].states


def test_a_schedule_that_adds_to_one_of_ours_is_planned_anew():
    class Half(D.Discrete):
        def model_time(self, t):
            return 0.5 * t

    betas, sampler = torch.linspace(1e-4, 0.02, 10, dtype=torch.float64), Counted()
    plans = [fixed_plan(sampler, nodes(D.UniformTime(), one(betas), 3, 9.0, 0.0)) for one in (D.Discrete, Half, Half)]
    assert len(sampler.asked) == 3 and D.Discrete(betas) != Half(betas)
    assert plans[1].first.model_t == 0.5 * plans[0].first.model_t


def test_a_sampler_with_tensors_is_asked_every_time():
    @dataclass(frozen=True)
    class Weighted(Counted):
        weights: torch.Tensor = field(default_factory=lambda: torch.ones(2))

        def __hash__(self):
            raise TypeError("unhashable")

    sampler = Weighted()
    for _ in range(2):
        fixed_plan(sampler, grid())
    assert len(sampler.asked) == 2


def test_only_so_many_are_kept():
    sampler = Counted()
    for steps in range(1, remembered.MOST + 2):
        fixed_plan(sampler, grid(steps))
    fixed_plan(sampler, grid(remembered.MOST + 1))
    fixed_plan(sampler, grid(1))
    assert len(remembered._plans) == remembered.MOST
    assert sampler.asked == [*range(1, remembered.MOST + 2), 1]
