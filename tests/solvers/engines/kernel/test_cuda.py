"""The kernel engine on GPUs: its text compiles, means what that for the CPU means, and is launched as it should be."""

import ctypes
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

import kutta as kt
from kutta.solvers.engines.kernel import gpu, nvrtc
from kutta.solvers.engines.kernel.build import CompilerFailed, CompilerMissing, compiler
from kutta.solvers.engines.kernel.engine import solve_kernel
from tests import _gpu
from tests._helpers import F64

try:
    compiler()
except CompilerMissing:  # pragma: no cover
    pytest.skip("needs a C++ compiler", allow_module_level=True)

KERNEL = kt.Kernel()


def oscillator(t, y, stiffness):
    return torch.stack([y[1], stiffness * (1.0 - y[0] ** 2) * y[1] - y[0] + torch.sin(t)])


def oscillators(dtype=F64, count=37, grad=False):
    y0 = torch.randn(count, 2, dtype=F64, generator=torch.Generator().manual_seed(0)).to(dtype)
    stiffness = torch.linspace(0.0, 3.0, count, dtype=dtype)
    leaves = [leaf.requires_grad_(grad) for leaf in (y0, stiffness)]
    return kt.EnsembleProblem(oscillator, leaves[0], (0.0, 3.0), (leaves[1],))


def robertson(t, y, k):
    a, b, c = y
    slow, fast, back = k[0] * a, k[1] * b * b, k[2] * b * c
    return torch.stack([back - slow, slow - back - fast, fast])


def reactions(dtype=F64, count=7, grad=False):
    k = torch.tensor([0.04, 3e7, 1e4], dtype=dtype) * torch.linspace(0.5, 2.0, count, dtype=dtype)[:, None]
    y0 = torch.eye(3, dtype=dtype)[:1].repeat(count, 1)
    return kt.EnsembleProblem(robertson, y0, (0.0, 10.0), (k.requires_grad_(grad),))


def elementary(t, y):
    x = y.abs() + 0.5
    parts = [torch.exp(-x), torch.log(x), torch.tanh(x), torch.erf(x), torch.expm1(-x), torch.log1p(x), torch.floor(x)]
    parts += [torch.atan2(x, 1.0 + x), x**0.7, torch.where(y > 0.0, torch.sqrt(x), torch.cos(x)), torch.fmod(x, 0.3)]
    return -0.1 * sum(parts)


def functions(dtype=F64):
    return kt.EnsembleProblem(elementary, torch.linspace(-2.0, 2.0, 9, dtype=dtype)[:, None], (0.0, 1.0))


SAVE = torch.tensor([0.0, 0.01, 0.7, 3.0], dtype=F64)
AXIS = kt.Event(lambda t, y, k: y[0], change=lambda t, y, k: torch.stack([y[0], -0.9 * y[1]]))
TIGHT = {"rtol": 1e-8, "atol": 1e-8}
CASES = {
    "Tsit5": (oscillators, kt.Tsit5(), TIGHT | {"save_at": SAVE}),
    "Dopri8": (oscillators, kt.Dopri8(), TIGHT | {"save_at": SAVE}),
    "RK4": (oscillators, kt.RK4(), {"dt0": 0.05, "save_at": SAVE}),
    "PID": (oscillators, kt.Bosh3(), {"controller": kt.PID(0.2, 0.5, 0.1), "rtol": 1e-6, "atol": 1e-6}),
    "events": (oscillators, kt.Tsit5(), TIGHT | {"events": [AXIS], "save_at": SAVE}),
    "Rosenbrock23": (reactions, kt.Rosenbrock23(), {"rtol": 1e-5, "atol": 1e-9}),
    "Rodas5P": (reactions, kt.Rodas5P(), {"rtol": 1e-5, "atol": 1e-9}),
    "functions": (functions, kt.Tsit5(), TIGHT),
}
DIFFERENTIATED = {name: CASES[name] for name in ("Tsit5", "events", "Rodas5P")}


