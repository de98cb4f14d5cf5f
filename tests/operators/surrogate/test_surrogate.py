"""Operators as methods: what they answer, what they refuse, and who takes over."""

import math
from dataclasses import replace

import pytest
import torch

import kutta as kt
from kutta.operators import Calibration, Ensemble, Operator, Surrogate, TrainedOperator
from kutta.operators.data import Family, GaussianField, generate
from kutta.operators.surrogate import prediction
from kutta.operators.surrogate.question import Question

GRID = kt.pde.Grid((32,), 2.0 * math.pi)
NU, STEP = 0.1, 0.25


class ExactHeat(Operator):
    """What the heat equation makes of a periodic field in a step, times what a network would do wrong."""

    def __init__(self, in_channels=1, out_channels=1, dim=1, factor=1.0):
        super().__init__()
        self.in_channels, self.out_channels, self.dim = in_channels, out_channels, dim
        self.factor = torch.nn.Parameter(torch.tensor(factor, dtype=torch.float64))

    def transform(self, a, grid):
        k = torch.arange(grid.shape[0] // 2 + 1, dtype=a.dtype)
        return self.factor * torch.fft.irfft(torch.fft.rfft(a) * torch.exp(-NU * STEP * k * k), grid.shape[0])


def draw(count, generator, end=1.0, nu=NU, grid=GRID):
    u0 = GaussianField(2.0, 3.0, 9.0, modes=9).draw(grid, count, generator)
    return kt.pde.Heat(nu).problem(grid, u0, (0.0, end))


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def data():
    family = Family(draw, ("u0",), options={"rtol": 1e-10, "atol": 1e-12}, times=4, name="heat")
    return generate(family, 20, seed=0, dtype=torch.float64)


def model(data, factor=1.0):
    return TrainedOperator(ExactHeat(factor=factor), data.scope).double().requires_grad_(False)


def inside(data, **changes):
    """A problem of one sample that is as in training."""
    u0 = data.inputs[0, 0]
    return kt.pde.Heat(changes.get("nu", NU)).problem(
        changes.get("grid", GRID), changes.get("u0", u0), (0.0, changes.get("end", 1.0))
    )


def test_an_exact_map_is_the_solver(data):
    problem = inside(data)
    times = torch.tensor([0.0, 0.5, 1.0])
    answer = kt.solve(problem, Surrogate(model(data)), save_at=times)
    exact = kt.solve(problem, kt.ETDRK4(), save_at=times, rtol=1e-11, atol=1e-12)
    torch.testing.assert_close(answer.ys, exact.ys, rtol=0.0, atol=1e-9)
    assert answer.result == kt.Result.SUCCESS and answer.stats.function_evaluations == 4
    assert answer.space.equation == "Heat" and answer.t1 == 1.0 and answer.band is None
    assert answer.to_xarray().u.shape == (3, 32)
    steps = kt.solve(problem, Surrogate(model(data)), save_at="steps")
    assert steps.ts.tolist() == [0.0, 0.25, 0.5, 0.75, 1.0]
    torch.testing.assert_close(steps.ys[-1], answer.y1)


def test_batches_have_results_of_their_own(data):
    u0 = torch.stack([data.inputs[0, 0], 100.0 * data.inputs[0, 0]])
    with pytest.warns(UserWarning, match="not trained for this problem: u0 from"):
        answer = kt.solve(inside(data, u0=u0), Surrogate(model(data), outside="warn"))
    assert [one.name for one in answer.result] == ["SUCCESS", "EXTRAPOLATED"] and not answer.result.failed.any()
    assert answer.y1.shape == (2, 32)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"nu": 0.2}, "diffusivity = 0.2, and in training 0.1"),
        ({"end": 1.5}, "6 steps, and in training 4"),
        ({"grid": kt.pde.Grid((32,), 1.0)}, r"length \(1.0,\), not \(6.28"),
        ({"grid": kt.pde.Grid((32,), 2 * math.pi, boundary=kt.pde.Neumann())}, r"centring \('cell',\), not"),
        ({"u0": 50.0 * torch.ones(32, dtype=torch.float64)}, "u0 from 50 to 50, and in training from"),
        ({"grid": kt.pde.Grid((64,), 2 * math.pi), "u0": torch.zeros(64)}, r"\(64,\) points, not \(32,\)"),
    ],
)
def test_problems_that_were_not_in_training_are_refused_or_flagged(data, changes, words):
    problem = inside(data, **changes)
    with pytest.raises(ValueError, match=f"not trained for this problem: .*{words}"):
        kt.solve(problem, Surrogate(model(data)))
    with pytest.warns(UserWarning, match=words):
        answer = kt.solve(problem, Surrogate(model(data), outside="warn"))
    assert answer.result == kt.Result.EXTRAPOLATED and not answer.result.failed


