"""Guidance: what weights mean, for all predictions, sample by sample, in intervals, and in one call or two."""

import math
from dataclasses import replace

import pytest
import torch

import kutta as kt
from kutta.solvers.diffusion.guidance.cfg import Unguided
from kutta.solvers.diffusion.levels.conversions import PREDICTIONS
from kutta.solvers.diffusion.levels.grids import nodes
from tests.solvers.diffusion.problems import F64, t1

CFG = kt.diffusion.CFG
LEFT = torch.tensor([True, True, False])
ALL = torch.tensor([True, True, True])
SPAN = (t1().problem.schedule, 12, 5.0, 0.05)


def end(prediction="epsilon", **changes):
    """Where 12 steps lead."""
    changes = {"condition": LEFT, **changes}
    return kt.solve(replace(t1(prediction).problem, **changes), kt.DDIM(), steps=12).y1


def test_a_weight_of_one_is_the_conditional_model_and_zero_the_unconditional_one():
    assert torch.allclose(end(guidance=CFG(1.0)), end(), rtol=0, atol=1e-12)
    assert torch.allclose(end(guidance=CFG(0.0)), end(condition=None), rtol=0, atol=1e-12)
    assert not torch.allclose(end(), end(condition=None), atol=1e-2)


def test_a_weight_for_each_sample():
    weights = torch.linspace(0.0, 7.3, 16, dtype=F64)
    together = end(guidance=CFG(weights))
    for sample, weight in enumerate(weights.tolist()):
        alone = end(guidance=CFG(weight), x=t1().problem.x[sample : sample + 1])
        assert torch.allclose(together[sample], alone[0], rtol=0, atol=1e-12)


@pytest.mark.parametrize("guidance", [CFG(5.3), kt.diffusion.CFGPlusPlus(0.6)], ids=["CFG", "CFG++"])
@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_the_statement_is_the_same_for_every_prediction(prediction, guidance):
    assert torch.allclose(end(prediction, guidance=guidance), end(guidance=guidance), rtol=0, atol=1e-10)


def test_an_interval_of_everything_or_of_nothing():
    always, never = (-10.0, 10.0), (10.0, 11.0)
    assert torch.equal(end(guidance=CFG(4.0, interval=always)), end(guidance=CFG(4.0)))
    assert torch.allclose(end(guidance=CFG(4.0, interval=never)), end(), rtol=0, atol=1e-12)


def test_an_interval_is_one_of_signal_to_noise():
    """Two calls of the model, at sigma = 2 and 0.5: one inside, one outside, whether levels are numbers or tensors."""
    problem = t1().problem
    guidance = CFG(torch.full((16,), 4.1, dtype=F64), interval=(0.0, 5.0))
    for sigma, weight in ((2.0, 1.0), (0.5, 4.1)):
        t, log_snr = torch.full((16,), sigma, dtype=F64), -torch.log(torch.tensor(sigma, dtype=F64))
        expected = CFG(weight).outputs(problem.model, problem.x, t, LEFT, None)[0]
        for given in (float(log_snr), log_snr, log_snr.expand(16)):
            found = guidance.outputs(problem.model, problem.x, t, LEFT, given)[0]
            assert torch.allclose(found, expected, rtol=0, atol=1e-13)


def test_rescaling_gives_back_the_spread_of_the_conditional_output():
    model = t1().problem.model
    x, t = t1().problem.x, torch.ones(16, dtype=F64)
    bound, plain = model(x, t, LEFT), CFG(9.0).outputs(model, x, t, LEFT, 0.0)[0]
    whole, half = (CFG(9.0, rescale=share).outputs(model, x, t, LEFT, 0.0)[0] for share in (1.0, 0.5))
    assert torch.allclose(whole.std(1), bound.std(1), rtol=1e-12)
    assert torch.allclose(half, 0.5 * (whole + plain), rtol=1e-12)
    ratio = whole / plain
    assert torch.allclose(ratio[:, :1], ratio[:, 1:]), "each sample by one factor"


