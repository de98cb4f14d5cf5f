"""Initial states from files."""

import numpy as np
import pytest
import torch

import kutta as kt
from kutta.problem_files.section import ProblemFileError, Section
from kutta.problem_files.space import Words
from kutta.problem_files.start import numbers, state

F64 = torch.float64
LINE, SQUARE = kt.pde.Grid(8, 2.0), kt.pde.Grid((6, 4))
TWO = Words(components=("u", "v"))


def read(values, grid=LINE, words=Words(), folder=None):  # noqa: B008
    return state(Section(values, "start"), grid, words, folder)


def test_by_number_and_formula():
    torch.testing.assert_close(read({"u": 3}), torch.full((8,), 3.0, dtype=F64))
    x = LINE.points()[0]
    torch.testing.assert_close(read({"u": "k * x**2"}, words=Words(parameters={"k": 2.0})), 2 * x**2)
    found = read({"u": "y", "v": 1}, SQUARE, TWO)
    torch.testing.assert_close(found, torch.stack([SQUARE.points()[1], torch.ones(6, 4, dtype=F64)]))
    assert read({"u": "x"}, words=Words(dtype=torch.float32)).dtype == torch.float32


def test_noise_has_a_size_and_a_seed():
    grid = kt.pde.Grid((64, 64))
    first, again, other = (read({"u": {"noise": 0.1, "seed": seed}}, grid) for seed in (1, 1, 2))
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert abs(float(first.std()) - 0.1) < 0.01 and abs(float(first.mean())) < 0.01
    both = read({"u": {"formula": "x", "noise": 0.1, "seed": 1}}, grid)
    torch.testing.assert_close(both - grid.points()[0], first)


def test_from_an_array(tmp_path):
    values = np.arange(24.0).reshape(6, 4)
    np.save(tmp_path / "u.npy", values)
    torch.testing.assert_close(read({"file": "u.npy"}, SQUARE, folder=tmp_path), torch.from_numpy(values))


def test_the_end_of_one_solution_is_the_start_of_another(tmp_path):
    equation = kt.pde.Equation({"u": "laplace(u)", "v": "-v"})
    u0 = torch.stack([torch.sin(6.2832 * SQUARE.points()[0]), SQUARE.points()[1]])
    sol = kt.solve(equation.problem(SQUARE, u0, (0.0, 0.01)), save_at=[0.0, 0.01])
    for name in ("end.nc", "end.zarr"):
        kt.pde.formats.write(sol.to_xarray(), tmp_path / name)
        torch.testing.assert_close(read({"file": name}, SQUARE, TWO, tmp_path), sol.y1)


def test_numbers_of_ordinary_equations():
    found = numbers(Section({"q": 1, "p": "2 * k"}, "start"), ["q", "p"], {"k": 3.0}, torch.float32)
    assert {name: (float(value), value.dtype) for name, value in found.items()} == {
        "q": (1.0, torch.float32),
        "p": (6.0, torch.float32),
    }


