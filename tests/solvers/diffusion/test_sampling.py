"""The loop: what is kept, in which dtype, with which noise, its gradients, and how it fails."""

import math
import pickle
from dataclasses import replace

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

import kutta as kt
from kutta.solvers.diffusion.levels.grids import nodes
from kutta.solvers.diffusion.plans.plan import Draft
from kutta.solvers.diffusion.sampling import follow
from tests._helpers import F64, difference, gradient, relative_error, tensor
from tests.solvers.diffusion.problems import orders, stable_diffusion_betas, t1

D = kt.diffusion


class Noisy(D.Sampler):
    """The ancestral step: to less noise than wanted, and up again."""

    def plan(self, nodes):
        draft, alpha, sigma = Draft(nodes), nodes.alpha, nodes.sigma
        for n in range(nodes.steps):
            draft.arrive(n + 1, {}, {"data": {n: alpha[n + 1]}}, noise=sigma[n + 1])
        return draft.plan()


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


# -------------------------------------------------------------------------------------- the steps


def test_ddim_in_three_forms():
    """Exponential Euler in the data, in the noise, and Euler in ``d(x / alpha) / dkappa = e`` are one step."""
    case, schedule = t1(), D.VP()
    model = case.teacher.model(schedule)
    found = kt.solve(kt.DiffusionProblem(model, schedule, case.problem.x), kt.DDIM(), steps=10, save_at="steps")
    t = found.ts
    a, s, log_snr = schedule.alpha(t), schedule.sigma(t), schedule.log_snr(t)
    for n in range(10):
        x, h = found.ys[n], log_snr[n + 1] - log_snr[n]
        e = model(x, t[n].expand(16))
        data = (x - s[n] * e) / a[n]
        forms = (
            s[n + 1] / s[n] * x - a[n + 1] * torch.expm1(-h) * data,
            a[n + 1] / a[n] * x - s[n + 1] * torch.expm1(h) * e,
            a[n + 1] * (x / a[n] + (s[n + 1] / a[n + 1] - s[n] / a[n]) * e),
        )
        for form in forms:
            assert torch.allclose(found.ys[n + 1], form, rtol=1e-12, atol=1e-12)


def test_ddim_has_order_one():
    assert orders(t1().errors(kt.DDIM(), [80, 160, 320])) == pytest.approx([1.0, 1.0], abs=0.02)


@pytest.mark.parametrize("prediction", ["data", "v", "score", "flow"])
def test_every_prediction_gives_the_same_samples(prediction):
    wanted = t1().solve(kt.DDIM(), 12)
    assert torch.allclose(t1(prediction).solve(kt.DDIM(), 12), wanted, rtol=1e-11, atol=1e-12)


def test_a_sample_does_not_depend_on_its_batch():
    case = t1()
    together = case.solve(kt.DDIM(), 10)
    for i in (0, 7, 15):
        alone = kt.solve(replace(case.problem, x=case.problem.x[i : i + 1]), kt.DDIM(), steps=10).y1
        assert torch.allclose(alone[0], together[i], rtol=1e-13, atol=1e-14)


# -------------------------------------------------------------------------------- what comes back


def test_the_last_state_or_all_of_them():
    case = t1()
    every, last = (kt.solve(case.problem, kt.DDIM(), steps=8, save_at=save_at) for save_at in ("steps", None))
    assert every.ys.shape == (9, 16, 2) and every.ts.shape == (9,)
    assert last.ys.shape == (1, 16, 2) and last.ts.tolist() == [0.05]
    assert torch.equal(every.ys[0], case.problem.x)
    assert torch.equal(every.y1, last.y1) and torch.equal(every.ys[-1], last.ys[0])
    assert float(every.ts[0]) == 5.0 and float(every.t1) == 0.05
    assert every.stats.steps == every.stats.function_evaluations == 8
    assert every.result is kt.Result.SUCCESS


def test_the_start_is_not_changed():
    case = t1()
    before = case.problem.x.clone()
    sol = kt.solve(case.problem, kt.DDIM(), steps=3, save_at="steps")
    sol.ys.zero_()
    assert torch.equal(case.problem.x, before)


@pytest.mark.parametrize("shape", [(3,), (3, 2), (3, 4, 8, 8)])
def test_states_of_any_shape(shape):
    problem = kt.DiffusionProblem(lambda x, t: 0.3 * x, D.VP(), torch.ones(shape))
    assert kt.solve(problem, kt.DDIM(), steps=4).y1.shape == shape


