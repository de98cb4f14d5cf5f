"""The search: what it finds, that it can be repeated, taken up again and stopped, and what it refuses."""

import json
import warnings
from dataclasses import replace
from functools import cache

import pytest
import torch

import kutta as kt
from benchmarks._mixtures import NOISE, Family
from kutta.solvers.diffusion import SolverSchedule, named_schedule, search
from kutta.solvers.diffusion.solver_schedules.search.evolution import seeds
from kutta.solvers.diffusion.solver_schedules.search.teacher import Axis, Teacher
from tests.solvers.diffusion.problems import t1

# In the first one all children are judged, so that no network is trained to rank them.
SMALL = {"generations": 2, "children": 6, "judged": 6, "polish": 1, "polish_steps": 2}
RANKED = {**SMALL, "children": 20}


@cache
def exam(mixtures, starts, seed):
    family = Family.drawn(mixtures, starts, seed)
    return family.problem, family.reference()


def error(found, mixtures, starts, seed):
    """The mean absolute deviation of end states."""
    problem, reference = exam(mixtures, starts, seed)
    return float((kt.solve(problem, found).y1 - reference).abs().mean())


def small_search(**options):
    problem, reference = exam(2, 16, 0)
    return search(problem, 4, **{"references": [reference], **SMALL, **options})


@cache
def named_search():
    return small_search(generations=0)


@cache
def ranked_search():
    return small_search(**RANKED)


def judged_by_function(**options):
    """The schedules that a search asks a function about, in order."""
    seen = []

    def target(found):
        seen.append(found)
        return float(found.times[1])

    search(target, 3, schedule=NOISE, **{**SMALL, **options})
    return seen


def best_named(evaluations, mixtures, starts, seed):
    """The smallest error of a named sampler on a grid."""
    axis = Axis(NOISE, NOISE.start, NOISE.end)
    return min(error(one, mixtures, starts, seed) for one in seeds(axis, evaluations))


class TestResult:
    def test_has_the_evaluations_asked_for(self):
        found, (problem, _) = ranked_search(), exam(2, 16, 0)
        assert found.evaluations == kt.solve(problem, found).stats.function_evaluations == 4

    def test_beats_the_named_samplers_on_other_mixtures(self):
        """A small search at 5 evaluations, judged on 16 mixtures that it has not seen."""
        problem, reference = exam(8, 32, 0)
        found = search(problem, 5, references=[reference], **{**SMALL, "generations": 1, "polish_steps": 8})
        assert error(found, 16, 32, 1) < 0.8 * best_named(5, 16, 32, 1)

    @pytest.mark.slow
    @pytest.mark.parametrize("evaluations", [5, 8])
    def test_errs_half_as_much_on_other_mixtures(self, evaluations):
        """Against the best named sampler of other families too: see benchmarks/diffusion_search.py."""
        problem, reference = exam(64, 64, 0)
        found = search(problem, evaluations, references=[reference])
        unseen, truth = exam(64, 128, 1)
        named = [
            float((kt.solve(unseen, one, steps=evaluations, grid=kt.diffusion.Rho(rho)).y1 - truth).abs().mean())
            for one in (kt.PLMS(3), kt.DPMSolver(3, final_orders=()), kt.DEIS(3), kt.UniPC(2, "bh1", "noise"))
            for rho in (3.0, 4.0, 5.0, 7.0)
        ]
        assert 2.0 * error(found, 64, 128, 1) <= min(best_named(evaluations, 64, 128, 1), *named)

    def test_without_generations_is_the_best_named_sampler(self):
        problem, reference = exam(2, 16, 0)
        found = named_search()
        named = seeds(Axis(NOISE, 5.0, 0.05), 4)
        errors = [float((kt.solve(problem, one).y1 - reference).abs().mean()) for one in named]
        assert found == named[errors.index(min(errors))]

    def test_is_better_than_what_it_begins_with(self):
        assert error(ranked_search(), 2, 16, 0) < 0.9 * error(named_search(), 2, 16, 0)

    def test_references_by_many_steps(self):
        assert small_search(references=None, reference_steps=100, generations=0) == named_search()

    def test_several_problems(self):
        (first, truth), (second, other) = exam(2, 16, 0), exam(2, 16, 1)
        both = Teacher.of([first, second], [truth, other], 1)
        one = ranked_search()
        assert both(one) == pytest.approx(0.5 * (error(one, 2, 16, 0) + error(one, 2, 16, 1)))
        found = search([first, second], 4, references=[truth, other], **SMALL)
        assert both(found) < both(named_search())

    def test_where_an_end_is_infinitely_far(self):
        flow = kt.diffusion.RectifiedFlow()
        teacher = kt.diffusion.GaussianMixture([0.5, 0.5], [[-1.0], [1.0]], [0.1, 0.1])
        x = torch.linspace(-2.0, 2.0, 16, dtype=torch.float64)[:, None]
        problem = kt.DiffusionProblem(teacher.model(flow, "flow"), flow, x, "flow")
        found = search(problem, 4, reference_steps=60, **SMALL)
        first = search(problem, 4, reference_steps=60, **{**SMALL, "generations": 0})
        truth = kt.solve(problem, kt.Dopri5(), rtol=1e-8, atol=1e-8).y1
        errors = [float((kt.solve(problem, one).y1 - truth).abs().mean()) for one in (first, found)]
        assert errors[1] < errors[0]


