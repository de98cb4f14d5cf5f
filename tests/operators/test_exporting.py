"""Models as ONNX files: the same function in another runtime, and no file where it is not."""

import json
import sys

import pytest
import torch

import kutta as kt
from kutta.operators import Ensemble, TrainedOperator, export_onnx, exporting, operator
from kutta.operators.onnx_run import samples_within
from kutta.operators.scope import Scope, difference
from kutta.operators.scope_in_words import scope_of_words

onnxruntime = pytest.importorskip("onnxruntime")
onnx = pytest.importorskip("onnx")

WRAPPED = kt.pde.Grid((8, 6))
VALUES = kt.pde.Grid((8, 6), (1.0, 2.0), boundary=(kt.pde.Dirichlet(0.5), (kt.pde.Neumann(), kt.pde.Robin(1.0, 2.0))))
SLOPES = kt.pde.Grid((8, 6), boundary=kt.pde.Neumann())
NODES = kt.pde.Grid((9, 9), boundary=kt.pde.Dirichlet(0.5), centring="node")
SMALL = {"width": 4, "layers": 1}


def trained(network, grid=WRAPPED, dtype=torch.float32, change=False):
    """A model with units of its own, on a grid, of two inputs where the network has them."""
    inputs = ("u0", "rate") if network.out_channels == 1 else ("rate", "diffusivity")
    components, ends = ("u", "v")[: network.out_channels], ((-1.0, 0.5), (3.0, 0.7))
    lowest, highest = (one[: network.in_channels] for one in ends)
    scope = Scope("Heat", components, grid, inputs[: network.in_channels], lowest, highest, {}, 0.1, 4)
    model = TrainedOperator(network, scope, change=change).to(dtype)
    model.of_inputs.mean.fill_(0.7)
    model.of_outputs.mean.fill_(-3.0)
    model.of_outputs.deviation.fill_(20.0)
    return model


def regression(in_channels=1, out_channels=1, grid=WRAPPED, seed=0):
    generator = torch.Generator().manual_seed(seed)
    a, u = (torch.randn(9, count, *grid.shape, generator=generator) for count in (in_channels, out_channels))
    return kt.operators.PODRegression(in_channels, out_channels, grid.shape, modes=4).fit(a, u)


