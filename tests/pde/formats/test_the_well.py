"""Files of The Well: made by its specification, read, written and read again; and what is no such file."""

import os

import h5py
import numpy as np
import pytest
import torch
import xarray

import kutta as kt
from kutta.pde.formats import grid_of, pdebench, the_well
from kutta.pde.formats.axes import text_of
from kutta.pde.formats.the_well import names
from kutta.pde.grids.boundary import KINDS
from tests._helpers import fill_disk

RANDOM = np.random.default_rng(0)
B, T, W, H = 2, 5, 8, 6


def noise(*shape):
    return RANDOM.standard_normal(shape).astype(np.float32)


def field(group, name, values, sample, time, dims):
    group[name] = values
    group[name].attrs["sample_varying"], group[name].attrs["time_varying"] = sample, time
    if dims is not None:
        group[name].attrs["dim_varying"] = np.array(dims)


def boundary(file, name, dims, kind, mask, values=None):
    group = file.create_group(f"boundary_conditions/{name}")
    group["mask"] = mask
    if values is not None:
        group["values"] = values
    named = {"associated_dims": dims, "associated_fields": [], "bc_type": kind}
    for key, one in (named | {"sample_varying": False, "time_varying": False}).items():
        group.attrs[key] = one


def ends(size, *where):
    mask = np.zeros(size, dtype=bool)
    mask[list(where)] = True
    return mask


def example(path):
    """All that the specification knows."""
    with h5py.File(path, "w") as file:
        named = {"dataset_name": "example", "grid_type": "cartesian", "n_spatial_dims": 2, "n_trajectories": B}
        for key, value in (named | {"simulation_parameters": ["Re"], "Re": 100.0}).items():
            file.attrs[key] = value
        dimensions = file.create_group("dimensions")
        dimensions.attrs["spatial_dims"] = ["x", "y"]
        for name, count in (("time", T), ("x", W), ("y", H)):
            dimensions[name] = np.arange(count, dtype=np.float32) / count
            dimensions[name].attrs["sample_varying"] = False
            if name != "time":
                dimensions[name].attrs["time_varying"] = False
        boundary(file, "x_periodic", ["x"], "PERIODIC", ends(W, 0, -1))
        boundary(file, "floor", ["y"], "wall", ends(H, 0), np.array([2.0], dtype=np.float32))
        boundary(file, "sky", ["y"], "OPEN", ends(H, -1))
        boundary(file, "obstacle", ["x", "y"], "WALL", RANDOM.random((W, H)) > 0.8, noise(3))
        scalars = file.create_group("scalars")
        scalars.attrs["field_names"] = ["Re", "dt", "forcing"]
        field(scalars, "Re", np.float32(100.0), False, False, None)
        field(scalars, "dt", noise(B), True, False, None)
        field(scalars, "forcing", noise(B, T), True, True, None)
        shapes = {
            "t0_fields": {"p": ((B, T, W, H), (True, True, [1, 1])), "depth": ((B, W), (True, False, [1, 0]))},
            "t1_fields": {
                "velocity": ((B, T, W, H, 2), (True, True, [1, 1])),
                "wind": ((H, 2), (False, False, [0, 1])),
            },
            "t2_fields": {
                "stress": ((B, T, W, H, 2, 2), (True, True, [1, 1])),
                "flat": ((B, T, W, H, 4), (True, True, [1, 1])),
            },
        }
        for group, fields in shapes.items():
            file.create_group(group).attrs["field_names"] = list(fields)
            for name, (shape, (sample, time, dims)) in fields.items():
                field(file[group], name, noise(*shape), sample, time, np.array(dims, dtype=bool))
        for name in shapes["t2_fields"]:
            file[f"t2_fields/{name}"].attrs["symmetric"] = name == "stress"
            file[f"t2_fields/{name}"].attrs["antisymmetric"] = False
    return path


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return example(tmp_path_factory.mktemp("well") / "example.hdf5")


def test_dimensions_follow_from_what_varies(path):
    data = the_well.read(path)
    assert {str(name): one.dims for name, one in data.data_vars.items()} == {
        "Re": (),
        "dt": ("batch",),
        "forcing": ("batch", "time"),
        "p": ("batch", "time", "x", "y"),
        "depth": ("batch", "x"),
        "velocity": ("batch", "time", "x", "y", "direction"),
        "wind": ("y", "direction"),
        "stress": ("batch", "time", "x", "y", "direction", "direction_2"),
        "flat": ("batch", "time", "x", "y", "pair"),
        "obstacle": ("x", "y"),
    }
    assert data.attrs == {"dataset_name": "example", "Re": 100.0}
    with h5py.File(path) as file:
        np.testing.assert_array_equal(data.stress.values, file["t2_fields/stress"][()])


