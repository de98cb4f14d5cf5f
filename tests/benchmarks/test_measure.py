"""The helpers of the benchmarks, and a quick run of each benchmark."""

import importlib
import json
import sys

import numpy as np
import pytest
import torch

import kutta as kt
from benchmarks import _extrapolation, _families, _measure, _memory, _peers, _problems, _roofline
from benchmarks._report import Report, cell, write_atomically, write_text

BENCHMARKS = {
    "work_precision": ("torchdiffeq", "torchode", "diffrax", "sksundae"),
    "ensemble_van_der_pol": ("torchdiffeq", "torchode", "diffrax"),
    "neural_ode": ("torchdiffeq", "torchode"),
    "host_reads": ("torchdiffeq", "torchode"),
    "compiled_van_der_pol": ("torchdiffeq", "diffrax"),
    "compiled_neural_ode": ("torchdiffeq", "diffrax"),
    "controllers": (),
    "neural_ode_regularisation": ("sklearn",),
    "latent_ode_regularisation": (),
    "penalty_transfer": ("sklearn",),
    "penalty_estimators": ("sklearn",),
    "kernel_ensembles": ("torchdiffeq", "torchode", "diffrax"),
    "kernel_stiff": ("diffrax",),
    "kernel_systems": ("diffrax",),
    "kernel_single": ("diffrax",),
    "kernel_fit": ("diffrax",),
    "kernel_symbolic": (),
    "diffusion_samplers": ("diffusers",),
    "diffusion_orders": ("diffusers",),
    "diffusion_artefacts": (),
    "diffusion_step": ("diffusers",),
    "diffusion_pipeline": ("diffusers",),
    "diffusion_feedback": (),
    "diffusion_digits": ("sklearn", "pytorch_lightning", "diffusers"),
    "learned_relaxation": (),
    "poisson": ("pyamg",),
    "deeponet": ("deepxde", "pytorch_lightning"),
    "graph_fixed_point": (),
    "hard_constraints": ("pytorch_lightning",),
    "hard_constraints_fronts": ("pytorch_lightning",),
    "hard_constraints_longer": ("pytorch_lightning",),
    "experts_time": (),
    "differences_in_time": (),
    "operators_darcy": ("pytorch_lightning",),
    "operators_online": ("pytorch_lightning",),
    "operators_peers": ("deepxde", "neuralop", "pytorch_lightning"),
    "operator_steps": (),
    "transform_once": ("pytorch_lightning",),
    "training_step": ("deepxde", "pytorch_lightning"),
    "spectral_exponax": ("exponax",),
    "reaction_diffusion": ("pde",),
}

# Positions of the seven stars at t = 3, from the test set for IVP solvers of Mazzia and Magherini.
PLEIADES_X = (
    0.3706139143970502,
    3.237284092057233,
    -3.222559032418324,
    0.6597091455775310,
    0.3425581707156584,
    1.562172101400631,
    -0.7003092922212495,
)


# Concentrations of the pollution problem at t = 60, from the same test set.
POLLUTION_Y = (
    0.5646255480022769e-1,
    0.1342484130422339,
    0.4139734331099427e-8,
    0.5523140207484359e-2,
    0.2018977262302196e-6,
    0.1464541863493966e-6,
    0.7784249118997964e-1,
    0.3245075353396018,
    0.7494013383880406e-2,
    0.1622293157301561e-7,
    0.1135863833257075e-7,
    0.2230505975721359e-2,
    0.2087162882798630e-3,
    0.1396921016840158e-4,
    0.8964884856898295e-2,
    0.4352846369330103e-17,
    0.6899219696263405e-2,
    0.1007803037365946e-3,
    0.1772146513969984e-5,
    0.5682943292316392e-4,
)
FAMILIES = (
    _families.LORENZ_SWEEP,
    _families.ROBERTSON,
    _families.LOTKA_VOLTERRA,
    _families.POLLUTION,
    _families.BRUSSELATOR,
)


def test_spread_is_median_and_range():
    assert _measure.Spread.of([3.0, 1.0, 10.0]) == _measure.Spread(3.0, 1.0, 10.0)
    assert f"{_measure.Spread(3.0, 1.0, 10.0):.1f}" == "3.0 (1.0-10.0)"


