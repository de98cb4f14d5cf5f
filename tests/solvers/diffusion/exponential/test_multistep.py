"""Exponential multistep methods: orders, what is exact, edges, dtypes, and wrong input."""

import math
from dataclasses import replace
from functools import cache

import pytest
import torch

import kutta as kt
from kutta.solvers.diffusion.levels.grids import nodes
from tests.solvers.diffusion.exact_starts import errors_with_exact_starts, with_exact_starts
from tests.solvers.diffusion.problems import F64, orders, t1

GRIDS = [kt.diffusion.Rho(7), kt.diffusion.UniformLogSNR()]


@pytest.mark.parametrize("grid", GRIDS, ids=str)
@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_order_with_exact_starts(order, grid):
    errors = errors_with_exact_starts(t1(), kt.ExponentialMultistep(order), order - 1, grid, [320, 640])
    assert orders(errors) == pytest.approx([order], abs=0.15)


@pytest.mark.parametrize("order", [2, 3, 4])
def test_order_with_exact_starts_in_noise_form(order):
    sampler = kt.ExponentialMultistep(order, "noise")
    errors = errors_with_exact_starts(t1(), sampler, order - 1, GRIDS[0], [320, 640])
    assert orders(errors) == pytest.approx([order], abs=0.15)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("order", "published"), [(3, [3.40, 3.34, 3.21, 3.12, 3.07]), (4, [3.17, 3.58, 3.87, 3.96, 3.98])]
)
def test_orders_from_twenty_steps_on(order, published):
    steps = [20, 40, 80, 160, 320, 640]
    errors = errors_with_exact_starts(t1(), kt.ExponentialMultistep(order), order - 1, GRIDS[0], steps)
    assert orders(errors) == pytest.approx(published, abs=0.02)


@pytest.mark.parametrize("grid", GRIDS, ids=str)
@pytest.mark.parametrize("order", [2, 3, 4])
def test_the_usual_ramp_has_order_two(order, grid):
    assert orders(t1().errors(kt.ExponentialMultistep(order), [320, 640], grid=grid)) == pytest.approx([2], abs=0.1)


def test_the_corrector_adds_an_order():
    sampler = kt.ExponentialMultistep(2, corrector=True)
    errors = errors_with_exact_starts(t1(), sampler, 2, GRIDS[0], [160, 320])
    assert orders(errors) == pytest.approx([3], abs=0.15)


@pytest.mark.parametrize("corrector", [False, True])
def test_one_evaluation_a_step(corrector):
    case = t1()
    sol = kt.solve(case.problem, kt.ExponentialMultistep(3, corrector=corrector), steps=12)
    assert sol.stats.function_evaluations == 12


