"""UniPC: what the corrector gains, what the variants differ in, and what it costs."""

import pytest
import torch

import kutta as kt
from kutta.solvers.diffusion.exponential.forms import FORMS
from kutta.solvers.diffusion.exponential.walk import Walk
from kutta.solvers.diffusion.guidance.denoiser import Denoiser
from kutta.solvers.diffusion.levels.grids import Nodes, nodes
from kutta.solvers.diffusion.named.unipc import VARIANTS
from kutta.solvers.diffusion.plans.plan import Draft
from kutta.solvers.diffusion.plans.states import states
from tests.solvers.diffusion.problems import F64, orders, t1

RHO = kt.diffusion.Rho(7)


def local_errors(order, form, h):
    """The errors of one step of size `h` from exact predictions, before and after its correction."""
    case = t1()
    log_snr = 0.3 + h * torch.arange(-order + 1, 2, dtype=F64)
    found = Nodes.at(case.problem.schedule, torch.exp(-log_snr))
    start, *exact = case.exact(found.t)
    draft = Draft(found)
    for n in range(1, order):
        draft.arrive(n, {}, noise=1.0)  # what takes the place of noise is the exact state
    Walk(draft, form, list(range(order))).correct(order)
    noises = iter(exact)
    *_, guess, corrected = states(draft.plan().fixed(), Denoiser(case.problem), start, lambda x: next(noises))
    return [float((one - exact[-1]).abs().mean()) for one in (guess, corrected)]


@pytest.mark.parametrize("prediction", ["data", "noise"])
@pytest.mark.parametrize("variant", ["bh1", "bh2"])
@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_the_corrector_gains_an_order(order, variant, prediction):
    form = VARIANTS[variant](FORMS[prediction])
    guesses, corrected = zip(*(local_errors(order, form, h) for h in (0.02, 0.01)), strict=True)
    assert orders(guesses)[0] == pytest.approx(order + 1, abs=0.2)
    assert orders(corrected)[0] == pytest.approx(order + 2, abs=0.2)


@pytest.mark.parametrize("prediction", ["data", "noise"])
def test_from_three_predictions_on_the_variants_are_the_exact_exponential_rule(prediction):
    found = nodes(RHO, kt.diffusion.VP(), 9, 1.0, 1e-3)
    samplers = kt.UniPC(3, "bh1", prediction), kt.UniPC(3, "bh2", prediction)
    exact = kt.ExponentialMultistep(3, prediction, corrector=True)
    first, second, third = (sampler.plan(found).fixed().moves for sampler in (*samplers, exact))
    # From the fourth step on; two moves a step, and in each step before some rule has two predictions.
    for one, two, three in zip(first[6:], second[6:], third[6:], strict=True):
        weights = [list(move.predictions[prediction].values()) for move in (one, two, three)]
        assert weights[0] == pytest.approx(weights[1], rel=1e-13)
        assert weights[0] == pytest.approx(weights[2], rel=1e-13)
    assert first[2] != second[2]


@pytest.mark.parametrize(("variant", "middle"), [("bh1", 0.5 / 0.6321205588285577), ("bh2", 0.5)])
def test_published_weights_of_two_predictions(variant, middle):
    """With data and ``h = 1``: ``B / 2`` is 1/2, or ``(1 - 1/e) / 2``; here it is divided by ``1 - 1/e``."""
    form = VARIANTS[variant](FORMS["data"])
    assert form.means(torch.tensor(1.0, dtype=F64), 2).tolist() == pytest.approx([1.0, middle], rel=1e-14)


@pytest.mark.parametrize(("order", "expected"), [(1, 2.0), (2, 3.0)])
def test_order_as_a_whole(order, expected):
    assert orders(t1().errors(kt.UniPC(order), (80, 160), grid=RHO))[0] == pytest.approx(expected, abs=0.2)


def test_one_evaluation_a_step_and_no_correction_of_the_last():
    problem = t1().problem
    assert kt.solve(problem, kt.UniPC(3), steps=8).stats.function_evaluations == 8
    plan = kt.UniPC(3).plan(nodes(RHO, problem.schedule, 8, 5.0, 0.05))
    assert len(plan.moves) == 15
    assert plan.evaluated == (0, *range(1, 15, 2))  # the predicted states, not the corrected ones


def test_final_orders():
    found = nodes(RHO, kt.diffusion.VP(), 8, 1.0, 1e-3)
    plan = kt.UniPC(3, final_orders=(2, 1)).plan(found)
    used = [len(move.predictions["data"]) for move in plan.moves]
    assert used[-5:] == [3, 4, 2, 3, 1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"order": 0}, "whole number from 1 to 6"),
        ({"order": 7}, "whole number from 1 to 6"),
        ({"variant": "bh3"}, "variant must be one of bh1, bh2"),
        ({"prediction": "v"}, "prediction must be"),
        ({"final_orders": "21"}, "final_orders"),
    ],
)
def test_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        kt.UniPC(**arguments)