OTHER = [
    {"u0": 50.0 * torch.ones(32, dtype=torch.float64)},
    {"grid": kt.pde.Grid((64,), 2 * math.pi), "u0": torch.sin(torch.arange(64) * math.pi / 32).double()},
    {"grid": kt.pde.Grid((32,), 2 * math.pi, boundary=kt.pde.Neumann())},
    {"nu": 0.2},
    {"end": 1.5},
]


@pytest.mark.parametrize("changes", OTHER, ids=["box", "grid", "sides", "coefficient", "steps"])
def test_a_fallback_answers_what_the_model_does_not_even_fit(data, changes):
    class OfItsGrid(ExactHeat):
        def transform(self, a, grid):
            raise AssertionError("the model was asked")

    problem, members = inside(data, **changes), [TrainedOperator(OfItsGrid(), data.scope) for _ in range(2)]
    options = {"outside": "fallback", "fallback": kt.ETDRK4()}
    exact = kt.solve(problem, kt.ETDRK4(), rtol=1e-9, atol=1e-10).y1
    for models in (members[0], members):
        answer = kt.solve(problem, Surrogate(models, **options), rtol=1e-9, atol=1e-10)
        torch.testing.assert_close(answer.y1, exact, rtol=1e-6, atol=1e-8)
        assert answer.result == kt.Result.SUCCESS and answer.stats.function_evaluations == 0
        assert (answer.band is None) == (models is members[0])


@pytest.mark.parametrize("outside", ["refuse", "warn", "fallback"])
@pytest.mark.parametrize(
    ("u0", "error", "words"),
    [
        (torch.full((32,), math.nan), ValueError, "u0 must be finite"),
        (torch.tensor([0.0] * 63 + [math.inf]).view(2, 32), ValueError, "u0 must be finite"),
        (torch.zeros(31), ValueError, r"u0 must have the shape \(\.\.\., 32\)"),
        (torch.zeros(0, 32), ValueError, r"at least one sample; its axes of samples are \(0,\)"),
        (torch.zeros(2, 0, 32), ValueError, r"at least one sample; its axes of samples are \(2, 0\)"),
        (torch.zeros(32, dtype=torch.complex64), TypeError, r"reads real fields; got torch\.complex64"),
    ],
    ids=["nan", "infinite", "shape", "empty", "empty axis", "complex"],
)
def test_fields_that_nobody_can_answer_are_refused_whatever_lies_outside(data, outside, u0, error, words):
    for models in (model(data), Ensemble.of([model(data), model(data)])):
        with pytest.raises(error, match=words):
            kt.solve(inside(data, u0=u0), Surrogate(models, outside=outside, fallback=kt.ETDRK4()))


