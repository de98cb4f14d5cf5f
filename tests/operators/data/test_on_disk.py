"""Samples in files: what was written is read, and others can read it."""

import numpy as np
import pytest
import torch

import kutta as kt
from kutta.operators import data as samples

h5py = pytest.importorskip("h5py")


def assert_same(one, other):
    torch.testing.assert_close(one.inputs, other.inputs, rtol=0.0, atol=0.0)
    torch.testing.assert_close(one.outputs, other.outputs, rtol=0.0, atol=0.0)
    assert vars(one.scope) | {"grid": None} == vars(other.scope) | {"grid": None}
    assert not kt.operators.scope.difference(one.scope.grid, other.scope.grid)
    assert dict(one.manifest) == dict(other.manifest)


def heat(count, generator):
    grid = kt.pde.Grid((8, 6), (1.0, 2.0), boundary=(kt.pde.Dirichlet(), kt.pde.Neumann()))
    u0 = samples.GaussianField().draw(grid, count, generator)
    rate = torch.rand(count, 1, 1, dtype=torch.float64, generator=generator).expand(count, 8, 6) + 0.1
    return kt.pde.Heat(rate).problem(grid, u0, (0.0, 0.2))


def gray_scott(count, generator):
    grid = kt.pde.Grid((8, 8))
    u0 = torch.rand(count, 2, 8, 8, dtype=torch.float64, generator=generator)
    return kt.pde.GrayScott(0.04, 0.06).problem(grid, u0, (0.0, 1.0))


FAMILIES = {
    "darcy": samples.darcy(points=8),
    "burgers": samples.burgers(points=16, times=3),
    "heat": samples.Family(heat, ("u0", "diffusivity"), times=2, name="heat"),
    "gray-scott": samples.Family(gray_scott, ("u0",), times=2, name="gray-scott"),
}


@pytest.mark.parametrize("layout", ["pdebench", "the_well"])
@pytest.mark.parametrize("name", FAMILIES)
def test_what_was_written_is_read(tmp_path, name, layout):
    made = samples.generate(FAMILIES[name], 3, seed=0, batch=3)
    samples.write(made, tmp_path / "data.hdf5", layout)
    assert_same(samples.read(tmp_path / "data.hdf5", layout), made)
    assert [one.name for one in tmp_path.iterdir()] == ["data.hdf5"]


def test_others_find_what_they_expect(tmp_path):
    made = samples.generate(FAMILIES["burgers"], 2, seed=0, batch=2)
    samples.write(made, tmp_path / "burgers.hdf5")
    with h5py.File(tmp_path / "burgers.hdf5") as file:
        assert file["tensor"].shape == (2, 4, 16) and file["x-coordinate"].shape == (16,)
        np.testing.assert_array_equal(file["tensor"][0, 1], made.outputs[0, 0].numpy())


def test_parts_of_trajectories_and_foreign_files_are_refused(tmp_path):
    made = samples.generate(FAMILIES["burgers"], 2, seed=0, batch=2)
    with pytest.raises(ValueError, match="4 samples are no whole trajectories of 3 steps"):
        samples.write(made[:4], tmp_path / "data.hdf5")
    with pytest.raises(ValueError, match="layout must be one of 'pdebench', 'the_well'; got 'csv'"):
        samples.write(made, tmp_path / "data.hdf5", "csv")
    fields = kt.solve(kt.pde.Heat(0.1).problem(kt.pde.Grid(8), torch.zeros(8), (0.0, 1.0))).to_xarray()
    kt.pde.formats.pdebench.write(fields, tmp_path / "other.hdf5")
    with pytest.raises(ValueError, match=r"was not written by kutta\.operators\.data\.write"):
        samples.read(tmp_path / "other.hdf5")