def test_boundary_conditions_become_those_of_kutta(path):
    grid = grid_of(the_well.read(path), centring=("periodic", "node"))
    assert [[text_of(one) for one in pair] for pair in grid.boundary] == [
        ["Periodic()", "Periodic()"],
        ["Dirichlet(2.0)", "Neumann(0.0)"],
    ]
    assert the_well.read(path).obstacle.attrs["bc_type"] == "WALL"


@pytest.mark.parametrize("write, read", [(the_well.write, the_well.read), (pdebench.write, pdebench.read)],
                         ids=["the well", "pdebench"])  # fmt: skip
def test_a_basin_keeps_its_walls(write, read, tmp_path):
    grid = kt.pde.Grid(8, boundary=kt.pde.Wall())
    problem = kt.pde.ShallowWater().problem(grid, lambda x: [1.0 + x[0], 0.0 * x[0]], (0.0, 0.1))
    write(kt.solve(problem, save_at=[0.0, 0.1]).to_xarray(), tmp_path / "basin.hdf5")
    assert [text_of(one) for one in grid_of(read(tmp_path / "basin.hdf5")).boundary[0]] == ["Wall()", "Wall()"]


def test_a_wall_writes_no_values_of_what_it_does_not_hold(tmp_path):
    problem = kt.pde.Heat().problem(kt.pde.Grid(8, boundary=kt.pde.Wall()), 1.0, (0.0, 0.1))
    the_well.write(kt.solve(problem, save_at=[0.0, 0.1]).to_xarray(), tmp_path / "a.hdf5")
    with h5py.File(tmp_path / "a.hdf5") as file:
        side = file["boundary_conditions/x_left"]
        assert side.attrs["bc_type"] == "WALL" and "values" not in side


def test_every_kind_of_boundary_has_one_of_the_well():
    assert set(names.KINDS) == set(KINDS.values())


def test_a_published_file_comes_back(path, tmp_path):
    first = the_well.read(path)
    the_well.write(first, tmp_path / "b.h5")
    again = the_well.read(tmp_path / "b.h5")
    assert again.identical(first)
    with h5py.File(path) as one, h5py.File(tmp_path / "b.h5") as other:
        for group in ("dimensions", "scalars", "t0_fields", "t1_fields", "t2_fields"):
            assert list(one[group]) == list(other[group])
            for name in one[group]:
                np.testing.assert_array_equal(one[group][name][()], other[group][name][()])
                assert one[group][name].dtype == other[group][name].dtype
                flags = {k: np.asarray(v).tolist() for k, v in other[group][name].attrs.items()}
                assert flags.items() >= {k: np.asarray(v).tolist() for k, v in one[group][name].attrs.items()}.items()
        assert other["boundary_conditions/y_left"].attrs["bc_type"] == "WALL"
        np.testing.assert_array_equal(other["boundary_conditions/x_periodic/mask"][()], ends(W, 0, -1))
        np.testing.assert_array_equal(
            other["boundary_conditions/obstacle/values"][()], one["boundary_conditions/obstacle/values"][()]
        )


def test_one_trajectory_at_a_time_is_the_whole(path):
    whole = the_well.read(path)
    assert the_well.count(path) == B
    for sample, one in enumerate(the_well.trajectories(path)):
        assert one.identical(whole.isel(batch=sample)) and one.identical(the_well.read(path, sample))
    assert the_well.read(path, slice(1, 2)).identical(whole.isel(batch=slice(1, 2)))


def test_only_what_is_asked_for_is_read(tmp_path):
    """A file whose fields would not fit in memory, and which holds none of them."""
    path = example(tmp_path / "huge.hdf5")
    with h5py.File(path, "a") as file:
        del file["t0_fields/p"]
        shape = (10**7, T, W, H)
        file["t0_fields"].create_dataset("p", shape, "f4", chunks=(1, *shape[1:]))
        field(file["t0_fields"], "thin", noise(W, H), False, False, np.array([True, True]))
        file["t0_fields"].attrs["field_names"] = ["p", "thin"]
        for key in ("sample_varying", "time_varying"):
            file["t0_fields/p"].attrs[key] = True
        file["t0_fields/p"].attrs["dim_varying"] = np.array([True, True])
        for group in ("scalars", "t1_fields", "t2_fields"):
            file[group].attrs.create("field_names", np.array([], dtype=object), dtype=h5py.string_dtype())
        file.attrs["n_trajectories"] = 10**7
    assert dict(the_well.read(path, -1).p.sizes) == {"time": T, "x": W, "y": H}
    path.unlink()  # nothing holds it open


