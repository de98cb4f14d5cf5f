"""What `kutta train` does: read a surrogate file, study, write models, tables and pictures, say what was found."""

from __future__ import annotations

import json
from pathlib import Path

from kutta.files import making_folder, replacing
from kutta.operators.saving import save
from kutta.surrogate_study import settings as surrogate_file
from kutta.surrogate_study import table
from kutta.surrogate_study.folder import Folder, write_text
from kutta.surrogate_study.leftovers import forget_others
from kutta.surrogate_study.study import Study, study
from kutta.text_table import in_terminal


def run(path: Path, out: Path | None = None, restart: bool = False, quiet: bool = False) -> list[Path]:
    """Make the data of a surrogate file, train its networks, and compare them with classical methods.

    Data and checkpoints stay in the folder, so that a run that was killed and is called again goes on where it stood.

    Args:
        path: of the file.
        out: folder for what is written; by default one with the name of the file, where the command runs.
        restart: take away data, runs and networks of other settings, and runs that diverged, and begin these anew.
        quiet: show neither progress bars nor the tables at the end.

    Returns:
        the files that were written: models, tables, and last the pictures.

    Raises:
        ProblemFileError: for a file that describes no study, and a folder with data or runs of other settings.
        SolveError: when the data cannot be made.
        OSError: when the folder cannot be written to.
    """
    settings = surrogate_file.read(path)
    with making_folder(Path(path.stem) if out is None else out) as place:
        folder = Folder(place)
        if restart:
            forget_others(folder, settings)
        done = study(settings, folder, progress=not quiet)
        written = write(done, folder)
    if not quiet:
        _summarise(done, written)
    return written


def write(done: Study, folder: Folder) -> list[Path]:
    """Write models, tables and pictures, each of which is whole or not there.

    Returns:
        their paths.
    """
    models = save_models(done, folder)
    pages = [folder.path / "table.md", folder.figures]
    write_text(pages[0], table.markdown(done))
    write_text(pages[1], json.dumps(table.figures(done), indent=2, allow_nan=False))
    return [*models, *pages, *_draw(done, folder.path)]


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