def test_progress_tells_the_times(capsys):
    pytest.importorskip("tqdm")
    kt.solve(t1().problem, kt.DDIM(), steps=4, progress=True)
    assert "t = 4.95 of 4.95" in capsys.readouterr().err


# ------------------------------------------------------------------------------------------ dtypes


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_the_loop_is_in_single_precision_at_least(dtype):
    """Many small steps, each of which half precision would round away."""
    seen = set()

    def model(x, t):
        seen.add((x.dtype, t.dtype))
        return torch.zeros_like(x)

    schedule = D.VP(end=0.5)
    problem = kt.DiffusionProblem(model, schedule, torch.ones(2, 3, dtype=dtype))
    sol = kt.solve(problem, kt.DDIM(), steps=1000, save_at="steps")
    assert sol.ys.dtype == sol.y1.dtype == dtype
    assert seen == {(dtype, torch.promote_types(dtype, torch.float32))}
    wanted = float(schedule.alpha(0.5) / schedule.alpha(1.0))
    assert float(sol.y1[0, 0]) == pytest.approx(wanted, rel=max(torch.finfo(dtype).eps, 1e-5))


def test_half_precision_models_are_told_the_exact_time():
    told = []
    schedule = D.Discrete(stable_diffusion_betas())
    problem = kt.DiffusionProblem(lambda x, t: told.append(t) or x, schedule, torch.ones(2, 2, dtype=torch.bfloat16))
    kt.solve(problem, kt.DDIM(), grid=[999.0, 651.0, 0.0])
    assert [one.tolist() for one in told] == [[999.0, 999.0], [651.0, 651.0]]


def test_a_model_in_another_dtype_than_its_state():
    problem = kt.DiffusionProblem(lambda x, t: (0.3 * x).half(), D.VP(), torch.ones(2, 2, dtype=F64))
    assert kt.solve(problem, kt.DDIM(), steps=4).y1.dtype == F64


# ------------------------------------------------------------------------------------------- noise


def test_a_seed_makes_samples_repeatable():
    first, again, other = (t1().solve(Noisy(), 5, generator=seeded(seed)) for seed in (0, 0, 1))
    assert torch.equal(first, again) and not torch.equal(first, other)


def test_a_generator_for_each_sample():
    case = t1()
    together = case.solve(Noisy(), 5, generator=[seeded(i) for i in range(16)])
    for i in (0, 9):
        one = replace(case.problem, x=case.problem.x[i : i + 1])
        alone = kt.solve(one, Noisy(), steps=5, generator=seeded(i)).y1
        assert torch.allclose(alone[0], together[i], rtol=1e-12)


def test_without_a_generator_the_noise_is_that_of_pytorch():
    torch.manual_seed(5)
    first = t1().solve(Noisy(), 3)
    torch.manual_seed(5)
    assert torch.equal(first, t1().solve(Noisy(), 3))


@pytest.mark.parametrize(
    ("generator", "error", "match"),
    [
        ([seeded()] * 3, ValueError, "one a sample: 16; got 3"),
        (0, TypeError, "generator must be a torch.Generator"),
        ([0] * 16, TypeError, "generator must be a torch.Generator"),
    ],
)
def test_generators_that_are_none(generator, error, match):
    with pytest.raises(error, match=match):
        t1().solve(Noisy(), 3, generator=generator)


@pytest.mark.parametrize("sampler", [kt.DDIM(), kt.AncestralEuler(0.0), kt.GHVB(2), None], ids=str)
def test_a_generator_is_refused_where_there_is_no_noise(sampler):
    problem = replace(t1().problem, model=lambda *_: pytest.fail("called"))
    with pytest.raises(ValueError, match=r"generator means nothing to the sampler .*, which adds no noise here"):
        kt.solve(problem, sampler, steps=3, generator=seeded())


# --------------------------------------------------------------------------------------- gradients


def test_gradients_reach_the_start_the_model_and_the_condition():
    x = t1().problem.x[:3]
    schedule = D.EDM(start=2.0, end=0.1)

    def samples(x, scale, condition):
        def model(x, t, condition):
            return torch.tanh(scale * x) * condition / (1.0 + t[:, None])

        return kt.solve(kt.DiffusionProblem(model, schedule, x, condition=condition), kt.DDIM(), steps=5).y1

    parts = {"x": x, "scale": tensor(0.7), "condition": tensor(0.4, 1.3)}
    for name, value in parts.items():

        def loss(one, name=name):
            return samples(**(parts | {name: one})).square().sum()

        assert relative_error(gradient(loss, value), difference(loss, value)) < 1e-9