def test_first_order_is_ddim_and_euler_in_every_form():
    """In the data, in the noise, and Euler's method in ``d(x / alpha) / d(sigma / alpha) = e``."""
    case, teacher = t1(), t1().teacher
    found = nodes(GRIDS[0], case.problem.schedule, 10, 5.0, 0.05)
    y = case.problem.x
    for kappa, following in zip(found.kappa.tolist(), found.kappa.tolist()[1:], strict=False):
        y = y + (following - kappa) * teacher.noise(y, 1.0, kappa)
    for sampler in (kt.DDIM(), kt.ExponentialMultistep(1, "data"), kt.ExponentialMultistep(1, "noise")):
        torch.testing.assert_close(case.solve(sampler, 10, grid=GRIDS[0]), y, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("prediction", ["epsilon", "data", "v", "score"])
@pytest.mark.parametrize("form", ["data", "noise"])
def test_what_the_model_predicts_does_not_matter(prediction, form):
    sampler = kt.ExponentialMultistep(3, form)
    found = t1(prediction).solve(sampler, 10)
    torch.testing.assert_close(found, t1().solve(sampler, 10), rtol=1e-11, atol=1e-11)


def lengths(sampler, steps):
    """How many predictions each step uses."""
    found = nodes(GRIDS[0], t1().problem.schedule, steps, 5.0, 0.05)
    return [len(move.predictions["data"]) for move in sampler.plan(found).moves]


@pytest.mark.parametrize(
    ("final_orders", "steps", "expected"),
    [
        ((), 5, [1, 2, 3, 3, 3]),
        ((2, 1), 6, [1, 2, 3, 3, 2, 1]),
        ((4, 1), 5, [1, 2, 3, 3, 1]),
        ((3, 2, 2, 1), 2, [1, 1]),
        (kt.diffusion.LowerOrderFinal(), 5, [1, 2, 3, 2, 1]),
        (kt.diffusion.LowerOrderFinal(), 15, [1, 2, *[3] * 13]),
        (kt.diffusion.EulerAtFinal(), 16, [1, 2, *[3] * 13, 1]),
    ],
    ids=str,
)
def test_final_orders(final_orders, steps, expected):
    assert lengths(kt.ExponentialMultistep(3, final_orders=final_orders), steps) == expected


EVERY = [
    kt.ExponentialMultistep(3),
    kt.ExponentialMultistep(3, "noise", corrector=True),
    kt.ExponentialMultistep(4, starter=kt.diffusion.SinglestepStart()),
    kt.ExponentialMultistep(4, "noise", starter=kt.diffusion.GradedStart()),
    kt.ExponentialMultistep(3, starter=kt.diffusion.CorrectedRamp()),
    kt.diffusion.Singlestep(3),
    kt.diffusion.Singlestep(4, "noise"),
    kt.DPMSolver(3),
    kt.DPMSolverPP(2),
    kt.DPMSolverPP(3, "heun"),
    kt.DPMSolverPP(2, eta=1.0),
    kt.diffusion.DPMSolverSinglestep(3),
    kt.diffusion.DPMSolverSinglestep(3, "noise", "heun"),
]


@pytest.mark.parametrize("sampler", EVERY, ids=str)
@pytest.mark.parametrize("steps", [1, 2, 3, 7])
def test_data_of_one_value_are_found_at_once(sampler, steps):
    """A constant prediction is integrated exactly: of the data here, and the noise that belongs to it is 0 there."""
    schedule = kt.diffusion.RectifiedFlow()
    x = torch.randn(4, 3, dtype=F64, generator=torch.Generator().manual_seed(0))
    problem = kt.DiffusionProblem(lambda x, t: torch.full_like(x, 2.0), schedule, x, prediction="data")
    torch.testing.assert_close(kt.solve(problem, sampler, steps=steps).y1, torch.full_like(x, 2.0), rtol=1e-12, atol=0)


@cache
def straight():
    """A rectified flow, and where a fine grid leads."""
    schedule = kt.diffusion.RectifiedFlow()
    x = torch.randn(16, 2, dtype=F64, generator=torch.Generator().manual_seed(0))
    problem = kt.DiffusionProblem(t1().teacher.model(schedule, "flow"), schedule, x, prediction="flow")
    return problem, kt.solve(problem, kt.DDIM(), steps=1000).y1


@pytest.mark.parametrize("sampler", [one for one in EVERY if not getattr(one, "eta", 0.0)], ids=str)
def test_no_data_at_the_start_and_no_noise_at_the_end(sampler):
    """Both ends infinitely far: no NaN, and close to where a fine grid leads."""
    problem, fine = straight()
    found = kt.solve(problem, sampler, steps=60).y1
    assert float((found - fine).abs().mean()) < 0.02


@pytest.mark.parametrize("sampler", EVERY, ids=str)
def test_the_middle_of_a_schedule_is_a_start_like_any_other(sampler):
    schedule = kt.diffusion.VP()
    teacher = t1().teacher
    x = torch.randn(4, 2, dtype=F64, generator=torch.Generator().manual_seed(0))
    problem = kt.DiffusionProblem(teacher.model(schedule), schedule, x, t_span=(0.4, 1e-3))
    assert bool(torch.isfinite(kt.solve(problem, sampler, steps=5).y1).all())


@pytest.mark.parametrize("sampler", EVERY, ids=str)
def test_float32(sampler):
    case = t1()
    single = replace(case.problem, x=case.problem.x.float())
    draws = {"generator": torch.Generator().manual_seed(0)} if getattr(sampler, "eta", 0.0) else {}
    found = kt.solve(single, sampler, steps=10, **draws).y1
    assert found.dtype == torch.float32
    if not draws:
        torch.testing.assert_close(found.double(), case.solve(sampler, 10), rtol=0, atol=2e-5)


@pytest.mark.parametrize("sampler", EVERY, ids=str)
def test_a_sample_does_not_depend_on_its_batch(sampler):
    case = t1()
    x = case.problem.x

    def solve(rows):
        seeds = [torch.Generator().manual_seed(row) for row in rows]
        draws = {"generator": seeds} if getattr(sampler, "eta", 0.0) else {}
        return kt.solve(replace(case.problem, x=x[rows]), sampler, steps=6, **draws).y1

    together = solve([0, 1, 2])
    for row in range(3):
        torch.testing.assert_close(solve([row])[0], together[row], rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("sampler", EVERY, ids=str)
def test_gradients_of_a_plan_with_respect_to_the_nodes(sampler):
    """Of the weights of all moves, against differences."""
    schedule = kt.diffusion.VP()

    def every_weight(t):
        plan = sampler.plan(kt.diffusion.Nodes.at(schedule, t))
        moves = [
            [*move.states.values(), *(w for terms in move.predictions.values() for w in terms.values())]
            for move in plan.moves
        ]
        return torch.stack([weight for move in moves for weight in move])

    t = torch.tensor([1.0, 0.83, 0.61, 0.4, 0.22, 0.1], dtype=F64, requires_grad=True)
    assert torch.autograd.gradcheck(every_weight, (t,), eps=1e-6, rtol=1e-5, atol=1e-6, fast_mode=True)


def test_exact_starts_are_used():
    """What the tests of order rest on: a wrong start shows."""
    case, sampler = t1(), kt.ExponentialMultistep(2)
    right = case.error(with_exact_starts(case, sampler, 1, GRIDS[0], 40))
    assert case.error(case.solve(sampler, 40, grid=GRIDS[0])) != pytest.approx(right, rel=1e-3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"order": 0}, "order must be a whole number from 1 to 9"),
        ({"order": 10}, "order must be a whole number from 1 to 9"),
        ({"order": 2.0}, "order must be a whole number"),
        ({"order": True}, "order must be a whole number"),
        ({"order": 6, "starter": kt.diffusion.SinglestepStart()}, r"from 1 to 5 with SinglestepStart\(\)"),
        ({"prediction": "epsilon"}, 'prediction must be "data" or "noise"'),
        ({"final_orders": 1}, "final_orders must be positive whole numbers"),
        ({"final_orders": (0,)}, "final_orders must be positive whole numbers"),
        ({"final_orders": (2, True)}, "final_orders must be positive whole numbers"),
        ({"final_orders": "21"}, "final_orders must be positive whole numbers"),
    ],
)
def test_wrong_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        kt.ExponentialMultistep(**arguments)


def test_a_starter_that_is_none_is_refused():
    with pytest.raises(TypeError, match=r"starter must be such as kutta.diffusion.Ramp\(\); got 'ramp'"):
        kt.ExponentialMultistep(3, starter="ramp")


def test_models_that_return_what_is_not_finite_are_told_of():
    problem = replace(t1().problem, model=lambda x, t: x * math.nan)
    with pytest.raises(kt.SolveError):
        kt.solve(problem, kt.ExponentialMultistep(3), steps=4)
