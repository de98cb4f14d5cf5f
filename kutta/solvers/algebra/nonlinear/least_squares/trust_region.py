"""Steps that are as long as the quadratic can be trusted."""

from __future__ import annotations

import torch
from torch import Tensor

from kutta.solution import Result
from kutta.solvers.algebra.nonlinear.block_chain import BlockChain
from kutta.solvers.algebra.nonlinear.equations import Equations
from kutta.solvers.algebra.nonlinear.iteration import LARGEST_RATE, Iteration, chosen, distance
from kutta.solvers.algebra.nonlinear.least_squares.quadratic import Quadratic
from kutta.solvers.magnitude import magnitude, norm
from kutta.solvers.tolerance import Tolerance

# A step is taken if the sum of squares falls by at least this part of what was foretold.
_LEAST_GAIN = 1e-4
# A gain after which the quadratic is trusted as much as before.
_AS_IT_IS = 0.5


class TrustRegion(Iteration):
    """An iteration that proposes a step, compares what it gains with what was foretold, and learns from that.

    Its `size` is that of the part of ``F`` which a change of one unknown could take away.

    The unknowns are estimated to be off by ``d / (1 - q)``, where ``d`` leads from them to the minimum of the
    quadratic, and ``q`` is by how much it became shorter in the last step.

    Attributes:
        unit: a power of two about as large as ``F`` is at first, in which it is measured.
        quadratic: at `x`, in this unit.
        scale: the largest norms that the columns of the Jacobian had so far.
    """

    quadratic: Quadratic

    def __init__(self, equations: Equations, tolerance: Tolerance):
        super().__init__(equations.start)
        self.equations, self.tolerance = equations, tolerance
        r, jacobian = equations.linearised(self.x)
        self.unit = magnitude(r)
        self.quadratic = self._quadratic(r, jacobian)
        self.scale = self.quadratic.scale
        self.distance = torch.full_like(self.quadratic.value, torch.inf)
        self.error = torch.full_like(self.distance, torch.inf)
        self._look(~self.broken)

    def propose(self) -> Tensor:
        """The next step, ``(B, n)``."""
        raise NotImplementedError

    def learn(self, gain: Tensor, d: Tensor, taken: Tensor) -> Tensor:
        """Trust more or less after a step `d` that gained this part of what was foretold; which have no step left."""
        raise NotImplementedError

    def advance(self, running: Tensor) -> None:
        d = self.propose()
        x = self.x + d
        quadratic = self._quadratic(*self.equations.linearised(torch.where(torch.isfinite(x), x, self.x)))
        foretold = self.quadratic.decrease(d)
        gain = (self.quadratic.value - quadratic.value) / foretold
        gain = torch.where(torch.isfinite(gain) & (foretold > 0.0), gain, -1.0)
        rounded = foretold.abs() <= _rounding(self.quadratic)
        # Where the sum of squares does not tell steps apart any more, its gradient does.
        flatter = norm(quadratic.gradient / self.scale) < norm(self.quadratic.gradient / self.scale)
        gain = torch.where(rounded, torch.where(flatter, _AS_IT_IS, -1.0), gain)
        taken = running & (gain > _LEAST_GAIN)
        hopeless = self.learn(gain, d, taken)
        self.x, self.quadratic = chosen(taken, x, self.x), quadratic.chosen(taken, self.quadratic)
        self.scale = torch.where(taken[:, None], torch.maximum(self.scale, self.quadratic.scale), self.scale)
        self._look(taken)
        self.breaks(running & hopeless, int(Result.NOT_CONVERGED))
        lost = running & rounded & ~taken
        # Steps that gain nothing only because they are short, as at a kink, lead to no minimum.
        least = self.quadratic.decrease(self.quadratic.nearest) <= _rounding(self.quadratic)
        self.breaks(lost, torch.where(least, int(Result.STAGNATION), int(Result.NOT_CONVERGED)))

    def _quadratic(self, r: Tensor, jacobian: Tensor | BlockChain) -> Quadratic:
        """In a unit in which squares neither overflow nor vanish."""
        return Quadratic.of(r, jacobian, self.unit)

    def _look(self, moved: Tensor) -> None:
        """How far from the solution those are that have moved."""
        there = distance(self.tolerance, self.quadratic.nearest, self.x)
        error = there / (1.0 - (there / self.distance).clamp(max=LARGEST_RATE))
        error = torch.where(there == 0.0, 0.0, torch.where(torch.isfinite(there), error, torch.inf))
        self.error = torch.where(moved, error, self.error)
        self.distance = torch.where(moved, there, self.distance)
        self.size = norm(self.quadratic.gradient / self.quadratic.scale) * self.unit[:, 0]


def _rounding(quadratic: Quadratic) -> Tensor:
    """By how much rounding alone may change the sum of squares."""
    return 8.0 * torch.finfo(quadratic.value.dtype).eps * quadratic.value
