"""Files of PDEBench: made as the published ones are, read, written and read again; and what is no such file."""

import os

import h5py
import numpy as np
import pytest
import torch
import xarray

import kutta as kt
from kutta.pde.formats import grid_of, pdebench
from tests._helpers import fill_disk

RANDOM = np.random.default_rng(0)


def noise(*shape):
    return RANDOM.standard_normal(shape).astype(np.float32)


def places(count):
    return ((np.arange(count) + 0.5) / count).astype(np.float32)


def burgers(file):
    """One array; a time more than there are fields."""
    file["tensor"] = noise(3, 5, 16)
    file["x-coordinate"], file["t-coordinate"] = places(16), np.arange(6, dtype=np.float32)
    file.attrs["Nu"] = 0.01


def gas(file):
    """An array for each unknown."""
    for name in ("density", "pressure", "Vx", "Vy"):
        file[name] = noise(3, 5, 8, 6)
    file["x-coordinate"], file["y-coordinate"], file["t-coordinate"] = places(8), places(6), np.arange(6.0)
    file.attrs["eta"], file.attrs["M"] = 1e-8, 0.1


def darcy(file):
    """A coefficient without a time, and a solution at one, without its number."""
    file["tensor"], file["nu"] = noise(3, 1, 8, 8), noise(3, 8, 8)
    file["x-coordinate"], file["y-coordinate"] = places(8), places(8)
    file.attrs["beta"] = 1.0


def channels(file):
    file["tensor"] = noise(3, 5, 8, 6, 2)
    file["x-coordinate"], file["y-coordinate"], file["t-coordinate"] = places(8), places(6), np.arange(5.0)


def box(file):
    file["tensor"] = noise(3, 2, 4, 5, 6)
    for name, size in (("x", 4), ("y", 5), ("z", 6)):
        file[f"{name}-coordinate"] = places(size)
    file["t-coordinate"] = np.arange(2.0)


def reaction(file):
    """A group for each sample."""
    for sample in range(3):
        group = file.create_group(f"{sample:04d}")
        group["data"], group.attrs["config"] = noise(5, 8, 6, 2), f"seed: {sample}"
        group["grid/x"], group["grid/y"], group["grid/t"] = places(8), places(6), np.arange(5, dtype=np.float32)


MAKERS = {made.__name__: made for made in (burgers, gas, darcy, channels, box, reaction)}


def made(maker, path):
    with h5py.File(path, "w") as file:
        MAKERS[maker](file)
    return path


def contents(path):
    """All arrays and attributes of a file."""
    found = {}

    def note(name, item):
        found[name] = (None if isinstance(item, h5py.Group) else item[()], dict(item.attrs))

    with h5py.File(path) as file:
        note("/", file)
        file.visititems(note)
    return found


@pytest.mark.parametrize("maker", MAKERS)
def test_a_published_file_comes_back_bit_for_bit(maker, tmp_path):
    path, again = made(maker, tmp_path / "a.hdf5"), tmp_path / "b.hdf5"
    pdebench.write(pdebench.read(path), again)
    first, second = contents(path), contents(again)
    assert first.keys() == second.keys()
    for name, (values, attributes) in first.items():
        assert second[name][1] == attributes | {k: v for k, v in second[name][1].items() if k == "components"}
        if values is not None:
            assert values.dtype == second[name][0].dtype
            np.testing.assert_array_equal(values, second[name][0])


@pytest.mark.parametrize("maker", MAKERS)
def test_one_sample_at_a_time_is_the_whole(maker, tmp_path):
    path = made(maker, tmp_path / "a.hdf5")
    whole = pdebench.read(path)
    assert pdebench.count(path) == 3 == whole.sizes["batch"]
    for sample, one in enumerate(pdebench.trajectories(path)):
        for name in whole.data_vars:
            np.testing.assert_array_equal(one[name].values, whole[name].values[sample])
        assert one.identical(pdebench.read(path, sample)) and one.x.identical(whole.x)
    middle = pdebench.read(path, slice(1, 3))
    assert all(middle[name].equals(whole[name][1:3]) or "sample" in middle.coords for name in whole.data_vars)


def test_only_what_is_asked_for_is_read(tmp_path):
    """A file whose fields would not fit in memory, and which holds none of them."""
    path = tmp_path / "huge.hdf5"
    with h5py.File(path, "w") as file:
        file.create_dataset("tensor", (10**7, 200, 1024), "f4", chunks=(1, 200, 1024))
        file["x-coordinate"], file["t-coordinate"] = places(1024), np.arange(201.0)
    assert pdebench.read(path, -1).tensor.shape == (200, 1024) and pdebench.count(path) == 10**7
    assert next(pdebench.trajectories(path)).sizes == {"time": 200, "x": 1024}
    path.unlink()  # nothing holds it open