def test_ratios_are_taken_round_by_round():
    slow_when_busy = [2.0, 20.0, 6.0]
    fast_when_busy = [1.0, 10.0, 2.0]
    assert _measure.ratio(slow_when_busy, fast_when_busy) == _measure.Spread(2.0, 2.0, 3.0)


def test_contenders_take_turns():
    calls = []
    contenders = {name: lambda name=name: calls.append(name) for name in "abc"}
    timings = _measure.measure(contenders, repeats=4, warm_up=2, at_least=0.0)
    assert calls[:6] == list("aabbcc")
    assert calls[-12:] == list("abc") * 4
    assert all(len(seconds) == 4 and min(seconds) > 0 for seconds in timings.values())


def test_fast_contenders_are_called_many_times(monkeypatch):
    clock = iter(range(10**6))
    monkeypatch.setattr(_measure, "perf_counter", lambda: 1e-3 * next(clock))
    calls = []
    timings = _measure.measure({"a": lambda: calls.append(1)}, repeats=1, warm_up=0, at_least=5e-3)
    assert len(calls) == 1 + 5
    assert timings["a"] == [pytest.approx(1e-3 / 5)]


def test_machine_names_versions_and_threads():
    record = _measure.machine()
    assert record["torch"] == torch.__version__.split("+")[0] or record["torch"] == torch.__version__
    assert record["torch threads"] == torch.get_num_threads()
    assert {"date", "processor", "cores", "system", "python"} <= set(record)


def test_report_is_written_as_json_and_markdown(tmp_path):
    report = Report("sample", "How fast?", {"repeats": 3}, notes=["A note."])
    table = report.table("Times", "solver", "ms")
    table.add("a", _measure.Spread(1.5, 1.0, 2.0))
    table.add("b", None)
    report.data["raw"] = np.array([1.0, 2.0])
    paths = report.save(tmp_path, lambda path: path.write_bytes(b"picture"))
    assert sorted(p.suffix for p in paths) == [".json", ".md", ".png"]
    record = json.loads(paths[0].read_text())
    assert record["tables"]["Times"][0] == {"solver": "a", "ms": {"median": 1.5, "low": 1.0, "high": 2.0}}
    assert record["data"]["raw"] == [1.0, 2.0]
    markdown = paths[1].read_text()
    assert "| a | 1.5 (1-2) |" in markdown and "- A note." in markdown and paths[2].name in markdown
    assert sorted(tmp_path.iterdir()) == sorted(paths)


def test_tables_refuse_rows_of_another_length():
    with pytest.raises(AssertionError):
        Report("sample", "", {}).table("Times", "solver", "ms").add("a")


def test_failed_write_leaves_the_old_file_alone(tmp_path):
    target = tmp_path / "result.json"
    write_text(target, "old")

    def fail(path):
        path.write_text("half of the n")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_atomically(target, fail)
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize(
    ("value", "shown"), [(None, ""), (3, "3"), (0.0, "0"), (1.23456e-7, "1.2e-07"), (12.345, "12.3"), (1234.5, "1234")]
)
def test_cells(value, shown):
    assert cell(value) == shown


def test_extrapolation_solves_the_oscillator():
    times = (0.0, 1.0, 10.0)
    ys = _extrapolation.reference(lambda t, y: np.array([y[1], -y[0]]), (1.0, 0.0), times)
    np.testing.assert_allclose(ys[:, 0], np.cos(times), atol=1e-15)


def test_reference_of_the_pleiades_agrees_with_the_published_one():
    np.testing.assert_allclose(_problems.PLEIADES.reference()[:7], PLEIADES_X, rtol=1e-11)


def test_arenstorf_orbit_closes():
    np.testing.assert_allclose(_problems.ARENSTORF.reference(), _problems.ARENSTORF.y0, atol=1e-9)


def test_reference_of_the_pollution_problem_agrees_with_the_published_one():
    problem = _families.POLLUTION
    found = _families.stiff_reference(problem, np.array([problem.y0]), np.array([problem.parameters]))
    np.testing.assert_allclose(found[0], POLLUTION_Y, rtol=1e-6)


@pytest.mark.parametrize("problem", FAMILIES, ids=lambda problem: problem.name)
def test_parameters_take_the_place_of_the_usual_ones(problem):
    y = np.random.default_rng(0).uniform(0.1, 1.0, len(problem.y0))
    p = np.array(problem.parameters)
    state, rates = torch.from_numpy(y), torch.from_numpy(p)
    usual, other = problem.torch(0.0, state), problem.torch(0.0, state, 2.0 * rates)
    assert torch.equal(problem.torch(0.0, state, rates), usual) and not torch.equal(other, usual)
    np.testing.assert_allclose(problem.numpy(0.0, y, *(2.0 * p).tolist()), other.numpy(), rtol=1e-12)