def test_a_coefficient_that_became_no_number_is_outside_of_every_range():
    family = kt.operators.data.darcy(points=8)
    trained = TrainedOperator.for_data(kt.operators.Persistence(1), generate(family, 4, seed=0))
    problem = family.draw(1, seeded())
    problem.equation.coefficient[0, 3, 3] = math.nan  # after it was checked
    with pytest.raises(ValueError, match="coefficient from nan to nan, and in training"):
        kt.solve(problem, Surrogate(trained))
    with pytest.warns(UserWarning, match="coefficient from nan"), pytest.raises(kt.SolveError, match="NON_FINITE"):
        kt.solve(problem, Surrogate(trained, outside="warn"))


def test_other_equations_are_refused(data):
    with pytest.raises(ValueError, match="the equation Burgers, and in training Heat"):
        kt.solve(kt.pde.Burgers(0.1).problem(GRID, data.inputs[0, 0], (0.0, 1.0)), Surrogate(model(data)))
    with pytest.raises(ValueError, match="trained for one that evolves in time; got an equation without time"):
        kt.solve(kt.pde.Poisson().problem(GRID, 0.0), Surrogate(model(data)))
    with pytest.raises(TypeError, match=r"answers problems of kutta\.pde"):
        kt.solve(kt.ODEProblem(lambda t, y: -y, torch.ones(1), (0.0, 1.0)), Surrogate(model(data)))


def test_times_between_steps_are_refused(data):
    with pytest.raises(ValueError, match=r"t_span must be a whole number of steps of 0.25"):
        kt.solve(inside(data, end=0.6), Surrogate(model(data)))
    with pytest.raises(ValueError, match=r"save_at must hold times after whole steps of 0.25"):
        kt.solve(inside(data), Surrogate(model(data)), save_at=[0.3, 1.0])
    for name, value in (("dense", True), ("controller", kt.Fixed(0.1)), ("rtol", 1e-3)):
        with pytest.raises(ValueError, match=f"{name} is not for Surrogate"):
            kt.solve(inside(data), Surrogate(model(data)), **{name: value})


def test_a_fallback_takes_samples_that_are_outside(data):
    u0 = torch.stack([data.inputs[0, 0], 100.0 * data.inputs[0, 0], data.inputs[4, 0]])
    problem, wrong = inside(data, u0=u0), model(data, factor=0.5)
    with torch.no_grad():
        answer = kt.solve(problem, Surrogate(wrong, outside="fallback", fallback=kt.ETDRK4()), rtol=1e-10, atol=1e-11)
    exact = kt.solve(problem, kt.ETDRK4(), rtol=1e-11, atol=1e-12).y1
    assert float((answer.y1 - exact)[1].abs().max() / exact[1].abs().max()) < 1e-8
    torch.testing.assert_close(answer.y1[0], exact[0] / 16.0, rtol=1e-6, atol=1e-9)
    assert [one.name for one in answer.result] == ["SUCCESS"] * 3
    assert "fallback for 1 of 3 samples" in answer.stats.reason


def test_an_ensemble_has_a_band_and_a_fallback_where_it_is_wide(data):
    sure, unsure = (tuple(model(data, 1.0 + s * one) for one in (-1.0, 0.0, 1.0)) for s in (1e-4, 0.05))
    problem = inside(data)
    answer = kt.solve(problem, Surrogate(unsure), save_at="steps")
    assert answer.band.shape == answer.ys.shape and float(answer.band[0].abs().max()) == 0.0
    # 2 standard deviations of (1 - s)^1, 1, (1 + s)^1 are 2 s.
    torch.testing.assert_close(answer.band[1], 0.1 * answer.ys[1].abs(), rtol=1e-9, atol=1e-12)
    exact = kt.solve(problem, kt.ETDRK4(), rtol=1e-10, atol=1e-11).y1
    for members, reason in (
        (sure, "a surrogate answered"),
        (unsure, "a surrogate answered, and its fallback for 1 of 1"),
    ):
        chosen = kt.solve(problem, Surrogate(members, fallback=kt.ETDRK4(), widest=0.05), rtol=1e-10, atol=1e-11)
        assert chosen.stats.reason.startswith(reason)
        assert (float((chosen.y1 - exact).abs().max()) < 1e-8) == (members is unsure)
    assert float(chosen.band.abs().max()) == 0.0


