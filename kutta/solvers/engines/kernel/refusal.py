"""How the engine says no."""

from __future__ import annotations

from typing import NoReturn


class Unsuited(NotImplementedError):
    """Something that this engine does not do.

    Attributes:
        reason: what it is.
    """

    def __init__(self, reason: str):
        super().__init__(f"Kernel() {reason}: leave engine= out, or use engine=Eager()")
        self.reason = reason


def refuse(reason: str) -> NoReturn:
    """Say what the engine does not do, and the way out."""
    raise Unsuited(reason)
