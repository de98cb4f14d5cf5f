"""Configurations and the times that follow from them."""

import inspect
import json
import math

import diffusers
import numpy as np
import pytest
import torch
from diffusers.schedulers.scheduling_utils import AysSchedules, KarrasDiffusionSchedulers

import kutta as kt
from kutta.compat import diffusers as faces
from kutta.compat.diffusers.configuration import configured
from tests.compat.diffusers._schedulers import BETAS, F64, KINDS, STEPS, TIMES, loop, make, normal, wave

PICTURE = normal(2, 4, 8, 8, dtype=torch.float32)
# Without one that needs torchsde, and one of another noise.
OTHERS = ("DPMSolverSDEScheduler", "EDMEulerScheduler")
SIBLINGS = [one.name for one in KarrasDiffusionSchedulers if one.name not in OTHERS]
OF_DISTILLED = ("LCMScheduler", "TCDScheduler")  # their times are those of the distillation


def both(ours=faces.GHVBScheduler, **options):
    """A scheduler of diffusers and one of ours with its configuration."""
    theirs = diffusers.DPMSolverMultistepScheduler(**options)
    return theirs, ours.from_config(theirs.config)


# --------------------------------------------------------------------------------------------- configurations


@pytest.mark.parametrize("kind", KINDS)
def test_saved_and_loaded(kind, tmp_path):
    scheduler = make(kind, trained_betas=np.linspace(0.001, 0.02, 1000))
    scheduler.save_pretrained(tmp_path)
    record = json.loads((tmp_path / "scheduler_config.json").read_text())
    assert record["_class_name"] == type(scheduler).__name__
    loaded = type(scheduler).from_pretrained(tmp_path)
    assert torch.equal(loaded.betas, scheduler.betas)
    for one in (scheduler, loaded):
        one.set_timesteps(STEPS)
    assert torch.equal(loop(scheduler, wave, PICTURE), loop(loaded, wave, PICTURE))


@pytest.mark.parametrize("sibling", [*SIBLINGS, "LCMScheduler", "TCDScheduler"])
def test_from_the_configuration_of_a_sibling(sibling):
    kind = getattr(diffusers, sibling)
    spaced = "timestep_spacing" in inspect.signature(kind.__init__).parameters
    theirs = kind(**({"timestep_spacing": "trailing"} if spaced else {}))
    ours = faces.ExponentialMultistepScheduler.from_config(theirs.config, solver_order=3)
    assert ours.config.solver_order == 3
    ours.set_timesteps(5)
    left = theirs.alphas_cumprod[ours.timesteps].double()
    assert torch.allclose(ours.sigmas[:-1].double(), ((1.0 - left) / left).sqrt(), rtol=2e-3)  # theirs in float32
    if spaced and sibling not in OF_DISTILLED:
        theirs.set_timesteps(5)
        assert set(ours.timesteps.tolist()) <= set(theirs.timesteps.round().int().tolist())
    assert torch.isfinite(loop(ours, wave, PICTURE)).all()
    back = kind.from_config(ours.config)
    assert type(back) is kind and torch.equal(back.betas, theirs.betas)


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("EDMDPMSolverMultistepScheduler", {}, "sigma_data=0.5"),
        ("EDMEulerScheduler", {}, "sigma_data=0.5"),
        ("ScoreSdeVeScheduler", {}, "sigma_min=0.01"),
        ("CMStochasticIterativeScheduler", {}, "sigma_data=0.5"),
        ("SCMScheduler", {}, "sigma_data=0.5"),
        ("ConsistencyDecoderScheduler", {}, "sigma_data=0.5"),
        ("CogVideoXDDIMScheduler", {}, "snr_shift_scale=3.0"),
        ("EulerDiscreteScheduler", {"timestep_type": "continuous"}, "timestep_type='continuous'"),
        ("EulerDiscreteScheduler", {"use_karras_sigmas": True, "sigma_max": 5.0}, "sigma_max=5.0"),
        ("FlowMatchEulerDiscreteScheduler", {"invert_sigmas": True}, "invert_sigmas=True"),
        ("FlowMatchEulerDiscreteScheduler", {"stochastic_sampling": True}, "stochastic_sampling=True"),
    ],
)
def test_configurations_of_another_noise(kind, options, message):
    found = getattr(diffusers.schedulers, kind, None)
    if found is None:
        pytest.skip(f"this version of diffusers has no {kind}")
    with pytest.raises(NotImplementedError, match=message):
        faces.GHVBScheduler.from_config(found(**options).config)


