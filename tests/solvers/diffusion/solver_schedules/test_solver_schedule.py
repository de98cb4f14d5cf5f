"""Solver schedules: what is valid, files, plans with gradients, and how they are solved."""

import json
import math
from dataclasses import replace

import pytest
import torch

import kutta as kt
from kutta.solvers.diffusion import Estimate, Nodes, SolverSchedule, SolverStep
from kutta.solvers.diffusion.plans.plan import Plan
from tests.solvers.diffusion.problems import orders, t1

F64 = torch.float64
EDM = kt.diffusion.EDM(start=5.0, end=0.05)


def steps(*changes):
    """Four steps of rising orders, some of them changed."""
    found = [
        SolverStep(2.0),
        SolverStep(1.0, estimates=(Estimate(1, "bh1"),)),
        SolverStep(0.3, 1, "noise", (Estimate(2, "linear", 0.25), Estimate(2)), "pseudo", (Estimate(1),)),
        SolverStep(0.05, estimates=(Estimate(3, "exponential", -0.5), Estimate(2, "constant", 0.5), Estimate(3))),
    ]
    for index, change in changes:
        found[index] = replace(found[index], **change)
    return tuple(found)


def example():
    return SolverSchedule(5.0, steps())


def without_z(records):
    """The steps without the scaling that depends on the sign of the exponent."""
    return [replace(one, estimates=tuple(replace(e, scaling="none") for e in one.estimates)) for one in records]


def nodes_of(found):
    return Nodes.at(EDM, found.times)


class TestRecord:
    def test_what_is_written_is_read(self, tmp_path):
        found = replace(example(), analytic_start=True)
        found.save(tmp_path / "found.json")
        assert SolverSchedule.load(tmp_path / "found.json") == found
        assert SolverSchedule.from_json(found.to_json()) == found
        assert [one.name for one in tmp_path.iterdir()] == ["found.json"]

    def test_every_digit_is_kept(self):
        found = SolverSchedule(5.0, (SolverStep(math.pi),))
        assert SolverSchedule.from_json(found.to_json()).steps[0].t == math.pi

    @pytest.mark.parametrize(
        ("name", "value"), [("t", "5.0"), ("t", True), ("steps", {}), ("analytic_start", 1), ("steps", [3])]
    )
    def test_refuses_another_type(self, name, value):
        record = json.loads(example().to_json()) | {name: value}
        with pytest.raises(ValueError, match="must"):
            SolverSchedule.from_json(json.dumps(record))

    def test_refuses_other_entries(self):
        record = json.loads(example().to_json())
        record["steps"][1]["code"] = "print()"
        with pytest.raises(ValueError, match="entry 1, must have the entries t, back, prediction"):
            SolverSchedule.from_json(json.dumps(record))

    @pytest.mark.parametrize("text", ["", "[]", "{", '{"format": "another"}', "3"])
    def test_refuses_other_texts(self, text):
        with pytest.raises(ValueError, match="the text must be"):
            SolverSchedule.from_json(text)

    def test_a_file_is_checked_like_a_schedule(self):
        record = json.loads(example().to_json())
        record["steps"][0]["back"] = 1
        with pytest.raises(ValueError, match=r"steps\[0\].back"):
            SolverSchedule.from_json(json.dumps(record))


class TestNoiseSchedule:
    def test_is_kept_in_files(self):
        found = example().on(EDM)
        assert found.log_snr == pytest.approx((-math.log(5.0), -math.log(0.05)))
        assert SolverSchedule.from_json(found.to_json()) == found
        flow = SolverSchedule(1.0, (SolverStep(0.5), SolverStep(0.0))).on(kt.diffusion.RectifiedFlow())
        assert flow.log_snr == (-math.inf, math.inf)
        assert SolverSchedule.from_json(flow.to_json()) == flow

    def test_may_be_unknown(self):
        record = json.loads(example().to_json())
        del record["log_snr"]
        assert SolverSchedule.from_json(json.dumps(record)).log_snr is None

    @pytest.mark.parametrize("ends", [[1.0], ["much", 2.0], 3.0, [2.0, 1.0], [0.0, "nan"]])
    def test_refuses_other_ends(self, ends):
        record = json.loads(example().to_json()) | {"log_snr": ends}
        with pytest.raises(ValueError, match="log_snr"):
            SolverSchedule.from_json(json.dumps(record))

    @pytest.mark.parametrize("other", [kt.diffusion.VP(), kt.diffusion.RectifiedFlow()])
    def test_is_refused_on_another_one(self, other):
        found = kt.diffusion.named_schedule("dpm-solver++", [0.9, 0.5, 0.1], kt.diffusion.Cosine())
        problem = kt.DiffusionProblem(lambda x, t: 0.0 * x, other, torch.zeros(1, 2), t_span=(0.9, 0.1))
        with pytest.raises(ValueError, match=r"made for another noise schedule: .* at its first time"):
            kt.solve(problem, found)
        kt.solve(replace(problem, schedule=kt.diffusion.Cosine()), found)

    def test_is_the_same_up_to_rounding(self):
        betas = torch.linspace(0.0001, 0.02, 1000)
        exact, rounded = kt.diffusion.Discrete(betas.double()), kt.diffusion.Discrete(betas.half())
        kt.diffusion.named_schedule("ddim", [999.0, 500.0, 0.0], exact).plan(Nodes.at(rounded, [999.0, 500.0, 0.0]))