def test_an_ensemble_computed_as_one_answers_as_its_members(data):
    members = [model(data, factor) for factor in (0.95, 1.0, 1.02)]
    one_by_one = kt.solve(inside(data), Surrogate(members), save_at="steps")
    together = kt.solve(inside(data), Surrogate(Ensemble.of(members)), save_at="steps")
    torch.testing.assert_close(together.ys, one_by_one.ys)
    torch.testing.assert_close(together.band, one_by_one.band, rtol=1e-7, atol=1e-12)
    assert together.stats.function_evaluations == one_by_one.stats.function_evaluations == 12
    mixed = kt.solve(inside(data), Surrogate([Ensemble.of(members[:2]), members[2]]), save_at="steps")
    torch.testing.assert_close(mixed.band, one_by_one.band, rtol=1e-7, atol=1e-12)
    # One call makes of the initial state what Ensemble.band says of the networks, with the same divisor.
    said = Ensemble.of(members).band(data.inputs[:1], GRID)
    torch.testing.assert_close(together.ys[1], said.mean[0, 0])
    torch.testing.assert_close(together.band[1], said.width[0, 0], rtol=1e-7, atol=1e-12)


def test_an_ensemble_of_one_has_no_band(data):
    answer = kt.solve(inside(data), Surrogate(Ensemble.of([model(data)])))
    torch.testing.assert_close(answer.y1, kt.solve(inside(data), Surrogate(model(data))).y1)
    assert answer.band is None
    with pytest.raises(ValueError, match="widest looks at the error band"):
        Surrogate(Ensemble.of([model(data)]), widest=0.1, fallback=kt.ETDRK4())


def test_the_states_of_a_single_model_are_not_copied_for_a_mean(data, monkeypatch):
    made = torch.zeros(1, 1, 1, 32)
    monkeypatch.setattr(prediction, "rollout", lambda model, question: made)
    states, band = prediction.predict([model(data)], Question.of(inside(data), model(data), None), None)
    assert states.data_ptr() == made.data_ptr() and band is None


def test_models_of_other_scopes_make_no_ensemble(data):
    other = TrainedOperator(ExactHeat(), replace(data.scope, step=0.5)).double()
    with pytest.raises(ValueError, match=r"same scope; model\[1\] has step 0.5, not 0.25 as model\[0\]"):
        Surrogate([model(data), other])
    finer = TrainedOperator(ExactHeat(), replace(data.scope, grid=kt.pde.Grid((64,), 2.0 * math.pi))).double()
    with pytest.raises(ValueError, match=r"model\[1\] has \(64,\) points, not \(32,\) as model\[0\]"):
        Surrogate([model(data), finer])


def test_gradients_go_through_to_the_initial_state(data):
    u0 = data.inputs[0, 0].clone().requires_grad_()
    kt.solve(inside(data, u0=u0), Surrogate(model(data))).y1.square().sum().backward()
    k = torch.arange(17, dtype=torch.float64)
    exact = 2.0 * torch.fft.irfft(torch.fft.rfft(u0.detach()) * torch.exp(-2.0 * NU * k * k), 32)
    torch.testing.assert_close(u0.grad, exact, rtol=0.0, atol=1e-10)


def test_states_that_become_infinite_are_failures(data):
    problem, bad = inside(data), model(data, factor=math.inf)
    with pytest.raises(kt.SolveError, match="NON_FINITE"):
        kt.solve(problem, Surrogate(bad))
    assert kt.solve(problem, Surrogate(bad), throw=False).result == kt.Result.NON_FINITE


def test_any_operator_answers_and_says_nothing_of_problems(data):
    problem = kt.pde.Heat(NU).problem(GRID, 70.0 * data.inputs[0, 0], (0.0, STEP))
    answer = kt.solve(problem, Surrogate(ExactHeat()))
    torch.testing.assert_close(answer.y1, kt.solve(problem, kt.ETDRK4(), rtol=1e-10).y1, rtol=0.0, atol=1e-6)


