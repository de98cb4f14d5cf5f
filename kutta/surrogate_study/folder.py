"""The folder of a study: what it holds, and whether that was made with the same settings."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kutta.files import replacing
from kutta.problem_files.section import ProblemFileError

_ADVICE = "choose another folder by --out, or begin anew with --restart"


@dataclass(frozen=True)
class Folder:
    """Where a study lives.

    Attributes:
        path: of the folder.
    """

    path: Path

    @property
    def data(self) -> Path:
        """All samples, in the layout of PDEBench."""
        return self.path / "data.h5"

    @property
    def runs(self) -> Path:
        """Checkpoints and logs, a folder for each network."""
        return self.path / "training"

    def weights(self, name: str) -> Path:
        """A trained network with its card."""
        return self.path / f"{name}.safetensors"

    def forget(self) -> None:
        """Take away the data and the checkpoints."""
        self.data.unlink(missing_ok=True)
        if self.runs.exists():
            shutil.rmtree(self.runs)

    def run(self, name: str, settings: Mapping[str, Any]) -> Path:
        """The folder of a training run, with the settings it is made with.

        Raises:
            ProblemFileError: for a run that was made with others.
        """
        run = self.runs / name
        noted = run / "settings.json"
        if noted.exists():
            check_same(run, json.loads(noted.read_text(encoding="utf-8")), settings)
        else:
            run.mkdir(parents=True, exist_ok=True)
            write_text(noted, json.dumps(settings, indent=2))
        return run


def check_same(path: Path, there: Any, here: Mapping[str, Any]) -> None:
    """Refuse what was made with other settings.

    Args:
        path: of what there is.
        there: the settings that it was made with.
        here: those of the file.
    """
    if there != here:
        raise ProblemFileError(f"{path} was made with other settings ({_difference(there, here)}): {_ADVICE}")


def write_text(path: Path, text: str) -> None:
    """Write a text that is whole or not there."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _difference(there: Any, here: Any, path: str = "") -> str:
    """The first key that differs, and how."""
    if not isinstance(there, dict) or not isinstance(here, dict):
        return f"{path or 'all'} is {json.dumps(there)} there, and {json.dumps(here)} in the file"
    key = next(key for key in {**there, **here} if there.get(key) != here.get(key))
    return _difference(there.get(key), here.get(key), f"{path}.{key}" if path else key)