class TestValidation:
    @pytest.mark.parametrize(
        ("index", "change", "message"),
        [
            (1, {"t": 2.0}, r"steps\[1\].t must be a number less than the time before, 2"),
            (1, {"t": math.nan}, r"steps\[1\].t must be a number less"),
            (2, {"back": 3}, r"steps\[2\].back must be a whole number from 0 to 2"),
            (2, {"back": -1}, r"steps\[2\].back"),
            (2, {"back": 0.5}, r"steps\[2\].back"),
            (0, {"estimates": (Estimate(1),)}, r"steps\[0\].estimates must have 0 entries at most"),
            (1, {"estimates": (Estimate(1), Estimate(2))}, r"steps\[1\].estimates must have 1 entries at most"),
            (2, {"estimates": (Estimate(1), Estimate(1))}, r"steps\[2\].estimates\[1\].nodes .* from 2 to 2"),
            (1, {"estimates": (Estimate(2),)}, r"steps\[1\].estimates\[0\].nodes .* from 1 to 1"),
            (2, {"estimates": (Estimate(2), Estimate(2, "bh1"))}, r"estimates\[1\].scaling must be one of none, exp"),
            (1, {"estimates": (Estimate(1, "double"),)}, r"scaling must be one of none, bh1"),
            (1, {"estimates": (Estimate(1, "linear", math.inf),)}, "coefficient must be a finite number"),
            (1, {"t": "a"}, r"steps\[1\].t must be a number less than the time before, 2; got 'a'"),
            (1, {"linear": "a"}, r"steps\[1\].linear must be a finite number; got 'a'"),
            (1, {"estimates": (3,)}, r"steps\[1\].estimates must be a tuple of records of type Estimate"),
            (1, {"prediction": "v"}, "prediction must be one of data, noise, mixed"),
            (1, {"corrector": "exact"}, "corrector must be one of none, pseudo, implicit"),
            (1, {"corrections": (Estimate(1),)}, "corrections must be empty without a corrector"),
            (1, {"corrector": "pseudo", "corrections": (Estimate(3),)}, r"corrections\[0\].nodes .* from 1 to 2"),
            (3, {"corrector": "pseudo"}, r"steps\[3\].corrector must be 'none'"),
        ],
    )
    def test_refuses(self, index, change, message):
        with pytest.raises(ValueError, match=message):
            SolverSchedule(5.0, steps((index, change)))

    @pytest.mark.parametrize("t", ["a", None, math.nan, math.inf])
    def test_refuses_other_beginnings(self, t):
        with pytest.raises(ValueError, match="t must be a finite number"):
            SolverSchedule(t, steps())

    @pytest.mark.parametrize("records", [3, (3,), "ab"])
    def test_refuses_other_records(self, records):
        with pytest.raises(ValueError, match="steps must be a tuple of records of type SolverStep"):
            SolverSchedule(5.0, records)

    def test_refuses_no_steps(self):
        with pytest.raises(ValueError, match="steps must hold one"):
            SolverSchedule(5.0, ())

    def test_refuses_nodes_that_are_too_close(self):
        found = SolverSchedule(5.0, (SolverStep(1.0), SolverStep(0.999999), SolverStep(0.05)))
        with pytest.raises(ValueError, match="1e-05 apart"):
            found.plan(nodes_of(found))

    def test_refuses_another_number_of_nodes(self):
        with pytest.raises(ValueError, match="as many steps as the schedule, 4; got 2"):
            example().plan(Nodes.at(EDM, torch.tensor([5.0, 1.0, 0.05])))


