"""What holds for every operator."""

import pytest
import torch

import kutta as kt

PERIODIC = kt.pde.Grid((16, 20))
WALLS = kt.pde.Grid((16, 20), boundary=(kt.pde.Dirichlet(), (kt.pde.Neumann(), kt.pde.Robin(1.0, 0.5))))
SMALL = {"in_channels": 2, "out_channels": 3, "width": 4, "scales": 2, "groups": 2}
MODELS = {
    "CNO": lambda: kt.operators.CNO(2, 3, shape=(16, 20), width=4, scales=2, blocks=1, bottleneck=1),
    "FieldDeepONet": lambda: kt.operators.FieldDeepONet(2, 3, (16, 20), 5, (7,), (6,), nonlinearity="gelu"),
    "FNO": lambda: kt.operators.FNO(2, 3, modes=(6, 8), width=6, layers=2, lift=8, project=8),
    "FNO with mixing": lambda: kt.operators.FNO(2, 3, modes=(6, 8), width=6, layers=2, lift=8, project=8, mixing=4),
    "FactorisedFNO": lambda: kt.operators.FactorisedFNO(2, 3, modes=(6, 8), width=6, layers=2, project=8),
    "MgNO": lambda: kt.operators.MgNO(2, 3, width=6, layers=2, sweeps=(1, 1, 2)),
    "NeuralStagger": lambda: kt.operators.NeuralStagger("UNet", SMALL, (2, 2)),
    "PODRegression": lambda: kt.operators.PODRegression(2, 3, (16, 20), 4).fit(fields(9), fields(9)[:, [0, 1, 1]]),
    "T1": lambda: kt.operators.T1(2, 3, modes=(6, 8), width=6, layers=2, head=8),
    "T1U": lambda: kt.operators.T1U(2, 3, modes=(6, 8), width=4, scales=2, groups=2),
    "UNet": lambda: kt.operators.UNet(2, 3, width=4, scales=3, groups=2),
}
EACH = pytest.mark.parametrize("name", MODELS)


def model_of(name):
    torch.manual_seed(0)
    return MODELS[name]().double()


def fields(count=3, seed=1):
    return torch.randn(count, 2, 16, 20, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@EACH
@pytest.mark.parametrize("grid", [PERIODIC, WALLS], ids=["periodic", "walls"])
def test_fields_come_out_on_the_same_grid_in_the_same_precision(name, grid):
    model = model_of(name)
    u = model(fields(), grid)
    assert u.shape == (3, 3, 16, 20) and u.dtype == torch.float64 and u.isfinite().all()
    assert model.float()(fields().float(), grid).dtype == torch.float32


@EACH
def test_a_batch_of_one_is_a_slice_of_a_batch(name):
    model, a = model_of(name), fields()
    torch.testing.assert_close(model(a[1:2], WALLS), model(a, WALLS)[1:2], rtol=1e-12, atol=1e-12)


@EACH
def test_gradients_are_those_of_finite_differences(name):
    model, a = model_of(name), fields(1)
    direction = fields(1, seed=2)
    _, derivative = torch.func.jvp(lambda a: model(a, WALLS).square().sum(), (a,), (direction,))
    h = 1e-6
    with torch.no_grad():
        difference = (
            model(a + h * direction, WALLS).square().sum() - model(a - h * direction, WALLS).square().sum()
        ) / (2 * h)
    torch.testing.assert_close(derivative, difference, rtol=1e-6, atol=1e-9)
    parameter = next(iter(model.parameters()))
    (gradient,) = torch.autograd.grad(model(a, WALLS).square().sum(), parameter)
    shift = torch.randn_like(parameter)
    with torch.no_grad():
        parameter += h * shift
        above = model(a, WALLS).square().sum()
        parameter -= 2 * h * shift
        below = model(a, WALLS).square().sum()
    torch.testing.assert_close((gradient * shift).sum(), (above - below) / (2 * h), rtol=1e-6, atol=1e-8)


@EACH
def test_the_same_model_is_built_again_from_its_settings(name):
    model = model_of(name)
    again = type(model)(**model.settings).double()
    again.load_state_dict(model.state_dict())
    assert again.parameter_count == model.parameter_count > 0
    torch.testing.assert_close(again(fields(), WALLS), model(fields(), WALLS), rtol=0.0, atol=0.0)


@EACH
def test_in_mixed_precision_it_is_the_same_to_a_few_digits(name):
    model, a = model_of(name).float(), fields().float()
    with torch.autocast("cpu", torch.bfloat16):
        mixed = model(a, WALLS)
    exact = model(a, WALLS)
    assert (mixed - exact).norm() < 0.03 * exact.norm()
    gradients = torch.autograd.grad(mixed.float().square().sum(), tuple(model.parameters()), allow_unused=True)
    assert all(one is None or (one.dtype == torch.float32 and one.isfinite().all()) for one in gradients)


@pytest.mark.slow
@EACH
@pytest.mark.parametrize("grid", [PERIODIC, WALLS], ids=["periodic", "walls"])
def test_compiled_it_is_one_graph_and_the_same(name, grid):
    torch._dynamo.reset()
    model, a = model_of(name), fields()
    compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(compiled(a, grid), model(a, grid), rtol=1e-12, atol=1e-12)


@EACH
def test_what_does_not_fit_is_refused_by_name(name):
    model, a = model_of(name), fields()
    with pytest.raises(TypeError, match=r"grid must be a kutta\.pde\.Grid; got int"):
        model(a, 16)
    with pytest.raises(ValueError, match="grids of 2 dimensions; got one of 1"):
        model(a[..., 0], kt.pde.Grid(16))
    with pytest.raises(ValueError, match=r"a must have the shape \(n, 2, 16, 20\)"):
        model(a[:, :1], WALLS)
    with pytest.raises(ValueError, match=r"a must have the shape \(n, 2, 16, 20\)"):
        model(a.mT, WALLS)
    with pytest.raises(TypeError, match="a must be a tensor of real floating-point numbers"):
        model(a.long(), WALLS)
