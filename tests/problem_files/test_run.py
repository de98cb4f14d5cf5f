"""What `kutta solve` writes and says, and that it writes nothing when it fails."""

import numpy as np
import pytest
from typer.testing import CliRunner

import kutta as kt
from kutta import cli
from kutta.problem_files.run import run
from tests.problem_files._files import ORDINARY, PARTIAL


def invoke(*arguments):
    return CliRunner(env={"COLUMNS": "120"}).invoke(cli.application(), ("solve", *map(str, arguments)))


@pytest.fixture
def written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def write(text, name="small.toml"):
        (tmp_path / name).write_text(text)
        return tmp_path / name

    return write


@pytest.mark.parametrize("text", [PARTIAL, ORDINARY], ids=["partial", "ordinary"])
def test_the_solution_and_its_picture_are_written(text, written, tmp_path):
    result = invoke(written(text), "--out", tmp_path / "out" / "inner")
    assert result.exit_code == 0, result.output
    folder = tmp_path / "out" / "inner"
    assert sorted(one.name for one in folder.iterdir()) == ["small.nc", "small.png"]
    fields = kt.pde.formats.read(folder / "small.nc")
    assert fields.attrs["title"] == "small" and fields.attrs["problem_file"] == text
    assert list(fields.data_vars) == (["u"] if text is PARTIAL else ["q", "p"])
    assert fields.sizes["time"] == (3 if text is PARTIAL else 2)
    assert (folder / "small.png").read_bytes().startswith(b"\x89PNG")


def test_the_table_says_what_was_done(written):
    result = invoke(written(PARTIAL))
    words = " ".join(result.output.split())
    assert "Equation(text='k * laplace(u) - u + sin(pi * x)', parameters={k: 0.1})" in words
    for part in ("16 points, spacing 0.0625", "FiniteDifference(accuracy=2)", "SUCCESS", "0 to 0.1 of 0.1"):
        assert part in words
    assert "small/small.nc" in words and "small/small.png" in words


def test_ordinary_equations_have_a_table_too(written):
    words = " ".join(invoke(written(ORDINARY)).output.split())
    assert "q, p" in words and "Tsit5" in words and "2 outputs" in words


def test_quiet_is_quiet(written, tmp_path):
    result = invoke(written(PARTIAL), "--quiet")
    assert result.exit_code == 0 and result.output == ""
    assert (tmp_path / "small" / "small.nc").is_file()


def test_zarr(written, tmp_path):
    assert invoke(written(ORDINARY), "--format", "zarr", "--quiet").exit_code == 0
    fields = kt.pde.formats.read(tmp_path / "small" / "small.zarr")
    np.testing.assert_allclose(fields.q.values, np.cos(2 * fields.time.values), rtol=1e-7, atol=1e-7)


def test_run_returns_what_it_has_written(written, tmp_path):
    paths = run(written(PARTIAL), tmp_path / "out", quiet=True)
    assert paths == [tmp_path / "out" / "small.nc", tmp_path / "out" / "small.png"]


def test_fields_are_animated(written, tmp_path):
    assert invoke(written(PARTIAL), "--animate", "--quiet").exit_code == 0
    assert (tmp_path / "small" / "small.gif").read_bytes().startswith(b"GIF8")
    result = invoke(written(ORDINARY, "swing.toml"), "--animate")
    assert result.exit_code == 2 and "of which there is no animation" in result.stderr
    assert not (tmp_path / "swing").exists()


# The constant grows at the rate 1 / (h gamma) of ARS222.
SINGULAR = PARTIAL.replace("- u", "+ 3.414213562373095 * u").replace("0.1]", "1.0]")
SINGULAR += "[solve]\nmethod = 'ARS222'\nstep = 1.0"

FAILURES = {
    "misspelt": (PARTIAL.replace("laplace", "lapalce"), "did you mean laplace?"),
    "unknown key": (PARTIAL.replace("span", "spam"), "time.span is missing, and there is time.spam"),
    "times outside": (PARTIAL.replace("save = 3", "save = [0.0, 7.0]"), "save_at must lie within t_span"),
    "step too large": (PARTIAL + "[solve]\nmethod = 'RK4'\nstep = 0.1", "violates the Courant-Friedrichs-Lewy"),
    "explodes": (PARTIAL.replace("- u", "+ 1e6 * u**3"), "STEP_UNDERFLOW|NON_FINITE|MAX_STEPS"),
    "too few steps": (PARTIAL + "[solve]\nmax_steps = 1", "MAX_STEPS at t = "),
    "singular stages": (SINGULAR, "SINGULAR at t = 0: the operator is singular"),
    "wrong method": (ORDINARY + "method = 'ETDRK4'", "ETDRK4"),
    "waves at a wall": (PARTIAL.replace('"neumann"', '{neumann = 1}') + "[solve]\nscheme = 'PseudoSpectral'", "g=1.0"),
    "no boundary condition": (PARTIAL.replace("- u", "- d_dx(x*u)"), "nothing is known of"),
}  # fmt: skip


