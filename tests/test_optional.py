"""Packages of extras: there, or an error that says what to install."""

import math
import subprocess
import sys

import pytest
import torch

import kutta as kt
from kutta.optional import needed


def test_a_package_that_is_there():
    assert needed("math", "this test", "pde") is math


@pytest.mark.parametrize("module", ["xarray", "h5netcdf", "zarr", "h5py", "PIL"])
def test_a_missing_package_is_named(module, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    problem = kt.pde.Heat(0.1).problem(kt.pde.Grid(8), torch.arange(8.0), (0.0, 1.0))
    sol = kt.solve(problem, save_at=torch.linspace(0.0, 1.0, 3))
    calls = {
        "xarray": sol.to_xarray,
        "h5netcdf": lambda: kt.pde.formats.read(tmp_path / "a.nc"),
        "zarr": lambda: kt.pde.formats.read(tmp_path / "a.zarr"),
        "h5py": lambda: kt.pde.formats.pdebench.read(tmp_path / "a.hdf5"),
        "PIL": sol.animate,
    }
    with pytest.raises(ImportError, match=rf'needs {module}: pip install "kutta\[pde\]"'):
        calls[module]()


def test_operators_and_the_trainer_are_imported_when_they_are_asked_for():
    program = """
import sys, kutta
late = {"kutta.operators", "kutta.training"}
assert not late & set(sys.modules), "too early"
assert {"operators", "training"} <= set(dir(kutta))
assert kutta.operators.FNO and kutta.operators is sys.modules["kutta.operators"]
from kutta import *
assert operators is kutta.operators
"""
    subprocess.run([sys.executable, "-c", program], check=True)
