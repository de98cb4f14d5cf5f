"""Samples in files, in the layouts of PDEBench and The Well."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from kutta.operators.data.fields import Data
from kutta.operators.scope import STATE, Scope
from kutta.operators.scope_in_words import scope_of_words, words_of
from kutta.optional import needed
from kutta.pde.formats import pdebench, the_well
from kutta.pde.formats.axes import coordinates
from kutta.pde.grids.grid import AXES

if TYPE_CHECKING:
    from xarray import Dataset

LAYOUTS = {"pdebench": pdebench, "the_well": the_well}
SCOPE, MANIFEST = "kutta_scope", "kutta_manifest"


def write(data: Data, path: str | os.PathLike[str], layout: str = "pdebench") -> None:
    """Write samples to a file that others can read; it is whole or not there (needs the extra ``pde``).

    States are trajectories with a time, coefficients and sources fields without one. The scope and the manifest are
    attributes of the file.

    Args:
        data: with all steps of each trajectory.
        path: ends in ``.h5`` or ``.hdf5``.
        layout: ``"pdebench"`` or ``"the_well"``.

    Raises:
        ValueError: for parts of trajectories, and for another layout or ending.

    Example:
        >>> import tempfile, kutta as kt
        >>> data = kt.operators.data.generate(kt.operators.data.burgers(points=32, times=2), 3, seed=0)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     kt.operators.data.write(data, f"{folder}/burgers.hdf5")
        ...     again = kt.operators.data.read(f"{folder}/burgers.hdf5")
        >>> bool((again.inputs == data.inputs).all() and (again.outputs == data.outputs).all()), again.scope.step
        (True, 0.5)
    """
    _layout(layout).write(to_xarray(data), path)


def read(path: str | os.PathLike[str], layout: str = "pdebench") -> Data:
    """Read what `write` wrote.

    Args:
        path: of the file.
        layout: that it was written in.

    Raises:
        FileNotFoundError, ValueError: for what is no such file.
    """
    dataset = _layout(layout).read(path)
    if SCOPE not in dataset.attrs:
        raise ValueError(f"{path} was not written by kutta.operators.data.write: it does not say what its fields are")
    scope = scope_of_words(json.loads(dataset.attrs[SCOPE]))
    return of_xarray(dataset, scope, json.loads(dataset.attrs[MANIFEST]))


def to_xarray(data: Data) -> Dataset:
    """Samples as a data set with the dimensions ``batch``, ``time`` and those of space."""
    xarray, scope = needed("xarray", "kutta.operators.data.write", "pde"), data.scope
    if len(data) % scope.times:
        raise ValueError(f"{len(data)} samples are no whole trajectories of {scope.times} steps")
    axes = ("batch", *AXES[: scope.grid.dim])
    attributes = {SCOPE: json.dumps(words_of(scope)), MANIFEST: json.dumps(dict(data.manifest))}
    first = data.inputs[:: scope.times]
    given = {name: (axes, one.numpy()) for name, one in _fields(scope, first) if name not in scope.components}
    if scope.step is None:
        states: Any = {name: (axes, data.outputs[:, place].numpy()) for place, name in enumerate(scope.components)}
        return xarray.Dataset({**given, **states}, coordinates(scope.grid), attributes)
    times = scope.step * torch.arange(scope.times + 1, dtype=torch.float64)
    courses = torch.cat([_start(scope, first)[:, None], data.outputs.unflatten(0, (-1, scope.times))], 1)
    moving = ("batch", "time", *axes[1:])
    states = {name: (moving, courses[:, :, place].numpy()) for place, name in enumerate(scope.components)}
    return xarray.Dataset({**given, **states}, {**coordinates(scope.grid), "time": times.numpy()}, attributes)


def of_xarray(dataset: Dataset, scope: Scope, manifest: Any) -> Data:
    """The way back."""

    def field(name: str) -> Tensor:
        return torch.from_numpy(dataset[name].transpose("batch", "time", ..., missing_dims="ignore").values.copy())

    states = torch.stack([field(name) for name in scope.components], 1)
    if scope.step is None:
        return Data(torch.stack([field(name) for name in scope.channels], 1), states, scope, manifest)
    before, after = (part.transpose(1, 2).flatten(0, 1) for part in (states[:, :, :-1], states[:, :, 1:]))
    given = {name: field(name).repeat_interleave(scope.times, 0) for name in scope.inputs if name != STATE}
    channels = [before if name == STATE else given[name][:, None] for name in scope.inputs]
    return Data(torch.cat(channels, 1), after, scope, manifest)


def _fields(scope: Scope, a: Tensor) -> list[tuple[str, Tensor]]:
    """What is read besides the state, by name."""
    names = [name for name in scope.channels if not name.startswith(STATE)]
    return [(name, a[:, scope.channels.index(name)]) for name in names]


def _start(scope: Scope, a: Tensor) -> Tensor:
    """The states at the start of trajectories."""
    place = next(place for place, name in enumerate(scope.channels) if name.startswith(STATE))
    return a[:, place : place + len(scope.components)]


def _layout(name: str) -> Any:
    if name not in LAYOUTS:
        raise ValueError(f"layout must be one of {', '.join(map(repr, LAYOUTS))}; got {name!r}")
    return LAYOUTS[name]
