"""Events under the kernel engine: a leg from event to event is one call of the compiled function.

What happens at an event, and what comes out in the end, is what happens in the eager engine.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from kutta.problems import EnsembleProblem, ODEProblem
from kutta.solution import EventRecord, Result, Solution, SolveError
from kutta.solvers.engines.ensemble import EnsembleSolve
from kutta.solvers.engines.kernel.integration import Make
from kutta.solvers.engines.kernel.work import Start, Work, first_sizes
from kutta.solvers.ensemble_events import Cut, EnsembleEventWatch
from kutta.solvers.ensemble_outputs import Reading
from kutta.solvers.field import EnsembleField
from kutta.solvers.options import Options
from kutta.solvers.times import follow_initial_time
from kutta.state import Layout


def solve_with_events(problem: Any, layout: Layout, options: Options, make: Make, throw: bool) -> Solution:
    """Solve an ensemble, or one trajectory as an ensemble of one."""
    if layout.batch is not None:
        return _Legs(problem, layout, options, make).run(throw)
    try:
        return _alone(_Legs(*_as_ensemble(problem, layout), options, make).run(throw))
    except SolveError as failure:
        assert failure.solution is not None
        raise SolveError(failure.result, failure.t, failure.dt, solution=_alone(failure.solution)) from None


class _Legs(EnsembleSolve):
    """A solve whose legs are run by compiled functions."""

    engine = "kernel"

    def __init__(self, problem: EnsembleProblem, layout: Layout, options: Options, make: Make):
        field = EnsembleField(problem, layout)
        t0, t1 = (t.expand(layout.batch or 0) for t in problem.t_span)
        y0 = follow_initial_time(field, t0[:, None], layout.ravel(problem.y0))
        super().__init__(field, options, t0, t1, y0, None)
        EnsembleEventWatch(options.events).evaluate(field, t0.detach(), y0.detach())  # refuses what is no condition
        self.integration = make(problem, layout, options)

    def leg(self, lanes: Tensor, cut: Cut | None) -> list[Cut]:
        totals, t1 = self.totals, self.t1.detach()[lanes]
        standing = _Standing(self.field.take(lanes), totals.t[lanes], t1, totals.y[lanes].detach())
        watch = EnsembleEventWatch(self.options.events)
        watch.start(standing, cut)  # type: ignore[arg-type]
        numbers = self.integration.numbers
        start = Start(
            standing.t,
            t1,
            totals.y[lanes],
            numbers.own[lanes],
            numbers.shared,
            first_sizes(self.options.controller, self.options.dt0, standing.t) if cut is None else cut.h,
            totals.steps[lanes],
            _signed(watch.values, totals.y.dtype),
        )
        save = self.save if self.save is None else self.save.expand(-1, len(self.y0))[:, lanes]  # type: ignore[union-attr]
        work, ys, y1 = self.integration.advance(start, self.tolerance.take(lanes, standing.field.layout), save)
        self._collect_work(lanes, work, ys, y1)
        return self._cuts(lanes, work)

    def _collect_work(self, lanes: Tensor, work: Work, ys: Tensor, y1: Tensor) -> None:
        totals = self.totals
        found = {
            "t": work.end,
            "h": work.size,
            "codes": torch.where(work.codes == int(Result.EVENT), 0, work.codes.long()),
            "steps": work.steps,
            "jacobians": work.steps * bool(self.options.method.linear_solves),
            "rejected": totals.rejected[lanes] + work.rejected,
            "evaluations": totals.evaluations[lanes] + work.evaluations,
        }
        for name, values in found.items():
            setattr(totals, name, getattr(totals, name).index_put((lanes,), values))
        totals.y = totals.y.index_put((lanes,), y1)
        index, rows = torch.nonzero(~work.ys.isnan().any(-1), as_tuple=True)
        reading = Reading(rows, lanes[rows], index, torch.empty(0), torch.empty(0))
        self.readings.append((reading, ys[index, rows]))

    def _cuts(self, lanes: Tensor, work: Work) -> list[Cut]:
        rows = torch.nonzero(work.event)[:, 0]
        if not len(rows):
            return []
        event, theta = work.event[rows].long() - 1, work.theta[rows, None]
        return [Cut(rows, lanes[rows], event, theta, work.end[rows], work.scale[rows], work.size[rows])]


def _signed(values: Tensor, dtype: torch.dtype) -> Tensor:
    """Conditions in the dtype of the state; the smallest keep their sign, which is all that counts of them."""
    smallest = torch.finfo(dtype).tiny
    return torch.where(values == 0, 0.0, values.sign() * values.abs().clamp_min(smallest)).to(dtype)


@dataclass(frozen=True)
class _Standing:
    """What the signs of conditions at a start depend on."""

    field: EnsembleField
    t: Tensor
    t1: Tensor
    y: Tensor

    def along(self, values: Tensor) -> Tensor:
        return torch.where(self.t1 < self.t, -values, values)


def _as_ensemble(problem: ODEProblem, layout: Layout) -> tuple[EnsembleProblem, Layout]:
    y0 = pytree.tree_map(lambda leaf: leaf[None], problem.y0)
    span = tuple(torch.as_tensor(t, dtype=torch.float64, device=layout.device) for t in problem.t_span)
    shared = (False,) * len(problem.args)
    return EnsembleProblem(problem.f, y0, span, problem.args, batched_args=shared), replace(layout, batch=1)  # type: ignore[arg-type]


def _alone(solution: Solution) -> Solution:
    """The solution of an ensemble of one as that of its trajectory."""

    def first(tree: Any, axis: int = 0) -> Any:
        return pytree.tree_map(lambda leaf: leaf.select(axis, 0), tree)

    stats, ys, ts = solution.stats, first(solution.ys, 1), solution.ts
    if ts.dim() == 1 and len(ts) > 1:  # those that were reached
        missing = pytree.tree_leaves(ys)[0].flatten(1).isnan().all(1)
        ts, ys = ts[~missing], pytree.tree_map(lambda leaf: leaf[~missing], ys)
    counts = {name: int(value[0]) for name, value in vars(stats).items() if isinstance(value, Tensor)}
    return replace(
        solution,
        ts=ts,
        ys=ys,
        y1=first(solution.y1),
        t1=solution.t1[0],
        stats=replace(stats, **counts),
        result=solution.result[0],  # type: ignore[index]
        events=tuple(EventRecord(one.event, one.t[0], first(one.y)) for one in solution.events),
    )
