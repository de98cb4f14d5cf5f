"""A solution as a data set with named axes: `Solution.to_xarray`."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from kutta.optional import needed

if TYPE_CHECKING:
    from xarray import Dataset

    from kutta.pde.grids.space import Space
    from kutta.solution import Solution

COUNTS = ("steps", "accepted", "rejected", "function_evaluations", "jacobian_evaluations", "linear_solves")

# Name, dimensions and values.
Variables = dict[str, tuple[tuple[str, ...], np.ndarray]]


def labelled(solution: Solution) -> Dataset:
    """See `Solution.to_xarray`."""
    xarray = needed("xarray", "to_xarray()", "pde")
    leading = leading_dimensions(solution)
    ys = pytree.tree_map(lambda leaf: leaf[0], solution.ys) if not leading else solution.ys
    attributes = _attributes(solution)
    coordinates: dict[str, Any] = {}
    if leading:
        coordinates["time"] = (leading[: solution.ts.dim()], array(solution.ts))
    if solution.space is None:
        variables = _states(ys, leading)
    else:
        from kutta.pde.formats.axes import coordinates as of_grid

        variables = _fields(ys, leading, solution.space)
        coordinates |= of_grid(solution.space.grid)
    for name, (dimensions, values) in _of_trajectories(solution).items():
        coordinates[name] = (dimensions, values)
    return xarray.Dataset(variables, coordinates, attributes)


def leading_dimensions(solution: Solution) -> tuple[str, ...]:
    """The dimensions before those of the state: none where nothing evolves in time."""
    if not _evolves(solution):
        return ()
    if solution.t1.dim() == 0:
        return ("time",)
    return ("output" if solution.ts.dim() == 2 else "time", "trajectory")


def _evolves(solution: Solution) -> bool:
    """Whether the solution is one of a differential equation in time, and not of a linear system."""
    evaluations, systems = solution.stats.function_evaluations, solution.stats.linear_solves
    return torch.is_tensor(evaluations) or evaluations > 0 or (not torch.is_tensor(systems) and systems == 0)


def array(values: Tensor) -> np.ndarray:
    """Values as NumPy has them: half-precision numbers become single, which files know."""
    values = values.detach().cpu()
    return (values.float() if values.dtype in (torch.bfloat16, torch.float16) else values).numpy()


def _fields(ys: Tensor, leading: tuple[str, ...], space: Space) -> Variables:
    from kutta.pde.grids.grid import AXES

    several, dim = len(space.components) > 1, space.grid.dim
    batch = _numbered("batch", ys.dim() - len(leading) - several - dim)
    parts = torch.unbind(ys, -dim - 1) if several else (ys,)
    dimensions = (*leading, *batch, *AXES[:dim])
    names = _unique(space.components, dimensions)
    return {name: (dimensions, array(part)) for name, part in zip(names, parts, strict=True)}


def _states(ys: Any, leading: tuple[str, ...]) -> Variables:
    leaves, _ = pytree.tree_flatten_with_path(ys)
    own = ("component",) if len(leaves) == 1 else ()
    names = _unique(["_".join(_key(one) for one in path) or "y" for path, _ in leaves], (*leading, *own))
    variables: Variables = {}
    for name, (_, leaf) in zip(names, leaves, strict=True):
        count = leaf.dim() - len(leading)
        dimensions = _numbered(*own, count) if own else _apart(f"{name}_component", count, names)
        variables[name] = ((*leading, *dimensions), array(leaf))
    return variables


def _key(step: Any) -> str:
    """A step on the way to a leaf of a pytree: a key, a place or a name."""
    found = next(getattr(step, one) for one in ("key", "idx", "name") if hasattr(step, one))
    return f"y{found}" if isinstance(found, int) else str(found)


def _unique(names: Sequence[str], dimensions: Sequence[str]) -> list[str]:
    """Names for variables: as they are, or with ``_`` at the end where a coordinate or one before is called so."""
    reserved = {"time", *dimensions, *(("result", *COUNTS) if "trajectory" in dimensions else ())}
    found: list[str] = []
    taken, seen = {*reserved, *names}, set(reserved)
    for name in names:
        if name in seen:
            while name in taken:
                name += "_"
            taken.add(name)
        seen.add(name)
        found.append(name)
    return found


def _apart(name: str, count: int, variables: Sequence[str]) -> tuple[str, ...]:
    """Dimensions that no variable is called."""
    while set(_numbered(name, count)) & set(variables):
        name += "_"
    return _numbered(name, count)


def _numbered(name: str, count: int) -> tuple[str, ...]:
    return (name,) if count == 1 else tuple(f"{name}_{place}" for place in range(count))


def _of_trajectories(solution: Solution) -> Variables:
    """What each trajectory of an ensemble cost, and how it ended."""
    if solution.t1.dim() == 0:
        return {}
    counts = {name: getattr(solution.stats, name) for name in COUNTS}
    found = {name: array(value) for name, value in counts.items() if torch.is_tensor(value)}
    results = np.array([one.name for one in solution.result])  # type: ignore[union-attr]
    return {name: (("trajectory",), values) for name, values in (found | {"result": results}).items()}


def _attributes(solution: Solution) -> dict[str, Any]:
    space, stats = solution.space, solution.stats
    words: dict[str, Any] = {} if space is None else {"equation": space.equation, **space.settings}
    if solution.t1.dim() == 0:
        counts = {name: getattr(stats, name) for name in COUNTS}
        words |= {name: array(one).reshape(-1) if torch.is_tensor(one) else one for name, one in counts.items()}
        results: Any = [solution.result] if isinstance(solution.result, int) else solution.result
        words["result"] = ", ".join(one.name for one in results)
    words["engine"] = stats.engine
    with suppress(PackageNotFoundError):
        words["kutta_version"] = version("kutta")
    return words