def test_steady_equations_take_one_call():
    family = kt.operators.data.darcy(points=16)
    data = generate(family, 6, seed=0)
    trained = TrainedOperator.for_data(kt.operators.MgNO(1, 1, width=4, layers=1, sweeps=(1, 1, 1)), data)
    problem = family.draw(3, seeded(1))
    answer = kt.solve(problem, Surrogate(trained))
    assert answer.y1.shape == (3, 16, 16) and answer.y1.dtype == torch.float64
    by_hand = trained(problem.equation.coefficient[:, None].float(), problem.grid)[:, 0]
    torch.testing.assert_close(answer.y1.float(), by_hand)
    three = kt.pde.Darcy(torch.full((16, 16), 20.0)).problem(problem.grid, 1.0)
    with pytest.raises(ValueError, match="coefficient from 20 to 20, and in training from 3 to 12"):
        kt.solve(three, Surrogate(trained))
    other = kt.pde.Darcy(problem.equation.coefficient.clone()).problem(problem.grid, 1.0)
    other.equation.coefficient[1] = 5.0 * other.equation.coefficient[1]
    mixed = kt.solve(other, Surrogate(trained, outside="fallback", fallback=kt.Multigrid()), rtol=1e-9)
    exact = kt.solve(other, kt.Multigrid(), rtol=1e-9).y1
    torch.testing.assert_close(mixed.y1[1], exact[1], rtol=1e-6, atol=1e-9)
    torch.testing.assert_close(mixed.y1[[0, 2]], answer.y1[[0, 2]])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"outside": "ask"}, "outside must be one of 'refuse', 'warn', 'fallback'; got 'ask'"),
        ({"outside": "fallback"}, "fallback must name a classical method"),
        ({"widest": 0.1, "fallback": kt.ETDRK4()}, "widest looks at the error band"),
    ],
)
def test_options_that_do_not_fit_are_refused(data, options, words):
    with pytest.raises(ValueError, match=words):
        Surrogate(model(data), **options)
    with pytest.raises(TypeError, match=r"model must be a kutta\.operators.TrainedOperator"):
        Surrogate(torch.nn.Linear(2, 2))


def test_calibrated_bands_hold_as_often_as_they_say():
    """Errors of another size at each sample and place: 500 calibrations of 60 samples, each tried on 40 more."""
    generator, held = seeded(), []
    for _ in range(500):
        size = torch.rand(100, 1, 1, generator=generator) + 0.1
        target = size * torch.randn(100, 1, 50, generator=generator)
        u = torch.zeros_like(target)
        found = Calibration.of(u[:60], target[:60], probability=0.8, share=0.9)
        share = ((u - target)[60:].abs() <= found.band(u[60:], None)).float().mean((1, 2))
        held.append((share >= 0.9).float().mean())
    mean = float(torch.stack(held).mean())
    assert 0.79 < mean < 0.84  # between p and p + 1 / (n + 1), to what chance leaves


def test_calibration_of_an_ensemble_follows_its_spread(data):
    members = tuple(model(data, one) for one in (0.98, 1.0, 1.02))
    problem = inside(data)
    plain = kt.solve(problem, Surrogate(members))
    target = 1.2 * data.outputs[3::4]
    spread = 0.1 * target.abs() + 1e-3
    found = Calibration.of(data.outputs[3::4], target, spread, probability=0.9, share=1.0)
    banded = kt.solve(problem, Surrogate(members, calibration=found))
    torch.testing.assert_close(banded.band, found.quantile * plain.band)
    with pytest.raises(ValueError, match=r"a probability of 0\.99 needs at least 99 samples; got 20"):
        Calibration.of(data.outputs[3::4], target, probability=0.99)
