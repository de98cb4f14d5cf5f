"""What a benchmark shows and keeps: tables on the screen; JSON, Markdown and a picture on disk."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, is_dataclass
from pathlib import Path
from typing import Any

from benchmarks._measure import Spread, machine
from kutta.files import replacing

RESULTS = Path(__file__).parent / "results"


@dataclass
class Table:
    """Rows of cells under columns; a cell is text, a number, a `Spread` or ``None``."""

    title: str
    columns: Sequence[str]
    rows: list[Sequence[Any]] = field(default_factory=list)

    def add(self, *cells: Any) -> None:
        assert len(cells) == len(self.columns), (cells, self.columns)
        self.rows.append(cells)

    def records(self) -> list[dict[str, Any]]:
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]


@dataclass
class Report:
    """The answer to one benchmark's question."""

    name: str
    question: str
    settings: dict[str, Any]
    tables: list[Table] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    data: dict[str, Any] = field(default_factory=dict)
    machine: dict[str, Any] = field(default_factory=machine)

    def table(self, title: str, *columns: str) -> Table:
        """A new table of this report."""
        self.tables.append(Table(title, columns))
        return self.tables[-1]

    def show(self) -> None:
        """Print the tables and notes."""
        from rich.console import Console

        console = Console()
        for table in self.tables:
            console.print(_rich(table))
        for note in self.notes:
            console.print(f"- {note}", highlight=False, markup=False)

    def save(self, folder: Path, draw: Callable[[Path], None] | None = None) -> list[Path]:
        """Write ``<name>-<date>`` as JSON and Markdown, and the picture that `draw` makes."""
        stem = Path(folder) / f"{self.name}-{self.machine['date']}"
        picture = stem.with_suffix(".png") if draw else None
        if draw and picture:
            write_atomically(picture, draw)
        write_text(stem.with_suffix(".json"), json.dumps(self._record(), indent=1, default=_plain) + "\n")
        write_text(stem.with_suffix(".md"), self._markdown(picture))
        return [path for path in (stem.with_suffix(".json"), stem.with_suffix(".md"), picture) if path]

    def _record(self) -> dict[str, Any]:
        tables = {table.title: table.records() for table in self.tables}
        names = ("name", "question", "machine", "settings", "notes")
        return {**{name: getattr(self, name) for name in names}, "tables": tables, "data": self.data}

    def _markdown(self, picture: Path | None) -> str:
        blocks = [f"# {self.question}", _list({**self.machine, **self.settings})]
        blocks += [f"![{self.name}]({picture.name})"] if picture else []
        blocks += [_markdown(table) for table in self.tables]
        blocks += ["\n".join(f"- {note}" for note in self.notes)] if self.notes else []
        return "\n\n".join(blocks) + "\n"


def arguments(argv: Sequence[str] | None, description: str | None, repeats: int) -> argparse.Namespace:
    """The options that all benchmarks share."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help="small sizes and one round, to see that it runs")
    parser.add_argument("--repeats", type=int, default=None, help=f"rounds of paired runs (default {repeats})")
    parser.add_argument("--out", type=Path, default=None, help="folder of the results (default benchmarks/results)")
    parser.add_argument("--no-save", action="store_true", help="only print; --quick does so unless --out is given")
    parser.add_argument("--threads", type=int, default=None, help="threads of PyTorch (default: its own choice)")
    options = parser.parse_args(argv)
    options.repeats = options.repeats or (1 if options.quick else repeats)
    _set_threads(options.threads or (1 if options.quick else None))
    return options


def _set_threads(threads: int | None) -> None:
    if threads is not None:
        import torch

        torch.set_num_threads(threads)


def finish(report: Report, options: argparse.Namespace, draw: Callable[[Path], None] | None = None) -> None:
    """Show a report, and save it unless the options say otherwise."""
    report.show()
    if options.no_save or (options.quick and options.out is None):
        return
    for path in report.save(options.out or RESULTS, draw):
        print(f"wrote {path}")


def verdict(ratio: Spread, at_least: float) -> str:
    """A bar, and whether the median of a ratio reaches it."""
    return f">= {at_least:g}: {'met' if ratio.median >= at_least else 'missed'}"


def write_atomically(path: Path, write: Callable[[Path], None]) -> None:
    """Let `write` fill a temporary file beside `path`, then put it in its place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        write(temporary)


def write_text(path: Path, text: str) -> None:
    """Write a text file, all of it or nothing."""
    write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8") and None)


def cell(value: Any) -> str:
    """How a table shows a value."""
    if value is None:
        return ""
    if isinstance(value, Spread):
        return f"{_number(value.median)} ({_number(value.low)}-{_number(value.high)})"
    return _number(value) if isinstance(value, float) else str(value)


def _number(value: float) -> str:
    if value != 0.0 and not 1e-2 <= abs(value) < 1e5:
        return f"{value:.1e}"
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _rich(table: Table) -> Any:
    from rich.table import Table as RichTable

    shown = RichTable(title=table.title, title_justify="left")
    for index, column in enumerate(table.columns):
        shown.add_column(column, justify="left" if index == 0 else "right")
    for row in table.rows:
        shown.add_row(*map(cell, row))
    return shown


def _markdown(table: Table) -> str:
    rule = ["---", *["---:"] * (len(table.columns) - 1)]
    rows = [table.columns, rule, *[[cell(value) for value in row] for row in table.rows]]
    return "\n".join([f"## {table.title}", "", *("| " + " | ".join(row) + " |" for row in rows)])


def _list(entries: dict[str, Any]) -> str:
    return "\n".join(f"- {name}: {value}" for name, value in entries.items())


def _plain(value: Any) -> Any:
    """What JSON does not know, as what it knows."""
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if hasattr(value, "tolist"):
        return value.tolist()
    return str(value)
