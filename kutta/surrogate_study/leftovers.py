"""What an earlier study left in a folder, and which of it goes. What others have put there stays."""

from __future__ import annotations

import json
import shutil
from contextlib import suppress
from typing import Any

from kutta.surrogate_study.folder import SETTINGS, Folder, Run, read_data
from kutta.surrogate_study.settings import Settings


def forget_others(folder: Folder, settings: Settings) -> None:
    """Take away data, runs and networks of other settings, and runs that diverged.

    Args:
        folder: of the study.
        settings: of what stays.

    Raises:
        ProblemFileError: for data of somebody else's, before anything is taken away.
    """
    wanted = {name: settings.of_network(name) for name in settings.networks}
    data = folder.data.exists() and read_data(folder.data).manifest[SETTINGS] != settings.of_data
    runs = [run for run in folder.all_runs() if run.diverged() or wanted.get(run.path.name) != run.settings()]
    _take_away(folder, data, runs, [name for name, one in _saved(folder).items() if wanted.get(name) != one])


def forget(folder: Folder) -> None:
    """Take away all data, runs and networks.

    Args:
        folder: of the study.

    Raises:
        ProblemFileError: for data of somebody else's, before anything is taken away.
    """
    data = folder.data.exists() and bool(read_data(folder.data))
    _take_away(folder, data, list(folder.all_runs()), list(_saved(folder)))


def _take_away(folder: Folder, data: bool, runs: list[Run], networks: list[str]) -> None:
    if data:
        folder.data.unlink()
    for run in runs:
        shutil.rmtree(run.path)
    for name in networks:
        folder.weights(name).unlink()


def _saved(folder: Folder) -> dict[str, Any]:
    """The settings of the networks that are saved there, by name: those that the tables speak of."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        settings = json.loads(folder.figures.read_text(encoding="utf-8"))["settings"]
        there = {path.stem for path in folder.path.glob("*.safetensors")}  # no other names lead out of the folder
        return {name: one for name, one in dict(settings).items() if name in there}
    return {}
