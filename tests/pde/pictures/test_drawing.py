"""Pictures and animations of fields: the panels there are, their axes and scales, and files that are whole."""

import io
import os
import stat
from itertools import pairwise

import matplotlib
import numpy as np
import pytest
import torch
from PIL import Image

import kutta as kt
from kutta.pde.grids.space import in_words
from kutta.pde.pictures.drawing import panel_size, scale, shown
from tests._helpers import fill_disk

matplotlib.use("Agg")
F64 = torch.float64
TIMES = torch.linspace(0.0, 1.0, 9, dtype=F64)


def fields(shape, names=("u",), times=TIMES, batch=(), low=-1.0, evaluations=9, **options):
    """A solution whose values go from `low` to 1."""
    grid = kt.pde.Grid(shape, **({"length": tuple(1.0 + axis for axis in range(len(shape)))} | options))
    count = (len(names),) if len(names) > 1 else ()
    size = (len(times), *batch, *count, *grid.shape)
    ys = torch.linspace(low, 1.0, int(np.prod(size)), dtype=F64).reshape(size)
    space = kt.pde.Space(grid, names, "Made")
    stats = kt.Stats(9, function_evaluations=evaluations, linear_solves=1)
    return kt.Solution(times, ys, ys[-1], times[-1], stats, kt.Result.SUCCESS, space=space)


@pytest.fixture(autouse=True)
def closed():
    from matplotlib import pyplot

    yield
    pyplot.close("all")


def panels(figure):
    """The axes that are no colour bars."""
    return [axis for axis in figure.axes if axis.get_label() != "<colorbar>"]


@pytest.mark.parametrize("names", [("u",), ("u", "v")], ids=["one", "two"])
def test_one_dimension_is_drawn_over_time_and_as_lines(names):
    figure = fields((16,), names).plot()
    axes = panels(figure)
    assert len(axes) == 2 * len(names) and len(figure.axes) == 3 * len(names)
    assert [line.get_label() for line in axes[1].lines] == [
        "t = 0",
        "t = 0.25",
        "t = 0.375",
        "t = 0.625",
        "t = 0.75",
        "t = 1",
    ]
    assert axes[-1].get_xlabel() == "x" and axes[0].get_ylabel() == "t" and axes[-1].get_ylabel() == names[-1]
    np.testing.assert_allclose(axes[1].lines[0].get_xdata(), np.arange(16) / 16)


@pytest.mark.parametrize("names", [("u",), ("u", "v", "w")], ids=["one", "three"])
def test_two_dimensions_are_drawn_at_some_times(names):
    sol = fields((8, 6), names, origin=(2.0, 0.0))
    figure = sol.plot()
    axes = panels(figure)
    assert len(axes) == 4 * len(names) and len(figure.axes) == 5 * len(names)
    assert [axis.get_title() for axis in axes[:4]] == ["t = 0", "t = 0.375", "t = 0.625", "t = 1"]
    picture = axes[3].images[0]
    last = sol.ys[-1] if len(names) == 1 else sol.ys[-1, 0]
    np.testing.assert_array_equal(np.asarray(picture.get_array()).T, last.numpy())
    h = sol.space.grid.spacing
    np.testing.assert_allclose(picture.get_extent(), (2.0 - h[0] / 2, 3.0 - h[0] / 2, -h[1] / 2, 2.0 - h[1] / 2))
    assert axes[0].images[0].get_clim() == picture.get_clim()


@pytest.mark.parametrize("names, rows", [(("u",), 3), (("u", "v"), 2)], ids=["one", "two"])
def test_three_dimensions_are_sliced_through_the_middle(names, rows):
    sol = fields((4, 6, 8), names)
    axes = panels(sol.plot())
    assert len(axes) == 3 * rows
    assert [axis.get_title() for axis in axes[1:3]] == ["y = 1", "x = 0.5"]
    ys = sol.ys[-1] if len(names) == 1 else sol.ys[-1, -1]
    np.testing.assert_array_equal(np.asarray(axes[-1].images[0].get_array()).T, ys[2].numpy())
    assert (axes[-1].get_xlabel(), axes[-1].get_ylabel()) == ("y", "z")


def test_a_steady_solution_and_one_time():
    one = fields((8, 6), ("u", "v"), TIMES[:1])
    assert [axis.get_title() for axis in panels(one.plot())] == ["t = 0", "t = 0"]
    steady = fields((8, 6), ("u", "v"), TIMES[:1], evaluations=0)
    assert [axis.get_title() for axis in panels(steady.plot())] == ["", ""]
    assert len(panels(fields((8,), times=TIMES[:1], evaluations=0).plot())) == 1
    with pytest.raises(ValueError, match="one time only"):
        steady.animate()