def test_gradients_reach_the_weight_of_the_guidance():
    teacher, schedule, x = t1().teacher, D.EDM(start=5.0, end=0.1), t1().problem.x
    condition = torch.tensor([True, False, False])

    def loss(weight):
        problem = kt.DiffusionProblem(
            teacher.model(schedule), schedule, x, condition=condition, guidance=D.CFG(weight[0])
        )
        return kt.solve(problem, kt.DDIM(), steps=5).y1.square().sum()

    assert relative_error(gradient(loss, tensor(2.0)), difference(loss, tensor(2.0))) < 1e-9


# -------------------------------------------------------------------------------------------- cost


class Operations(TorchDispatchMode):
    """Counts tensor operations, and those that make the host wait for a device."""

    waiting = ("aten::_local_scalar_dense", "aten::item", "aten::nonzero", "aten::is_nonzero", "aten::equal")

    def __init__(self):
        super().__init__()
        self.all, self.waits = 0, 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.all += 1
        self.waits += function.name().split(".")[0] in self.waiting
        return function(*args, **(kwargs or {}))


def counted(steps, sampler=None, prediction="epsilon"):
    output = torch.ones(2, 4)
    problem = kt.DiffusionProblem(lambda x, t: output, D.VP(), torch.ones(2, 4), prediction=prediction)
    with torch.no_grad():
        plan = (sampler or kt.DDIM()).plan(nodes(D.Rho(), problem.schedule, steps, 1.0, 0.01)).fixed()
        with Operations() as found:
            follow(problem, plan, every=False, noise=torch.randn_like, watch=lambda t: None, throw=True)
    return found


@pytest.mark.parametrize("prediction", ["epsilon", "data", "v", "score", "flow"])
def test_a_step_is_a_product_a_sum_and_what_tells_nan(prediction):
    few, many = counted(10, prediction=prediction), counted(20, prediction=prediction)
    # The product, the sum, the times for the model, and the sum of the entries (with its detach).
    assert (many.all - few.all) / 10 <= 5
    assert few.waits == many.waits


# ---------------------------------------------------------------------------------------- failures


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_model_that_fails_is_named_with_its_time(bad):
    def model(x, t):
        return torch.full_like(x, bad) if float(t[0]) < 0.5 else 0.1 * x

    problem = kt.DiffusionProblem(model, D.EDM(start=4.0, end=0.1), torch.ones(2, 2))
    grid = [4.0, 2.0, 1.0, 0.4, 0.2, 0.1]
    with pytest.raises(kt.SolveError, match=r"NON_FINITE at t = 0\.4 with step size -0\.2") as caught:
        kt.solve(problem, kt.DDIM(), grid=grid)
    assert caught.value.t == pytest.approx(0.4) and caught.value.solution is not None
    assert "look at what the model returns near this time, or try less guidance" in str(caught.value)
    assert "look at f" not in str(caught.value)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
    sol = kt.solve(problem, kt.DDIM(), grid=grid, throw=False, save_at="steps")
    assert sol.result is kt.Result.NON_FINITE
    assert torch.isfinite(sol.ys[:4]).all() and not torch.isfinite(sol.ys[4]).all()


def test_one_bad_entry_is_enough():
    def model(x, t):
        output = 0.1 * x
        output[1, 1] = math.nan
        return output

    with pytest.raises(kt.SolveError, match="NON_FINITE at t = 4"):
        kt.solve(kt.DiffusionProblem(model, D.EDM(4.0, 0.1), torch.ones(2, 2)), kt.DDIM(), grid=[4.0, 1.0, 0.1])


def test_huge_states_are_no_failure():
    """The sum of the entries overflows, but none of them is infinite."""
    x = torch.full((4, 4), 3e38)
    sol = kt.solve(kt.DiffusionProblem(lambda x, t: 0.0 * x, D.EDM(2.0, 1.0), x), kt.DDIM(), steps=2)
    assert sol.result is kt.Result.SUCCESS and torch.equal(sol.y1, x)
