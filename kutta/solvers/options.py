"""Everything `solve` was asked for, after its checks: what an engine is given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from kutta.regularizers.regularizer import Regularizer
from kutta.solvers.adjoints import Adjoint
from kutta.solvers.controllers import Controller
from kutta.solvers.events import Event
from kutta.solvers.method import Method


@dataclass(frozen=True)
class Options:
    """The arguments of `kutta.solve` other than the problem; see there."""

    method: Method
    controller: Controller
    adjoint: Adjoint
    rtol: Any
    atol: Any
    save_at: Any = None
    dense: bool = False
    events: Sequence[Event] = ()
    penalties: dict[str, Regularizer] = field(default_factory=dict)
    diagnostics: bool = False
    dt0: float | None = None
    max_steps: int = 100_000
    progress: bool = False