def test_configurations_that_say_nothing_of_the_noise():
    of_another = {"num_train_timesteps": 1000, "eta": 1.0, "s_noise": 1.0}  # LTXEulerAncestralRFScheduler
    for config in (diffusers.IPNDMScheduler().config, of_another, {}):
        with pytest.raises(ValueError, match="must say with which noise the model was trained"):
            faces.GHVBScheduler.from_config(config)
    assert faces.GHVBScheduler.from_config(of_another, beta_schedule="scaled_linear").config.beta_end == 0.02


@pytest.mark.parametrize("make_one", [lambda: faces.GHVBScheduler(4, 0.8), lambda: make("GHVB", solver_order=4)])
def test_from_ones_own_configuration(make_one):
    one = make_one()
    same = faces.GHVBScheduler.from_config(one.config)
    names = ("solver_order", "damping", "coefficients", "beta_schedule", "beta_end", "final_sigmas_type")
    assert [same.config[name] for name in names] == [one.config[name] for name in names]
    assert same.method == one.method


def test_from_a_configuration_with_an_option_set_later():
    one = faces.GHVBScheduler()
    one.register_to_config(timestep_spacing="trailing", solver_order=2)
    same = faces.GHVBScheduler.from_config(one.config)
    assert (same.config.timestep_spacing, same.config.solver_order) == ("trailing", 2)
    other = diffusers.DPMSolverMultistepScheduler.from_config(one.config)
    assert (other.config.timestep_spacing, other.config.solver_order) == ("trailing", 2)


def test_calibration_goes_with_the_configuration():
    one = faces.AdaptiveScheduler(**BETAS)
    steps = one.calibrate(Recorded(one), normal(16, 2), atol=1e-1)
    same = faces.AdaptiveScheduler.from_config(one.config)
    assert same.config.calibrated_times == one.config.calibrated_times
    same.set_timesteps(steps)


def test_given_options_are_kept_and_others_are_the_defaults():
    theirs = diffusers.DDIMScheduler(beta_schedule="scaled_linear", prediction_type="v_prediction")
    ours = faces.GHVBScheduler.from_config(theirs.config)
    assert (ours.config.beta_schedule, ours.config.prediction_type) == ("scaled_linear", "v_prediction")
    assert ours.config.timestep_spacing == "linspace"  # DDIM's default was not asked for
    assert faces.GHVBScheduler.from_config({**ours.config, "colour": "red"}).config.beta_schedule == "scaled_linear"


def test_from_a_scheduler_of_flows():
    theirs = diffusers.FlowMatchEulerDiscreteScheduler(shift=3.0)
    ours = faces.ExponentialMultistepScheduler.from_config(theirs.config, solver_order=1)
    sigmas = np.linspace(1.0, 1.0 / 7, 7).tolist()
    theirs.set_timesteps(sigmas=sigmas)
    ours.set_timesteps(sigmas=sigmas)
    assert torch.allclose(ours.timesteps, theirs.timesteps) and torch.allclose(ours.sigmas, theirs.sigmas)
    assert torch.allclose(loop(ours, wave, PICTURE), loop(theirs, wave, PICTURE), atol=1e-5)