class Counted:
    """A model that counts its calls and rows."""

    def __init__(self, model):
        self.model, self.calls, self.rows = model, 0, 0

    def __call__(self, x, t, condition):
        self.calls, self.rows = self.calls + 1, self.rows + len(x)
        return self.model(x, t, condition)


def test_both_halves_in_one_call():
    weights = torch.linspace(0.0, 5.0, 16, dtype=F64)
    found = []
    for evaluate in (kt.diffusion.one_call, kt.diffusion.two_calls):
        model = Counted(t1().problem.model)
        guidance = CFG(weights, null=ALL[None], evaluate=evaluate)
        found.append((end(model=model, guidance=guidance, condition=LEFT.expand(16, 3)), model.calls, model.rows))
    (one, calls, rows), (two, twice, same) = found
    assert torch.allclose(one, two, rtol=0, atol=1e-13)
    assert (calls, twice, rows, same) == (12, 24, 12 * 32, 12 * 32)


@pytest.mark.parametrize("evaluate", [kt.diffusion.one_call, kt.diffusion.two_calls])
def test_without_guidance_the_other_half_is_not_evaluated(evaluate):
    """Outside its interval, and where the weight is one; the condition has the rows that it has inside."""

    def evaluated(sampler=None, condition=LEFT[None], **changes):
        model = Counted(t1().problem.model)
        guidance = CFG(**{"weight": 4.0, "null": ALL[None], "evaluate": evaluate} | changes)
        problem = replace(t1().problem, model=model, guidance=guidance, condition=condition)
        options = {"steps": 12} if sampler is None else {"atol": 1e-3}
        sol = kt.solve(problem, kt.DDIM() if sampler is None else sampler, **options)
        return model.rows / 16, sol.stats.function_evaluations

    assert evaluated(interval=(-10.0, 10.0)) == (24, 12)
    assert evaluated(interval=(10.0, 11.0)) == (12, 12)
    assert evaluated(weight=1.0) == (12, 12)
    inside = sum(0.0 <= log_snr <= 1.5 for log_snr in nodes(kt.diffusion.Rho(), *SPAN).log_snr[:-1].tolist())
    assert 1 < inside < 11 and evaluated(interval=(0.0, 1.5)) == (12 + inside, 12)
    rows, evaluations = evaluated(kt.AdaptiveMultistep(2), interval=(10.0, 11.0))
    assert rows == int(evaluations.max())


def test_one_call_takes_pytrees_of_conditions():
    def model(x, t, condition):
        return x * condition["scale"] + condition["shift"][0]

    x, t = torch.ones(3, 2), torch.ones(3)
    null = {"scale": torch.zeros(1, 1), "shift": (torch.zeros(1, 2),)}
    bound = {"scale": torch.full((3, 1), 2.0), "shift": (torch.arange(6.0).reshape(3, 2),)}
    one, two = (evaluate(model, x, t, null, bound) for evaluate in (kt.diffusion.one_call, kt.diffusion.two_calls))
    assert all(torch.equal(*pair) for pair in zip(one, two, strict=True))


@pytest.mark.parametrize(
    ("null", "condition", "message"),
    [
        (None, LEFT[None], "tensors of 16 rows"),
        (ALL[None], "left", "tensors of 16 rows"),
        (ALL, LEFT, "tensors of 16 rows"),
        (ALL[None], torch.zeros(1, 4, dtype=torch.bool), "of one shape"),
        ((ALL[None],), LEFT[None], "of one structure"),
    ],
)
def test_one_call_refuses_what_cannot_be_put_together(null, condition, message):
    with pytest.raises(ValueError, match=message):
        end(guidance=CFG(2.0, null=null, evaluate=kt.diffusion.one_call), condition=condition)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"weight": float("nan")}, ValueError, "weight must be finite"),
        ({"weight": "strong"}, TypeError, "weight must be a real number"),
        ({"weight": [2.0, 3.0]}, TypeError, "weight must be a real number"),
        ({"weight": True}, TypeError, "weight must be a real number"),
        ({"weight": torch.tensor([True])}, TypeError, "weight must be a real number"),
        ({"weight": 1j}, TypeError, "weight must be a real number"),
        ({"weight": 2.0, "rescale": 1.5}, ValueError, "rescale must be a number from 0 to 1"),
        ({"weight": 2.0, "interval": (1.0, -1.0)}, ValueError, "interval must hold"),
    ],
)
def test_what_cannot_be_meant_is_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        CFG(**arguments)