def pickled(folder):
    np.save(folder / "file.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)


def nothing(folder):
    (folder / "file.npy").write_bytes(b"nothing")


def of_another_shape(folder):
    np.save(folder / "file.npy", np.ones(7))


def complex_values(folder):
    np.save(folder / "file.npy", np.ones(8) * 1j)


def truncated(folder):
    np.save(folder / "file.npy", np.ones(8))
    whole = (folder / "file.npy").read_bytes()
    (folder / "file.npy").write_bytes(whole[:-9])


def archived(folder):
    with open(folder / "file.npy", "wb") as file:
        np.savez(file, np.ones(8))


def larger_than_any_memory(folder):
    with open(folder / "file.npy", "wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "<f8", "fortran_order": False, "shape": (10**14,)})


FILES = {
    "archived": (archived, "but an archive of arrays"),
    "larger than any memory": (larger_than_any_memory, "holds no array of numbers"),
    "pickled": (pickled, "holds no array of numbers"),
    "nothing": (nothing, "holds no array of numbers"),
    "truncated": (truncated, "holds no array of numbers"),
    "of another shape": (of_another_shape, r"expected the shape \(8,\); file.npy has \(7,\)"),
    "complex": (complex_values, "expected real numbers"),
    "missing": (lambda folder: None, "there is no file"),
}


@pytest.mark.parametrize("case", FILES)
def test_files_that_hold_no_state_are_refused(case, tmp_path):
    write, reason = FILES[case]
    write(tmp_path)
    with pytest.raises(ProblemFileError, match=f"start.file: .*{reason}"):
        read({"file": "file.npy"}, folder=tmp_path)


def test_data_sets_without_the_unknown_are_refused(tmp_path):
    sol = kt.solve(kt.pde.Heat(0.1).problem(LINE, torch.ones(8), (0.0, 0.1)))
    kt.pde.formats.write(sol.to_xarray(), tmp_path / "heat.nc")
    with pytest.raises(ProblemFileError, match=r"heat\.nc has no variable v; it has u"):
        read({"file": "heat.nc"}, LINE, TWO, tmp_path)
    with pytest.raises(ProblemFileError, match=r"u in heat\.nc has the axes"):
        read({"file": "heat.nc"}, SQUARE, folder=tmp_path)


REFUSED = {
    "missing unknown": ({}, "start.u is missing"),
    "misspelt unknown": ({"w": 1}, "start.u is missing"),
    "another unknown": ({"u": 1, "w": 1}, "start.w has no meaning here"),
    "truth": ({"u": True}, "start.u: expected a number; got True"),
    "list": ({"u": [1, 2]}, "start.u: expected a number"),
    "formula": ({"u": "lapalce(x)"}, "start.u: there is no function lapalce"),
    "operator": ({"u": "laplace(x)"}, "start.u: there is no function laplace"),
    "time": ({"u": "t"}, "start.u: there is no t"),
    "pole": ({"u": "1/x"}, "start.u: '1/x' is infinite or not a number at some points"),
    "no noise": ({"u": {"formula": "x"}}, "start.u.noise is missing"),
    "seed": ({"u": {"noise": 1.0, "seed": -1}}, "start.u.seed: expected a whole number"),
    "misspelt noise": (
        {"u": {"nose": 1.0}},
        r"start.u.noise is missing, and there is start.u.nose: did you mean noise\?",
    ),
    "file and more": ({"file": "u.npy", "u": 1}, "start.u has no meaning here"),
    "file of another kind": ({"file": "u.pt"}, "start.file: expected a file that ends in .npy, .nc, .zarr; got u.pt"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_state_is_refused(case, tmp_path):
    values, reason = REFUSED[case]
    with pytest.raises(ProblemFileError, match=reason):
        read(values, folder=tmp_path)


@pytest.mark.parametrize(
    "grid",
    [
        kt.pde.Grid(8, 3.0),
        kt.pde.Grid(8, 2.0, origin=1.0),
        kt.pde.Grid(8, 2.0, boundary=kt.pde.Dirichlet(0.0), centring="node"),
        kt.pde.Grid(9, 2.0),
    ],
    ids=["length", "origin", "centring", "number"],
)
def test_a_solution_on_another_grid_is_refused(grid, tmp_path):
    sol = kt.solve(kt.pde.Heat(0.1).problem(LINE, torch.ones(8), (0.0, 0.1)))
    kt.pde.formats.write(sol.to_xarray(), tmp_path / "heat.nc")
    with pytest.raises(ProblemFileError, match=r"start.file: the 8 places of x are from .* and those of the grid"):
        read({"file": "heat.nc"}, grid, folder=tmp_path)


def test_values_without_coordinates_may_be_on_any_grid(tmp_path):
    xarray = pytest.importorskip("xarray")
    kt.pde.formats.write(xarray.Dataset({"u": ("x", np.arange(8.0))}), tmp_path / "bare.nc")
    found = read({"file": "bare.nc"}, kt.pde.Grid(8, 3.0, origin=-1.0), folder=tmp_path)
    torch.testing.assert_close(found, torch.arange(8, dtype=F64))


def test_the_noise_of_one_unknown_is_not_that_of_another():
    noise = {"noise": 0.1}
    first, second = read({"u": noise, "v": noise}, SQUARE, TWO)
    assert not torch.allclose(first, second)
    assert torch.equal(read({"u": noise, "v": noise}, SQUARE, TWO), torch.stack([first, second]))
    same = read({"u": {**noise, "seed": 3}, "v": {**noise, "seed": 3}}, SQUARE, TWO)
    assert torch.equal(same[0], same[1])
