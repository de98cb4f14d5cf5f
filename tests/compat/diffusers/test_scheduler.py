"""The contract of a scheduler of diffusers, for every class, and equality with `kutta.solve`."""

import copy

import diffusers
import pytest
import torch

import kutta as kt
from kutta.compat import diffusers as faces
from kutta.compat.diffusers.configuration import PREDICTIONS, configured
from tests.compat.diffusers._schedulers import (
    BETAS,
    F64,
    FREE,
    KINDS,
    STEPS,
    AncestralScheduler,
    HeunScheduler,
    loop,
    make,
    normal,
    wave,
)
from tests.solvers.test_host_reads import Reads

TEACHER = kt.diffusion.GaussianMixture([0.3, 0.7], [[-1.0, 0.5], [1.0, 0.0]], [0.1, 0.2])
X = normal(16, 2)
PICTURE = normal(2, 4, 8, 8, dtype=torch.float32)


# ------------------------------------------------------------------------------------ what the numbers are


def solved(scheduler, prediction):
    """The end of `kutta.solve` with the method and the nodes of a scheduler."""
    schedule, times = scheduler.schedule, scheduler._nodes.t
    model = TEACHER.model(schedule, prediction)
    told = kt.DiffusionProblem(
        lambda x, t: model(x, t / len(scheduler) if scheduler.is_flow else t),
        schedule,
        X,
        prediction=prediction,
        t_span=(float(times[0]), float(times[-1])),
    )
    grid = {} if isinstance(scheduler.method, kt.SolverSchedule) else {"grid": times}
    return kt.solve(told, scheduler.method, **grid).y1