def test_of_a_batch_the_first_is_drawn():
    sol = fields((8,), batch=(3, 2))
    np.testing.assert_array_equal(shown(sol).values[0], sol.ys[:, 0, 0].numpy())


@pytest.mark.parametrize("names", [("u",), ("u", "v")], ids=["one", "two"])
def test_of_complex_values_the_real_part_and_the_size_are_drawn(names):
    sol = fields((8, 6), names, TIMES[:2])
    ys = (sol.ys * (3 + 4j)).requires_grad_()
    made = kt.Solution(**{**vars(sol), "ys": ys})
    what = shown(made)
    assert what.names == tuple(f"{form % name}" for name in names for form in ("Re %s", "|%s|"))
    values = sol.ys.unsqueeze(1) if len(names) == 1 else sol.ys
    np.testing.assert_allclose(what.values[::2], 3 * values.transpose(0, 1).numpy())
    np.testing.assert_allclose(what.values[1::2], 5 * values.transpose(0, 1).abs().numpy())
    assert len(panels(made.plot())) == 4 * len(names) and made.animate().frames == 2


def test_few_panels_are_larger():
    grid = fields((8, 6), length=(1.5, 1.0)).space.grid
    widths = [panel_size(grid, columns)[0] for columns in (1, 2, 4, 9)]
    assert widths == sorted(widths, reverse=True) and widths[0] == 2 * widths[2] and widths[2] == widths[3]
    one = fields((8, 6), times=TIMES[:1], evaluations=0, length=(1.5, 1.0)).plot()
    assert one.get_figwidth() > 6.0


def test_long_titles_have_several_lines():
    sol = fields((8,), times=TIMES[:1], evaluations=0)
    words = f"Made({', '.join(f'coefficient_{k}={k}' for k in range(9))})"
    space = kt.pde.Space(sol.space.grid, ("u",), "Made", {"equation": words})
    lines = kt.Solution(**{**vars(sol), "space": space}).plot().get_suptitle().splitlines()
    assert len(lines) > 1 and max(map(len, lines)) <= 60 and " ".join(lines) == words


def test_steady_equations_say_what_they_are():
    grid = kt.pde.Grid((12, 8), boundary=kt.pde.Dirichlet())
    sol = kt.solve(kt.pde.Helmholtz(20.0, absorbing=0.3).problem(grid, 1.0))
    figure = sol.plot()
    assert figure.get_suptitle() == "Helmholtz(wavenumber=20.0, absorbing=0.3)"
    assert len(panels(figure)) == 2 and sol.space.settings == {"equation": figure.get_suptitle()}


def test_sequences_are_told():
    equation = kt.pde.Advection((torch.ones(4, 4), 0.5))
    assert in_words(equation) == "Advection(velocity=(tensor(4, 4), 0.5))"
    assert in_words(kt.pde.GrayScott()) == "GrayScott(feed=0.035, kill=0.065, diffusivities=(2e-05, 1e-05))"
    assert in_words(kt.pde.Advection((2.0,))) == "Advection(velocity=(2.0,))"
    assert in_words(kt.pde.Advection((object(),))) == "Advection()"


def test_scales():
    assert scale(np.array([0.0, 2.0])) == {"cmap": "viridis", "vmin": 0.0, "vmax": 2.0}
    assert scale(np.array([-1.0, np.nan, 2.0])) == {"cmap": "RdBu_r", "vmin": -2.0, "vmax": 2.0}
    assert scale(np.array([-0.01, 2.0]))["cmap"] == "viridis"
    assert scale(np.array([3.0, 3.0])) == {"cmap": "viridis", "vmin": 1.5, "vmax": 4.5}
    assert scale(np.zeros(3)) == {"cmap": "viridis", "vmin": -0.5, "vmax": 0.5}


def test_values_that_are_not_there():
    sol = fields((8, 6))
    part = torch.where(torch.arange(8)[:, None] < 3, torch.nan, sol.ys)
    kt.Solution(**{**vars(sol), "ys": part}).plot().canvas.draw()
    with pytest.raises(ValueError, match="nothing to draw"):
        kt.Solution(**{**vars(sol), "ys": part * torch.nan}).plot()