class TestEvaluations:
    @pytest.mark.parametrize("analytic", [False, True])
    @pytest.mark.parametrize("corrector", ["none", "pseudo", "implicit"])
    def test_are_counted_as_the_plan_has_them(self, analytic, corrector):
        corrections = () if corrector == "none" else (Estimate(2), Estimate(2))
        changed = (1, {"corrector": corrector, "corrections": corrections})
        found = SolverSchedule(5.0, steps(changed), analytic)
        assert found.evaluations == 4 - analytic + (corrector == "implicit")
        assert found.plan(nodes_of(found)).evaluations == found.evaluations

    def test_an_analytic_start_is_the_model_of_data_at_zero(self):
        """Where the data are one point, 0, the model says ``D = 0``: to ask it or not is the same."""
        teacher = kt.diffusion.GaussianMixture([1.0], [[0.0, 0.0]], [0.0])
        problem = kt.DiffusionProblem(teacher.model(EDM), EDM, torch.ones(3, 2, dtype=F64))
        for prediction in ("data", "noise"):
            found = SolverSchedule(5.0, steps((0, {"prediction": prediction}), (1, {"prediction": prediction})))
            asked = kt.solve(problem, found, save_at="steps")
            guessed = kt.solve(problem, replace(found, analytic_start=True), save_at="steps")
            torch.testing.assert_close(asked.ys, guessed.ys, rtol=1e-12, atol=1e-14)
            assert asked.stats.function_evaluations - guessed.stats.function_evaluations == 1


class TestOrder:
    @pytest.mark.parametrize("prediction", ["data", "noise"])
    @pytest.mark.parametrize("order", [1, 2, 3])
    def test_one_step_has_the_order_of_its_derivatives(self, order, prediction):
        """Along the exact flow of one Gaussian, a step of order p errs by ``h^{p+1}``."""
        variance, start = 0.25, 1.0

        def flow(kappa):
            return (variance + kappa**2) ** 0.5

        errors = []
        for h in (0.04, 0.02, 0.01):
            times = start * torch.exp(-h * torch.arange(-3, 2, dtype=F64))
            estimates = tuple(Estimate(order - 1) for _ in range(order - 1))
            records = [SolverStep(float(t)) for t in times[1:]]
            records[-1] = replace(records[-1], prediction=prediction, estimates=estimates)
            found = SolverSchedule(float(times[0]), tuple(records))
            move = found.plan(Nodes.at(EDM, times)).moves[-1]
            exact = flow(times)
            data = variance / (variance + times**2) * exact
            values = data if prediction == "data" else (exact - data) / times
            end = sum(weight * exact[state] for state, weight in move.states.items())
            end = end + sum(weight * values[state] for state, weight in move.predictions[prediction].items())
            errors.append(abs(float(end - exact[-1])))
        assert orders(errors)[-1] == pytest.approx(order + 1, abs=0.15)

    @pytest.mark.parametrize("form", [("data", 1.0, 0.0), ("noise", 0.0, 1.0)], ids=["data", "noise"])
    def test_data_and_noise_are_mixed_with_two_numbers(self, form):
        """``c = 1, b = 0`` and ``c = 0, b = 1``, whose corrected steps, starts and derivatives agree."""
        name, linear, growth = form
        case, found = t1(), example()
        pure = replace(found, steps=tuple(replace(step, prediction=name) for step in found.steps))
        # Next to these numbers, where the general formula stands alone.
        mixed = [replace(one, prediction="mixed", linear=linear + 1e-13, growth=growth) for one in found.steps]
        torch.testing.assert_close(
            kt.solve(case.problem, replace(found, steps=tuple(without_z(mixed)))).y1,
            kt.solve(case.problem, replace(pure, steps=tuple(without_z(pure.steps)))).y1,
            rtol=1e-10,
            atol=1e-10,
        )

    def test_a_linear_model_is_solved_in_one_mixed_step(self):
        """``D = (1 - c) y`` of data at 0 with some variance, where it holds at one level; made to hold at all."""
        c = 0.3

        def model(x, t):
            return (1.0 - c) * x

        problem = kt.DiffusionProblem(model, EDM, torch.ones(2, 3, dtype=F64), "data")
        found = SolverSchedule(5.0, (SolverStep(0.05, prediction="mixed", linear=c, growth=0.4),))
        expected = torch.full((2, 3), (0.05 / 5.0) ** c, dtype=F64)
        torch.testing.assert_close(kt.solve(problem, found).y1, expected, rtol=1e-13, atol=0)

    def test_more_nodes_than_needed_estimate_a_derivative_better(self):
        nodes = Nodes.at(EDM, torch.tensor([5.0, 2.0, 1.0, 0.5], dtype=F64))
        few, many = (
            SolverSchedule(5.0, (SolverStep(2.0), SolverStep(1.0), SolverStep(0.5, estimates=(Estimate(count),))))
            for count in (1, 2)
        )
        assert set(few.plan(nodes).moves[-1].predictions["data"]) == {1, 2}
        assert set(many.plan(nodes).moves[-1].predictions["data"]) == {0, 1, 2}