def moved(problem, device):
    """The same problem on a device."""
    y0, *args = (leaf.detach().to(device).requires_grad_(leaf.requires_grad) for leaf in (problem.y0, *problem.args))
    return replace(problem, y0=y0, args=tuple(args))


def solved(case, *arguments, device="cpu", **more):
    problem, method, options = case
    return kt.solve(moved(problem(*arguments), device), method, engine=KERNEL, **options | more)


@pytest.fixture
def driver(monkeypatch):
    return _gpu.install(monkeypatch)


def launches(driver):
    return ctypes.c_int.in_dll(driver, "launches").value


def same(cpu, cuda, within):
    torch.testing.assert_close(cuda.y1.cpu(), cpu.y1, rtol=within, atol=within)
    torch.testing.assert_close(cuda.ys.cpu(), cpu.ys, rtol=within, atol=within)
    torch.testing.assert_close(cuda.t1.cpu(), cpu.t1, rtol=within, atol=within)
    assert cuda.result.codes.tolist() == cpu.result.codes.tolist() and len(cuda.events) == len(cpu.events)
    assert (cuda.stats.steps.cpu() - cpu.stats.steps).abs().max() <= 2


# --- the text, run on the host ---


@pytest.mark.parametrize("name", CASES)
def test_the_text_for_gpus_gives_what_that_for_cpus_gives(name, monkeypatch):
    cpu = solved(CASES[name])
    driver = _gpu.install(monkeypatch)
    before = launches(driver)
    same(cpu, solved(CASES[name]), within=1e-8)
    assert launches(driver) == before + 1 or cpu.events


@pytest.mark.parametrize("name", ["Tsit5", "functions"])
def test_single_precision(name, monkeypatch):
    options = {"rtol": 1e-4, "atol": 1e-4}
    cpu = solved(CASES[name], torch.float32, **options)
    _gpu.install(monkeypatch)
    cuda = solved(CASES[name], torch.float32, **options)
    same(cpu, cuda, within=1e-3)
    assert cuda.y1.dtype == torch.float32


def gradients(case, device="cpu"):
    problem, method, options = case
    problem = moved(problem(grad=True), device)
    sol = kt.solve(problem, method, engine=KERNEL, **options)
    leaves = [leaf for leaf in (problem.y0, *problem.args) if leaf.requires_grad]
    return torch.autograd.grad(sol.y1.sum() + sol.ys.square().sum(), leaves)


