"""What a model may return: checked before guidance adds it to another output."""

from types import SimpleNamespace

import pytest
import torch

import kutta as kt

D = kt.diffusion
GUIDANCE = {
    "none": None,
    "two calls": D.CFG(2.0, null=torch.zeros(1)),
    "one call": D.CFG(2.0, null=torch.zeros(1), evaluate=D.one_call),
    "weight 1": D.CFG(1.0, null=torch.zeros(1)),
    "CFG++": D.CFGPlusPlus(0.5, null=torch.zeros(1)),
}
METHODS = {"DDIM": kt.DDIM(), "Tsit5": kt.Tsit5(), "AdaptiveMultistep": kt.AdaptiveMultistep(2)}
PAIRS = [  # CFG++ belongs to a grid
    pytest.param(method, guidance, id=f"{name}-{kind}")
    for name, method in METHODS.items()
    for kind, guidance in GUIDANCE.items()
    if kind != "CFG++" or name == "DDIM"
]


def sampled(output, guidance, method):
    """A sample of a model whose outputs are changed."""
    problem = kt.DiffusionProblem(
        lambda x, t, *condition: output(0.1 * x),
        D.VP(),
        torch.ones(2, 4),
        guidance=guidance,
        condition=None if guidance is None else torch.ones(1),
    )
    return kt.solve(
        problem, method, **({"steps": 2} if type(method) not in (kt.Tsit5, kt.AdaptiveMultistep) else {})
    ).y1


@pytest.mark.parametrize(("method", "guidance"), PAIRS)
@pytest.mark.parametrize(
    ("output", "error", "match"),
    [
        (lambda y: SimpleNamespace(sample=y), TypeError, "got SimpleNamespace: give .* and returns output.sample"),
        (lambda y: (y, y), TypeError, "got tuple: give .* and returns the prediction alone"),
        (lambda y: None, TypeError, "got NoneType"),
        (lambda y: y[:1], ValueError, r"of the shape of its x, \((2|4), 4\); got shape \(1, 4\)"),
        (lambda y: y[..., :1], ValueError, r"got shape \((2|4), 1\)"),
        (lambda y: y.mean(), ValueError, r"got shape \(\)"),
        (lambda y: y.repeat(1, 2), ValueError, r"got shape \((2|4), 8\)"),
        (lambda y: y.long(), TypeError, "real floating-point numbers such as torch.float32; got torch.int64"),
        (lambda y: y.to(torch.complex64), TypeError, "got torch.complex64"),
        (lambda y: y.to("meta"), ValueError, "on its device, cpu; got meta: move the model"),
    ],
    ids=["sample", "tuple", "nothing", "rows", "columns", "mean", "channels", "whole", "complex", "device"],
)
def test_outputs_that_are_no_predictions(output, error, match, guidance, method):
    with pytest.raises(error, match="the model must return a tensor.*" + match):
        sampled(output, guidance, method)


@pytest.mark.parametrize("guidance", GUIDANCE.values(), ids=GUIDANCE)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_other_dtypes_of_outputs_are_converted(dtype, guidance):
    found, plain = (sampled(one, guidance, kt.DDIM()) for one in (lambda y: y.to(dtype), lambda y: y))
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, plain, rtol=0.1, atol=0.1)


def test_only_one_of_two_outputs_is_wrong():
    """The one with a condition has a column, which would spread to all of them."""
    problem = kt.DiffusionProblem(
        lambda x, t, wanted: x[..., :1] if wanted else x,
        D.VP(),
        torch.ones(2, 4),
        guidance=D.CFG(2.0, null=False),
        condition=True,
    )
    with pytest.raises(ValueError, match=r"got shape \(2, 1\)"):
        kt.solve(problem, kt.DDIM(), steps=2)


def test_predictions_without_guidance():
    """They are made where a plan uses them, whatever the weight, and refused where guidance has none."""

    class Free(D.Sampler):
        def plan(self, nodes):
            draft = D.Draft(nodes)
            for node in range(1, nodes.steps + 1):
                draft.arrive(node, {}, {"free data": {node - 1: nodes.alpha[node]}})
            return draft.plan()

    assert torch.isfinite(sampled(lambda y: y, GUIDANCE["two calls"], Free())).all()
    assert torch.isfinite(sampled(lambda y: y, GUIDANCE["weight 1"], Free())).all()

    class Bound(D.Guidance):
        def outputs(self, model, x, t, condition, log_snr):
            return model(x, t, condition), None

    with pytest.raises(NotImplementedError, match="uses outputs without guidance, and Bound tells none"):
        sampled(lambda y: y, Bound(), Free())


def test_guidance_of_ones_own_keeps_the_shape():
    class Mean(D.Guidance):
        def outputs(self, model, x, t, condition, log_snr):
            return model(x, t).mean(), None

    with pytest.raises(ValueError, match=r"guidance must keep the shape of x, \(2, 4\); got \(\)"):
        sampled(lambda y: y, Mean(), kt.DDIM())
