"""What the engines that compile a loop cannot do, refused by name before the first step."""

from __future__ import annotations

from typing import NoReturn

import torch

from kutta.solvers.controllers import PID, Fixed
from kutta.solvers.options import Options
from kutta.state import Layout


class Unsuited(NotImplementedError):
    """Something that an engine does not do.

    Attributes:
        reason: which engine, and what it is.
    """

    def __init__(self, engine: str, what: str):
        self.reason = f"{engine}() {what}"
        super().__init__(f"{self.reason}: leave engine= out, or use engine=Eager()")

    def __reduce__(self) -> object:
        engine, _, what = self.reason.partition("() ")
        return Unsuited, (engine, what)


def refuse(engine: str, what: str) -> NoReturn:
    """Say what an engine cannot do, and what to use instead."""
    raise Unsuited(engine, what)


def refuse_what_no_loop_has(
    engine: str,
    layout: Layout,
    options: Options,
    devices: tuple[str, ...] = ("cpu",),
    dtypes: tuple[torch.dtype, ...] = (torch.float32, torch.float64),
) -> None:
    """Refuse whatever needs Python between two steps, or other numbers than the processor's own."""
    controller = options.controller
    if layout.dtype not in dtypes or layout.device.type not in devices:
        where, which = " or ".join(devices), " and ".join(str(dtype).removeprefix("torch.") for dtype in dtypes)
        refuse(engine, f"solves in {which} on {where}; got {layout.dtype} on {layout.device.type}")
    if not _is_plain(controller) or len(controller.step_ts) or len(controller.jump_ts) or controller.limits:
        refuse(engine, f"has PID and Fixed without times to land on and without max_step; got {controller}")
    if controller.norm is not None or controller.force_dtmin:
        refuse(engine, "has no norm of one's own and no force_dtmin")
    for name in ("penalties", "dense", "diagnostics", "progress"):
        if getattr(options, name):
            refuse(engine, f"has no {name} yet")
    if isinstance(options.save_at, str):
        refuse(engine, 'has no save_at="steps"')


def _is_plain(controller: object) -> bool:
    """Whether a controller is what its numbers say, and no class of the user's with rules of its own."""
    if isinstance(controller, Fixed):
        return type(controller) is Fixed
    rules = ("factor", "powers", "memory")
    return isinstance(controller, PID) and all(getattr(type(controller), one) is getattr(PID, one) for one in rules)