def test_diagnostics_are_still_drawn():
    problem = kt.pde.Heat(0.1).problem(kt.pde.Grid(8), torch.arange(8.0), (0.0, 1.0), kt.pde.FiniteDifference())
    sol = kt.solve(problem, kt.Tsit5(), save_at=TIMES, diagnostics=True)
    assert len(sol.plot().axes) == 4


CASES = {
    "line": ((16,), ("u",)),
    "lines": ((16,), ("u", "v")),
    "plane": ((8, 6), ("u", "v")),
    "box": ((4, 5, 6), ("u",)),
}


@pytest.mark.parametrize("name", CASES)
def test_a_gif_has_a_frame_for_each_time(name, tmp_path):
    shape, names = CASES[name]
    path = tmp_path / "a.gif"
    made = fields(shape, names, TIMES[:4]).animate(path, fps=10.0)
    assert path.read_bytes() == made.data and os.listdir(tmp_path) == ["a.gif"] and made.frames == 4
    with Image.open(io.BytesIO(made.data)) as film:
        assert film.n_frames == 4 and film.info["duration"] == 100
        pictures = []
        for place in range(4):
            film.seek(place)
            pictures.append(np.asarray(film.convert("RGB")))
    assert all((first != second).any() for first, second in pairwise(pictures))
    assert made._repr_html_().startswith('<img src="data:image/gif;base64,R0lG')


@pytest.mark.parametrize(("fps", "milliseconds"), [(50.0, 20), (40.0, 20), (30.0, 30), (0.01, 100_000)])
def test_frames_last_as_long_as_a_gif_can_say(fps, milliseconds):
    made = fields((8,), times=TIMES[:2]).animate(fps=fps)
    with Image.open(io.BytesIO(made.data)) as film:
        assert film.info["duration"] == milliseconds


def test_progress_is_shown(capsys):
    fields((8,), times=TIMES[:2]).animate(progress=True)
    assert "animate: 100%" in capsys.readouterr().err


def test_a_film_needs_ffmpeg(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RuntimeError, match=r"needs the program ffmpeg.*write a \.gif"):
        fields((8,)).animate(tmp_path / "a.mp4")
    assert not os.listdir(tmp_path)


def test_a_film_is_what_ffmpeg_makes_of_the_frames(tmp_path, monkeypatch):
    """With a program of this name that keeps the frames as they come."""
    program = tmp_path / "bin" / "ffmpeg"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\nfor last; do :; done\ncat > "$last"\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(program.parent), prepend=os.pathsep)
    made = fields((8,), times=TIMES[:3]).animate(tmp_path / "a.mp4")
    assert (tmp_path / "a.mp4").read_bytes() == made.data and made.kind == "video/mp4"
    assert len(made.data) == 3 * 600 * 340 * 4 and "<video" in made._repr_html_()


def test_what_cannot_be_animated_is_refused(tmp_path):
    sol = fields((8,))
    with pytest.raises(ValueError, match=r"must end in \.gif or \.mp4"):
        sol.animate(tmp_path / "a.png")
    for fps in (0.0, -1.0, 1e-5, 60.0, float("nan")):
        with pytest.raises(ValueError, match=r"fps of a \.gif must be from 0\.01 to 50; got"):
            sol.animate(fps=fps)
    with pytest.raises(ValueError, match=r"fps of a \.mp4 must be from 0\.01 to 100; got 101"):
        sol.animate(tmp_path / "a.mp4", fps=101.0)
    with pytest.raises(ValueError, match="fields of partial differential equations"):
        kt.solve(kt.ODEProblem(lambda t, y: -y, torch.ones(2), (0.0, 1.0)), save_at=TIMES).animate()
    with pytest.raises(ValueError, match="one time only"):
        fields((8,), times=TIMES[:1]).animate()


def test_a_full_disk_leaves_what_was_there(tmp_path, monkeypatch):
    path = tmp_path / "a.gif"
    path.write_bytes(b"old")

    fill_disk(monkeypatch)
    with pytest.raises(OSError, match="No space left"):
        fields((8,), times=TIMES[:2]).animate(path)
    assert path.read_bytes() == b"old" and os.listdir(tmp_path) == ["a.gif"]


def test_infinite_values_are_animated():
    sol = kt.solve(kt.pde.Heat(0.1).problem(kt.pde.Grid(8), torch.ones(8), (0.0, 0.1)), save_at=[0.0, 0.1])
    sol.ys[1, 2:4] = torch.tensor([torch.inf, -torch.inf])
    assert sol.animate().frames == 2