def test_names_of_the_unknowns(tmp_path):
    path = made("channels", tmp_path / "a.hdf5")
    assert list(pdebench.read(path).data_vars) == ["tensor0", "tensor1"]
    named = pdebench.read(path, names=("u", "v"))
    pdebench.write(named, tmp_path / "b.hdf5")
    assert list(pdebench.read(tmp_path / "b.hdf5").data_vars) == ["u", "v"]
    with pytest.raises(ValueError, match=r"2 unknowns in 'tensor'; got 3 names"):
        pdebench.read(path, names=("u", "v", "w"))


def solution(boundary=None, **options):
    grid = kt.pde.Grid(16, 2.0, boundary=boundary or kt.pde.Periodic())
    start = torch.linspace(0.0, 1.0, 16, dtype=torch.float64) * torch.arange(1.0, 4.0, dtype=torch.float64)[:, None]
    return kt.solve(kt.pde.Heat(0.1).problem(grid, start, (0.0, 1.0)), save_at=torch.linspace(0.0, 1.0, 4), **options)


@pytest.mark.parametrize("layout", ["tensor", "channels", "arrays", "samples"])
def test_a_solution_comes_back_with_its_grid(layout, tmp_path):
    walls = (kt.pde.Dirichlet(1.0), kt.pde.Robin(1.0, 2.0, 3.0))
    data = solution(walls).to_xarray().transpose("batch", "time", "x")
    pdebench.write(data, tmp_path / "a.h5", layout)
    again = pdebench.read(tmp_path / "a.h5")
    assert again.drop_attrs().identical(data.drop_attrs())
    assert again.attrs["equation"] == data.attrs["equation"] and again.attrs["steps"] == data.attrs["steps"]
    grid = grid_of(again)
    assert grid.length == (2.0,) and grid.boundary[0][1].g == 3.0 and grid.centring == ("cell",)
    pdebench.write(again, tmp_path / "b.h5")
    assert pdebench.read(tmp_path / "b.h5").identical(again)


def test_a_steady_solution_comes_back(tmp_path):
    grid = kt.pde.Grid((8, 6), boundary=kt.pde.Dirichlet(1.0))
    data = kt.solve(kt.pde.Poisson().problem(grid, 1.0)).to_xarray()
    pdebench.write(data, tmp_path / "a.h5")
    again = pdebench.read(tmp_path / "a.h5", 0)
    assert again.drop_attrs().identical(data.drop_attrs()) and grid_of(again).shape == (8, 6)
    for layout in ("tensor", "channels", "samples"):
        with pytest.raises(ValueError, match=f"layout='{layout}' is for fields with the dimension time; got none: use"):
            pdebench.write(data, tmp_path / "b.h5", layout)


def test_samples_with_grids_of_their_own_are_read_one_by_one(tmp_path):
    path = made("reaction", tmp_path / "a.hdf5")
    with h5py.File(path, "a") as file:
        del file["0001/grid/t"]
        file["0001/grid/t"] = np.arange(5.0) + 1.0
    with pytest.raises(ValueError, match=r"sample '0001' .* one by one, with trajectories"):
        pdebench.read(path)
    assert [float(one.time[0]) for one in pdebench.trajectories(path)] == [0.0, 1.0, 0.0]


def broken(change):
    def make(file):
        burgers(file)
        change(file)

    return make


def without(name):
    return broken(lambda file: file.pop(name))


def instead(name, values):
    def change(file):
        del file[name]
        file[name] = values

    return broken(change)


