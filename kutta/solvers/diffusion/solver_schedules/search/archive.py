"""All schedules that a search has judged, best first, as a file holds them."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kutta.files import replacing
from kutta.solvers.diffusion.solver_schedules.solver_schedule import SolverSchedule

FORMAT = "kutta solver search 1"


@dataclass
class Archive:
    """Schedules and their errors.

    Attributes:
        errors: of the schedules; those that are not finite are there too, and never the best.
        polished: which schedules have been polished, or came of it.
        generation: how many generations are complete.
    """

    errors: dict[SolverSchedule, float] = field(default_factory=dict)
    polished: set[SolverSchedule] = field(default_factory=set)
    generation: int = 0

    def best(self, count: int) -> list[SolverSchedule]:
        """Those with the smallest errors, in order."""
        finite = [one for one, error in self.errors.items() if math.isfinite(error)]
        return sorted(finite, key=self.errors.__getitem__)[:count]

    def unpolished(self, count: int) -> list[SolverSchedule]:
        """The best one of each structure that has not been polished."""
        done = {structure(one) for one in self.polished}
        found: dict[Any, SolverSchedule] = {}
        for one in self.best(len(self.errors)):
            if structure(one) not in done:
                found.setdefault(structure(one), one)
        return list(found.values())[:count]

    def save(self, path: str | os.PathLike[str], settings: Mapping[str, Any]) -> None:
        """Write all of it to a file, with the settings that it belongs to."""
        entries = [
            {"schedule": one.record(), "error": _written(error), "polished": one in self.polished}
            for one, error in self.errors.items()
        ]
        record = {"format": FORMAT, "settings": dict(settings), "generation": self.generation, "entries": entries}
        with replacing(path) as temporary:
            temporary.write_text(json.dumps(record, indent=1, allow_nan=False) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: str | os.PathLike[str], settings: Mapping[str, Any]) -> Archive:
        """Read what `save` wrote; empty if there is no such file.

        Raises:
            ValueError: for a file of something else, or of a search with other settings.
        """
        path = Path(path)
        if not path.exists():
            return cls()
        record = _record(path)
        differing = [name for name in settings if record["settings"].get(name) != settings[name]]
        if differing:
            raise ValueError(
                f"{path} belongs to a search with other settings, {', '.join(differing)}: choose another path, or "
                "remove the file"
            )
        return cls._of(record["entries"], record["generation"])

    @classmethod
    def _of(cls, entries: Iterable[Mapping[str, Any]], generation: int) -> Archive:
        found = cls(generation=generation)
        for entry in entries:
            one = SolverSchedule.from_record(entry["schedule"])
            found.errors[one] = math.inf if entry["error"] is None else float(entry["error"])
            if entry["polished"]:
                found.polished.add(one)
        return found


def structure(found: SolverSchedule) -> tuple[Any, ...]:
    """All of a schedule but its times and numbers, which a polish moves: two of one structure lead it to one end."""
    steps = (
        (
            step.back,
            step.prediction,
            tuple(one.nodes for one in step.estimates),
            step.corrector,
            tuple(one.nodes for one in step.corrections),
        )
        for step in found.steps
    )
    return (found.analytic_start, *steps)


def _written(error: float) -> float | None:
    return error if math.isfinite(error) else None


def _record(path: Path) -> dict[str, Any]:
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        record = None
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        raise ValueError(f"{path} is no file of a search: choose another path")
    return record