@pytest.mark.parametrize("prediction_type", PREDICTIONS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_run_is_what_solve_does(kind, prediction_type):
    scheduler = make(kind, prediction_type=prediction_type)
    scheduler.set_timesteps(STEPS)
    prediction = PREDICTIONS[prediction_type]
    model = TEACHER.model(scheduler.schedule, prediction)
    x = loop(scheduler, lambda x, t: model(x, t.to(F64).expand(len(x))), X)
    assert torch.allclose(x, solved(scheduler, prediction), rtol=1e-6, atol=1e-6)  # times are told in float32


@pytest.mark.parametrize("kind", FREE)
def test_a_run_of_a_flow_from_pure_noise_to_pure_data(kind):
    scheduler = make(kind, use_flow_sigmas=True, prediction_type="flow_prediction", final_sigmas_type="zero")
    scheduler.set_timesteps(STEPS)
    assert float(scheduler.sigmas[0]) == 1.0 and float(scheduler.sigmas[-1]) == 0.0
    model = TEACHER.model(scheduler.schedule, "flow")
    x = loop(scheduler, lambda x, t: model(x, t.to(F64).expand(len(x)) / 1000), X)
    grid = torch.cat([scheduler._nodes.t[:-1], torch.zeros(1, dtype=F64)])
    problem = kt.DiffusionProblem(model, kt.diffusion.RectifiedFlow(), X, prediction="flow")
    assert torch.allclose(x, kt.solve(problem, scheduler.method, grid=grid).y1, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("prediction_type", ["epsilon", "sample", "v_prediction"])
@pytest.mark.parametrize(("order", "steps"), [(1, 10), (2, 10), (3, 10), (2, 20), (3, 20)])
def test_without_momentum_as_the_solver_of_diffusers(order, steps, prediction_type):
    config = {"beta_schedule": "scaled_linear", "solver_order": order, "prediction_type": prediction_type}
    theirs = diffusers.DPMSolverMultistepScheduler(**config)
    ours = faces.HeavyBallDPMSolverScheduler.from_config(theirs.config, damping=1.0)
    for scheduler in (ours, theirs):
        scheduler.set_timesteps(steps)
    assert torch.equal(ours.timesteps, theirs.timesteps)
    assert torch.allclose(ours.sigmas, theirs.sigmas, rtol=1e-4)
    assert torch.allclose(loop(ours, wave, PICTURE), loop(theirs, wave, PICTURE), rtol=1e-3, atol=1e-3)


def test_limits_as_diffusers_does():
    config = {"thresholding": True, "dynamic_thresholding_ratio": 0.87, "sample_max_value": 1.5}
    theirs = diffusers.DPMSolverMultistepScheduler(**config)
    ours = faces.HeavyBallDPMSolverScheduler.from_config(theirs.config, damping=1.0)
    for scheduler in (ours, theirs):
        scheduler.set_timesteps(12)
    x = loop(ours, wave, PICTURE)
    assert torch.allclose(x, loop(theirs, wave, PICTURE), rtol=1e-3, atol=1e-3)
    assert float(x.abs().max()) <= 1.0 + 1e-5
    ours = faces.HeavyBallDPMSolverScheduler.from_config(theirs.config, damping=1.0, thresholding=False)
    ours.set_timesteps(12)
    assert not torch.allclose(x, loop(ours, wave, PICTURE), atol=0.1)


@pytest.mark.parametrize("kind", ["GHVB", "exponential, corrected"])
@pytest.mark.parametrize("prediction_type", PREDICTIONS)
def test_limits_whatever_is_predicted(kind, prediction_type):
    scheduler = make(kind, prediction_type=prediction_type, thresholding=True, final_sigmas_type="zero")
    scheduler.set_timesteps(STEPS)
    assert float(loop(scheduler, wave, PICTURE).abs().max()) <= 1.0 + 1e-5


# -------------------------------------------------------------------------------------------- what a step is


@pytest.mark.parametrize("kind", KINDS)
def test_tuple_and_object(kind):
    one, other = make(kind), make(kind)
    for scheduler in (one, other):
        scheduler.set_timesteps(STEPS)
    x = PICTURE
    for t in one.timesteps:
        found = one.step(wave(x, t), t, x)
        assert one.scale_model_input(x, t) is x
        pair = other.step(wave(x, t), t, x, return_dict=False)
        assert isinstance(found, diffusers.schedulers.scheduling_utils.SchedulerOutput)
        assert type(pair) is tuple and len(pair) == 1 and torch.equal(pair[0], found.prev_sample)
        assert pair[0].shape == x.shape and pair[0] is not x
        x = found.prev_sample


@pytest.mark.parametrize("kind", KINDS)
def test_two_runs_of_one_scheduler_are_the_same(kind):
    scheduler = make(kind)
    scheduler.set_timesteps(STEPS)
    first = loop(scheduler, wave, PICTURE)
    scheduler.set_timesteps(STEPS)
    for t in scheduler.timesteps[:3]:  # given up on the way, with other numbers
        scheduler.step(torch.ones(1, 2), t, torch.zeros(1, 2))
    scheduler.set_timesteps(STEPS)
    assert scheduler.step_index is None and scheduler.begin_index is None
    assert torch.equal(loop(scheduler, wave, PICTURE), first)


@pytest.mark.parametrize("kind", KINDS)
def test_a_copy_goes_on_alone(kind):
    scheduler = make(kind)
    scheduler.set_timesteps(STEPS)
    x = PICTURE
    for t in scheduler.timesteps[:3]:
        x = scheduler.step(wave(x, t), t, x).prev_sample
    twin, first = copy.deepcopy(scheduler), loop(scheduler, wave, x, begin=3)
    assert twin.step_index == 3 and torch.equal(loop(twin, wave, x, begin=3), first)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, F64])
