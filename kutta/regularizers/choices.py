"""The check that options of penalties share."""

from __future__ import annotations

from typing import Any, get_args


def check_choice(name: str, value: Any, choices: Any) -> None:
    """Refuse a value that is none of a ``Literal``'s."""
    if value not in get_args(choices):
        raise ValueError(f"{name} must be one of {get_args(choices)}; got {value!r}")