def answer(path, a):
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return torch.from_numpy(session.run(["u"], {"a": a.numpy()})[0])


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A file that several tests read."""
    path = tmp_path_factory.mktemp("onnx") / "m.onnx"
    export_onnx(trained(regression(grid=VALUES), VALUES), path, {"family": "heat"}, {"relative_l2": 0.25})
    return path


NETWORKS = {
    "FNO": (lambda op: op.FNO(2, 1, (4, 4), lift=4, project=4, **SMALL), VALUES),
    "FactorisedFNO": (lambda op: op.FactorisedFNO(2, 1, (4, 4), project=4, **SMALL), WRAPPED),
    "MgNO": (lambda op: op.MgNO(2, 1, sweeps=(1, 1), **SMALL), VALUES),
    "MgNO with residuals on nodes": (
        lambda op: op.MgNO(2, 1, sweeps=(1, 1), after=(1,), true_residual=True, kernel=3, groups=2, **SMALL),
        NODES,
    ),
    "T1": (lambda op: op.T1(2, 1, (4, 4), head=4, **SMALL), SLOPES),
    "T1U": (lambda op: op.T1U(2, 2, (4, 4), width=4, scales=2, groups=2, keep_high=True), SLOPES),
    "CNO": (lambda op: op.CNO(2, 1, (8, 6), width=4, scales=1, bottleneck=1), SLOPES),
    "UNet": (lambda op: op.UNet(2, 2, width=4, scales=2, groups=2), VALUES),
    "FieldDeepONet": (lambda op: op.FieldDeepONet(2, 2, (8, 6), 4, (8,), (8,), periods=(1.0, None)), WRAPPED),
    "FieldDeepONet of several": (lambda op: op.FieldDeepONet(1, 2, (8, 6), 4, (8,), (8,), sharing="none"), WRAPPED),
    "NeuralStagger": (
        lambda op: op.NeuralStagger("Persistence", {"in_channels": 1, "out_channels": 1}, stagger=(2, 2)),
        WRAPPED,
    ),
}
IN_DOUBLE = {
    "FNO": (lambda op: op.FNO(1, 1, (4, 4), lift=4, project=4, nonlinearity="silu", **SMALL), VALUES),
    "T1": (lambda op: op.T1(1, 1, (4, 4), head=4, nonlinearity="tanh", **SMALL), SLOPES),
    "FieldDeepONet": (lambda op: op.FieldDeepONet(1, 1, (8, 6), 4, (8,), (8,)), WRAPPED),
}


def agrees(model, path, grid, dtype):
    """What the file gives, for batches of other sizes than that of tracing, which is 2."""
    bound = exporting.ROUNDINGS * torch.finfo(dtype).eps
    assert 0.0 <= export_onnx(model, path) < bound
    single = model.member if isinstance(model, Ensemble) else model
    a = samples_within(single.scope, 5, 3, dtype)
    u = model(a, grid).detach()
    u = u.mean(0) if isinstance(model, Ensemble) else u
    for count in (1, 5):
        found = answer(path, a[:count])
        assert found.dtype == dtype
        torch.testing.assert_close(found, u[:count], rtol=0.0, atol=bound * float(u.abs().max()))


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_an_architecture_is_the_same_function_in_onnxruntime(name, tmp_path):
    torch.manual_seed(0)
    make, grid = NETWORKS[name]
    network = make(kt.operators)
    for parameter in network.parameters():  # those of T1 begin so small that it is about zero
        torch.nn.init.normal_(parameter, std=0.3)
    agrees(trained(network, grid, change=network.out_channels == 1), tmp_path / "m.onnx", grid, torch.float32)


@pytest.mark.slow
@pytest.mark.parametrize("name", IN_DOUBLE)
def test_in_double_precision_it_is_as_exact(name, tmp_path):
    torch.manual_seed(0)
    make, grid = IN_DOUBLE[name]
    agrees(trained(make(kt.operators), grid, torch.float64), tmp_path / "m.onnx", grid, torch.float64)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_of_an_ensemble_the_mean_is_written(dtype, tmp_path):
    torch.manual_seed(0)
    networks = [kt.operators.FNO(1, 1, (4, 4), lift=4, project=4, nonlinearity="silu", **SMALL) for _ in range(3)]
    model = Ensemble.of([trained(one, VALUES, dtype) for one in networks])
    agrees(model, tmp_path / "m.onnx", VALUES, dtype)
    assert json.loads(onnx.load(tmp_path / "m.onnx").metadata_props[0].value)["members"] == 3


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", ["Persistence", "PODRegression"])
def test_baselines_are_the_same_functions(name, dtype, tmp_path):
    network = regression(2, 1, NODES) if name == "PODRegression" else kt.operators.Persistence(2, 1)
    agrees(trained(network, NODES, dtype, change=True), tmp_path / "m.onnx", NODES, dtype)


def test_the_file_says_what_it_is_and_nothing_of_where_it_was_made(written):
    session = onnxruntime.InferenceSession(str(written), providers=["CPUExecutionProvider"])
    assert session.get_inputs()[0].shape == session.get_outputs()[0].shape == ["batch", 1, 8, 6]
    card = json.loads(session.get_modelmeta().custom_metadata_map["kutta"])
    assert card["network"]["name"] == "PODRegression" and card["metrics"] == {"relative_l2": 0.25}
    assert card["scope"]["grid"]["boundary"] == [["Dirichlet(0.5)"] * 2, ["Neumann(0.0)", "Robin(1.0, 2.0, 0.0)"]]
    assert not difference(scope_of_words(card["scope"]).grid, VALUES) and card["data"] == {"family": "heat"}
    assert {"kutta", "torch", "onnx", "onnxscript", "onnxruntime"} <= set(card["versions"])
    onnx.checker.check_model(onnx.load(written), full_check=True)
    assert b".py" not in written.read_bytes()


def test_fields_on_another_grid_are_refused_by_the_runtime(written):
    with pytest.raises(Exception, match="Got invalid dimensions for input: a"):
        answer(written, torch.zeros(2, 1, 8, 8))
    with pytest.raises(Exception, match="Unexpected input data type"):
        answer(written, torch.zeros(2, 1, 8, 6, dtype=torch.float64))


def test_no_file_remains_of_a_model_that_is_another_one_in_the_runtime(written, tmp_path, monkeypatch):
    mutilated = onnx.load(written)
    weights = max(mutilated.graph.initializer, key=lambda one: len(one.raw_data))
    values = 1.01 * onnx.numpy_helper.to_array(weights)
    weights.CopyFrom(onnx.numpy_helper.from_array(values.astype("float32"), weights.name))
    monkeypatch.setattr(exporting, "_contents", lambda *given: mutilated.SerializeToString())
    model = trained(regression(grid=VALUES), VALUES)
    with pytest.raises(ArithmeticError, match=r"largest relative difference is 0\.0.*tolerance is 0\.000119; no file"):
        export_onnx(model, tmp_path / "m.onnx")
    assert not list(tmp_path.iterdir())
    assert 1e-3 < export_onnx(model, tmp_path / "m.onnx", tolerance=0.1) < 0.1
    whole = (tmp_path / "m.onnx").read_bytes()
    with pytest.raises(ArithmeticError):
        export_onnx(model, tmp_path / "m.onnx")
    assert (tmp_path / "m.onnx").read_bytes() == whole and len(list(tmp_path.iterdir())) == 1


def test_fields_that_are_no_numbers_are_no_agreement(written, tmp_path, monkeypatch):
    monkeypatch.setattr(exporting, "_contents", lambda *given: written.read_bytes())
    network = regression(grid=VALUES)
    network.weight.data.fill_(float("nan"))
    with pytest.raises(ArithmeticError, match="largest relative difference is nan"):
        export_onnx(trained(network, VALUES), tmp_path / "m.onnx")
    assert not list(tmp_path.iterdir())


class Stepwise(operator.Operator):
    """What takes another way for other values, which a graph cannot."""

    def __init__(self, in_channels=1, out_channels=1, dim=2):
        super().__init__()
        self.in_channels, self.out_channels, self.dim = in_channels, out_channels, dim

    def transform(self, a, grid):
        return a if float(a.sum()) > 0.0 else -a


def test_what_cannot_be_written_is_refused_with_the_reason(tmp_path):
    path = tmp_path / "m.onnx"
    with pytest.raises(ValueError, match=r"this model cannot be written as ONNX: \S+"):
        export_onnx(trained(Stepwise()), path)
    with pytest.raises(ValueError, match=r"call fit\(a, u\) first"):
        export_onnx(trained(kt.operators.PODRegression(1, 1, (8, 6), modes=2)), path)
    with pytest.raises(TypeError, match="TrainedOperator, or an Ensemble of them; got DeepONet"):
        export_onnx(kt.operators.DeepONet(8), path)
    with pytest.raises(TypeError, match=r"must be float32 or float64; got torch.bfloat16"):
        export_onnx(trained(regression()).bfloat16(), path)
    with pytest.raises(ValueError, match="samples must be a whole number of at least 2"):
        export_onnx(trained(regression()), path, samples=1)
    given = kt.pde.Grid((8, 6), boundary=kt.pde.Dirichlet(lambda x, t: x[0]))
    with pytest.raises(ValueError, match="function of x and t"):
        export_onnx(trained(regression(), given), path)
    assert not list(tmp_path.iterdir())


def test_what_is_too_large_for_one_file_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(exporting, "LARGEST", 1000)
    with pytest.raises(ValueError, match="holds at most 1000 bytes; the model has"):
        export_onnx(trained(regression()), tmp_path / "m.onnx")


@pytest.mark.slow
def test_operations_that_the_runtime_has_in_single_precision_only_are_named(tmp_path):
    model = trained(kt.operators.UNet(1, 1, width=4, scales=1, groups=2), dtype=torch.float64)
    with pytest.raises(NotImplementedError, match=r"in torch\.float64: .*Conv.* export model\.float\(\)"):
        export_onnx(model, tmp_path / "m.onnx")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("package", ["onnx", "onnxscript", "onnxruntime"])
def test_a_missing_package_is_named(package, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=rf'export_onnx needs {package}: pip install "kutta\[onnx\]"'):
        export_onnx(trained(regression()), tmp_path / "m.onnx")
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(FileNotFoundError):
        export_onnx(trained(kt.operators.Persistence(1)), tmp_path / "none" / "m.onnx")
