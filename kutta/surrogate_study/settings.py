"""A surrogate file as data, networks and their training."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import torch

from kutta.operators import metrics
from kutta.operators.data.family import Family
from kutta.operators.scope import Scope, read_inputs, scope_of
from kutta.problem_files.file import tables, title_of
from kutta.problem_files.record import arguments
from kutta.problem_files.section import ProblemFileError, Section, count, number, one_of, positive, shown, table, told
from kutta.problem_files.space import MOST_POINTS
from kutta.surrogate_study.families import FAMILIES
from kutta.surrogate_study.networks import FITTED, KINDS, Network, check_suits

LOSSES = {name: getattr(metrics, name) for name in ("relative_l2", "relative_h1", "published_h1", "nrmse", "vrmse")}
PRECISIONS = ("32-true", "bf16-mixed", "16-mixed")
ACCELERATORS = ("auto", "cpu", "gpu")
_LARGEST_SEED = 2**31
_MOST = 10**9
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,39}")


@dataclass(frozen=True)
class Samples:
    """How many problems are solved for what.

    Attributes:
        family: its name.
        arguments: of the family.
        training: trajectories, or solutions of steady equations, to learn from.
        validation: to look at after every epoch.
        test: for the errors in the end.
    """

    family: str
    arguments: Mapping[str, Any]
    training: int
    validation: int
    test: int

    @property
    def count(self) -> int:
        """All of them."""
        return self.training + self.validation + self.test

    def made(self) -> Family:
        """The family of problems."""
        return FAMILIES[self.family].make(**self.arguments)


@dataclass(frozen=True)
class Training:
    """How a network is trained: by AdamW with one cycle of rates, see `kutta.operators.train`."""

    steps: int = 1000
    batch: int = 16
    lr: float = 1e-3
    weight_decay: float = 1e-4
    loss: str = "relative_l2"
    precision: str = "32-true"
    accelerator: str = "auto"
    every: int = 100

    # On which device it runs, and how often its state is kept, does not make another network of it.
    HOW: ClassVar = ("accelerator", "every")


@dataclass(frozen=True)
class Comparison:
    """How errors and times are measured, see `kutta.operators.compare`."""

    problems: int = 16
    rounds: int = 5


@dataclass(frozen=True)
class Settings:
    """What a surrogate file asks for.

    Attributes:
        title: in the words of the file.
        seed: of everything random.
        samples: the data.
        networks: by name.
        training: of each of them, by name.
        comparison: with classical methods.
    """

    title: str
    seed: int
    samples: Samples
    networks: Mapping[str, Network]
    training: Mapping[str, Training]
    comparison: Comparison

    @property
    def of_data(self) -> dict[str, Any]:
        """What decides on the data, as JSON has it."""
        return _plain({"seed": self.seed, **asdict(self.samples)})

    def of_network(self, name: str) -> dict[str, Any]:
        """What decides on a trained network, as JSON has it."""
        training = {key: one for key, one in asdict(self.training[name]).items() if key not in Training.HOW}
        return _plain({"network": asdict(self.networks[name]), "training": training, "data": self.of_data})


def read(path: Path) -> Settings:
    """The settings of a file.

    Raises:
        ProblemFileError: for a file that cannot be read, or says what has no meaning.
    """
    content, _ = tables(path)
    try:
        return settings_of(content, path.stem)
    except ProblemFileError as problem:
        raise ProblemFileError(f"{path}: {problem}") from problem


def settings_of(content: Mapping[str, Any], name: str = "surrogate") -> Settings:
    """The settings of what a file holds.

    Args:
        content: the tables of the file.
        name: the title, if the file has none.
    """
    file = Section(content)
    title, seed = title_of(file, name), file.take("seed", count(0, _LARGEST_SEED), 0)
    samples = _samples(file.section("data"))
    common = _training(file.section("training", needed=False), Training())
    networks, training = _networks(file.section("networks"), common)
    comparison = _comparison(file.section("comparison", needed=False))
    file.close()
    _check_together(samples, networks)
    return Settings(title, seed, samples, networks, training, comparison)


def _samples(section: Section) -> Samples:
    family = section.take("family", one_of(sorted(FAMILIES)))
    counts = {name: section.take(name, count(1, _MOST)) for name in ("training", "validation", "test")}
    samples = Samples(family, arguments(section, FAMILIES[family].make), **counts)
    points, dim = samples.arguments.get("points", 1), FAMILIES[family].dim
    if isinstance(points, int) and max(points, 1) ** dim > MOST_POINTS:  # too many to draw a single problem
        raise ProblemFileError(f"{section.path}: expected at most {MOST_POINTS} points; got {points}^{dim}")
    return samples


def _training(section: Section, default: Training) -> Training:
    """A table of training, with what it leaves out from another one."""
    kinds = {
        "steps": count(1, _MOST),
        "batch": count(1, _MOST),
        "lr": positive,
        "weight_decay": _not_negative,
        "loss": one_of(tuple(LOSSES)),
        "precision": one_of(PRECISIONS),
        "accelerator": _accelerator,
        "every": count(1, _MOST),
    }
    given = {name: section.take(name, kind, getattr(default, name)) for name, kind in kinds.items()}
    section.close()
    return replace(default, **given)


def _networks(section: Section, common: Training) -> tuple[dict[str, Network], dict[str, Training]]:
    networks, training = {}, {}
    for name in section.values:
        if not _NAME.fullmatch(name):
            raise ProblemFileError(
                f"{section.path}: expected names of letters, digits, _ and -, for files; got {shown(name)}"
            )
        one = Section(section.take(name, table), section.named(name))
        kind = one.take("kind", one_of(tuple(KINDS)))
        overruled = one.section("training", needed=False)
        if kind in FITTED and overruled.values:
            raise ProblemFileError(f"{overruled.path}: a {kind} is fitted in one step, without training")
        training[name] = _training(overruled, common)
        change = one.take("change", _truth, False)
        networks[name] = Network(kind, arguments(one, KINDS[kind], without=Network.FROM_DATA), change)
    if not networks:
        raise ProblemFileError(f"{section.path}: expected at least one network, such as [networks.fno]")
    return networks, training


def _comparison(section: Section) -> Comparison:
    default = Comparison()
    problems = section.take("problems", count(1, 10_000), default.problems)
    rounds = section.take("rounds", count(1, 1_000), default.rounds)
    section.close()
    return Comparison(problems, rounds)


def _check_together(samples: Samples, networks: Mapping[str, Network]) -> None:
    """Refuse a family that draws no problems, and networks that do not fit its fields, before anything is computed."""
    with told("data"):
        family = samples.made()
        problem = family.draw(1, torch.Generator().manual_seed(0))
        a = read_inputs(problem, family.inputs)
        scope: Scope = scope_of(problem, family.inputs, a, family.times)
        _check_size(samples.count, scope)
    for name, network in networks.items():
        with told(f"networks.{name}"):
            check_suits(network, scope, a)


def _check_size(trajectories: int, scope: Scope) -> None:
    """Refuse more samples than fit into memory."""
    channels = len(scope.channels) + len(scope.components)
    if trajectories * scope.times * channels * math.prod(scope.grid.shape) > MOST_POINTS:
        steps = f" of {scope.times} steps" * (scope.times > 1)
        points = " × ".join(map(str, scope.grid.shape))
        raise ValueError(
            f"expected at most {MOST_POINTS} values; got {trajectories} samples{steps} with {channels} fields on "
            f"{points} points"
        )


def _accelerator(value: Any) -> str:
    """One that this machine has."""
    if one_of(ACCELERATORS)(value) == "gpu" and not torch.cuda.is_available():
        raise ValueError('this machine has no GPU that PyTorch can use: leave it out, or take "cpu"')
    return value


def _not_negative(value: Any) -> float:
    if number(value) < 0.0:
        raise ValueError(f"expected a number of at least 0; got {value}")
    return float(value)


def _truth(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"expected true or false; got {shown(value)}")
    return value


def _plain(words: Any) -> Any:
    return json.loads(json.dumps(words))
