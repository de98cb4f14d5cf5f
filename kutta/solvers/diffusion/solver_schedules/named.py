"""Samplers with names, written as solver schedules: where a search begins, and what proves the framework."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

from torch import Tensor

from kutta.solvers.diffusion.exponential.orders import check_order
from kutta.solvers.diffusion.levels.grids import Nodes, time_vector
from kutta.solvers.diffusion.levels.schedules import Schedule, as_float64
from kutta.solvers.diffusion.solver_schedules.solver_schedule import SolverSchedule, SolverStep
from kutta.solvers.diffusion.solver_schedules.taylor import Estimate

Estimates = tuple[Estimate, ...]


def exact(order: int) -> Estimates:
    """All derivatives of one polynomial: an exponential multistep method."""
    return tuple(Estimate(order - 1) for _ in range(order - 1))


def _multistep(prediction: str, rule: Callable[[int], Estimates]) -> Callable[..., list[SolverStep]]:
    """Orders 1, 2, ... up to the one asked for, each by a rule."""

    def steps(times: Sequence[float], finite: Sequence[bool], order: int) -> list[SolverStep]:
        return [
            SolverStep(t, prediction=prediction, estimates=rule(_possible(order, finite, index)))
            for index, t in enumerate(times)
        ]

    return steps


def _possible(order: int, finite: Sequence[bool], index: int) -> int:
    """The order of a step: not more than there are predictions that have a slope, and 1 to and from the ends."""
    if not finite[index] or not finite[index + 1]:
        return 1
    return min(order, sum(finite[: index + 1]))


def _halved(order: int) -> Estimates:
    """DPM-Solver++: the midpoint rule for the first derivative at order 2, half of the second one at order 3."""
    if order == 3:
        return (Estimate(2), Estimate(2, "constant", 0.5))
    return (Estimate(1, "bh2"),) if order == 2 else ()


def _unipc(prediction: str, scaling: str) -> Callable[..., list[SolverStep]]:
    """Predictor and corrector of which the lowest orders are scaled, and the others exact."""

    def rule(order: int) -> Estimates:
        return (Estimate(1, scaling),) if order == 2 else exact(order)

    def steps(times: Sequence[float], finite: Sequence[bool], order: int) -> list[SolverStep]:
        found = []
        for index, t in enumerate(times):
            at = _possible(order, finite, index)
            step = SolverStep(t, prediction=prediction, estimates=rule(at))
            if index < len(times) - 1 and finite[index] and finite[index + 1]:
                step = replace(step, corrector="pseudo", corrections=rule(at + 1))
            found.append(step)
        return found

    return steps


def _singlestep(prediction: str) -> Callable[..., list[SolverStep]]:
    """DPM-Solver: groups of steps, each from the first node of its group; what is left over has fewer."""

    def steps(times: Sequence[float], finite: Sequence[bool], order: int) -> list[SolverStep]:
        found: list[SolverStep] = []
        while len(found) < len(times):
            left = len(times) - len(found)
            size = min(order, left) if all(finite[len(found) : len(found) + min(order, left) + 1]) else 1
            for back in range(size):
                last_of_two = size == 2 and back == 1
                estimates = (Estimate(1, "bh2" if last_of_two else "none"),) if back else ()
                found.append(SolverStep(times[len(found)], back, prediction, estimates))
        return found

    return steps


# Each gives the steps along some times, where log(alpha / sigma) is finite or not, for an order.
NAMED: dict[str, Callable[..., list[SolverStep]]] = {
    "ddim": _multistep("data", lambda order: ()),
    "exponential": _multistep("data", exact),
    "exponential noise": _multistep("noise", exact),
    "dpm-solver++": _multistep("data", _halved),
    "dpm-solver": _singlestep("noise"),
    "dpm-solver++ singlestep": _singlestep("data"),
    "unipc bh1": _unipc("data", "bh1"),
    "unipc bh2": _unipc("data", "bh2"),
    "unipc bh1 noise": _unipc("noise", "bh1"),
    "unipc bh2 noise": _unipc("noise", "bh2"),
}


def named_schedule(name: str, times: Tensor | Sequence[float], schedule: Schedule, order: int = 2) -> SolverSchedule:
    """A sampler with a name as a solver schedule.

    - ``"ddim"``: `DDIM`, of order 1 whatever `order` says.
    - ``"exponential"``, ``"exponential noise"``: exact exponential multistep, orders 1 to 4.
    - ``"dpm-solver++"``: orders 1 to 3, the multistep kind. At order 2 the step is the midpoint rule's; at order 3 the
      second derivative has half its weight, as in the published formula.
    - ``"dpm-solver"``, ``"dpm-solver++ singlestep"``: orders 1 to 3; the nodes of a group of `order` steps are its
      stages, usually at 1/2, or at 1/3 and 2/3 of the group in ``lambda``.
    - ``"unipc bh1"``, ``"unipc bh2"``, and either with ``" noise"``: orders 1 to 3, with the corrector on every step
      but the last.

    Args:
        name: which one.
        times: of the nodes, from noise to data.
        schedule: the noise schedule that they belong to, which tells where there is only data or only noise.
        order: the highest order of a step; the first ones have what the history allows.

    Source: Lu et al., DPM-Solver, 2022, and DPM-Solver++, 2022; Zhao et al., UniPC, 2023.

    Example:
        >>> import kutta as kt
        >>> found = kt.diffusion.named_schedule("dpm-solver++", [10.0, 1.0, 0.1, 0.01], kt.diffusion.EDM(), order=2)
        >>> [step.order for step in found.steps]
        [1, 2, 2]
    """
    if name not in NAMED:
        raise ValueError(f"name must be one of {', '.join(NAMED)}; got {name!r}")
    check_order(order, 4 if name.startswith("exponential") else 3, f" for {name!r}")
    first, *others = numbers = time_vector("times must be", times).tolist()
    nodes = Nodes.at(schedule, as_float64(numbers))
    finite = [math.isfinite(one) for one in nodes.log_snr.tolist()]
    return SolverSchedule(first, tuple(NAMED[name](others, finite, order))).on(schedule)