class TestGradients:
    def weights(self, times, coefficient, linear, growth):
        changed = (2, {"estimates": (Estimate(2, "linear", coefficient), Estimate(2))})
        mixed = (3, {"prediction": "mixed", "linear": linear, "growth": growth})
        plan = SolverSchedule(5.0, steps(changed, mixed)).plan(Nodes.at(EDM, times))
        return torch.stack([torch.as_tensor(one, dtype=F64) for one in numbers(plan)])

    def test_in_times_and_coefficients(self):
        times = example().times.requires_grad_()
        others = [torch.tensor(value, dtype=F64, requires_grad=True) for value in (0.25, 0.8, 0.3)]
        assert torch.autograd.gradcheck(self.weights, (times, *others))


def numbers(plan: Plan):
    """All weights of a plan."""
    return [
        weight
        for move in plan.moves
        for terms in (move.states, *move.predictions.values())
        for _, weight in sorted(terms.items())
    ]


class TestSolve:
    def test_brings_its_times(self):
        case = t1()
        found = kt.solve(case.problem, example(), save_at="steps")
        assert found.ts.tolist() == [5.0, 2.0, 1.0, 0.3, 0.05]
        assert found.stats.function_evaluations == 4

    @pytest.mark.parametrize("option", [{"steps": 4}, {"grid": kt.diffusion.Rho()}, {"grid": [5.0, 1.0, 0.05]}])
    def test_refuses_others(self, option):
        with pytest.raises(ValueError, match=r"means nothing to .* which brings its times"):
            kt.solve(t1().problem, example(), **option)

    def test_refuses_a_problem_with_another_span(self):
        problem = replace(t1().problem, t_span=(4.0, 0.05))
        with pytest.raises(ValueError, match=r"lead from 5 to 0.05, those of the problem from 4 to 0.05"):
            kt.solve(problem, example())

    def test_without_noise_at_the_end_and_without_data_at_the_beginning(self):
        """Steps to and from infinite places are of first order, whatever the record says."""
        teacher = kt.diffusion.GaussianMixture([1.0], [[1.0, -1.0]], [0.0])
        flow = kt.diffusion.RectifiedFlow()
        problem = kt.DiffusionProblem(teacher.model(flow, "flow"), flow, torch.ones(2, 2, dtype=F64), "flow")
        found = SolverSchedule(
            1.0,
            (
                SolverStep(0.7, prediction="noise", corrector="pseudo", corrections=(Estimate(1),)),
                SolverStep(0.4),
                SolverStep(0.1, estimates=(Estimate(1),)),
                SolverStep(0.0, prediction="noise", estimates=(Estimate(2), Estimate(2))),
            ),
        )
        end = kt.solve(problem, found).y1
        torch.testing.assert_close(end, torch.tensor([[1.0, -1.0]], dtype=F64).expand(2, 2), rtol=0, atol=1e-12)

    def test_refuses_derivatives_without_nodes_that_have_slopes(self):
        flow = kt.diffusion.RectifiedFlow()
        found = SolverSchedule(1.0, (SolverStep(0.7), SolverStep(0.4, estimates=(Estimate(1),)), SolverStep(0.0)))
        with pytest.raises(ValueError, match=r"steps\[1\] reads derivatives off 1 nodes .* there are 0"):
            found.plan(Nodes.at(flow, found.times))
