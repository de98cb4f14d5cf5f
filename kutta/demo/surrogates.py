"""Networks in the place of a solver: Darcy flow by three neural operators, beside multigrid."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from kutta.demo.digits import one_thread
from kutta.surrogate_study.folder import Folder
from kutta.surrogate_study.leftovers import forget
from kutta.surrogate_study.run import save_models
from kutta.surrogate_study.settings import Settings, read
from kutta.surrogate_study.study import Study
from kutta.surrogate_study.study import study as done

_DATA = Path(__file__).parent / "data"
FULL, QUICK = _DATA / "surrogates.toml", _DATA / "surrogates_quick.toml"


def study(folder: Path, seed: int = 0, settings: Settings | None = None, progress: bool = False) -> Study:
    """Solve for data, train, compare, and save the networks.

    Args:
        folder: where data, checkpoints and networks go; data and checkpoints of an earlier run are taken away, and
            networks replaced.
        seed: of everything random.
        settings: those of `FULL` by default.
        progress: whether to show bars.
    """
    settings = replace(settings or read(FULL), seed=seed)
    folder.mkdir(parents=True, exist_ok=True)
    place = Folder(folder)
    forget(place)
    with one_thread():
        found = done(settings, place, progress)
    save_models(found, place)
    return found
