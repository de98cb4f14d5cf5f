"""The exact teacher, checked by differentiation, by quadrature, by chance and in closed form."""

import pytest
import torch

import kutta as kt
from tests._helpers import F64, tensor
from tests.solvers.diffusion.problems import t1

D = kt.diffusion
TURN = torch.linalg.qr(torch.randn(2, 3, 3, dtype=F64, generator=torch.Generator().manual_seed(1)))[0]
SPREADS = tensor(0.3, 1.0, 0.05, 0.5, 0.02, 0.7).reshape(2, 3)
MEANS = tensor(1.0, -0.5, 0.2, -1.0, 0.4, 0.8).reshape(2, 3)
TEACHERS = {
    "isotropic": D.GaussianMixture([0.3, 0.7], MEANS, [0.2, 0.5]),
    "axes": D.GaussianMixture([0.3, 0.7], MEANS, SPREADS),
    "full": D.GaussianMixture([3.0, 7.0], MEANS, TURN @ torch.diag_embed(SPREADS) @ TURN.mT),
    "plane": D.GaussianMixture([0.3, 0.7], MEANS, SPREADS * tensor(1.0, 1.0, 0.0)),
}
LEVELS = [(1.0, 0.5), (0.8, 0.6), (0.1, 0.99), (0.0, 1.0)]
X = torch.randn(7, 3, dtype=F64, generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize("teacher", TEACHERS.values(), ids=TEACHERS)
@pytest.mark.parametrize(("alpha", "sigma"), LEVELS)
def test_score_is_the_gradient_of_the_log_density(teacher, alpha, sigma):
    x = X.clone().requires_grad_()
    (slope,) = torch.autograd.grad(teacher.log_density(x, alpha, sigma).sum(), x)
    assert torch.allclose(teacher.score(X, alpha, sigma), slope, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("teacher", TEACHERS.values(), ids=TEACHERS)
@pytest.mark.parametrize(("alpha", "sigma"), LEVELS)
def test_predictions_agree(teacher, alpha, sigma):
    data, noise, score = (f(X, alpha, sigma) for f in (teacher.data, teacher.noise, teacher.score))
    assert torch.allclose(alpha * data + sigma * noise, X, rtol=1e-12, atol=1e-12)
    assert torch.allclose(noise, -sigma * score, rtol=1e-13)
    assert torch.allclose(teacher.velocity(X, alpha, sigma), noise - data, rtol=1e-13)


@pytest.mark.parametrize("teacher", TEACHERS.values(), ids=TEACHERS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_predictions_have_the_dtype_and_the_device_of_the_states(teacher, dtype):
    components = torch.tensor([True, False])
    for name, shape in {
        "data": (7, 3),
        "noise": (7, 3),
        "score": (7, 3),
        "velocity": (7, 3),
        "log_density": (7,),
    }.items():
        predict = getattr(teacher, name)
        for alpha, sigma in ((0.8, 0.6), (torch.full((7,), 0.8), torch.full((7,), 0.6))):
            for chosen in (None, components):
                found = predict(X.to(dtype), alpha, sigma, chosen)
                assert found.dtype == dtype and found.shape == shape
                far = predict(X.to("meta", dtype), alpha, sigma, chosen)
                assert far.device.type == "meta" and far.dtype == dtype and far.shape == shape


def test_samples_are_on_the_device_of_the_means():
    """Drawn where the generator is, and where none is given, where the means are."""
    teacher = D.GaussianMixture([0.3, 0.7], MEANS, [0.2, 0.5])
    teacher.means, teacher.variances = teacher.means.to("meta"), teacher.variances.to("meta")
    assert teacher.sample(5, torch.Generator().manual_seed(0)).device.type == "meta"
    assert teacher.sample(5).device.type == "meta"


def test_full_covariances_are_those_of_the_axes():
    plain = D.GaussianMixture([0.3, 0.7], MEANS, torch.diag_embed(SPREADS))
    for f in ("data", "score", "log_density"):
        found = (getattr(one, f)(X, 0.8, 0.6) for one in (plain, TEACHERS["axes"]))
        assert torch.allclose(*found, rtol=1e-12)


def test_data_by_quadrature():
    """``D(x) = int x_0 p(x_0) N(x; alpha x_0, sigma^2) / int ...`` in one dimension."""
    weights, means, variances = tensor(0.2, 0.3, 0.5), tensor(-2.0, 1.0, 1.5), tensor(0.25, 0.09, 0.16)
    teacher = D.GaussianMixture(weights, means[:, None], variances)
    clean = torch.linspace(-12.0, 12.0, 40001, dtype=F64)
    density = (weights * torch.exp(-0.5 * (clean[:, None] - means) ** 2 / variances) / variances.sqrt()).sum(-1)
    for alpha, sigma in ((1.0, 0.5), (0.6, 0.8), (0.05, 0.99)):
        x = torch.linspace(-3.0, 3.0, 13, dtype=F64)
        joint = density * torch.exp(-0.5 * ((x[:, None] - alpha * clean) / sigma) ** 2)
        wanted = torch.trapezoid(clean * joint, clean) / torch.trapezoid(joint, clean)
        assert torch.allclose(teacher.data(x[:, None], alpha, sigma)[:, 0], wanted, rtol=1e-10, atol=1e-12)


def test_density_has_mass_one():
    teacher = D.GaussianMixture([0.2, 0.8], [[-1.0], [1.0]], [0.1, 0.3])
    x = torch.linspace(-15.0, 15.0, 20001, dtype=F64)
    for alpha, sigma in LEVELS:
        mass = torch.trapezoid(teacher.log_density(x[:, None], alpha, sigma).exp(), x)
        assert float(mass) == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize("teacher", TEACHERS.values(), ids=TEACHERS)
def test_a_class_is_the_mixture_of_its_components(teacher):
    one = teacher.among([1])
    condition = torch.tensor([False, True])
    for f in ("data", "score", "noise", "velocity", "log_density"):
        wanted = getattr(one, f)(X, 0.8, 0.6)
        assert torch.allclose(getattr(teacher, f)(X, 0.8, 0.6, condition), wanted, rtol=1e-11, atol=1e-12)
        assert torch.allclose(getattr(teacher, f)(X, 0.8, 0.6, condition.expand(7, 2)), wanted, rtol=1e-11, atol=1e-12)


def test_each_sample_has_its_class_and_its_level():
    teacher = TEACHERS["full"]
    condition = torch.tensor([[True, False], [False, True], [True, True]])
    alpha, sigma = tensor(0.9, 0.5, 0.1), tensor(0.1, 0.5, 2.0)
    together = teacher.data(X[:3], alpha, sigma, condition)
    alone = [teacher.data(X[i : i + 1], float(alpha[i]), float(sigma[i]), condition[i]) for i in range(3)]
    assert torch.allclose(together, torch.cat(alone), rtol=1e-12)


@pytest.mark.parametrize("teacher", TEACHERS.values(), ids=TEACHERS)
def test_moments_of_samples(teacher):
    x = teacher.sample(40_000, torch.Generator().manual_seed(0))
    spreads = teacher.variances
    axes = torch.eye(3, dtype=F64).expand(2, 3, 3) if teacher.axes is None else teacher.axes
    covariances = (axes * spreads[:, None]) @ axes.mT
    mean = (teacher.weights[:, None] * teacher.means).sum(0)
    apart = teacher.means - mean
    wanted = (teacher.weights[:, None, None] * (covariances + apart[:, :, None] * apart[:, None])).sum(0)
    assert torch.allclose(x.mean(0), mean, atol=4 * (wanted.diagonal().max() / 40_000) ** 0.5)
    assert torch.allclose(torch.cov(x.T), wanted, atol=0.03)


def test_the_flow_of_one_gaussian_in_closed_form():
    """``x_t = alpha_t m + ((alpha_t^2 c + sigma_t^2) / (alpha_s^2 c + sigma_s^2))^(1/2) (x_s - alpha_s m)`` an axis."""
    schedule, variances = D.VP(), tensor(0.5, 0.01, 2.0)
    teacher = D.GaussianMixture([1.0], [[1.0, -2.0, 0.5]], variances[None])
    problem = kt.DiffusionProblem(teacher.model(schedule), schedule, X)
    ends = [tensor(schedule.start), tensor(schedule.end)]
    (a0, a1), (s0, s1) = ([f(t) for t in ends] for f in (schedule.alpha, schedule.sigma))
    ratio = ((a1**2 * variances + s1**2) / (a0**2 * variances + s0**2)).sqrt()
    wanted = a1 * teacher.means[0] + ratio * (X - a0 * teacher.means[0])
    found = kt.solve(problem, kt.Vern9(), rtol=1e-12, atol=1e-12).y1
    assert torch.allclose(found, wanted, rtol=1e-9, atol=1e-10)
    errors = [float((kt.solve(problem, kt.DDIM(), steps=n).y1 - wanted).abs().mean()) for n in (200, 400)]
    assert errors[0] / errors[1] == pytest.approx(2.0, abs=0.1)


@pytest.mark.parametrize("prediction", ["epsilon", "data", "v", "score", "flow"])
@pytest.mark.parametrize("schedule", [D.VP(), D.EDM(start=5.0, end=0.05), D.RectifiedFlow(0.99, 0.01)], ids=repr)
def test_models_predict_what_they_say(schedule, prediction):
    teacher, x = t1().teacher, t1().problem.x
    t = torch.linspace(schedule.end, schedule.start, 16, dtype=F64)
    alpha, sigma = schedule.alpha(t), schedule.sigma(t)
    found = teacher.model(schedule, prediction)(x, t)
    for wanted, name in ((teacher.data(x, alpha, sigma), "data"), (teacher.noise(x, alpha, sigma), "epsilon")):
        converted = D.convert(found, x, prediction, name, alpha[:, None], sigma[:, None])
        assert torch.allclose(converted, wanted, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_predictions_have_the_dtype_of_the_state(dtype):
    teacher = TEACHERS["full"]
    for f in ("data", "score", "noise", "velocity"):
        assert getattr(teacher, f)(X.to(dtype), 0.8, 0.6).dtype == dtype


def test_wrong_shapes():
    with pytest.raises(ValueError, match="weights must have shape"):
        D.GaussianMixture([1.0, 2.0], [[0.0]], [1.0])
    with pytest.raises(ValueError, match="weights must have shape"):
        D.GaussianMixture([1.0], [0.0], [1.0])
    with pytest.raises(ValueError, match="variances must have shape"):
        D.GaussianMixture([1.0], [[0.0, 0.0]], [[1.0, 1.0, 1.0]])
    with pytest.raises(ValueError, match="weights must be"):
        D.GaussianMixture([1.0, -1.0], [[0.0], [1.0]], [1.0, 1.0])
    with pytest.raises(ValueError, match="variances must not be negative"):
        D.GaussianMixture([1.0], [[0.0]], [-1.0])
    with pytest.raises(ValueError, match="prediction must be one of"):
        TEACHERS["full"].model(D.VP(), "x0")
    with pytest.raises(ValueError, match=r"must be covariances, which are symmetric; .* by up to 0.9"):
        D.GaussianMixture([1.0], [[0.0, 0.0]], [[[1.0, 0.9], [0.0, 1.0]]])


@pytest.mark.parametrize("f", ["data", "score", "noise", "velocity", "log_density"])
def test_where_there_is_no_density(f):
    """No component, or no variance at all: refused, where it would be NaN."""
    for none in (torch.tensor([False, False]), torch.tensor([[True, False]] * 6 + [[False, False]])):
        with pytest.raises(ValueError, match="components must name one component or more"):
            getattr(TEACHERS["full"], f)(X, 0.8, 0.6, none)
    with pytest.raises(ValueError, match="sigma must be positive where variances are zero"):
        getattr(TEACHERS["plane"], f)(X, 1.0, 0.0)
    with pytest.raises(ValueError, match="sigma must be positive where variances are zero"):
        getattr(TEACHERS["plane"], f)(X, torch.ones(7), torch.linspace(0.0, 1.0, 7))
    assert torch.isfinite(getattr(TEACHERS["axes"], f)(X, 1.0, 0.0)).all()


def test_conditions_of_programs_are_not_looked_at():
    teacher, conditions = TEACHERS["plane"], torch.tensor([[True, False], [True, True]])

    def data(x, components):
        return teacher.data(x[None], 0.8, torch.tensor(0.6), components)[0]

    found = torch.vmap(data)(X[:2], conditions)
    assert torch.allclose(found, teacher.data(X[:2], 0.8, 0.6, conditions))
    compiled = torch.compile(teacher.data, fullgraph=True, backend="eager")
    assert torch.allclose(compiled(X[:2], 0.8, 0.6, conditions), found)
