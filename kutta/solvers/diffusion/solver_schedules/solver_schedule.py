"""A sampler written out: one record a step, with its time, order, estimators and corrector, as a file holds it."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from kutta.files import replacing
from kutta.solvers.diffusion.levels.grids import Nodes
from kutta.solvers.diffusion.levels.schedules import Schedule
from kutta.solvers.diffusion.numbers import is_number
from kutta.solvers.diffusion.plans.plan import Draft, Plan, Weight
from kutta.solvers.diffusion.plans.sampler import Sampler
from kutta.solvers.diffusion.solver_schedules.taylor import (
    DATA,
    NOISE,
    OF_FIRST,
    SCALINGS,
    Estimate,
    Expansion,
    Integrand,
)

EXPANDED = ("data", "noise", "mixed")
CORRECTORS = ("none", "pseudo", "implicit")
SMALLEST_GAP = 1e-5  # of log(alpha / sigma) between two nodes: closer ones say nothing of a derivative
SAME = 0.05  # difference of log(alpha / sigma) at an end up to which two noise schedules are taken for the same one
FORMAT = "kutta solver schedule 1"


@dataclass(frozen=True)
class SolverStep:
    """One step of a `SolverSchedule`.

    Attributes:
        t: the time it leads to.
        back: where it starts: 0 at the latest node, 1 at the one before, and so on.
        prediction: what is expanded: ``"data"``, ``"noise"``, or ``"mixed"``, what `linear` and `growth` say.
        estimates: those of the first, second, ... derivative; their number and one is the order.
        corrector: ``"pseudo"`` takes the step again with the prediction made where it has led to, which the next step
            uses too; ``"implicit"`` evaluates the model once more at the corrected state.
        corrections: the estimates of the step taken again. The new node is the first of their nodes.
        linear, growth: for ``"mixed"``, the numbers ``c`` and ``b`` of
            `kutta.solvers.diffusion.solver_schedules.taylor`.
    """

    t: float
    back: int = 0
    prediction: str = "data"
    estimates: tuple[Estimate, ...] = ()
    corrector: str = "none"
    corrections: tuple[Estimate, ...] = ()
    linear: Weight = 0.0
    growth: Weight = 0.0

    @property
    def order(self) -> int:
        """The order of the expansion: one more than there are derivatives."""
        return 1 + len(self.estimates)

    @property
    def integrand(self) -> Integrand:
        """What is expanded, by its two numbers."""
        return {"data": DATA, "noise": NOISE}.get(self.prediction) or Integrand(self.linear, self.growth)


@dataclass(frozen=True)
class SolverSchedule(Sampler):
    """A sampler whose every step is chosen for itself, with times of its own.

    Each step is a Taylor expansion of the prediction, of data or of noise, in the exact solution; see
    `kutta.solvers.diffusion.solver_schedules.taylor`. Most samplers are of this form (see `named_schedule`), and
    between them lie those that `kutta.diffusion.search` finds. It brings its times: `kutta.solve` takes neither `grid`
    nor `steps` with it.

    Attributes:
        t: the time at which it begins.
        steps: one record a step.
        analytic_start: take the data expected at the beginning to be 0, as for centred data under much noise, instead
            of asking the model: saves one evaluation.
        log_snr: ``log(alpha / sigma)`` at its first and last time, which tells on which noise schedule these are times:
            it is refused on another one. With ``None`` nothing is known and nothing checked; `on` fills it in.

    Raises:
        ValueError: for a schedule that cannot be followed: see `validate`.

    Source: Liu et al., A unified sampling framework for solver searching of diffusion probabilistic models, 2024.

    Example:
        >>> import torch, kutta as kt
        >>> teacher = kt.diffusion.GaussianMixture([0.5, 0.5], [[-2.0, 0.0], [2.0, 0.0]], [0.1, 0.1])
        >>> noise = kt.diffusion.EDM(start=10.0, end=0.01)
        >>> problem = kt.DiffusionProblem(teacher.model(noise), noise, 10.0 * torch.ones(1, 2))
        >>> first = kt.diffusion.SolverStep(0.5)
        >>> second = kt.diffusion.SolverStep(0.01, estimates=(kt.diffusion.Estimate(nodes=1),))
        >>> sol = kt.solve(problem, kt.SolverSchedule(10.0, (first, second)))
        >>> sol.stats.function_evaluations
        2
    """

    t: float
    steps: tuple[SolverStep, ...]
    analytic_start: bool = False
    log_snr: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        self.validate()

    @property
    def times(self) -> Tensor:
        """The times of its nodes, float64."""
        return torch.tensor([self.t, *(step.t for step in self.steps)], dtype=torch.float64)

    @property
    def evaluations(self) -> int:
        """How often the model is evaluated.

        One for each step, without an analytic start, with one more for each implicit corrector.
        """
        implicit = sum(step.corrector == "implicit" for step in self.steps)
        return len(self.steps) - self.analytic_start + implicit

    def on(self, schedule: Schedule) -> SolverSchedule:
        """The same, with a record of the noise schedule to which its times belong.

        Example:
            >>> import kutta as kt
            >>> found = kt.SolverSchedule(10.0, (kt.diffusion.SolverStep(1.0),)).on(kt.diffusion.EDM())
            >>> [round(one, 3) for one in found.log_snr]
            [-2.303, 0.0]
        """
        first, last = schedule.log_snr(self.times[[0, -1]]).tolist()
        return replace(self, log_snr=(first, last))

    def check_schedule(self, nodes: Nodes) -> None:
        """Check that it is followed on the noise schedule that it was made for.

        Args:
            nodes: those of its times.

        Raises:
            ValueError: for other noise at an end than `log_snr` says.
        """
        found = nodes.log_snr.detach()[[0, -1]].tolist()
        for name, one, own in zip(("first", "last"), found, self.log_snr or found, strict=True):
            if not (one == own or abs(one - own) <= SAME):
                raise ValueError(
                    f"this solver schedule was made for another noise schedule: log(alpha / sigma) at its {name} time "
                    f"is {own:.6g}, and {one:.6g} on {nodes.schedule!r:.80}. Search again there"
                )

    def validate(self) -> None:
        """Check that every step has what it needs.

        - The times decrease.
        - The start of a step exists.
        - The order of step ``i``, counted from 1, is at most ``i``, and one more for its corrector.
        - The k-th derivative is read off ``k`` nodes at least, and there are as many.
        - The last step has no corrector, which would cost an evaluation.
        - `log_snr` grows, where it is given.

        Raises:
            ValueError: saying which step does not fit, and why.
        """
        _check_records("steps", self.steps, SolverStep)
        if not self.steps:
            raise ValueError("steps must hold one SolverStep at least; got none")
        before = self.t
        if not (is_number(before) and math.isfinite(before)):
            raise ValueError(f"t must be a finite number; got {before!r}")
        for index, step in enumerate(self.steps):
            if not (is_number(step.t) and math.isfinite(step.t) and step.t < before):
                raise ValueError(
                    f"steps[{index}].t must be a number less than the time before, {before:.6g}; got {step.t!r}"
                )
            before = step.t
            _check_choices(index, step)
            _check_estimates(f"steps[{index}].estimates", step.estimates, index)
            _check_estimates(f"steps[{index}].corrections", step.corrections, index + 1)
        if self.steps[-1].corrector != "none":
            raise ValueError(
                f"steps[{len(self.steps) - 1}].corrector must be 'none', since the model is not evaluated at the end; "
                f"got {self.steps[-1].corrector!r}"
            )
        if self.log_snr is not None and not self.log_snr[0] < self.log_snr[1]:
            raise ValueError(f"log_snr must grow from the first time to the last one; got {self.log_snr!r}")

    def plan(self, nodes: Nodes) -> Plan:
        self._check_nodes(nodes)
        starts = [index - step.back for index, step in enumerate(self.steps)]
        order = max(1 + max(len(step.estimates), len(step.corrections)) for step in self.steps)
        writer = _Writer(
            nodes, Expansion(nodes, starts, [step.integrand for step in self.steps], order), self.analytic_start
        )
        for index, (step, start) in enumerate(zip(self.steps, starts, strict=True)):
            writer.write(index, step, start)
        return writer.draft.plan()

    def _check_nodes(self, nodes: Nodes) -> None:
        if nodes.steps != len(self.steps):
            raise ValueError(f"nodes must have as many steps as the schedule, {len(self.steps)}; got {nodes.steps}")
        gap = float(torch.diff(nodes.log_snr.detach()).min())
        if not gap >= SMALLEST_GAP:
            raise ValueError(
                f"the nodes of a solver schedule must be {SMALLEST_GAP:g} apart and more in log(alpha / sigma); "
                f"got {gap:.3g}"
            )
        self.check_schedule(nodes)

    def record(self) -> dict[str, Any]:
        """The schedule as numbers, words and lists of such records; infinities as words, which JSON lacks."""
        ends = self.log_snr and [one if math.isfinite(one) else str(one) for one in self.log_snr]
        return {**asdict(self), "log_snr": ends}

    @classmethod
    def from_record(cls, record: Any) -> SolverSchedule:
        """The schedule of such a record, which may lack `log_snr`.

        Raises:
            ValueError: for anything else.
        """
        return _read(cls, record, "the schedule")

    def to_json(self) -> str:
        """The schedule as text, with every digit."""
        return json.dumps({"format": FORMAT, **self.record()}, indent=1, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> SolverSchedule:
        """The schedule that `to_json` wrote.

        Raises:
            ValueError: for a text that is no such schedule.
        """
        try:
            record = json.loads(text)
        except json.JSONDecodeError as error:
            raise ValueError(f"the text must be JSON that to_json() wrote; {error}") from None
        if not isinstance(record, dict) or record.pop("format", None) != FORMAT:
            raise ValueError(f'the text must be of the format "{FORMAT}", as to_json() writes it')
        return cls.from_record(record)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the schedule to a file, all of it or nothing."""
        with replacing(path) as temporary:
            temporary.write_text(self.to_json() + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> SolverSchedule:
        """Read a schedule that `save` wrote."""
        return cls.from_json(Path(path).read_text(encoding="utf-8"))


class _Writer:
    """Writes a plan step by step, and knows where predictions were made.

    Attributes:
        made: for each node the state at which its prediction was made, which a corrector leaves as it is.
    """

    def __init__(self, nodes: Nodes, expansion: Expansion, analytic_start: bool):
        self.draft, self.expansion, self.analytic_start = Draft(nodes), expansion, analytic_start
        self.made = [0]

    def write(self, index: int, step: SolverStep, start: int) -> None:
        """Write one step, and its corrector."""
        history = [node for node in reversed(range(index + 1)) if node != start and self._has_slope(node)]
        move = self._move(index, start, step.estimates, history)
        if step.corrector == "none" or not self._has_slope(index + 1):
            self.made.append(self.draft.arrive(index + 1, *move))
            return
        self.made.append(self.draft.add(self.draft.level(index + 1), *move))
        move = self._move(index, start, step.corrections, [index + 1, *history])
        corrected = self.draft.arrive(index + 1, *move)
        if step.corrector == "implicit":
            self.made[-1] = corrected

    def _has_slope(self, node: int) -> bool:
        """Whether the node is at a finite place of ``lambda``, where predictions are differentiated."""
        return bool(torch.isfinite(self.draft.nodes.log_snr[node]))

    def _move(
        self, index: int, start: int, estimates: tuple[Estimate, ...], others: list[int]
    ) -> tuple[dict[int, Weight], dict[str, dict[int, Weight]]]:
        needed = max((estimate.nodes for estimate in estimates), default=0)
        if needed > len(others):
            raise ValueError(
                f"steps[{index}] reads derivatives off {needed} nodes besides its start; on these times there are "
                f"{len(others)} with both data and noise"
            )
        found = self.expansion.weights(index, start, estimates, others)
        states = {self.draft.outputs[start]: found.kept}
        for node, weight in found.seen.items():
            states[self.made[node]] = states.get(self.made[node], 0.0) + weight
        predictions = {self.made[node]: weight for node, weight in found.predictions.items()}
        if self.analytic_start and 0 in predictions:
            guessed = predictions.pop(0)
            if found.kind == "noise":  # D = 0 means e = x / sigma
                states[0] = states.get(0, 0.0) + guessed / self.draft.nodes.sigma[0]
        return states, {found.kind: predictions}


def _check_choices(index: int, step: SolverStep) -> None:
    if not isinstance(step.back, int) or not 0 <= step.back <= index:
        raise ValueError(
            f"steps[{index}].back must be a whole number from 0 to {index}, the number of nodes before the latest one; "
            f"got {step.back!r}"
        )
    for name, choices in (("prediction", EXPANDED), ("corrector", CORRECTORS)):
        value = getattr(step, name)
        if value not in choices:
            raise ValueError(f"steps[{index}].{name} must be one of {', '.join(choices)}; got {value!r}")
    for name in ("linear", "growth"):
        _check_finite(f"steps[{index}].{name}", getattr(step, name))
    if step.corrector == "none" and step.corrections:
        raise ValueError(f"steps[{index}].corrections must be empty without a corrector; got {step.corrections!r}")


def _check_records(name: str, records: Any, kind: type) -> None:
    if not isinstance(records, tuple | list) or not all(isinstance(one, kind) for one in records):
        raise ValueError(f"{name} must be a tuple of records of type {kind.__name__}; got {records!r:.80}")


def _check_estimates(name: str, estimates: tuple[Estimate, ...], available: int) -> None:
    _check_records(name, estimates, Estimate)
    if len(estimates) > available:
        raise ValueError(
            f"{name} must have {available} entries at most, as many as there are nodes besides the start; "
            f"got {len(estimates)}"
        )
    for k, estimate in enumerate(estimates, 1):
        where = f"{name}[{k - 1}]"
        if not isinstance(estimate.nodes, int) or not k <= estimate.nodes <= available:
            raise ValueError(f"{where}.nodes must be a whole number from {k} to {available}; got {estimate.nodes!r}")
        allowed = [one for one in SCALINGS if k == 1 or one not in OF_FIRST]
        if estimate.scaling not in allowed:
            raise ValueError(f"{where}.scaling must be one of {', '.join(allowed)}; got {estimate.scaling!r}")
        _check_finite(f"{where}.coefficient", estimate.coefficient)


def _check_finite(name: str, value: Weight) -> None:
    if not isinstance(value, Tensor) and not (is_number(value) and math.isfinite(value)):
        raise ValueError(f"{name} must be a finite number; got {value!r}")


# What JSON holds in each field: a type, or the record of which there is a list.
_NESTED = {"steps": SolverStep, "estimates": Estimate, "corrections": Estimate}
_PLAIN: dict[str, tuple[type, ...]] = {"float": (float, int), "Weight": (float, int), "int": (int,), "str": (str,)}


def _read(record: type, found: Any, where: str) -> Any:
    """A record of plain numbers, words and lists of records, every field checked."""
    declared = {field.name: str(field.type) for field in fields(record)}
    if not isinstance(found, Mapping) or not set(declared) - {"log_snr"} <= set(found) <= set(declared):
        raise ValueError(f"{where} must have the entries {', '.join(declared)}; got {found!r:.120}")
    return record(**{name: _read_field(name, declared[name], value, where) for name, value in found.items()})


def _read_field(name: str, declared: str, value: Any, where: str) -> Any:
    where = f"{name} of {where}"
    if name in _NESTED:
        if not isinstance(value, list):
            raise ValueError(f"{where} must be a list; got {value!r:.80}")
        return tuple(_read(_NESTED[name], one, f"{where}, entry {index},") for index, one in enumerate(value))
    if name == "log_snr":
        return _read_ends(value, where)
    wanted = _PLAIN.get(declared, (bool,))
    if not isinstance(value, wanted) or (isinstance(value, bool) and bool not in wanted):
        raise ValueError(f"{where} must be of type {wanted[0].__name__}; got {value!r:.80}")
    return float(value) if float in wanted else value


def _read_ends(value: Any, where: str) -> tuple[float, float] | None:
    if value is None:
        return None
    try:
        first, last = map(float, value)
    except (TypeError, ValueError):
        raise ValueError(f"{where} must be null or two numbers; got {value!r:.80}") from None
    return first, last
