"""What `kutta train` does: read a surrogate file, study, write models, tables and pictures, say what was found."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from kutta.files import making_folder, replacing
from kutta.operators.saving import save
from kutta.surrogate_study import settings as surrogate_file
from kutta.surrogate_study import table
from kutta.surrogate_study.folder import Folder, write_text
from kutta.surrogate_study.study import Study, study

if TYPE_CHECKING:
    from rich.table import Table


def run(path: Path, out: Path | None = None, restart: bool = False, quiet: bool = False) -> list[Path]:
    """Make the data of a surrogate file, train its networks, and compare them with classical methods.

    Data and checkpoints stay in the folder, so that a run that was killed and is called again goes on where it stood.

    Args:
        path: of the file.
        out: folder for what is written; by default one with the name of the file, where the command runs.
        restart: take away data and checkpoints that are there, and begin anew.
        quiet: show neither progress bars nor the tables at the end.

    Returns:
        the files that were written: models, pictures, and last the tables.

    Raises:
        ProblemFileError: for a file that describes no study, and a folder with data or runs of other settings.
        SolveError: when the data cannot be made.
        OSError: when the folder cannot be written to.
    """
    settings = surrogate_file.read(path)
    with making_folder(Path(path.stem) if out is None else out) as place:
        folder = Folder(place)
        if restart:
            folder.forget()
        done = study(settings, folder, progress=not quiet)
        written = write(done, folder)
    if not quiet:
        _summarise(done, written)
    return written


def write(done: Study, folder: Folder) -> list[Path]:
    """Write models, pictures and tables, each of which is whole or not there.

    Returns:
        their paths.
    """
    models = save_models(done, folder)
    pictures = _draw(done, folder.path)
    pages = [folder.path / "table.md", folder.path / "table.json"]
    write_text(pages[0], table.markdown(done))
    write_text(pages[1], json.dumps(table.figures(done), indent=2))
    return [*models, *pictures, *pages]


def save_models(done: Study, folder: Folder) -> list[Path]:
    """Write each network with its card.

    Returns:
        their paths.
    """
    paths = [folder.weights(one.trained.name) for one in done.outcomes]
    for one, path in zip(done.outcomes, paths, strict=True):
        save(one.trained.model, path, done.parts.training.manifest, one.errors)
    return paths


def _draw(done: Study, folder: Path) -> list[Path]:
    from matplotlib import rc_context

    from kutta.pde.pictures.drawing import STYLE
    from kutta.surrogate_study.pictures import PICTURES

    written = []
    for name, draw in PICTURES.items():
        with rc_context(STYLE), replacing(folder / f"{name}.png") as temporary:
            draw(done).savefig(temporary, dpi=150)
        written.append(folder / f"{name}.png")
    return written


def _summarise(done: Study, written: list[Path]) -> None:
    from rich.console import Console
    from rich.markup import escape

    console = Console()
    console.print(f"[bold]{escape(done.settings.title)}[/]")
    for one in table.tables(done):
        console.print(in_terminal(one))
    console.print(table.note(done), highlight=False)
    console.print("Written:", ", ".join(map(str, written)), highlight=False, markup=False)


def in_terminal(shown: table.Shown) -> Table:
    """A table for the terminal."""
    from rich.table import Table

    found = Table(title=shown.title, title_justify="left")
    for column in shown.header:
        found.add_column(column, justify="left" if column in table.WORDS else "right")
    for row in shown.rows:
        found.add_row(*row)
    return found