@pytest.mark.parametrize("case", FAILURES)
def test_nothing_is_written_when_it_fails(case, written, tmp_path):
    text, reason = FAILURES[case]
    result = invoke(written(text), "--quiet")
    assert result.exit_code == 2 and result.stderr.startswith("Error: ")
    assert any(one in result.stderr for one in reason.split("|")), result.stderr
    assert "throw=False" not in result.stderr
    assert [one.name for one in tmp_path.iterdir()] == ["small.toml"]


def test_what_was_there_before_stays_when_it_fails(written, tmp_path):
    path = written(PARTIAL)
    assert invoke(path, "--quiet").exit_code == 0
    before = (tmp_path / "small" / "small.nc").read_bytes()
    written(PARTIAL + "[solve]\nmax_steps = 1")
    assert invoke(path, "--quiet").exit_code == 2
    assert (tmp_path / "small" / "small.nc").read_bytes() == before
    assert sorted(one.name for one in (tmp_path / "small").iterdir()) == ["small.nc", "small.png"]


def test_options_are_checked(written, tmp_path):
    path = written(PARTIAL)
    result = invoke(path, "--format", "csv")
    assert result.exit_code == 2 and "--format must be one of netcdf, zarr; got csv" in result.stderr
    (tmp_path / "taken").write_text("")
    result = invoke(path, "--out", tmp_path / "taken")
    assert result.exit_code == 2 and "cannot be written" in result.stderr and "taken" in result.stderr


def test_formats_are_checked_before_the_solve(written, tmp_path):
    with pytest.raises(ValueError, match="format must be one of netcdf, zarr; got 'csv'"):
        run(written("no TOML at all"), tmp_path / "out", format="csv")


def test_dots_in_the_names_of_files_stay(written, tmp_path):
    for name in ("a.0.1.toml", "a.0.2.toml"):
        assert invoke(written(PARTIAL, name), "--quiet", "--out", tmp_path / "out").exit_code == 0
    names = sorted(one.name for one in (tmp_path / "out").iterdir())
    assert names == ["a.0.1.nc", "a.0.1.png", "a.0.2.nc", "a.0.2.png"]


def test_titles_are_text(written, tmp_path):
    title = "rod [a] of [/bold] $\\\\frac{1$"
    result = invoke(written(f'title = "{title}"' + PARTIAL))
    assert result.exit_code == 0, result.output
    assert "rod [a] of [/bold]" in result.output


@pytest.mark.parametrize("format", ["netcdf", "zarr"])
def test_a_picture_that_fails_leaves_what_was_there(format, written, tmp_path, monkeypatch):
    path = written(PARTIAL)
    assert invoke(path, "--quiet", "--format", format).exit_code == 0
    before = kt.pde.formats.read(next((tmp_path / "small").glob("small.[nz]*")))
    written(PARTIAL.replace("0.1]", "0.2]"))
    with monkeypatch.context() as patch:
        patch.setattr("matplotlib.figure.Figure.savefig", broken)
        result = invoke(path, "--quiet", "--format", format)
        assert result.exit_code == 2 and "the disk is full" in result.stderr
        assert invoke(path, "--out", tmp_path / "a" / "b" / "c", "--quiet").exit_code == 2
    assert kt.pde.formats.read(next((tmp_path / "small").glob("small.[nz]*"))).identical(before)
    assert len(list((tmp_path / "small").iterdir())) == 2 and not (tmp_path / "a").exists()


def test_no_figure_stays_open(written, monkeypatch):
    import matplotlib.pyplot as plt

    path, before = written(PARTIAL), plt.get_fignums()
    assert invoke(path, "--quiet").exit_code == 0
    monkeypatch.setattr("matplotlib.figure.Figure.savefig", broken)
    assert invoke(path, "--quiet").exit_code == 2
    assert plt.get_fignums() == before


def broken(*_, **__):
    raise OSError("the disk is full")


@pytest.mark.parametrize("module", ["xarray", "h5netcdf", "matplotlib"])
def test_missing_packages_are_named_with_their_extra(module, written, monkeypatch, tmp_path):
    import sys

    monkeypatch.setitem(sys.modules, module, None)
    result = invoke(written(PARTIAL))
    assert result.exit_code == 2
    assert f'kutta solve needs {module}: pip install "kutta[cli,pde]"' in result.stderr
    assert not (tmp_path / "small").exists()


@pytest.mark.parametrize("name", ["small.nc", "small.png", "small.gif"])
def test_a_folder_in_the_place_of_a_file_stops_all_of_them(name, written, tmp_path):
    out, names = tmp_path / "small", {"small.nc", "small.png", "small.gif"}
    (out / name).mkdir(parents=True)
    for other in names - {name}:
        (out / other).write_bytes(b"old")
    result = invoke(written(PARTIAL), "--quiet", "--animate")
    assert result.exit_code == 2 and f"{name} is there and is a folder" in result.stderr
    assert {one.name for one in out.iterdir()} == names
    assert all((out / other).read_bytes() == b"old" for other in names - {name})