class TestFunction:
    def test_as_target(self):
        """Evolution without gradients towards a time that is wanted."""

        def distance(found):
            return float((found.times[1] - 1.234).abs())

        named = search(distance, 3, schedule=NOISE, generations=0)
        found = search(distance, 3, schedule=NOISE, generations=4, children=30, judged=30)
        assert distance(found) < 0.5 * distance(named)

    def test_that_is_nowhere_finite(self):
        with pytest.raises(ValueError, match="none of the named samplers has a finite error"):
            search(lambda found: float("nan"), 3, schedule=NOISE)


class TestRepetition:
    def test_same_seed_same_children_whatever_the_global_numbers(self):
        once = {**RANKED, "generations": 1}
        expected = judged_by_function(**once)
        torch.manual_seed(1)
        before = torch.get_rng_state()
        assert judged_by_function(**once) == expected
        assert torch.equal(torch.get_rng_state(), before)

    def test_other_seed_other_children(self):
        assert judged_by_function(seed=3) != judged_by_function(seed=4)

    def test_goes_on_to_the_same_end(self, tmp_path):
        path = tmp_path / "search.json"
        small_search(**{**RANKED, "generations": 1}, path=path)
        assert json.loads(path.read_text())["generation"] == 1
        assert small_search(**RANKED, path=path) == ranked_search()

    def test_refuses_the_file_of_another_search(self, tmp_path):
        path = tmp_path / "search.json"
        judged_by_function(path=path, seed=0)
        with pytest.raises(ValueError, match="other settings, seed"):
            judged_by_function(path=path, seed=1)

    def test_refuses_the_errors_of_other_problems(self, tmp_path):
        """The settings say nothing of mixtures, references, and how these came about."""
        path, once = tmp_path / "search.json", {"generations": 1, "polish": 0}
        small_search(**once, path=path)
        before = path.read_text()
        (other, truth), (problem, reference) = exam(2, 16, 1), exam(2, 16, 0)
        others = [(other, truth, 200), (problem, reference + 0.01, 200), (problem, None, 6)]
        for target, wanted, steps in others:
            options = {"references": None if wanted is None else [wanted], "reference_steps": steps, "path": path}
            with pytest.raises(ValueError, match="file of a search for the same problems, references and reference_st"):
                search(target, 4, **{**SMALL, **once, **options})
        assert path.read_text() == before

    def test_refuses_a_file_of_something_else(self, tmp_path):
        path = tmp_path / "search.json"
        path.write_text("{}")
        with pytest.raises(ValueError, match="is no file of a search"):
            judged_by_function(path=path)