@pytest.mark.parametrize("rule", [None, "use_karras_sigmas", "use_exponential_sigmas", "use_beta_sigmas"])
@pytest.mark.parametrize("terminal", [None, 0.1])
@pytest.mark.parametrize(
    "shift",
    [
        {"shift": 1.0},
        {"shift": 3.0},
        {"shift": 3.0, "use_dynamic_shifting": True},
        {"use_dynamic_shifting": True, "time_shift_type": "linear"},
    ],
)
def test_times_of_a_flow_as_diffusers_takes_them(shift, terminal, rule):
    options = {**shift, "shift_terminal": terminal, **({rule: True} if rule else {})}
    theirs = diffusers.FlowMatchEulerDiscreteScheduler(**options)
    ours = faces.GHVBScheduler.from_config(theirs.config)
    mu = {"mu": 0.8} if "use_dynamic_shifting" in shift else {}
    for steps in (2, 5, 28):
        for scheduler in (ours, theirs):
            scheduler.set_timesteps(steps, **mu)
        assert torch.allclose(ours.sigmas, theirs.sigmas, atol=1e-6)
        assert torch.allclose(ours.timesteps.float(), theirs.timesteps, atol=1e-3)
    ours.set_timesteps(1, **mu)
    assert ours.sigmas.tolist() == [1.0, 0.0]
    ours = faces.GHVBScheduler.from_config(ours.config, final_sigmas_type="sigma_min")
    ours.set_timesteps(5, **mu)
    assert len(ours.timesteps) == 5 and 0.0 < float(ours.sigmas[-1]) < 0.02
    assert torch.isfinite(loop(ours, wave, PICTURE)).all()


def test_another_spacing_for_the_times_of_a_flow():
    theirs = diffusers.FlowMatchEulerDiscreteScheduler(shift=1.0).config
    ours = faces.GHVBScheduler.from_config(theirs)
    assert ours.config.flow_spacing == "inclusive"
    for config in (theirs, ours.config):
        ours = faces.GHVBScheduler.from_config(config, timestep_spacing="trailing")
        ours.set_timesteps(5)
        assert ours.timesteps.tolist() == pytest.approx([1000, 800, 600, 400, 200])
    diffusers.FlowMatchEulerDiscreteScheduler.from_config(ours.config)


@pytest.mark.parametrize("kind", ["exponential", "linear"])
@pytest.mark.parametrize("terminal", [None, 0.1])
def test_dynamic_shift_and_terminal_of_flows(kind, terminal):
    options = {"use_dynamic_shifting": True, "time_shift_type": kind, "shift_terminal": terminal}
    theirs = diffusers.FlowMatchEulerDiscreteScheduler(**options)
    ours = faces.GHVBScheduler.from_config(theirs.config)
    sigmas = np.linspace(1.0, 1.0 / 7, 7).tolist()
    for scheduler in (ours, theirs):
        scheduler.set_timesteps(sigmas=sigmas, mu=0.8)
    assert torch.allclose(ours.sigmas, theirs.sigmas, atol=1e-6)
    with pytest.raises(ValueError, match="mu must be given"):
        ours.set_timesteps(5)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"prediction_type": "score"}, ValueError, "prediction_type must be one of epsilon, sample"),
        ({"timestep_spacing": "even"}, ValueError, "timestep_spacing must be one of linspace"),
        ({"final_sigmas_type": "one"}, ValueError, "final_sigmas_type must be one of zero"),
        ({"beta_schedule": "quadratic"}, NotImplementedError, "beta_schedule must be"),
        ({"use_karras_sigmas": True, "use_beta_sigmas": True}, ValueError, "only one rule for sigmas"),
        ({"shift_terminal": 0.1}, ValueError, "needs use_flow_sigmas=True"),
        ({"use_dynamic_shifting": True}, ValueError, "needs use_flow_sigmas=True"),
        ({"use_flow_sigmas": True, "flow_shift": 0.0}, ValueError, "flow_shift must be a positive number"),
        ({"use_flow_sigmas": True, "flow_shift": "3"}, ValueError, "flow_shift must be a positive number; got '3'"),
        ({"flow_spacing": "inclusive"}, ValueError, "needs use_flow_sigmas=True"),
        ({"use_flow_sigmas": True, "flow_spacing": "even"}, ValueError, "flow_spacing must be one of None, inclusive"),
        ({"dynamic_thresholding_ratio": 1.5}, ValueError, "dynamic_thresholding_ratio must lie between 0 and 1"),
        ({"sample_max_value": 0.0}, ValueError, "sample_max_value must be a positive number"),
        ({"solver_order": 9}, ValueError, "order must be"),
        ({"damping": 0.0}, ValueError, "beta must be"),
        ({"colour": "red"}, TypeError, "colour"),
    ],
)
def test_options_that_do_not_fit(options, error, message):
    with pytest.raises(error, match=message):
        faces.GHVBScheduler(**options)


