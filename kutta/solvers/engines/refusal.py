"""What the engines that compile a loop cannot do, refused by name before the first step."""

from __future__ import annotations

from typing import Any, NoReturn

import torch

from kutta.solvers.controllers import PID, Fixed
from kutta.solvers.options import Options
from kutta.solvers.runge_kutta import RungeKutta
from kutta.state import Layout


def refuse(engine: Any, what: str) -> NoReturn:
    """Say what an engine cannot do, and what to use instead."""
    raise NotImplementedError(f"{type(engine).__name__}() {what}: leave engine= out, or use engine=Eager()")


def refuse_what_no_loop_has(engine: Any, layout: Layout, options: Options) -> None:
    """Refuse whatever needs Python between two steps, or other numbers than the processor's own."""
    controller = options.controller
    if layout.dtype not in (torch.float32, torch.float64) or layout.device.type != "cpu":
        refuse(engine, f"solves in float32 and float64 on the CPU; got {layout.dtype} on {layout.device.type}")
    if not isinstance(options.method, RungeKutta):
        refuse(engine, f"has explicit Runge-Kutta methods only; got {type(options.method).__name__}")
    if not isinstance(controller, PID | Fixed) or len(controller.step_ts) or len(controller.jump_ts):
        refuse(engine, f"has PID and Fixed without times to land on; got {controller}")
    if controller.norm is not None or controller.force_dtmin:
        refuse(engine, "has no norm of one's own and no force_dtmin")
    for name in ("events", "penalties", "dense", "diagnostics", "progress"):
        if getattr(options, name):
            refuse(engine, f"has no {name} yet")
    if isinstance(options.save_at, str):
        refuse(engine, 'has no save_at="steps"')
