"""From initial states to later ones: compile what has to be, run it, and put the results on the tape."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from torch import Tensor

from kutta.autodiff import carries_gradient
from kutta.solvers.adjoints import Direct, Recompute
from kutta.solvers.engines.kernel.machines import Machine
from kutta.solvers.engines.kernel.refusal import refuse
from kutta.solvers.engines.kernel.right_hand_side import Cast, right_hand_side
from kutta.solvers.engines.kernel.sensitivities import Differentiated, check_gradients, directions
from kutta.solvers.engines.kernel.source import System, source_of
from kutta.solvers.engines.kernel.work import Start, Work
from kutta.solvers.engines.tracing.derivative import Input, tangents
from kutta.solvers.options import Options
from kutta.solvers.tolerance import Tolerance
from kutta.state import Layout

# Entries of a state with its sensitivities. A block of lanes holds some tens of vectors of them.
LARGEST_STATE = 500


# What makes an integration of a problem, its layout and its options.
Make = Callable[[Any, Layout, Options], "Integration"]


class Integration:
    """The right-hand side of a problem, ready to be integrated.

    Attributes:
        numbers: the values of its parameters.
    """

    def __init__(self, problem: Any, layout: Layout, options: Options, machine: Machine, largest: int):
        self.layout, self.options, self.machine, self.largest = layout, options, machine, largest
        self.cast = Cast(problem, layout, [event.condition for event in options.events])
        self.f, self.tensors = right_hand_side(self.cast)
        self.numbers = self.cast.numbers(self.f, self.tensors)

    def advance(self, start: Start, tolerance: Tolerance, save: Tensor | None) -> tuple[Work, Tensor, Tensor]:
        """What became of some trajectories, and their states at the output times and at the end, on the tape.

        Args:
            start: where they start from; initial states and parameters may require gradients.
            tolerance: of the local error.
            save: output times.
        """
        of_start = carries_gradient(start.y0)
        wanted = directions(self.numbers, start.y0.shape[1], of_start)

        def run(y0: Tensor, own: Tensor, shared: Tensor) -> Work:
            begin = replace(start, y0=y0.detach(), own=own.detach(), shared=shared.detach())
            work = Work(begin, tolerance, save, self.options.controller, self.options.max_steps)
            self.machine.run(self._compiled(wanted), work.job(), work.count)
            return work

        if not wanted:
            work = run(start.y0, start.own, start.shared)
            return work, work.ys, work.y1
        self._check_gradients(wanted, start.y0.shape[1])
        return self._differentiated(start, of_start, run)

    def _differentiated(
        self, start: Start, of_start: bool, run: Callable[[Tensor, Tensor, Tensor], Work]
    ) -> tuple[Work, Tensor, Tensor]:
        places, done = [place for _, place in self.numbers.differentiated], []
        ys, y1, *_ = Differentiated.apply(start.y0, start.own, start.shared, of_start, places, run, done)  # type: ignore[misc]
        return done[0], ys, y1

    def _check_gradients(self, wanted: tuple[Input, ...], size: int) -> None:
        if size * (1 + len(wanted)) > self.largest:
            refuse(
                f"carries at most {self.largest} numbers, the state and its derivatives; got {size} entries "
                f"and {len(wanted)} directions to differentiate in"
            )
        adjoint = self.options.adjoint
        if not isinstance(adjoint, Direct | Recompute):
            refuse(f"differentiates the steps it takes, as Direct() does; got adjoint={type(adjoint).__name__}()")
        if wanted not in self.f.differentiable:
            check_gradients(self.cast, self.f, self.tensors)
            self.f.differentiable.append(wanted)

    def _compiled(self, wanted: tuple[Input, ...]) -> Any:
        """The function for a right-hand side and a method, kept beside what was traced."""
        options, layout, f, alone = self.options, self.layout, self.f, self.layout.batch is None
        crossings = tuple(event.direction for event in options.events)
        key = (self.machine.key, options.method, options.controller, layout.dtype, alone, wanted, crossings)
        if key not in f.libraries:
            program = tangents(f.program, f.layout.size, wanted) if wanted else f.program
            system = System(program, f.layout, f.conditions, crossings)
            target = self.machine.target(alone)
            source = source_of(system, options.method, options.controller, layout.dtype, target)
            f.libraries[key] = self.machine.compiled(source)
        return f.libraries[key]