def test_the_classes_own_options():
    with pytest.raises(ValueError, match="starter must be one of ramp"):
        faces.ExponentialMultistepScheduler(starter="push")
    with pytest.raises(ValueError, match="solver_schedule must be given"):
        faces.SearchedScheduler()
    with pytest.raises(ValueError, match="order must be"):
        faces.AdaptiveScheduler(solver_order=7)


# ------------------------------------------------------------------------------------------------------ times


@pytest.mark.parametrize("steps", [1, 2, 3, 7, 10, 25, 28, 50, 100, 333, 999])
@pytest.mark.parametrize("spacing", ["linspace", "leading", "trailing"])
def test_training_steps_as_diffusers_takes_them(spacing, steps):
    theirs, ours = both(timestep_spacing=spacing, steps_offset=1 if spacing == "leading" else 0)
    for scheduler in (ours, theirs):
        scheduler.set_timesteps(steps)
    assert ours.timesteps.dtype == torch.int64
    assert ours.timesteps.tolist() == list(dict.fromkeys(theirs.timesteps.clamp(max=999).tolist()))
    assert ours.num_inference_steps == len(ours.timesteps)


@pytest.mark.parametrize("spacing", ["linspace", "leading", "trailing"])
@pytest.mark.parametrize("final", ["zero", "sigma_min"])
def test_more_steps_than_there_are(spacing, final):
    _, ours = both(timestep_spacing=spacing, final_sigmas_type=final, num_train_timesteps=20)
    for steps in (19, 20, 21, 50):
        ours.set_timesteps(steps)
        assert len(ours.timesteps) == ours.num_inference_steps == len(ours.sigmas) - 1 <= 20
        assert bool((torch.diff(ours.timesteps) < 0).all()) and bool((torch.diff(ours.sigmas) < 0).all())
        assert torch.isfinite(loop(ours, wave, PICTURE)).all()