def test_times_of_their_own_for_each_trajectory(path, tmp_path):
    data = the_well.read(path).drop_vars("forcing")
    times = np.arange(B * T, dtype=np.float32).reshape(B, T)
    data = data.drop_vars("time").assign_coords(time=(("batch", "time"), times))
    the_well.write(data, tmp_path / "a.h5")
    assert the_well.read(tmp_path / "a.h5").identical(data)
    np.testing.assert_array_equal(the_well.read(tmp_path / "a.h5", 1).time.values, times[1])


SIDES = [
    (kt.pde.Dirichlet(1.5), kt.pde.Neumann(-1.0)),
    (kt.pde.Robin(1.0, 2.0, 3.0), kt.pde.Dirichlet(torch.ones(8))),
    (kt.pde.Neumann(lambda x, t: x[0] * 0.0), kt.pde.Dirichlet()),
]


@pytest.mark.parametrize("sides", SIDES, ids=["numbers", "tensor", "function"])
def test_a_solution_comes_back_with_its_boundary_conditions(sides, tmp_path):
    grid = kt.pde.Grid((8, 6), (2.0, 1.0), boundary=(kt.pde.Periodic(), sides))
    sol = kt.solve(
        kt.pde.Heat(0.1).problem(grid, torch.zeros(3, 8, 6), (0.0, 1.0)), save_at=torch.linspace(0.0, 1.0, 4)
    )
    data = sol.to_xarray().transpose("batch", "time", "x", "y")
    the_well.write(data, tmp_path / "a.h5")
    again = the_well.read(tmp_path / "a.h5")
    assert again.drop_vars([]).assign_attrs(data.attrs).drop_attrs().identical(data.drop_attrs())
    assert again.x.attrs == data.x.attrs and again.y.attrs == data.y.attrs
    assert again.attrs.items() >= {k: v for k, v in data.attrs.items()}.items()
    with h5py.File(tmp_path / "a.h5") as file:
        kinds = {name: one.attrs["bc_type"] for name, one in file["boundary_conditions"].items()}
        assert "steps" in file.attrs["simulation_parameters"] and file.attrs["dataset_name"].startswith("Heat")
    words = {"Dirichlet": "WALL", "Robin": "WALL", "Neumann": "OPEN"}
    assert kinds == {"x_periodic": "PERIODIC"} | {
        f"y_{side}": words[type(one).__name__] for side, one in zip(("left", "right"), sides, strict=True)
    }


def test_components_become_vectors(tmp_path):
    data = xarray.Dataset(
        {name: (("time", "x", "y"), noise(T, W, H)) for name in ("u", "v", "p")},
        {"x": np.arange(8.0), "y": np.arange(6.0), "time": np.arange(5.0)},
    )
    the_well.write(data, tmp_path / "a.h5", {"velocity": ("u", "v")})
    again = the_well.read(tmp_path / "a.h5")
    np.testing.assert_array_equal(again.velocity.values, np.stack([data.u.values, data.v.values], -1))
    assert list(again.data_vars) == ["p", "velocity"] and "batch" not in again.dims
    with pytest.raises(ValueError, match="must have a component for each of x, y"):
        the_well.write(data, tmp_path / "b.h5", {"velocity": ("u", "w")})


def drop(name):
    return lambda file: file.pop(name)


def attribute(name, key, value=None):
    def change(file):
        del file[name].attrs[key]
        if value is not None:
            file[name].attrs[key] = value

    return change


def instead(name, values):
    def change(file):
        kept = dict(file[name].attrs)
        del file[name]
        file[name] = values
        for key, value in kept.items():
            file[name].attrs[key] = value

    return change


