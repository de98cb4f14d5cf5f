"""Data sets in files: what is read is what was written, and files are whole or not there."""

import errno
import json
import os

import h5py
import numpy as np
import pytest
import torch
import xarray

import kutta as kt
from kutta.pde import formats
from tests._helpers import fill_disk

GRID = kt.pde.Grid((8, 6), (2.0, 1.0), boundary=(kt.pde.Periodic(), (kt.pde.Dirichlet(1.0), kt.pde.Neumann(0.5))))
SUFFIXES = pytest.mark.parametrize("suffix", [".nc", ".zarr"])


@pytest.fixture(scope="module")
def heat():
    problem = kt.pde.Heat(0.1).problem(GRID, lambda x: torch.sin(torch.pi * x[0]), (0.0, 0.1))
    return kt.solve(problem, save_at=torch.linspace(0.0, 0.1, 4)).to_xarray()


@SUFFIXES
def test_what_is_read_is_what_was_written(heat, suffix, tmp_path):
    path = tmp_path / f"heat{suffix}"
    formats.write(heat, path)
    again = formats.read(path)
    assert again.identical(heat) and os.listdir(tmp_path) == [path.name]
    formats.write(again.isel(time=slice(2)), path)  # in the place of the first, from what was read
    assert formats.read(path).identical(heat.isel(time=slice(2))) and os.listdir(tmp_path) == [path.name]


@SUFFIXES
def test_text_complex_numbers_and_nan_come_back(suffix, tmp_path):
    values = np.array([1.0 + 2.0j, np.nan, 0.0])
    made = xarray.Dataset({"psi": ("x", values), "name": ("x", np.array(["a", "bc", "ü"]))}, attrs={"note": "Δ"})
    formats.write(made, tmp_path / f"a{suffix}")
    assert formats.read(tmp_path / f"a{suffix}").identical(made)


@SUFFIXES
def test_a_full_disk_leaves_what_was_there(heat, suffix, tmp_path, monkeypatch):
    path = tmp_path / f"heat{suffix}"

    for before in (None, heat):
        if before is not None:
            formats.write(before, path)
        with monkeypatch.context() as patch:
            fill_disk(patch)
            with pytest.raises(OSError, match="No space left"):
                formats.write(heat.isel(time=slice(1)), path)
        assert os.listdir(tmp_path) == ([] if before is None else [path.name])
    assert formats.read(path).identical(heat)


def test_a_folder_that_cannot_be_put_in_place_leaves_the_old_one(heat, tmp_path, monkeypatch):
    path = tmp_path / "heat.zarr"
    formats.write(heat, path)
    rename, calls = type(path).rename, []

    def fails_once(self, target):
        calls.append(target)
        if len(calls) == 2:
            raise OSError(errno.EIO, "broken")
        return rename(self, target)

    monkeypatch.setattr(type(path), "rename", fails_once)
    with pytest.raises(OSError, match="broken"):
        formats.write(heat.isel(time=slice(1)), path)
    monkeypatch.undo()
    assert formats.read(path).identical(heat) and os.listdir(tmp_path) == ["heat.zarr"]


def test_a_folder_that_is_no_store_is_not_replaced(heat, tmp_path):
    folder = tmp_path / "thesis.zarr"
    folder.mkdir()
    (folder / "chapter1.txt").write_text("dear reader")
    with pytest.raises(ValueError, match="not replaced"):
        formats.write(heat, folder)
    assert (folder / "chapter1.txt").read_text() == "dear reader"


@pytest.mark.parametrize("name", ["heat.csv", "heat", "heat.h5"])
def test_other_endings_are_refused(heat, name, tmp_path):
    with pytest.raises(ValueError, match=r"must end in \.nc or \.zarr"):
        formats.write(heat, tmp_path / name)
    with pytest.raises(ValueError, match=r"must end in \.nc or \.zarr"):
        formats.read(tmp_path / name)


def test_what_cannot_be_written_is_refused(heat, tmp_path):
    with pytest.raises(TypeError, match=r"xarray.Dataset.*got Tensor"):
        formats.write(torch.ones(3), tmp_path / "a.nc")
    pickled = xarray.Dataset({"anything": ("x", np.array([{"a": 1}, None], dtype=object))})
    with pytest.raises(TypeError, match="'anything' must hold numbers or text"):
        formats.write(pickled, tmp_path / "a.nc")
    with pytest.raises(FileNotFoundError, match="no folder"):
        formats.write(heat, tmp_path / "nowhere" / "a.nc")
    assert not os.listdir(tmp_path)