@pytest.mark.parametrize("spacing", ["linspace", "leading", "trailing"])
@pytest.mark.parametrize("steps", [1, 7, 19, 20, 21])
def test_training_steps_of_a_flow(spacing, steps):
    scheduler = make(
        "GHVB",
        use_flow_sigmas=True,
        prediction_type="flow_prediction",
        timestep_spacing=spacing,
        steps_offset=1,
        num_train_timesteps=20,
    )
    ratio = max(20 // (steps + 1), 1)
    spaced = {
        "linspace": [1.0 - 0.95 * k / steps for k in range(steps)],
        "leading": [min(0.1 + ratio * k / 20, 1.0) for k in range(steps, 0, -1)],
        "trailing": [1.0 - k / steps for k in range(steps)],
    }[spacing]
    scheduler.set_timesteps(steps)
    expected = torch.tensor(list(dict.fromkeys(t for t in spaced if t > 0.05)))
    assert torch.allclose(scheduler.timesteps / 20, expected)
    assert torch.isfinite(loop(scheduler, wave, PICTURE)).all()


@pytest.mark.parametrize("rule", ["use_karras_sigmas", "use_exponential_sigmas", "use_beta_sigmas"])
def test_rules_for_sigma_as_diffusers_has_them(rule):
    theirs, ours = both(beta_schedule="scaled_linear", **{rule: True})
    for scheduler in (ours, theirs):
        scheduler.set_timesteps(10)
    assert torch.allclose(ours.sigmas, theirs.sigmas, rtol=1e-4)
    assert bool(((ours.timesteps - theirs.timesteps).abs() <= 1.01).all())  # theirs are made whole numbers
    ours = faces.GHVBScheduler.from_config(ours.config, final_sigmas_type="sigma_min")
    ours.set_timesteps(10)
    assert len(ours.timesteps) == 10 and float(ours.sigmas[-1]) == pytest.approx(float(theirs.sigmas[-2]), rel=1e-4)


@pytest.mark.parametrize("rule", ["use_karras_sigmas", "use_exponential_sigmas", "use_beta_sigmas"])
@pytest.mark.parametrize("final", ["zero", "sigma_min"])
def test_rules_for_flows(rule, final):
    scheduler = make(
        "GHVB", use_flow_sigmas=True, prediction_type="flow_prediction", final_sigmas_type=final, **{rule: True}
    )
    for steps in (1, 6):
        scheduler.set_timesteps(steps)
        assert len(scheduler.timesteps) == steps and float(scheduler.sigmas[0]) == 1.0
        assert bool((torch.diff(scheduler.sigmas) < 0).all())
        assert float(scheduler.sigmas[-1]) == pytest.approx(0.0 if final == "zero" else 0.001)
        assert torch.isfinite(loop(scheduler, wave, PICTURE)).all()


@pytest.mark.parametrize("beta_schedule", ["linear", "scaled_linear", "squaredcos_cap_v2"])
@pytest.mark.parametrize("rescale", [False, True])
def test_betas_as_diffusers_has_them(beta_schedule, rescale):
    theirs, ours = both(beta_schedule=beta_schedule, rescale_betas_zero_snr=rescale)
    assert rescale or torch.allclose(ours.betas, theirs.betas, rtol=1e-3, atol=1e-6)
    assert torch.allclose(ours.alphas_cumprod, theirs.alphas_cumprod, rtol=2e-3, atol=1e-7)  # theirs in float32
    ours.set_timesteps(6)
    assert torch.isfinite(ours.sigmas).all() and torch.isfinite(loop(ours, wave, PICTURE)).all()


def test_times_on_another_device_and_of_no_steps():
    scheduler = make("GHVB")
    assert len(scheduler) == len(scheduler.timesteps) == 1000 and scheduler.init_noise_sigma == 1.0
    scheduler.set_timesteps(STEPS, device="meta")
    assert scheduler.timesteps.device.type == "meta" and scheduler.sigmas.device.type == "cpu"
    assert torch.isfinite(scheduler.step(PICTURE, scheduler.timesteps[0], PICTURE).prev_sample).all()
    for steps in (0, -1, 2.5, True, "ten"):
        with pytest.raises(ValueError, match="num_inference_steps must be a positive whole number"):
            scheduler.set_timesteps(steps)


@pytest.mark.parametrize("kind", ["GHVB", "heavy ball", "exponential", "adaptive"])
def test_given_timesteps(kind):
    scheduler, same = make(kind), make(kind)
    scheduler.set_timesteps(timesteps=TIMES[:-1])
    expected = loop(scheduler, wave, PICTURE)
    for times in (torch.tensor(TIMES[:-1]), torch.tensor(TIMES[:-1]).int(), np.array(TIMES[:-1])):
        same.set_timesteps(timesteps=times)
        assert same.timesteps.tolist() == TIMES[:-1] and same.num_inference_steps == STEPS
        assert torch.equal(loop(same, wave, PICTURE), expected)


def test_given_sigmas():
    scheduler = make("GHVB", final_sigmas_type="zero")
    ladder = AysSchedules["StableDiffusionSigmas"]
    scheduler.set_timesteps(sigmas=ladder)
    assert torch.allclose(scheduler.sigmas, torch.tensor(ladder), rtol=1e-4)
    scheduler.set_timesteps(sigmas=ladder[:-1])
    assert torch.allclose(scheduler.sigmas, torch.tensor(ladder), rtol=1e-4)
    times = torch.tensor(AysSchedules["StableDiffusionTimesteps"], dtype=torch.float32)
    assert bool(((scheduler.timesteps - times).abs() < 3.0).all())
    scheduler = make("GHVB", final_sigmas_type="sigma_min")
    scheduler.set_timesteps(sigmas=ladder[:-1])
    assert float(scheduler.sigmas[-1]) == pytest.approx(0.0292, abs=1e-4)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ({}, "needs one of"),
        ({"num_inference_steps": 3, "timesteps": [9, 5, 1]}, "needs one of"),
        ({"timesteps": [900, 500], "sigmas": [3.0, 1.0]}, "needs one of"),
        ({"timesteps": [500, 900]}, "timesteps must decrease"),
        ({"timesteps": [900, 500, 500]}, "timesteps must decrease"),
        ({"timesteps": [1000, 500]}, "timesteps must lie between 999 and 0"),
        ({"timesteps": [900, -1]}, "timesteps must lie between 999 and 0"),
        ({"timesteps": []}, "timesteps must be a list of finite numbers"),
        ({"timesteps": [900, math.nan]}, "timesteps must be a list of finite numbers"),
        ({"timesteps": [900, 0]}, "must stay above"),
        ({"sigmas": [3.0, -1.0]}, "sigmas must be positive"),
        ({"sigmas": [0.0]}, "sigmas must be positive"),
        ({"num_inference_steps": 3, "mu": 0.5}, "mu shifts the times of flows"),
    ],
)
def test_times_that_do_not_fit(call, message):
    scheduler = make("GHVB")
    with pytest.raises(ValueError, match=message):
        scheduler.set_timesteps(**call)