@pytest.mark.parametrize("kind", [CFG, kt.diffusion.CFGPlusPlus])
@pytest.mark.parametrize(
    ("weight", "match"),
    [
        (torch.ones(3), r"must be a number or a tensor of shape \(16,\); got shape \(3,\)"),
        (torch.ones(16, 1), r"must be a number or a tensor of shape \(16,\); got shape \(16, 1\)"),
        (torch.tensor([1.0] * 15 + [math.inf]), "must be finite"),
    ],
)
def test_weights_that_do_not_fit_the_batch_are_refused_before_the_first_call(kind, weight, match):
    with pytest.raises(ValueError, match=match):
        end(model=lambda *_: pytest.fail("called"), guidance=kind(weight))


@pytest.mark.parametrize("one", [None, LEFT], ids=["none", "the same"])
@pytest.mark.parametrize("kind", [CFG, kt.diffusion.CFGPlusPlus])
@pytest.mark.parametrize("evaluate", [kt.diffusion.one_call, kt.diffusion.two_calls])
def test_guidance_from_a_condition_to_itself_is_refused(kind, one, evaluate):
    guidance = kind(0.5, null=one, evaluate=evaluate)
    with pytest.raises(ValueError, match=r"give the problem condition=\.\.\., and CFG.* by null="):
        end(model=lambda *_: pytest.fail("called"), condition=one, guidance=guidance)


def test_a_weight_of_one_needs_no_null():
    assert torch.equal(end(condition=LEFT, guidance=CFG(1.0, null=LEFT)), end())


def test_guidance_with_tensors_can_be_compared():
    one, other = (CFG(torch.ones(16), null=ALL[None]) for _ in range(2))
    assert one == one and one != other and len({one, other}) == 2


@pytest.mark.parametrize("kind", [CFG, kt.diffusion.CFGPlusPlus])
def test_weights_go_to_the_device_of_the_states_once(kind):
    x = torch.ones(16, 2, device="meta")
    fitted = kind(torch.ones(16)).fitted(x, LEFT)
    found, _ = fitted.outputs(lambda x, t, c: x, x, x[:, 0], LEFT, 0.0)
    assert found.device.type == "meta"
    assert {"CFG": "weight", "CFGPlusPlus": "scale"}[kind.__name__] in vars(fitted)
    assert all(one.device.type == "meta" for one in vars(fitted).values() if isinstance(one, torch.Tensor))


def test_rescaling_needs_more_than_one_number_a_sample():
    schedule = kt.diffusion.EDM()
    problem = kt.DiffusionProblem(
        lambda *_: pytest.fail("called"), schedule, torch.ones(4, 1), condition=1, guidance=CFG(2.0, rescale=0.5)
    )
    with pytest.raises(ValueError, match="two and more numbers a sample"):
        kt.solve(problem, kt.DDIM(), steps=3)


def test_without_guidance_the_model_is_called_as_it_is():
    output = torch.ones(2, 3)
    found = Unguided().outputs(lambda x, t: output, output, torch.ones(2), None, 0.0)
    assert all(one is output for one in found)


def test_a_guidance_of_ones_own():
    class Twice(kt.diffusion.Guidance):
        def outputs(self, model, x, t, condition, log_snr):
            free = model(x, t, None)
            return 2.0 * model(x, t, condition) - free, free

    assert torch.allclose(end(guidance=Twice()), end(guidance=CFG(2.0)), rtol=0, atol=1e-12)
