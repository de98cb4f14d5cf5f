"""Tables of text, for pages and terminals."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table


@dataclass(frozen=True)
class TextTable:
    """A table of text.

    Attributes:
        name: its identifier in a page.
        title: its caption.
        header: names of the columns.
        rows: the first cell of each names the row.
        words: columns of words besides the first, by name; the others are of numbers, which end below one another.
    """

    name: str
    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    words: Collection[str] = ()

    @property
    def of_words(self) -> tuple[bool, ...]:
        """Of each column whether it holds words."""
        return tuple(place == 0 or name in self.words for place, name in enumerate(self.header))


def in_markdown(table: TextTable) -> str:
    """A table without its caption, in Markdown."""
    lines = [table.header, ["---" if words else "---:" for words in table.of_words], *table.rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def in_terminal(table: TextTable) -> Table:
    """A table for the terminal, by rich."""
    from rich.table import Table

    found = Table(title=table.title, title_justify="left")
    for column, words in zip(table.header, table.of_words, strict=True):
        found.add_column(column, justify="left" if words else "right")
    for row in table.rows:
        found.add_row(*row)
    return found