def test_given_times_and_a_rule():
    scheduler = make("GHVB", use_karras_sigmas=True)
    with pytest.raises(ValueError, match="timesteps cannot be given with use_karras_sigmas"):
        scheduler.set_timesteps(timesteps=[900, 500])


def test_noise_predicted_from_noise_alone():
    scheduler = make("GHVB", use_flow_sigmas=True)
    with pytest.raises(ValueError, match="there is only noise"):
        scheduler.set_timesteps(5)
    scheduler.set_timesteps(sigmas=[0.9, 0.5, 0.2])
    assert torch.isfinite(loop(scheduler, wave, PICTURE)).all()


# ------------------------------------------------------------------------- times that are none of the options


def test_a_searched_schedule_has_its_own_times():
    scheduler = make("searched")
    scheduler.set_timesteps(STEPS)
    assert scheduler.timesteps.tolist() == TIMES[:-1]
    for call in ({"num_inference_steps": 50}, {"timesteps": [900, 500]}, {"sigmas": [2.0, 1.0]}):
        with pytest.raises(ValueError, match=r"has 8 steps at times of its own: call set_timesteps\(8\)"):
            scheduler.set_timesteps(**call)
    text = json.dumps(scheduler.config.solver_schedule)
    assert faces.SearchedScheduler(text).method == scheduler.method


@pytest.mark.parametrize(
    ("schedule", "times", "message"),
    [
        (kt.diffusion.VP(), [1.0, 0.5, 0.001], "made for another noise schedule"),
        (kt.diffusion.EDM(), [80.0, 5.0, 0.1], "made for another noise schedule"),
        (None, [80.0, 5.0, 0.1], "begins at t = 80, where 0.95"),
        (None, [1500.0, 5.0, 0.1], "must lie between 0 and 999"),
    ],
)
def test_a_searched_schedule_of_another_noise_schedule(schedule, times, message):
    found = kt.SolverSchedule(times[0], tuple(kt.diffusion.SolverStep(t) for t in times[1:]))
    found = found if schedule is None else found.on(schedule)
    with pytest.raises(ValueError, match=message):
        make("searched", solver_schedule=found.to_json())