@SUFFIXES
def test_a_missing_file_is_named(suffix, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there is no .*gone"):
        formats.read(tmp_path / f"gone{suffix}")


def test_what_is_no_file_of_its_kind_is_refused(heat, tmp_path):
    path = tmp_path / "a.nc"
    path.write_bytes(b"once upon a time")
    with pytest.raises(ValueError, match="not a NetCDF file, or it is damaged"):
        formats.read(path)
    formats.write(heat, path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ValueError, match="not a NetCDF file, or it is damaged"):
        formats.read(path)
    (tmp_path / "b.zarr").mkdir()
    with pytest.raises(ValueError, match="not a Zarr folder"):
        formats.read(tmp_path / "b.zarr")


def test_a_damaged_store_is_refused(heat, tmp_path):
    path = tmp_path / "heat.zarr"
    formats.write(heat, path)
    chunk = path / "u" / "0.0.0"
    chunk.write_bytes(chunk.read_bytes()[:20])
    with pytest.raises(ValueError, match="damaged"):
        formats.read(path)
    (path / ".zmetadata").write_text("{")
    with pytest.raises(ValueError, match="no JSON"):
        formats.read(path)


@pytest.mark.parametrize("where", ["filters", "compressor"])
def test_pickled_values_are_never_read(heat, where, tmp_path):
    path = tmp_path / "heat.zarr"
    formats.write(heat, path)
    codec = {"id": "pickle", "protocol": 5}
    metadata = json.loads((path / "u" / ".zarray").read_text())
    metadata[where] = [codec] if where == "filters" else codec
    text = json.dumps(metadata).replace("pickle", "\\u0070ickle")
    (path / "u" / ".zarray").write_text(text)
    with pytest.raises(ValueError, match="coded by pickle"):
        formats.read(path)


def test_a_link_in_a_store_is_not_followed(heat, tmp_path):
    path, hidden = tmp_path / "heat.zarr", tmp_path / "hidden"
    formats.write(heat, path)
    (path / "u").rename(hidden)
    metadata = json.loads((hidden / ".zarray").read_text())
    (hidden / ".zarray").write_text(json.dumps(metadata | {"compressor": {"id": "pickle"}}))
    (path / "u").symlink_to("../hidden")
    with pytest.raises(ValueError, match="a link to another place, u"):
        formats.read(path)


def test_a_link_to_a_store_is_one(heat, tmp_path):
    formats.write(heat, tmp_path / "heat.zarr")
    (tmp_path / "last.zarr").symlink_to("heat.zarr")
    assert formats.read(tmp_path / "last.zarr").identical(heat)


@pytest.mark.parametrize(
    "named",
    [["bytes", "anything"], [{"name": "numcodecs.pickle"}], [{"id": "msgpack2"}]],
    ids=["short", "third version", "second version"],
)
def test_unknown_codecs_are_refused(heat, named, tmp_path):
    path = tmp_path / "heat.zarr"
    formats.write(heat, path)
    (path / "u" / "zarr.json").write_text(
        json.dumps({"codecs": [{"configuration": {"codecs": named}, "name": "zstd"}]})
    )
    with pytest.raises(ValueError, match="coded by"):
        formats.read(path)


@pytest.mark.filterwarnings("ignore:Consolidated metadata")
def test_the_codecs_of_the_third_version_are_read(heat, tmp_path):
    heat.to_zarr(tmp_path / "heat.zarr", zarr_format=3, consolidated=True)
    assert formats.read(tmp_path / "heat.zarr").identical(heat)


def test_metadata_nested_without_end_are_refused(heat, tmp_path):
    formats.write(heat, tmp_path / "heat.zarr")
    (tmp_path / "heat.zarr" / ".zmetadata").write_text("[" * 100_000)
    with pytest.raises(ValueError, match="no JSON"):
        formats.read(tmp_path / "heat.zarr")


def outside(file, other):
    return {
        "external link": lambda: file.__setitem__("more", h5py.ExternalLink(other.name, "/secret")),
        "link to a link": lambda: (
            file.__setitem__("away", h5py.ExternalLink(other.name, "/")),
            file.__setitem__("more", h5py.SoftLink("/away/secret")),
        ),
        "link to nothing": lambda: file.__setitem__("more", h5py.SoftLink("/nowhere")),
        "external storage": lambda: file.create_dataset("more", (8,), "u1", external=[(str(other), 0, 8)]),
        "virtual": lambda: file.create_virtual_dataset("more", virtual(other)),
    }


def virtual(other):
    layout = h5py.VirtualLayout((4,), "f8")
    layout[:] = h5py.VirtualSource(str(other), "secret", (4,))
    return layout


@pytest.mark.parametrize("kind", sorted(outside(None, None)))
@pytest.mark.parametrize("suffix", [".nc", ".h5"])
def test_nothing_outside_of_a_file_is_read(heat, kind, suffix, tmp_path):
    path, other = tmp_path / f"heat{suffix}", tmp_path / "other.h5"
    with h5py.File(other, "w") as file:
        file["secret"] = np.full(4, 42.0)
    (formats.write if suffix == ".nc" else formats.pdebench.write)(heat, path)
    with h5py.File(path, "a") as file:
        outside(file, other)[kind]()
    with pytest.raises(ValueError, match=r"out of this file|are in other files"):
        (formats.read if suffix == ".nc" else formats.pdebench.read)(path)


def test_a_link_to_a_store_is_replaced_by_one(heat, tmp_path):
    formats.write(heat, tmp_path / "first.zarr")
    (tmp_path / "last.zarr").symlink_to("first.zarr")
    formats.write(heat.isel(time=slice(1)), tmp_path / "last.zarr")
    assert sorted(os.listdir(tmp_path)) == ["first.zarr", "last.zarr"]
    assert formats.read(tmp_path / "first.zarr").identical(heat)
    assert formats.read(tmp_path / "last.zarr").sizes["time"] == 1


@pytest.mark.parametrize("name", ["a/b", "..", "../../evil"])
def test_names_that_are_paths_are_refused(name, tmp_path):
    with pytest.raises(ValueError, match="must have another name"):
        formats.write(xarray.Dataset({name: ("x", np.ones(3))}), tmp_path / "a.zarr")
