"""The compiled engine for samplers: the model and the whole loop as native code."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from kutta.problems import DiffusionProblem
from kutta.solution import Solution
from kutta.solvers.diffusion.guidance.cfg import Unguided
from kutta.solvers.diffusion.guidance.denoiser import outputs_of, with_checked_output
from kutta.solvers.diffusion.plans.folding import folded
from kutta.solvers.diffusion.plans.plan import Plan
from kutta.solvers.diffusion.plans.table import table
from kutta.solvers.diffusion.sampling import Sampled, follow, solution_of
from kutta.solvers.engines.choice import saying
from kutta.solvers.engines.compiled.graph import NotCompilable, RightHandSide, traced
from kutta.solvers.engines.compiled.sampling_loop import Kind, Memory, memory_of, sampling_loop
from kutta.solvers.engines.compiled.store import run_compiled
from kutta.solvers.engines.refusal import refuse
from kutta.state import layout_of


def follow_compiled(
    problem: DiffusionProblem, plan: Plan, *, every: bool, noise: Callable[[Tensor], Tensor], watch: Any, throw: bool
) -> Solution:
    """Go through a plan; see `follow`, which does it where the model cannot be compiled."""
    x = problem.x
    if x.dtype not in (torch.float32, torch.float64) or x.device.type != "cpu":
        refuse("Compiled", f"samples in float32 and float64 on cpu; got {x.dtype} on {x.device.type}")
    rows = table(folded(plan, problem.prediction, most_uses=math.inf))
    kind = Kind.of(rows, every)
    drawn = [noise(x) for _ in range(int((rows.noise != 0.0).sum()))]
    try:
        model = model_of(problem, kind.free)
        if torch.is_grad_enabled() and any(one.requires_grad for one in (x, *model.inputs)):
            refuse("Compiled", "samples without gradients: call it under torch.no_grad()")
        memory = memory_of(kind, rows, x.detach(), drawn)
        _run(kind, model, memory)
    except NotCompilable as reason:
        why = f"Compiled() cannot compile the model: {reason}"
        warnings.warn(f"{why}. The eager engine samples instead", stacklevel=5)
        again = iter(drawn)
        eagerly = partial(follow, every=every, noise=lambda x: next(again), watch=watch, throw=throw)
        return saying(why, eagerly, problem, plan)
    sums, last = [x.detach().sum(), *memory.sums[1 : len(plan.outputs)]], memory.states[rows.last]
    ys = torch.cat([x.detach()[None], memory.nodes[1 : len(plan.outputs)]]) if every else last[None]
    return solution_of(problem, plan, Sampled(ys, sums, int(rows.evaluates.sum()), "compiled"), throw)


def model_of(problem: DiffusionProblem, free: bool) -> RightHandSide:
    """What the model returns with guidance, and what without if that is used: functions of level, state and condition.

    Raises:
        NotCompilable: for a model that PyTorch's compiler cannot follow.
    """
    guidance, model, x = problem.guidance or Unguided(), with_checked_output(problem.model), problem.x

    def outputs(level: Tensor, x: Tensor, condition: Any) -> Tensor:
        t = level[0].to(x.dtype).expand(len(x))
        found = outputs_of(guidance, (model, x, t, condition, level[1]), {False, free})
        return torch.stack(list(found.values()))

    level, like = torch.zeros(2, dtype=torch.float64), x.new_empty((1 + free, *x.shape))
    return traced(outputs, (problem.condition,), level, x, layout_of(x, False), like, problem.model)


def _run(kind: Kind, model: RightHandSide, memory: Memory) -> None:
    row = torch.zeros((), dtype=torch.int64)
    inputs = [tensor.detach() for tensor in model.inputs]
    run_compiled(kind, model.text, (row, *memory), inputs, partial(sampling_loop, kind, model))