@pytest.mark.parametrize("name", DIFFERENTIATED)
def test_gradients(name, monkeypatch):
    cpu = gradients(DIFFERENTIATED[name])
    _gpu.install(monkeypatch)
    torch.testing.assert_close(gradients(DIFFERENTIATED[name]), cpu, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("count", [1, 31, 32, 33])
def test_any_number_of_trajectories(count, driver):
    eager = kt.solve(oscillators(count=count), engine=kt.Eager(), **TIGHT)
    torch.testing.assert_close(solved(CASES["Tsit5"], F64, count).y1, eager.y1, rtol=1e-6, atol=1e-6)


def test_one_trajectory(driver):
    problem = kt.ODEProblem(lambda t, y: -y, torch.ones(2, dtype=F64), (0.0, 1.0))
    sol = kt.solve(problem, engine=KERNEL, **TIGHT)
    assert sol.y1.tolist() == pytest.approx([0.36787944] * 2, abs=1e-7) and sol.result == kt.Result.SUCCESS


def test_an_image_that_cannot_be_loaded_is_named(driver, monkeypatch):
    monkeypatch.setattr(gpu, "binary", lambda source, architecture: b"nowhere\0")
    problem = kt.ODEProblem(lambda t, y: -1.5 * y, torch.ones(2, dtype=F64), (0.0, 1.0))
    with pytest.raises(CompilerFailed, match="the CUDA driver could not load or launch the kernel: no such image"):
        kt.solve(problem, engine=KERNEL)


class Nowhere(TorchFunctionMode):
    """Puts tensors that are made without a word on their device where they fit with no others."""

    MAKERS = (torch.zeros, torch.ones, torch.empty, torch.full, torch.arange, torch.eye, torch.tensor, torch.linspace)

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        if function in self.MAKERS:
            kwargs.setdefault("device", "meta")
        return function(*args, **kwargs)


class Reads(TorchDispatchMode):
    """Counts how often Python asks for values."""

    ASK = (torch.ops.aten._local_scalar_dense.default, torch.ops.aten.nonzero.default, torch.ops.aten.equal.default)
    count = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.count += function in self.ASK
        return function(*args, **(kwargs or {}))


def inside(mode, monkeypatch):
    """Let the engine, and no more than that, run in a mode."""

    def solve(*arguments):
        with mode:
            return solve_kernel(*arguments)

    monkeypatch.setattr(sys.modules["kutta.solve"], "solve_kernel", solve)


@pytest.mark.parametrize("grad", [False, True], ids=["state", "sensitivities"])
@pytest.mark.parametrize("name", DIFFERENTIATED)
def test_tensors_are_made_on_the_device_of_the_state(name, grad, driver, monkeypatch):
    inside(Nowhere(), monkeypatch)
    assert solved(DIFFERENTIATED[name], F64, 7, grad).y1.device.type == "cpu"


def test_the_host_reads_nothing_before_the_results(driver, monkeypatch):
    solved(CASES["Tsit5"])  # traced and compiled
    reads, launch, seen = Reads(), gpu.GPU.run, []

    def noted(*arguments):
        seen.append(reads.count)
        launch(*arguments)

    monkeypatch.setattr(gpu.GPU, "run", noted)
    inside(reads, monkeypatch)
    solved(CASES["Tsit5"])
    # Whether the tolerances, two numbers of the host, are zero; and in the end whether any trajectory has failed.
    assert seen == [1] and reads.count == 2


def test_without_nvrtc_the_choice_is_the_eager_engine(driver, monkeypatch):
    def missing(source, architecture):
        raise CompilerMissing("no NVRTC")

    monkeypatch.setattr(gpu, "binary", missing)
    problem = kt.EnsembleProblem(lambda t, y: -2.5 * y, torch.ones(1000, 1), (0.0, 1.0))
    sol = kt.solve(problem)
    assert sol.stats.engine == "eager" and sol.stats.reason == "no NVRTC"
    with pytest.raises(CompilerMissing, match="no NVRTC"):
        kt.solve(problem, engine=KERNEL)


# --- the text, compiled for GPUs ---


class Printed(Exception):
    """In the place of compiling a text."""


@pytest.fixture
def texts(monkeypatch):
    """The text of a solve for GPUs, which is neither compiled nor run."""

    class Printing(gpu.GPU):
        def compiled(self, source):
            raise Printed(source)

    there = Printing(torch.device("cuda", 1))
    monkeypatch.setattr("kutta.solvers.engines.kernel.engine.machine_for", lambda device, threads: there)

    def printed(case, *arguments):
        with pytest.raises(Printed) as found:
            solved(case, *arguments)
        return str(found.value)

    return printed


@pytest.mark.parametrize("grad", [False, True], ids=["state", "sensitivities"])
@pytest.mark.parametrize("name", DIFFERENTIATED)
def test_the_text_needs_no_headers(name, grad, texts):
    text = texts(DIFFERENTIATED[name], F64, 7, grad)
    assert "#include" not in text and "int64_t" not in text and "int32_t" not in text


def ptx(text, folder):
    """Compile by nvcc; warnings are errors, but for what a kernel has no need of."""
    nvcc = shutil.which("nvcc")
    if nvcc is None:
        pytest.skip("needs nvcc")
    source, target = folder / "kernel.cu", folder / "kernel.ptx"
    source.write_text(text)
    unused = ["-diag-suppress", "177", "-diag-suppress", "128", "-Werror", "all-warnings"]
    command = [nvcc, "-ptx", "-arch=sm_90", *nvrtc.OPTIONS, *unused, str(source), "-o", str(target)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return target.read_text()


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
@pytest.mark.parametrize("name", CASES)
def test_nvcc_compiles_it(name, dtype, texts, tmp_path):
    made = ptx(texts(CASES[name], dtype), tmp_path)
    assert ".entry run(" in made and ".maxntid 32" in made


@pytest.mark.parametrize("name", DIFFERENTIATED)
def test_nvcc_compiles_sensitivities(name, texts, tmp_path):
    assert ".entry run(" in ptx(texts(DIFFERENTIATED[name], F64, 7, True), tmp_path)


def test_nvrtc_compiles_it(texts, monkeypatch):
    """The compiler itself needs no GPU; it comes with PyTorch's CUDA builds."""
    try:
        nvrtc.nvrtc()
    except CompilerMissing as missing:
        pytest.skip(str(missing))
    for name, case in CASES.items():
        for dtype in (torch.float64, torch.float32):
            assert nvrtc.binary(texts(case, dtype), "sm_90").startswith(b"\x7fELF"), name


# --- the calls of NVRTC ---


def test_a_source_is_compiled_once_for_an_architecture(monkeypatch, tmp_path):
    compiler = _gpu.install_nvrtc(monkeypatch)
    monkeypatch.setenv("KUTTA_CACHE", str(tmp_path / "kernels"))
    made = nvrtc.binary("text", "sm_90")
    assert made == b"--gpu-architecture=sm_90\n--std=c++17\ntext" == nvrtc.binary("text", "sm_90")
    assert nvrtc.binary("text", "sm_80") != made
    assert ctypes.c_int.in_dll(compiler, "compilations").value == 2
    assert [path.suffix for path in (tmp_path / "kernels").iterdir()] == [".cubin"] * 2


def test_what_nvrtc_says_is_passed_on(monkeypatch, tmp_path):
    _gpu.install_nvrtc(monkeypatch)
    monkeypatch.setenv("KUTTA_CACHE", str(tmp_path / "kernels"))
    with pytest.raises(CompilerFailed, match=r"NVRTC could not compile the kernel:\n(.|\n)*an error here"):
        nvrtc.binary("an error here", "sm_90")
    assert list((tmp_path / "kernels").iterdir()) == []


def test_missing_nvrtc_is_named(monkeypatch):
    monkeypatch.setattr(torch.version, "cuda", None)
    with pytest.raises(CompilerMissing, match="this PyTorch is not built for CUDA"):
        nvrtc.nvrtc.__wrapped__()
    monkeypatch.setattr(torch.version, "cuda", "99.0")
    with pytest.raises(CompilerMissing, match=r"libnvrtc\.so\.99 is neither .*install nvidia-cuda-nvrtc"):
        nvrtc.nvrtc.__wrapped__()


def test_nvrtc_is_found_among_wheels(monkeypatch, tmp_path):
    folder = tmp_path / "nvidia" / "cu99" / "lib"
    folder.mkdir(parents=True)
    shutil.copy(_gpu.library(_gpu.NVRTC)._name, folder / "libnvrtc.so.99")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(torch.version, "cuda", "99.0")
    assert Path(nvrtc.nvrtc.__wrapped__()._name) == folder / "libnvrtc.so.99"


# --- on a GPU ---

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


@needs_cuda
@pytest.mark.parametrize("name", CASES)
def test_a_gpu_gives_what_the_cpu_gives(name):
    cuda = solved(CASES[name], device="cuda")
    same(solved(CASES[name]), cuda, within=1e-8)
    assert cuda.y1.device.type == cuda.ys.device.type == cuda.stats.steps.device.type == "cuda"


@needs_cuda
@pytest.mark.parametrize("name", DIFFERENTIATED)
def test_gradients_on_a_gpu(name):
    cuda = [grad.cpu() for grad in gradients(DIFFERENTIATED[name], device="cuda")]
    torch.testing.assert_close(cuda, list(gradients(DIFFERENTIATED[name])), rtol=1e-5, atol=1e-6)


@needs_cuda
def test_threads_are_for_cpus():
    problem = moved(oscillators(), "cuda")
    with pytest.raises(NotImplementedError, match="threads on the CPU only, a GPU its own; got threads=2"):
        kt.solve(problem, engine=kt.Kernel(threads=2))