@pytest.mark.parametrize("kind", KINDS)
def test_the_dtype_is_that_of_the_output(kind, dtype):
    scheduler = make(kind)
    scheduler.set_timesteps(STEPS)
    x = loop(scheduler, wave, PICTURE.to(dtype))
    assert x.dtype == dtype
    scheduler.set_timesteps(STEPS)
    exact = loop(scheduler, wave, PICTURE.to(dtype).double())
    assert float((x.double() - exact).abs().mean()) <= 40 * torch.finfo(dtype).eps * float(exact.abs().max())
    scheduler.set_timesteps(STEPS)
    t = scheduler.timesteps[0]
    assert scheduler.step(PICTURE.to(dtype), t, PICTURE).prev_sample.dtype == dtype


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
@pytest.mark.parametrize("thresholding", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_no_value_is_read_from_the_device(kind, thresholding, dtype):
    scheduler = make(kind, thresholding=thresholding)
    scheduler.set_timesteps(STEPS)
    times, x = list(scheduler.timesteps), PICTURE.to(dtype)
    output = wave(x, None)
    with Reads() as reads:
        for t in times:
            x = scheduler.step(output, t, x).prev_sample
    assert reads.count == 0


def test_a_time_that_is_no_entry_is_read_once():
    scheduler = make("GHVB")
    scheduler.set_timesteps(STEPS)
    times = [t.clone() for t in scheduler.timesteps]
    with Reads() as reads:
        for t in times:
            scheduler.step(PICTURE, t, PICTURE)
    assert reads.count == 1


def test_noise_is_that_of_the_generator():
    scheduler = AncestralScheduler()

    def run(generator):
        scheduler.set_timesteps(STEPS)
        return loop(scheduler, wave, PICTURE, generator=generator)

    def seeded(seed=3):
        return torch.Generator().manual_seed(seed)

    first = run(seeded())
    assert torch.equal(run(seeded()), first) and not torch.allclose(run(seeded(4)), first, atol=0.1)
    alone = run([seeded(5), seeded(6)])
    assert not torch.allclose(alone[0], alone[1], atol=0.1)
    scheduler.set_timesteps(STEPS)
    second = loop(scheduler, wave, PICTURE[1:], generator=[seeded(6)])
    assert torch.allclose(alone[1:], second, atol=1e-5)


def test_learned_variances_are_left_out():
    scheduler = make("GHVB", variance_type="learned_range")
    scheduler.set_timesteps(STEPS)
    x = loop(scheduler, lambda x, t: torch.cat([wave(x, t), torch.full_like(x, torch.nan)], 1), PICTURE)
    plain = make("GHVB", variance_type="fixed_small")
    plain.set_timesteps(STEPS)
    assert torch.equal(x, loop(plain, wave, PICTURE))


def test_gradients_pass_through_a_run():
    scheduler = make("heavy ball")
    scheduler.set_timesteps(3)
    x = normal(1, 3).requires_grad_()

    def run(x):
        scheduler.set_timesteps(3)
        return loop(scheduler, wave, x)

    assert torch.autograd.gradcheck(run, (x,))


def test_calls_that_do_not_fit():
    scheduler = make("GHVB")
    with pytest.raises(ValueError, match="call set_timesteps before step"):
        scheduler.step(PICTURE, 999, PICTURE)
    scheduler.set_timesteps(2)
    with pytest.raises(ValueError, match=r"shape of sample, \(2, 4, 8, 8\); got \(1, 4, 8, 8\)"):
        scheduler.step(PICTURE[:1], 999, PICTURE)
    with pytest.raises(ValueError, match="timestep must be a finite number; got nan"):
        scheduler.step(PICTURE, torch.tensor(torch.nan), PICTURE)
    loop(scheduler, wave, PICTURE)
    with pytest.raises(ValueError, match="all 2 steps have been taken"):
        scheduler.step(PICTURE, 0, PICTURE)
    scheduler.set_timesteps(2)
    scheduler.set_begin_index(2)
    with pytest.raises(ValueError, match="begin_index must be at least 0 and less than 2; got 2"):
        scheduler.step(PICTURE, 0, PICTURE)


# ----------------------------------------------------------------------------------------------- the middle


@pytest.mark.parametrize("kind", FREE)
def test_beginning_in_the_middle_is_a_run_from_there(kind):
    whole, part = make(kind), make(kind)
    whole.set_timesteps(STEPS)
    begin = 3 * whole.order
    times = whole._nodes.t[3:].tolist()
    part.set_timesteps(timesteps=times[:-1])
    assert part.timesteps.tolist() == whole.timesteps[begin:].tolist()
    expected = loop(part, wave, PICTURE)
    whole.set_begin_index(begin)
    assert torch.allclose(loop(whole, wave, PICTURE, begin=begin), expected, atol=1e-6)
    assert whole.begin_index == begin and whole.step_index == len(whole.timesteps)
    whole.set_timesteps(STEPS)  # found by where the first time lies in memory, and then by its value
    assert torch.allclose(loop(whole, wave, PICTURE, begin=begin), expected, atol=1e-6)
    whole.set_timesteps(STEPS)
    whole.step(wave(PICTURE, None), float(whole.timesteps[begin]), PICTURE)
    assert whole.step_index == begin + 1


@pytest.mark.parametrize("kind", ["exponential, started", "searched"])
def test_what_cannot_begin_in_the_middle_says_so(kind):
    scheduler = make(kind)
    scheduler.set_timesteps(STEPS)
    scheduler.set_begin_index(4)
    with pytest.raises(ValueError, match="begin"):
        scheduler.step(PICTURE, scheduler.timesteps[4], PICTURE)


def test_the_middle_of_a_step_is_no_beginning():
    scheduler = HeunScheduler(final_sigmas_type="sigma_min")
    scheduler.set_timesteps(4)
    scheduler.set_begin_index(1)
    with pytest.raises(ValueError, match="cannot begin at index 1"):
        scheduler.step(PICTURE, scheduler.timesteps[1], PICTURE)


def test_a_time_of_few_digits_is_known():
    scheduler = make("GHVB")
    scheduler.set_timesteps(STEPS)
    for index, t in enumerate(scheduler.timesteps):
        assert scheduler.index_for_timestep(t) == index
        assert scheduler.index_for_timestep(t.to(torch.bfloat16)) == index
        assert scheduler.index_for_timestep(t.reshape(1).double()) == index
        assert scheduler.index_for_timestep(int(t)) == index


def test_two_evaluations_a_step():
    scheduler = HeunScheduler()
    scheduler.set_timesteps(3)
    assert scheduler.timesteps.tolist() == [999, 666, 666, 333, 333]
    assert len(scheduler.sigmas) == 6 and scheduler.num_inference_steps == 3
    assert scheduler.index_for_timestep(666) == 2  # where the step begins


@pytest.mark.parametrize("kind", FREE)
def test_the_state_may_be_changed_between_steps(kind):
    scheduler = make(kind)
    scheduler.set_timesteps(STEPS)
    x = PICTURE
    for t in scheduler.timesteps:
        given = x.clone()
        x = scheduler.step(wave(x, t), t, x).prev_sample
        assert torch.isfinite(x).all()
        x = 0.5 * x + 0.5 * given


# ---------------------------------------------------------------------------------- noise for what begins there


def test_add_noise():
    scheduler = make("GHVB")
    data, noise = normal(3, 4, 8, 8, seed=1), normal(3, 4, 8, 8, seed=2)
    theirs = diffusers.DDPMScheduler.from_config(scheduler.config)
    for times in (torch.tensor([999, 500, 0]), torch.tensor([17])):
        expected = theirs.add_noise(data, noise, times)
        assert torch.allclose(scheduler.add_noise(data, noise, times), expected, rtol=1e-5, atol=1e-5)
        assert torch.equal(scheduler.scale_noise(data, times, noise), scheduler.add_noise(data, noise, times))
    scheduler.set_timesteps(STEPS)
    assert torch.equal(
        scheduler.add_noise(data, noise, scheduler.timesteps[2:3]), scheduler.add_noise(data, noise, 749)
    )
    with pytest.raises(ValueError, match="between 0 and 999"):
        scheduler.add_noise(data, noise, 1000)


def test_add_noise_of_a_flow():
    scheduler = make("GHVB", use_flow_sigmas=True, prediction_type="flow_prediction")
    data, noise = normal(2, 3, seed=1), normal(2, 3, seed=2)
    expected = torch.tensor([[0.75], [0.0]]) * data + torch.tensor([[0.25], [1.0]]) * noise
    assert torch.allclose(scheduler.scale_noise(data, torch.tensor([250.0, 1000.0]), noise), expected)


FLOW = {"use_flow_sigmas": True, "prediction_type": "flow_prediction"}


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
@pytest.mark.parametrize("options", [{}, {"use_karras_sigmas": True}, FLOW], ids=["steps", "between steps", "flow"])
def test_noise_is_added_without_a_look_at_the_times(options, dtype):
    scheduler = make("GHVB", **options)
    scheduler.set_timesteps(STEPS, device="meta")  # a device whose values cannot be read
    data = torch.zeros(3, 4, 8, 8, device="meta", dtype=dtype)
    for times in (scheduler.timesteps[2:3].repeat(3), torch.tensor([17, 5, 3], device="meta")):
        for found in (scheduler.add_noise(data, data, times), scheduler.scale_noise(data, times, data)):
            assert found.device.type == "meta" and found.shape == data.shape and found.dtype == dtype


@pytest.mark.parametrize("options", [{}, FLOW], ids=["steps", "flow"])
def test_factors_are_those_of_the_schedule(options):
    schedule = make("GHVB", **options).schedule
    t = torch.linspace(schedule.end, schedule.start, 2001, dtype=F64)
    alpha, sigma = schedule.factors(schedule.model_time(t))
    assert torch.allclose(alpha, schedule.alpha(t), rtol=1e-12) and torch.allclose(sigma, schedule.sigma(t), rtol=1e-9)
    assert all(torch.isnan(one) for one in schedule.factors(torch.tensor(torch.nan)))


def test_noise_where_nothing_is_left_of_the_data():
    scheduler = make("GHVB", trained_betas=[0.1, 0.5, 1.0])
    found = scheduler.add_noise(torch.full((2, 1), 3.0), torch.full((2, 1), 5.0), torch.tensor([2, 0]))
    assert torch.allclose(found, torch.tensor([[5.0], [3.0 * 0.9**0.5 + 5.0 * 0.1**0.5]]))


# ------------------------------------------------------------------------------ what the interface cannot do


class _Changed(faces.PlanScheduler):
    """A scheduler with a sampler given as it is."""

    method = None

    @configured
    def __init__(self):
        pass


def test_the_same_times_are_planned_once():
    class Counted(kt.DDIM):
        def plan(self, nodes):
            plans.append(nodes.steps)
            return super().plan(nodes)

    scheduler, plans = _Changed(**BETAS, final_sigmas_type="sigma_min"), []
    scheduler.method = Counted()
    for _ in range(2):
        scheduler.set_timesteps(STEPS)
        first = loop(scheduler, wave, PICTURE)
    assert plans == [STEPS]
    scheduler.set_timesteps(timesteps=[999, 500])
    scheduler.set_timesteps(STEPS)
    assert plans == [STEPS, 2, STEPS] and torch.equal(loop(scheduler, wave, PICTURE), first)
    scheduler.register_to_config(prediction_type="sample")
    scheduler.set_timesteps(STEPS)
    assert len(plans) == 4 and not torch.allclose(loop(scheduler, wave, PICTURE), first, atol=0.1)
    scheduler.method = kt.DPMSolverPP(2, final_orders=())
    scheduler.set_timesteps(STEPS)
    other = make("heavy ball", damping=1.0, prediction_type="sample", lower_order_final=False)
    other.set_timesteps(STEPS)
    assert torch.equal(loop(scheduler, wave, PICTURE), loop(other, wave, PICTURE))


def test_what_would_change_the_initial_state_is_refused():
    scheduler = HeunScheduler(s_churn=5.0)
    with pytest.raises(NotImplementedError, match="change the initial state"):
        scheduler.set_timesteps(timesteps=[500, 300, 100])
    scheduler.set_timesteps(timesteps=[999, 500, 100])  # there is no noise beyond the first, and so no churn


def test_what_needs_two_predictions_is_refused():
    class Free(kt.diffusion.Sampler):
        def plan(self, nodes):
            draft = kt.diffusion.Draft(nodes)
            for n in range(nodes.steps):
                draft.arrive(n + 1, {n: 1.0}, {"free data": {n: 0.1}})
            return draft.plan()

    scheduler = _Changed()
    scheduler.method = Free()
    with pytest.raises(NotImplementedError, match="without guidance"):
        scheduler.set_timesteps(4)
