import json
import re
import subprocess
import sys
from importlib.metadata import version

import pytest
from typer.testing import CliRunner

import kutta
from kutta import cli


def invoke(*arguments):
    return CliRunner(env={"COLUMNS": "120"}).invoke(cli.application(), arguments)


def test_version():
    result = invoke("--version")
    assert result.exit_code == 0
    assert result.stdout == f"kutta {version('kutta')}\n"


def test_without_a_command_the_help_is_shown():
    text = invoke().output
    assert all(command in text for command in ("demo", "sample", "solve", "train", "methods", "bench"))


def test_methods_lists_every_public_method_with_its_own_figures():
    result = invoke("methods")
    assert result.exit_code == 0
    for name, _ in cli.public_methods():
        assert re.search(rf"^\s*{name}\s", result.stdout, re.MULTILINE), name
    for name, figures in {
        "Tsit5": "5 5 4",
        "Dopri8": "8 6 7",
        "RK4": "4 – 3",
        "Rodas5P": "5 5 4",
        "Rosenbrock23": "2 3 2",
    }.items():
        row = next(line for line in result.stdout.splitlines() if line.split()[:1] == [name])
        assert row.split()[1:4] == figures.split()
    assert "explicit Runge-Kutta" in result.stdout and "Rosenbrock" in result.stdout and "Tsitouras" in result.stdout


def test_methods_lists_the_samplers_with_their_orders_and_sources():
    lines = invoke("methods").stdout.splitlines()
    listed = dict(cli.public_samplers())
    assert {"DDIM", "GHVB", "AdaptiveMultistep", "Nesterov"} <= set(listed)
    assert not {"Sampler", "Momentum"} & set(listed)
    for name in listed:
        assert any(line.split()[:1] == [name] for line in lines), name
    assert cli.describe_sampler("UniPC", kutta.UniPC).order == "1–6"
    assert cli.describe_sampler("DDIM", kutta.DDIM).order == ""
    assert all(
        cli.describe_sampler(name, one).source.endswith(".")
        for name, one in listed.items()
        if name != "AdaptiveMultistep"
    )


def test_methods_are_all_those_of_the_package():
    listed = {name for name, _ in cli.public_methods()}
    assert {"Euler", "Tsit5", "Vern9", "RungeKutta"} <= listed
    assert "Method" not in listed and "PID" not in listed


def test_a_method_whose_order_is_an_argument_shows_its_range():
    row = cli.describe("AdamsBashforth", kutta.AdamsBashforth)
    assert row.order == "1–9"


def test_bench_lists_the_benchmarks_with_their_questions(checkout):
    for arguments in (("bench",), ("bench", "--list")):
        result = invoke(*arguments)
        assert result.exit_code == 0
        assert "greet" in result.stdout and "Does it run?" in result.stdout
        assert "_helper" not in result.stdout


def test_bench_runs_a_benchmark_and_hands_on_arguments_and_status(checkout):
    assert invoke("bench", "greet", "--", "--status", "3").exit_code == 3
    assert (checkout / "ran").read_text() == "--status 3"


def test_bench_refuses_an_unknown_name(checkout):
    result = invoke("bench", "nothing")
    assert result.exit_code == 2
    assert "no benchmark 'nothing'; there are: greet" in result.stderr


def test_bench_outside_a_checkout_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(kutta, "__file__", str(tmp_path / "kutta" / "__init__.py"))
    result = invoke("bench", "greet")
    assert result.exit_code == 2
    assert "source checkout" in result.stderr


def test_demo_refuses_a_file_as_its_folder(tmp_path):
    (tmp_path / "taken").write_text("")
    result = invoke("demo", "--out", str(tmp_path / "taken"))
    assert result.exit_code == 2
    assert "must name a folder" in result.stderr and "taken" in result.stderr


@pytest.mark.parametrize(
    ("module", "package"),
    [("jinja2", "jinja2"), ("sklearn", "scikit-learn"), ("pytorch_lightning", "pytorch-lightning")],
)
def test_demo_names_the_package_that_is_missing(module, package, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, module, None)
    result = invoke("demo", "--out", str(tmp_path / "out"))
    assert result.exit_code == 2
    assert f'kutta demo needs {package}: pip install "kutta[demo]"' in result.stderr
    assert not (tmp_path / "out").exists()


@pytest.fixture
def model(tmp_path):
    """The folder of a model that was not trained."""
    from kutta.demo import digits_flow

    settings = digits_flow.Settings(width=8, depth=1, frequencies=2)
    digits_flow.save(digits_flow.build(settings, 0), settings, tmp_path / "model")
    return tmp_path / "model"


