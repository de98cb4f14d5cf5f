"""How this engine says no."""

from functools import partial

from kutta.solvers.engines import refusal

refuse = partial(refusal.refuse, "Kernel")
