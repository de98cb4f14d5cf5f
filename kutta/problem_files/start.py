"""Initial states from a problem file: by formula, by noise, or from a file of values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kutta.formulas.formula import Formula
from kutta.pde.grids.grid import AXES, Grid
from kutta.problem_files.section import ProblemFileError, Section, count, number, shown, text, told
from kutta.problem_files.space import Words

_ENDINGS = (".npy", ".nc", ".zarr")


def state(section: Section, grid: Grid, words: Words, folder: Path) -> Tensor:
    """The initial state of a partial differential equation.

    Args:
        section: with ``file``, or with a number, a formula or a table for each unknown.
        grid: where it lives.
        words: what formulas may hold.
        folder: of the problem file, which ``file`` is relative to.
    """
    if "file" in section:
        path = folder / section.take("file", text)
        section.close()
        with told(section.named("file")):
            return _from_file(path, grid, words)
    fields = [section.take(name, lambda value: value) for name in words.components]
    section.close()
    found = [
        _field(value, section.named(name), grid, words, seed)
        for seed, (name, value) in enumerate(zip(words.components, fields, strict=True))
    ]
    return found[0] if len(found) == 1 else torch.stack(found)


def numbers(section: Section, names: Sequence[str], parameters: Mapping[str, float], dtype: torch.dtype) -> Any:
    """The initial values of ordinary differential equations, by name; numbers or formulas of parameters."""

    def value(given: Any) -> Tensor:
        found = Formula(given, (), parameters)() if isinstance(given, str) else number(given)
        return torch.as_tensor(found, dtype=dtype)

    found = {name: section.take(name, value) for name in names}
    section.close()
    return found


def _field(value: Any, path: str, grid: Grid, words: Words, seed: int) -> Tensor:
    """One unknown; `seed` is that of its noise unless the file gives one, and differs from those of the others."""
    if not isinstance(value, dict):
        return _of_formula(value, path, grid, words)
    table = Section(value, path)
    field = table.take("formula", lambda given: _of_formula(given, table.named("formula"), grid, words), None)
    size = table.take("noise", number)
    generator = torch.Generator().manual_seed(table.take("seed", count(0, 2**63 - 1), seed))
    table.close()
    noise = size * torch.randn(grid.shape, generator=generator, dtype=torch.float64).to(words.dtype)
    return noise if field is None else field + noise


def _of_formula(value: Any, path: str, grid: Grid, words: Words) -> Tensor:
    with told(path):
        if not isinstance(value, str):
            return torch.full(grid.shape, number(value), dtype=words.dtype)
        formula = words.at_places(value, grid.dim)
        return values(formula, grid).to(words.dtype)


def values(formula: Formula, grid: Grid) -> Tensor:
    """A formula of the coordinates at the points of a grid."""
    found = torch.as_tensor(formula(**dict(zip(AXES, grid.points(), strict=False))), dtype=torch.float64)
    if not bool(torch.isfinite(found).all()):
        raise ValueError(f"{shown(formula.text)} is infinite or not a number at some points of the grid")
    return found.expand(grid.shape)


def _from_file(path: Path, grid: Grid, words: Words) -> Tensor:
    if path.suffix not in _ENDINGS:
        raise ValueError(f"expected a file that ends in {', '.join(_ENDINGS)}; got {path.name}")
    if not path.exists():
        raise ValueError(f"there is no file {path}")
    found = _from_array(path) if path.suffix == ".npy" else _from_dataset(path, grid, words)
    wanted = (*((len(words.components),) if len(words.components) > 1 else ()), *grid.shape)
    if found.shape != wanted:
        raise ValueError(f"expected the shape {wanted}; {path.name} has {found.shape}")
    if found.dtype.kind not in "fiu":
        raise ValueError(f"expected real numbers; {path.name} has the dtype {found.dtype}")
    return torch.as_tensor(np.array(found, dtype=found.dtype.newbyteorder("="), order="C"), dtype=words.dtype)


def _from_array(path: Path) -> np.ndarray:
    """The array, mapped, so that no header makes this ask for more memory than the file has bytes."""
    try:
        found = np.load(path, mmap_mode="r", allow_pickle=False)  # pickles could run code
    except (ValueError, OSError, EOFError, OverflowError, TypeError) as problem:
        raise ValueError(f"{path.name} holds no array of numbers: {problem}") from problem
    if not isinstance(found, np.ndarray):
        found.close()
        raise ValueError(f"{path.name} holds no array of numbers, but an archive of arrays")
    return found


def _from_dataset(path: Path, grid: Grid, words: Words) -> np.ndarray:
    """The last state of a solution that was written before, or of any data set with these axes."""
    from kutta.pde.formats import read
    from kutta.pde.formats.axes import check_on_grid

    dataset = read(path)
    found = []
    for name in words.components:
        if name not in dataset:
            raise ProblemFileError(
                f"{path.name} has no variable {name}; it has {', '.join(map(str, dataset.data_vars))}"
            )
        field = dataset[name].isel(time=-1) if "time" in dataset[name].dims else dataset[name]
        if set(field.dims) != set(AXES[: grid.dim]):
            raise ProblemFileError(f"{name} in {path.name} has the axes {field.dims}; got a grid of {grid.dim}")
        check_on_grid(field, grid)
        found.append(field.transpose(*AXES[: grid.dim]).values)
    return found[0] if len(found) == 1 else np.stack(found)