@pytest.mark.parametrize("kind", ["png", "safetensors"])
def test_sample_writes_images_and_says_what_they_cost(kind, model):
    out = model / f"digits.{kind}"
    result = invoke(
        "sample",
        str(model),
        "--method",
        "GHVB(2, beta=0.8)",
        "--steps",
        "4",
        "--grid",
        "Beta",
        "--label",
        "7",
        "--count",
        "3",
        "--out",
        str(out),
    )
    assert result.exit_code == 0, result.output
    assert result.stdout.replace("\n", "") == f"3 images, 4 evaluations of the model: {out}"
    assert out.stat().st_size > 100


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("--method", "GHVB(7)"), "order must be a whole number from 1 to 5; got 7"),
        (("--method", "Nope"), "there is no Nope; there are"),
        (("--method", "Tsit5", "--steps", "4"), "steps means nothing to Tsit5"),
        (("--method", "AdaptiveMultistep", "--steps", "4"), "steps means nothing to AdaptiveMultistep, which chooses"),
        (("--method", "ddim"), "there is no ddim; there are"),
        (("--guidance", "nan"), "weight must be finite; got nan"),
        (("--method", "DDIM", "--grid", "Rho"), "needs data at the beginning"),
        (("--out", "digits.jpg"), "--out must end in .png or .safetensors; got digits.jpg"),
        (("--out", "nowhere/digits.png"), "--out must name a file that can be written"),
    ],
)
def test_sample_refuses_what_does_not_fit_and_says_why(options, reason, model, monkeypatch):
    monkeypatch.chdir(model)
    result = invoke("sample", str(model), *options)
    assert result.exit_code == 2
    assert result.stderr.startswith("Error: ") and reason in result.stderr
    assert not list(model.glob("*.png"))


@pytest.mark.parametrize(
    ("option", "value"), [("--steps", "0"), ("--steps", "few"), ("--label", "10"), ("--count", "0")]
)
def test_sample_refuses_numbers_out_of_range(option, value, model):
    result = invoke("sample", str(model), option, value)
    assert result.exit_code == 2 and f"Invalid value for '{option}'" in result.stderr


@pytest.mark.parametrize("place", ["", "nowhere", "file"])
def test_sample_refuses_a_folder_without_a_model(place, tmp_path):
    (tmp_path / "file").write_text("")
    result = invoke("sample", str(tmp_path / place))
    assert result.exit_code == 2
    assert "must describe a model that was saved by `kutta demo`" in result.stderr


def test_sample_refuses_damaged_weights(model):
    (model / "weights.safetensors").write_bytes(b"nonsense")
    result = invoke("sample", str(model))
    assert result.exit_code == 2 and "must hold the weights of this model" in result.stderr


def test_sample_names_the_package_that_is_missing(model, monkeypatch):
    monkeypatch.setitem(sys.modules, "safetensors", None)
    result = invoke("sample", str(model))
    assert result.exit_code == 2
    assert 'kutta sample needs safetensors: pip install "kutta[demo]"' in result.stderr


@pytest.mark.parametrize("module", ["typer", "rich"])
def test_without_the_extra_the_command_says_what_to_install(module, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(SystemExit) as exit:
        cli.main()
    assert exit.value.code == 2
    assert 'pip install "kutta[cli]"' in capsys.readouterr().err


def test_importing_the_command_imports_nothing_of_its_extras():
    extras = {"typer", "rich", "matplotlib", "sklearn", "jinja2", "pytorch_lightning"}
    program = f"import sys, kutta.cli; print({extras} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.slow
def test_quick_demo_writes_its_report_and_prints_the_summary(tmp_path):
    result = invoke("demo", "--quick", "--seed", "1", "--out", str(tmp_path / "out"))
    assert result.exit_code == 0, result.output
    assert "alpha" in result.stdout and "test accuracy" in result.stdout
    assert result.stdout.rstrip().endswith(str(tmp_path / "out" / "report.html"))
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert results["seed"] == 1


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A checkout with one benchmark, which writes down its arguments."""
    (tmp_path / "pyproject.toml").write_text("")
    folder = tmp_path / "benchmarks"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "_helper.py").write_text('"""Not a benchmark."""')
    (folder / "greet.py").write_text(
        '"""Does it run?\n\nMore about it.\n"""\n'
        "import sys\nopen('ran', 'w').write(' '.join(sys.argv[1:]))\nsys.exit(int(sys.argv[-1]))\n"
    )
    monkeypatch.setattr(kutta, "__file__", str(tmp_path / "kutta" / "__init__.py"))
    return tmp_path