BROKEN = {
    "no group": (drop("t1_fields"), "no group 't1_fields' in '/'"),
    "no dimensions": (drop("dimensions"), "no group 'dimensions'"),
    "no time": (drop("dimensions/time"), "no array 'time' in '/dimensions'"),
    "no field": (drop("t0_fields/p"), "no array 'p' in '/t0_fields'.*it holds depth"),
    "no mask": (drop("boundary_conditions/sky/mask"), "no array 'mask' in '/boundary_conditions/sky'"),
    "no attribute": (attribute("t0_fields/p", "time_varying"), "'/t0_fields/p' .* has no attribute 'time_varying'"),
    "no number of trajectories": (attribute("/", "n_trajectories"), "has no attribute 'n_trajectories'"),
    "sphere": (attribute("/", "grid_type", "spherical"), "must be cartesian; got 'spherical'"),
    "nan places": (instead("dimensions/x", np.full(8, np.nan, dtype=np.float32)), "x must be finite"),
    "other shape": (instead("t0_fields/p", np.zeros((B, T, H, W))), r"must have the shape .*got \(2, 5, 6, 8\)"),
    "no components": (instead("t1_fields/velocity", np.zeros((B, T, W, H))), "must have the shape .* and components"),
    "other flags": (attribute("t0_fields/p", "dim_varying", [True]), "must have 2 entries; got 1"),
    "other kind": (attribute("boundary_conditions/sky", "bc_type", "sponge"), "periodic, wall or open; got 'sponge'"),
    "other axis": (attribute("boundary_conditions/sky", "associated_dims", ["w"]), "the axis 'w', which there is not"),
    "other mask": (instead("boundary_conditions/sky/mask", ends(5, 0)), "must have the shape"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_no_such_file_is_refused(name, tmp_path):
    change, words = BROKEN[name]
    path = example(tmp_path / "a.hdf5")
    with h5py.File(path, "a") as file:
        change(file)
    with pytest.raises(ValueError, match=words):
        the_well.read(path)


def test_what_is_not_hdf5_is_refused(path, tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no file"):
        the_well.count(tmp_path / "gone.hdf5")
    (tmp_path / "a.hdf5").write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ValueError, match="not an HDF5 file, or it is truncated"):
        the_well.read(tmp_path / "a.hdf5")
    with pytest.raises(IndexError, match="there are 2 samples"):
        the_well.read(path, 2)


def test_what_cannot_be_written_is_refused(path, tmp_path):
    data = the_well.read(path)
    wrong = {
        "must end in": (data, tmp_path / "a.nc"),
        "must have an axis x": (data[["dt"]], tmp_path / "a.h5"),
        "must be a real field": (data.assign(p=data.p.astype(complex)), tmp_path / "a.h5"),
        "'spin' must be a real field with the dimensions": (
            data.assign(spin=data.p.expand_dims("s")),
            tmp_path / "a.h5",
        ),
        "x must ascend": (data.assign_coords(x=-data.x), tmp_path / "a.h5"),
        "a boundary condition reads like": (data.assign_coords(x=data.x.assign_attrs(left="wet")), tmp_path / "a.h5"),
    }
    for words, (what, where) in wrong.items():
        with pytest.raises(ValueError, match=words):
            the_well.write(what, where)
    assert not os.listdir(tmp_path)


def test_a_full_disk_leaves_what_was_there(path, tmp_path, monkeypatch):
    data, where = the_well.read(path), tmp_path / "a.h5"
    the_well.write(data, where)

    fill_disk(monkeypatch)
    with pytest.raises(OSError, match="No space left"):
        the_well.write(data.isel(time=slice(1)), where)
    assert os.listdir(tmp_path) == ["a.h5"] and the_well.read(where).identical(data)


@pytest.mark.parametrize("total", [2.5, -1, "two", [1, 2]], ids=["half", "negative", "text", "list"])
def test_the_number_of_trajectories_is_one(path, total):
    with h5py.File(path, "a") as file:
        file.attrs["n_trajectories"] = total
    with pytest.raises(ValueError, match=r"n_trajectories of .* must be a whole number"):
        the_well.read(path)


def test_each_side_of_a_wall_has_the_value_at_its_place(tmp_path):
    path = tmp_path / "walls.h5"
    example(path)
    for values, expected in (([1.0, 2.0], (1.0, 2.0)), ([3.0], (3.0, 3.0))):
        with h5py.File(path, "r+") as file:
            for name in ("floor", "sky", "walls"):
                file["boundary_conditions"].pop(name, None)
            boundary(file, "walls", ["y"], "WALL", ends(H, 0, -1), np.array(values, dtype=np.float32))
        sides = the_well.read(path).y.attrs
        assert (sides["left"], sides["right"]) == tuple(f"Dirichlet({one})" for one in expected)
    with h5py.File(path, "r+") as file:
        file["boundary_conditions/walls/values"][...] = np.nan
    with pytest.raises(ValueError, match="the values of '/boundary_conditions/walls' must be finite; got nan"):
        the_well.read(path)
