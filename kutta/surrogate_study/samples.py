"""The data of a study: made once, and read again."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

from kutta.operators.data import Data, generate, write
from kutta.surrogate_study.folder import SECONDS, SETTINGS, Folder, check_same, read_data
from kutta.surrogate_study.settings import Settings


@dataclass(frozen=True)
class Parts:
    """Samples for each purpose.

    Attributes:
        training: to learn from.
        validation: to look at after every epoch.
        test: for the errors in the end.
        seconds: wall time of all of them together.
    """

    training: Data
    validation: Data
    test: Data
    seconds: float

    @property
    def paid(self) -> float:
        """Seconds of those that a network needs: all but the tests."""
        needed = len(self.training) + len(self.validation)
        return self.seconds * needed / (needed + len(self.test))


def samples(settings: Settings, folder: Folder, progress: bool) -> Parts:
    """The samples in a folder, or new ones.

    Args:
        settings: of the study.
        folder: of the study.
        progress: whether to show a bar.

    Raises:
        ProblemFileError: where there are some of other settings, or the file is of somebody else's.
    """
    data = _kept(settings, folder) if folder.data.exists() else _new(settings, folder, progress)
    counts = settings.samples
    training, validation, test = data.split(
        *(one * data.scope.times for one in (counts.training, counts.validation, counts.test))
    )
    return Parts(training, validation, test, data.manifest[SECONDS])


def _kept(settings: Settings, folder: Folder) -> Data:
    data = read_data(folder.data)
    check_same(folder.data, data.manifest[SETTINGS], settings.of_data)
    return data


def _new(settings: Settings, folder: Folder, progress: bool) -> Data:
    began = time.perf_counter()
    data = generate(settings.samples.made(), settings.samples.count, settings.seed, progress=progress)
    seconds = time.perf_counter() - began
    data = replace(data, manifest={**data.manifest, SETTINGS: settings.of_data, SECONDS: seconds})
    write(data, folder.data)
    return data