class TestEnd:
    def test_interrupt_gives_the_best_so_far(self):
        calls = []

        def target(found):
            calls.append(found)
            if len(calls) > 100:
                raise KeyboardInterrupt
            return float((found.times[1] - 1.234).abs())

        with pytest.warns(UserWarning, match="interrupted in generation 1; this is the best of 100"):
            found = search(target, 3, schedule=NOISE, children=400, judged=400)
        assert isinstance(found, SolverSchedule)

    def test_interrupt_before_anything_is_judged_is_one(self):
        def target(found):
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            search(target, 3, schedule=NOISE)

    def test_time_over_gives_the_best_so_far(self):
        seen = []

        def target(found):
            seen.append(found)
            return 1.0

        assert [search(target, 3, schedule=NOISE, seconds=0.0, generations=10**6)] == seen

    def test_progress(self, capsys):
        pytest.importorskip("tqdm")
        judged_by_function(progress=True)
        assert "search: 100%" in capsys.readouterr().err


class TestArguments:
    @pytest.mark.parametrize("name", ["evaluations", "children", "judged", "polish_steps", "reference_steps"])
    @pytest.mark.parametrize("value", [0, 2.5, True])
    def test_refuses_counts(self, name, value):
        with pytest.raises(ValueError, match=f"{name} must be a whole number from 1 on"):
            search(t1().problem, **{name: value})

    @pytest.mark.parametrize("target", [3, "T1", [3], None])
    def test_refuses_targets(self, target):
        with pytest.raises(TypeError, match="target must be a DiffusionProblem"):
            search(target)

    def test_refuses_a_function_without_a_schedule(self):
        with pytest.raises(TypeError, match="schedule must be the noise schedule"):
            search(lambda found: 0.0)

    def test_refuses_a_second_schedule(self):
        with pytest.raises(ValueError, match="a problem has its own"):
            search(t1().problem, schedule=NOISE)

    def test_refuses_no_problems(self):
        with pytest.raises(ValueError, match="one DiffusionProblem at least"):
            search([])

    def test_refuses_references_of_another_shape(self):
        with pytest.raises(ValueError, match=r"references\[0\] must have the shape of the state, \(16, 2\)"):
            search(t1().problem, references=[torch.zeros(3, 2)])
        with pytest.raises(ValueError, match="a sequence of 1 tensors"):
            search(t1().problem, references=[])

    def test_refuses_guidance_by_steps(self):
        """What many steps lead to under CFG++ is not what few steps aim at."""
        problem = replace(t1().problem, condition=torch.tensor([True]), guidance=kt.diffusion.CFGPlusPlus(0.5))
        with pytest.raises(ValueError, match=r"the search needs guidance .* such as CFGPlusPlus\(...\).at_step"):
            search(problem, references=[t1().reference])

    @pytest.mark.parametrize("prediction", ["epsilon", "score"])
    def test_refuses_predictions_that_say_nothing_at_the_beginning(self, prediction):
        flow = kt.diffusion.RectifiedFlow()
        problem = kt.DiffusionProblem(t1().teacher.model(flow, prediction), flow, t1().problem.x, prediction)
        with pytest.raises(ValueError, match="at t = 1 there is only noise"):
            search(problem, references=[t1().reference])

    def test_refuses_problems_that_share_no_times(self):
        other = kt.DiffusionProblem(t1().problem.model, kt.diffusion.EDM(4.0, 0.05), t1().problem.x)
        with pytest.raises(ValueError, match="problem 1 has EDM"):
            search([t1().problem, other])


def test_seeds_are_all_different_and_can_be_solved():
    axis = Axis(NOISE, NOISE.start, NOISE.end)
    found = seeds(axis, 5)
    assert len(set(found)) == len(found) > 50
    assert all(one.evaluations <= 5 for one in found)
    assert named_schedule("ddim", found[0].times, NOISE) in found
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for one in found:
            kt.solve(t1().problem, one)