def test_a_searched_schedule_of_the_same_noise_schedule():
    betas = torch.linspace(BETAS["beta_start"] ** 0.5, BETAS["beta_end"] ** 0.5, 1000) ** 2
    found = kt.diffusion.named_schedule("exponential", [901.0, 500.0, 100.0], kt.diffusion.Discrete(betas))
    scheduler = make("searched", solver_schedule=found.to_json())
    scheduler.set_timesteps(2)
    assert torch.isfinite(loop(scheduler, wave, PICTURE)).all()
    flow = kt.diffusion.named_schedule("exponential", [0.98, 0.5, 0.1], kt.diffusion.RectifiedFlow())
    options = {"use_flow_sigmas": True, "prediction_type": "flow_prediction", "solver_schedule": flow.to_json()}
    make("searched", **options).set_timesteps(2)
    with pytest.raises(ValueError, match="made for another noise schedule"):
        make("searched", solver_schedule=flow.to_json())


class Recorded:
    """A mixture as a model, with the states that it saw."""

    def __init__(self, scheduler):
        teacher = kt.diffusion.GaussianMixture([0.3, 0.7], [[-1.0, 0.5], [1.0, 0.0]], [0.1, 0.2])
        self.model = teacher.model(scheduler.schedule)

    def __call__(self, x, t):
        return self.model(x, t.to(F64).expand(len(x)))


def test_adaptive_steps_are_calibrated_and_replayed(tmp_path):
    fine, coarse = make("adaptive", calibrated_times=None), make("adaptive", calibrated_times=None)
    with pytest.raises(ValueError, match="call calibrate"):
        fine.set_timesteps(10)
    model, x = Recorded(fine), normal(64, 2)
    few, many = coarse.calibrate(model, x, atol=1e-1), fine.calibrate(model, x, atol=1e-3)
    assert few < many
    fine.save_pretrained(tmp_path)
    loaded = faces.AdaptiveScheduler.from_pretrained(tmp_path)
    reference = make("exponential")
    reference.set_timesteps(400)
    fresh = normal(64, 2, seed=5)
    exact = loop(reference, model, fresh)

    def error(scheduler, steps):
        scheduler.set_timesteps(steps)
        assert len(scheduler.timesteps) == steps
        return float((loop(scheduler, model, fresh) - exact).square().mean().sqrt())

    assert error(loaded, many) == error(fine, many) < 1e-3 < error(coarse, few) < 1e-1
    with pytest.raises(ValueError, match=f"calibrated for {many} steps"):
        fine.set_timesteps(50)
    assert fine.calibrate(model, x, steps=9, atol=1e-3) == 9


def test_calibration_up_to_the_data_and_of_a_flow():
    scheduler = make("adaptive", calibrated_times=None, final_sigmas_type="zero")
    scheduler.set_timesteps(scheduler.calibrate(Recorded(scheduler), normal(16, 2), atol=1e-2))
    assert float(scheduler.sigmas[-1]) == 0.0 and bool((torch.diff(scheduler.sigmas) < 0).all())
    flow = make(
        "adaptive",
        calibrated_times=None,
        use_flow_sigmas=True,
        prediction_type="flow_prediction",
        final_sigmas_type="zero",
    )
    steps = flow.calibrate(lambda x, t: wave(x, t), normal(16, 2), atol=1e-2)
    flow.set_timesteps(steps)
    assert float(flow.sigmas[0]) == 1.0 and float(flow.sigmas[-1]) == 0.0
    assert torch.isfinite(loop(flow, wave, PICTURE)).all()


def test_an_option_of_a_class_of_ones_own_goes_before_a_shared_one():
    class Mine(faces.PlanScheduler):
        @configured
        def __init__(self, colour: str = "red", timestep_spacing: str = "trailing"):
            self.colour = colour

    scheduler = Mine(beta_end=0.01)
    assert (scheduler.colour, scheduler.config.timestep_spacing, scheduler.config.beta_end) == ("red", "trailing", 0.01)
    assert Mine("blue").config.colour == "blue"
