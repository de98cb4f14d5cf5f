"""Packages of the optional extras, imported where they are first needed."""

from __future__ import annotations

from importlib import import_module
from typing import Any


def needed(module: str, what: str, extra: str) -> Any:
    """A module of another package.

    Args:
        module: its name.
        what: that needs it, for the error.
        extra: of kutta that it comes with.

    Raises:
        ImportError: that says what to install.
    """
    try:
        return import_module(module)
    except ImportError as missing:
        raise ImportError(f'{what} needs {module.split(".")[0]}: pip install "kutta[{extra}]"') from missing
