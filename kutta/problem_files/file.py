"""A file as tables."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from kutta.problem_files.section import ProblemFileError, Section, line

LARGEST_FILE = 1_000_000


def tables(path: Path) -> tuple[dict[str, Any], str]:
    """What a TOML file holds, and its text.

    Raises:
        ProblemFileError: for a file that cannot be read, or is none.
    """
    source = _source(path)
    try:
        return tomllib.loads(source), source
    except (ValueError, RecursionError) as problem:
        raise ProblemFileError(f"{path} is not TOML: {problem or 'nested too deeply'}") from problem


def title_of(file: Section, name: str) -> str:
    """The title in the words of the file; without one, the name of the file."""
    return file.take("title", line, "".join(one if one.isprintable() else "?" for one in name))


def _source(path: Path) -> str:
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise ProblemFileError(f"{path} is larger than {LARGEST_FILE} bytes, too large for a problem file")
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        raise ProblemFileError(f"{path} cannot be read: {problem}") from problem
