"""``z -> s(gamma A z + b)`` on a graph: a contraction, whatever its weights.

With ``A_ij = a_ij / outdegree(j)`` for the edge from ``j`` to ``i`` and ``0 <= a_ij <= 1``, no column of ``A`` adds up
to more than 1. So ``|gamma A z|_1 <= gamma |z|_1``. For ``gamma < 1``, and an ``s`` that brings no two numbers farther
apart, there is one fixed point, and each iteration comes closer to it by the factor ``gamma``, or more.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from kutta.operators.graphs.edge_sums import EdgeSums
from kutta.operators.layers.activation import activation
from kutta.problems import FixedPointProblem, LinearProblem
from kutta.solution import Solution
from kutta.solve import solve
from kutta.solvers.algebra.krylov.gmres import GMRES
from kutta.solvers.algebra.method import LinearMethod
from kutta.solvers.algebra.nonlinear.derivatives import Implicit
from kutta.solvers.algebra.nonlinear.fixed_points.picard import Picard
from kutta.solvers.algebra.nonlinear.method import FixedPointMethod

# Those of which two values are never farther apart than what they are the values of.
NOT_EXPANDING = ("identity", "relu", "sin", "tanh")

Method = LinearMethod | FixedPointMethod


def default_method(name: str) -> Method:
    """`GMRES` where the fixed point is that of a linear map; elsewhere `Picard`, which always comes to it."""
    return GMRES() if name == "identity" else Picard()


def steps_until(part: float, gamma: float) -> int:
    """How many iterations there may be until the 1-norm is this part of what it was, ``log(part) / log(gamma)``."""
    return max(1, math.ceil(math.log(part) / math.log(gamma)))


class Contraction:
    """The map ``z -> s(gamma A z + b)``, one for each head.

    Heads are the batch of the solvers, so that each ends on its own.

    Attributes:
        operator: ``gamma A``, by sums over edges.
        bias: ``b``, ``(H, N)``.
        gamma: the factor, between 0 and 1.
        activation: the name of ``s``, one of `NOT_EXPANDING`.
    """

    def __init__(self, edges: Tensor, weights: Tensor, bias: Tensor, gamma: float, activation: str = "identity"):
        """Of a graph.

        Args:
            edges: ``(2, E)``, from ``j`` to ``i``.
            weights: ``a``, ``(H, E)``, of which all below 0 count as 0, and all above 1 as 1.
            bias: ``b``, ``(H, N)``.
            gamma: the factor.
            activation: the name of ``s``.
        """
        degree = torch.bincount(edges[0], minlength=bias.shape[1]).to(bias.dtype)
        shares = gamma * weights.clamp(0.0, 1.0) / degree.index_select(0, edges[0])
        self.operator = EdgeSums(edges, shares)
        self.bias, self.gamma, self.activation = bias, gamma, activation

    def image(self, z: Tensor) -> Tensor:
        """``s(gamma A z + b)``."""
        return activation(self.activation)(self.operator.apply(z) + self.bias)

    def fixed_point(self, method: Method, rtol: float) -> Solution:
        """``z = s(gamma A z + b)``, ``(H, N)``, with derivatives by the implicit rule.

        Args:
            method: for linear systems, if ``s`` is the identity; or for fixed points.
            rtol: of the solve, and of the solves of derivatives, where they are iterations.
        """
        return self._linear(method, rtol) if isinstance(method, LinearMethod) else self._iterated(method, rtol)

    def _linear(self, method: LinearMethod, rtol: float) -> Solution:
        """``(I - gamma A) z = b``."""
        problem = LinearProblem(self.operator.shifted(1.0, -1.0), self.bias)
        return solve(problem, method) if method.direct else solve(problem, method, rtol=rtol)

    def _iterated(self, method: FixedPointMethod, rtol: float) -> Solution:
        return solve(
            FixedPointProblem(self.image, torch.zeros_like(self.bias), batched=True),
            method,
            rtol=rtol,
            atol=rtol * float(self.bias.detach().abs().amax()),
            max_steps=self._most_steps(),
            adjoint=Implicit(rtol=rtol),
        )

    def _most_steps(self) -> int:
        """After which nothing but rounding is left of ``|z_0 - z|_1 <= |b|_1 / (1 - gamma)``, at any node."""
        part = torch.finfo(self.bias.dtype).eps * (1.0 - self.gamma) / self.bias.shape[1]
        return steps_until(part, self.gamma)
