"""What a page is made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from kutta.demo.pictures import Picture
from kutta.text_table import TextTable


@dataclass(frozen=True)
class Section:
    """One part of the page."""

    title: str
    text: Sequence[str]
    equations: Sequence[str]
    tables: Sequence[TextTable]
    pictures: Sequence[Picture]
    sources: Sequence[str] = ()


@dataclass(frozen=True)
class Content:
    """All that the page shows.

    Attributes:
        tiles: the headline figures, each with ``value`` and ``label``.
        sections: the parts of the page.
        provenance: versions, machine and date.
        results: the figures in machine-readable form.
    """

    tiles: Sequence[dict[str, str]]
    sections: Sequence[Section]
    provenance: TextTable
    results: dict[str, Any] = field(default_factory=dict)
