"""What `kutta solve` does: read a problem file, solve, write the solution and a picture, say what was done."""

from __future__ import annotations

import time
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import kutta as kt
from kutta.files import making_folder, put, replacing
from kutta.pde.formats.stored import check_replaceable
from kutta.problem_files.section import ProblemFileError
from kutta.problem_files.task import Task, read
from kutta.solvers.engines.compiled import Compiled
from kutta.solvers.engines.kernel.engine import Kernel

if TYPE_CHECKING:
    from rich.table import Table

    from kutta.solution import Solution

SUFFIXES = {"netcdf": ".nc", "zarr": ".zarr"}


def run(
    path: Path, out: Path | None = None, format: str = "netcdf", quiet: bool = False, animated: bool = False
) -> list[Path]:
    """Solve the problem of a file.

    Args:
        path: of the file.
        out: folder for what is written; by default one with the name of the file, where the command runs.
        format: ``"netcdf"`` or ``"zarr"``.
        quiet: show neither a progress bar nor the table at the end.
        animated: also write an animation, of the fields of a partial differential equation.

    Returns:
        the files that were written.

    All are rendered before the first takes its place, and all places are looked at before, so that after an error
    none is there, or the old ones are.

    Raises:
        ProblemFileError: for a file that describes no problem, or one that `kutta.solve` refuses.
        ValueError: for fields that cannot be written or drawn, or in the place of something else, such as a folder.
        SolveError: when the solve fails.
        OSError: when the folder cannot be written to.
    """
    if format not in SUFFIXES:
        raise ProblemFileError(f"format must be one of {', '.join(SUFFIXES)}; got {format!r}")
    task = read(path)
    if animated and not task.space:
        raise ProblemFileError(f"{path} has ordinary differential equations, of which there is no animation")
    with making_folder(Path(path.stem) if out is None else out) as folder:
        targets = [folder / f"{path.stem}{suffix}" for suffix in (SUFFIXES[format], ".png", ".gif")[: 2 + animated]]
        _check_replaceable(targets)
        began = time.perf_counter()
        try:
            solution = kt.solve(task.problem, task.method, **task.options, progress=_shows_progress(task, quiet))
        except (TypeError, ValueError, NotImplementedError) as problem:
            raise ProblemFileError(f"{path}: {problem}") from problem
        seconds = time.perf_counter() - began
        with TemporaryDirectory(dir=folder, prefix=f".{path.stem}.") as hidden:
            rendered = write(task, solution, Path(hidden), path.stem, format)
            if animated:
                rendered.append(Path(hidden) / targets[-1].name)
                solution.animate(rendered[-1], progress=not quiet and find_spec("tqdm") is not None)
            _check_replaceable(targets)  # a solve takes its time, in which others may have come
            for source, target in zip(rendered, targets, strict=True):
                put(source, target)
    if not quiet:
        _summarise(task, solution, seconds, targets)
    return targets


def _check_replaceable(targets: list[Path]) -> None:
    for target in targets:
        check_replaceable(target)


def write(task: Task, solution: Solution, folder: Path, name: str, format: str) -> list[Path]:
    """Write a solution and its picture.

    Args:
        task: whose title and text the files keep.
        solution: of it.
        folder: of the files.
        name: of the files, without their endings.
        format: of the solution.

    Returns:
        the paths.
    """
    from kutta.pde.formats import write as write_dataset

    values, picture = folder / f"{name}{SUFFIXES[format]}", folder / f"{name}.png"
    dataset = solution.to_xarray().assign_attrs(title=task.title, problem_file=task.source)
    write_dataset(dataset, values)
    _draw(task, solution, picture)
    return [values, picture]


def _draw(task: Task, solution: Solution, path: Path) -> None:
    """Write the picture; pyplot keeps each figure until it is closed."""
    figure = solution.plot()
    from matplotlib.pyplot import close

    try:
        figure.suptitle(task.title, parse_math=False)
        with replacing(path) as temporary:
            figure.savefig(temporary, dpi=150)
    finally:
        close(figure)


def _shows_progress(task: Task, quiet: bool) -> bool:
    return not (quiet or isinstance(task.options.get("engine"), Compiled | Kernel)) and find_spec("tqdm") is not None


def _summarise(task: Task, solution: Solution, seconds: float, written: list[Path]) -> None:
    from rich.console import Console

    console = Console()
    console.print(summary(task, solution, seconds))
    for path in written:
        console.print("Written:", str(path), soft_wrap=True, highlight=False, markup=False)


def summary(task: Task, solution: Solution, seconds: float) -> Table:
    """What was solved, how, and what it cost, as a rich table."""
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=escape(task.title), title_justify="left", show_header=False)
    for name, value in rows(task, solution, seconds):
        table.add_row(name, escape(value))
    return table


def rows(task: Task, solution: Solution, seconds: float) -> list[tuple[str, str]]:
    """The lines of the summary."""
    stats, shown = solution.stats, [("unknowns", ", ".join(task.components))]
    if task.space:
        grid = task.problem.grid
        settings = solution.space.settings
        shown += [(name, settings[name]) for name in ("equation", "scheme", "method")]
        shown += [("grid", f"{' x '.join(map(str, grid.shape))} points, spacing {_numbers(grid.spacing)}")]
    else:
        shown += [("method", "Tsit5" if task.method is None else type(task.method).__name__)]
    t0, t1 = task.problem.t_span
    return [
        *shown,
        ("time", f"{float(t0):g} to {float(solution.t1):g} of {float(t1):g}, {len(solution.ts)} outputs"),
        ("steps", f"{stats.steps:,}, {stats.rejected:,} of them rejected"),
        ("evaluations", f"{stats.function_evaluations:,}"),
        ("engine", stats.engine),
        ("took", f"{seconds:.3g} s"),
        ("result", solution.result.name),  # type: ignore[union-attr]
    ]


def _numbers(values: tuple[float, ...]) -> str:
    return ", ".join(f"{one:.4g}" for one in values)