def test_varied_parameters_stay_within_a_factor_of_two():
    y0, p = _families.varied(_families.ROBERTSON, 1000)
    assert y0.shape == p.shape == (1000, 3)
    factors = p / _families.ROBERTSON.parameters
    assert 0.7 < factors.min() < 0.72 and 1.4 < factors.max() < 1.42


def test_operations_of_a_step_are_counted():
    problem = kt.ODEProblem(lambda t, y: -y * y, torch.ones(3), (0.0, 1.0))
    program = _roofline.program_of(problem)
    assert program.cost == 6
    # Euler: one slope, and y + h k with weight one; Heun's method of two stages, with its embedded error.
    assert _roofline.operations_of_step(program, kt.Euler().tableau) == 6 + 3 * 3
    assert _roofline.operations_of_step(program, kt.Tsit5().tableau) == 6 * 6 + 3 * (2 * 21 + 6 + 2 * 7)


def test_peak_is_positive_and_wider_for_floats():
    (run, narrow), (_, wide) = (_roofline.peak(dtype) for dtype in (torch.float64, torch.float32))
    run()
    assert wide == 2 * narrow == 2 * _roofline.ROUNDS * _roofline.CHAINS * 64 // 4


@pytest.mark.parametrize("problem", _problems.SMALL_SYSTEMS, ids=lambda problem: problem.name)
def test_formulas_agree_in_numpy_and_torch(problem):
    y = np.array(problem.y0) + 0.1
    expected = np.array(problem.numpy(0.0, y))
    tensor = torch.from_numpy(y)
    np.testing.assert_allclose(problem.torch(0.0, tensor).numpy(), expected, rtol=1e-13)
    np.testing.assert_allclose(problem.torch_rows(0.0, tensor[None])[0].numpy(), expected, rtol=1e-13)
    np.testing.assert_allclose(problem.extended(0.0, y), expected, rtol=1e-13)


@pytest.mark.parametrize("problem", _problems.SMALL_SYSTEMS, ids=lambda problem: problem.name)
def test_formulas_agree_in_jax(problem):
    jax = pytest.importorskip("jax", reason="JAX is not installed")
    y = np.array(problem.y0) + 0.1
    with jax.enable_x64(True):
        slope = problem.jax(0.0, jax.numpy.asarray(y))
    np.testing.assert_allclose(slope, np.array(problem.numpy(0.0, y)), rtol=1e-13)


def test_live_bytes_follow_what_is_kept():
    def run():
        kept = [torch.ones(100) for _ in range(3)]
        for _ in range(5):
            torch.ones(50)
        return kept

    assert _memory.peak_bytes(run) == (3 * 100 + 50) * 4


def test_live_bytes_see_the_backward_pass():
    x = torch.ones(1000, requires_grad=True)
    forward = _memory.peak_bytes(lambda: x.exp())
    both = _memory.peak_bytes(lambda: torch.autograd.grad(x.exp().sum(), x))
    assert forward == 4000
    assert both >= 8000


def test_saved_bytes_count_each_storage_once():
    x = torch.ones(1000, requires_grad=True)

    def run():
        y = x.exp()
        return y * y

    assert _memory.saved_bytes(run) == 4000


@pytest.fixture
def threads():
    """PyTorch's number of threads, put back afterwards."""
    before = torch.get_num_threads()
    yield before
    torch.set_num_threads(before)


@pytest.mark.slow
@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize("name", BENCHMARKS)
def test_benchmark_runs(name, tmp_path, monkeypatch):
    absent = _peers.missing((*BENCHMARKS[name], "rich", "matplotlib"))
    if absent:
        pytest.skip(f"not installed: {', '.join(absent)}")
    monkeypatch.setattr(sys, "argv", [name])
    benchmark = importlib.import_module(f"benchmarks.{name}")
    report = benchmark.main(["--quick", "--out", str(tmp_path)])
    assert report.tables and all(table.rows for table in report.tables)
    assert {path.suffix for path in tmp_path.iterdir()} >= {".json", ".md"}