BROKEN = {
    "empty": (lambda file: None, "not a file of PDEBench.*holds nothing"),
    "other": (lambda file: file.update({"images": noise(3)}), "not a file of PDEBench.*holds images"),
    "no places": (without("x-coordinate"), "not a file of PDEBench"),
    "no fields": (without("tensor"), "not a file of PDEBench"),
    "nan places": (instead("x-coordinate", np.full(16, np.nan)), "x must be finite"),
    "fewer places": (instead("x-coordinate", places(15)), r"must have the shape .*15.*got \(3, 5, 16\)"),
    "other dimensions": (instead("tensor", noise(5, 3, 4, 16)), "must have the shape"),
    "fewer times": (instead("t-coordinate", np.arange(4.0)), "must hold 5 finite times"),
    "nan times": (instead("t-coordinate", np.full(5, np.nan)), "must hold 5 finite times"),
    "no grid": (lambda file: file.create_group("0000").update({"data": noise(5, 8, 2)}), "no group 'grid' in '/0000'"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_no_such_file_is_refused(name, tmp_path):
    make, words = BROKEN[name]
    path = tmp_path / "a.hdf5"
    with h5py.File(path, "w") as file:
        make(file)
    with pytest.raises(ValueError, match=words):
        pdebench.read(path)


def test_what_is_not_hdf5_is_refused(tmp_path):
    path = tmp_path / "a.hdf5"
    with pytest.raises(FileNotFoundError, match=r"there is no file .*a\.hdf5"):
        pdebench.read(path)
    path.write_bytes(b"PDEBench, I promise")
    with pytest.raises(ValueError, match="not an HDF5 file, or it is truncated"):
        pdebench.read(path)
    made("gas", path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ValueError, match="not an HDF5 file, or it is truncated"):
        pdebench.read(path)


def test_samples_that_are_not_there(tmp_path):
    path = made("burgers", tmp_path / "a.hdf5")
    with pytest.raises(IndexError, match="there are 3 samples; got 3"):
        pdebench.read(path, 3)
    with pytest.raises(TypeError, match="whole number or a slice"):
        pdebench.read(path, 1.5)
    with pytest.raises(ValueError, match="none of them"):
        pdebench.read(made("reaction", tmp_path / "b.hdf5"), slice(2, 2))


def test_what_cannot_be_written_is_refused(tmp_path):
    data, path = solution().to_xarray(), tmp_path / "a.h5"
    wrong = {
        "must end in .h5 or .hdf5": (data, tmp_path / "a.nc", None),
        "layout must be one of tensor": (data, path, "columns"),
        "for one unknown; got u, v": (data.assign(v=data.u), path, "tensor"),
        "must have an axis x": (data.mean("x"), path, None),
        "must be a real field": (data.assign(u=data.u.astype(complex)), path, None),
        "must be a real field with the dimensions": (data.expand_dims("spin"), path, None),
        "no field in this data set": (data.drop_vars("u"), path, "arrays"),
        "x must be finite": (data.assign_coords(x=data.x * np.nan), path, None),
    }
    for words, (what, where, layout) in wrong.items():
        with pytest.raises(ValueError, match=words):
            pdebench.write(what, where, layout)
    assert not os.listdir(tmp_path)


def test_a_full_disk_leaves_what_was_there(tmp_path, monkeypatch):
    data, path = solution().to_xarray(), tmp_path / "a.h5"
    pdebench.write(data, path)

    fill_disk(monkeypatch)
    with pytest.raises(OSError, match="No space left"):
        pdebench.write(data.isel(time=slice(1)), path)
    assert os.listdir(tmp_path) == ["a.h5"] and pdebench.read(path).sizes["time"] == 4


def test_nan_in_fields_is_kept(tmp_path):
    data = xarray.Dataset({"u": (("batch", "time", "x"), np.full((1, 1, 4), np.nan))}, {"x": places(4), "time": [0.0]})
    pdebench.write(data, tmp_path / "a.h5")
    assert bool(np.isnan(pdebench.read(tmp_path / "a.h5").u).all())


DAMAGES = {
    "a group for coordinates": lambda file: (file.__delitem__("x-coordinate"), file.create_group("x-coordinate")),
    "a group for times": lambda file: (file.__delitem__("t-coordinate"), file.create_group("t-coordinate")),
    "texts for times": lambda file: (
        file.__delitem__("t-coordinate"),
        file.__setitem__("t-coordinate", np.array([b"a", b"b", b"c"])),
    ),
    "no values": lambda file: file.__setitem__("empty", h5py.Empty("f8")),
    "one number": lambda file: file.__setitem__("aaa", 3.0),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_files_are_refused_in_words(damage, tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["tensor"] = np.zeros((2, 3, 8))
        file["x-coordinate"], file["t-coordinate"] = np.arange(8.0), np.arange(3.0)
        DAMAGES[damage](file)
    with pytest.raises(ValueError, match=r"a\.h5"):
        pdebench.read(path)


def test_a_wrong_sample_is_no_damage(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["tensor"] = np.zeros((2, 3, 8))
        file["x-coordinate"], file["t-coordinate"] = np.arange(8.0), np.arange(3.0)
    with pytest.raises(IndexError, match="there are 2 samples; got 2"):
        pdebench.read(path, 2)
