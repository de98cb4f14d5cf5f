"""The folder of a study: what it holds, and whether that was made with the same settings."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kutta.files import replacing
from kutta.operators.data import Data, read
from kutta.problem_files.section import ProblemFileError

# Of the manifest of data.
SETTINGS, SECONDS = "settings", "seconds"

# The files of a run.
_NOTED, _DEVICE, _DIVERGED = "settings.json", "device.json", "diverged"

_ADVICE = "choose another folder by --out, or take away what is of other settings by --restart"
_NOT_OURS = "move it elsewhere, or choose another folder by --out"


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

    @property
    def figures(self) -> Path:
        """The tables as JSON, with the settings of each network."""
        return self.path / "table.json"

    def weights(self, name: str) -> Path:
        """A trained network with its card."""
        return self.path / f"{name}.safetensors"

    def run(self, name: str) -> Run:
        """Where a network is trained."""
        return Run(self.runs / name)

    def all_runs(self) -> Iterator[Run]:
        """Those that were made by a study; what else there is, is left alone."""
        for path in sorted(self.runs.glob("*/")):
            if not path.is_symlink() and _is_of_network(Run(path).settings()):
                yield Run(path)


@dataclass(frozen=True)
class Run:
    """Where a network is trained.

    Attributes:
        path: of the folder.
    """

    path: Path

    def settings(self) -> Any:
        """What it was made with; nothing where there is no run."""
        return _json(self.path / _NOTED)

    def device(self) -> str:
        """What it was begun on."""
        return _json(self.path / _DEVICE)

    def diverged(self) -> bool:
        """Whether it has come to an end without a network."""
        return (self.path / _DIVERGED).exists()

    def check(self, settings: Mapping[str, Any]) -> None:
        """Refuse a run of other settings, and a folder that is something else.

        Raises:
            ProblemFileError: with the first difference.
        """
        there = self.settings()
        if _is_of_network(there):
            check_same(self.path, there, settings)
        elif self.path.exists() and (not self.path.is_dir() or any(self.path.iterdir())):
            raise ProblemFileError(f"{self.path} is no run of kutta train: {_NOT_OURS}")

    def begin(self, settings: Mapping[str, Any], device: str) -> None:
        """Note what it is made with, unless it has been begun before.

        Args:
            settings: of the network.
            device: that it is trained on.
        """
        self.check(settings)
        self.path.mkdir(parents=True, exist_ok=True)
        for name, content in ((_NOTED, settings), (_DEVICE, device)):
            if not (self.path / name).exists():
                write_text(self.path / name, json.dumps(content, indent=2))

    def note_divergence(self) -> None:
        """Remember that its weights are not finite."""
        write_text(self.path / _DIVERGED, "")


def read_data(path: Path) -> Data:
    """The data of a study, with settings and seconds in their manifest.

    Raises:
        ProblemFileError: for another file.
    """
    refused = ProblemFileError(f"{path} holds no data of kutta train, or is damaged: {_NOT_OURS}")
    try:
        data = read(path)
    except (OSError, ValueError, KeyError) as problem:
        raise refused from problem
    if not {SETTINGS, SECONDS} <= set(data.manifest):
        raise refused
    return data


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


def _json(path: Path) -> Any:
    """What a file holds; nothing if it is not there, or no JSON."""
    with suppress(OSError, ValueError):
        return json.loads(path.read_text(encoding="utf-8"))
    return None


def _is_of_network(settings: Any) -> bool:
    return isinstance(settings, dict) and set(settings) == {"network", "training", "data"}


def _difference(there: Any, here: Any, path: str = "") -> str:
    """The first key that differs, and how."""
    if not isinstance(there, dict) or not isinstance(here, dict):
        return f"{path or 'all'} is {json.dumps(there)} there, and {json.dumps(here)} in the file"
    for key in {**there, **here}:
        inner = f"{path}.{key}" if path else key
        if key not in there or key not in here:
            return f"{inner} is {_given(there, key)} there, and {_given(here, key)} in the file"
        if there[key] != here[key]:
            return _difference(there[key], here[key], inner)
    raise AssertionError("settings that differ have a key that does")


def _given(table: Mapping[str, Any], key: str) -> str:
    return json.dumps(table[key]) if key in table else "missing"
