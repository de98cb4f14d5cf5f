"""The method that a partial differential equation is solved by when none is named."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from kutta.autodiff import read
from kutta.pde.lowering.forms import Forms
from kutta.pde.lowering.structure import random_field
from kutta.pde.schemes.finite_volume import FiniteVolume
from kutta.solvers.adjoints.continuous import ContinuousAdjoint
from kutta.solvers.algebra.operators.block_diagonal import BlockDiagonal
from kutta.solvers.algebra.operators.dense import Dense
from kutta.solvers.algebra.operators.diagonal import Diagonal
from kutta.solvers.algebra.operators.linear_operator import LinearOperator
from kutta.solvers.controllers import PID
from kutta.solvers.exponential.runge_kutta import ETDRK4
from kutta.solvers.method import Method
from kutta.solvers.runge_kutta import SSPRK33, Tsit5
from kutta.solvers.stabilised.rock import ROCK4

# Of ``tr A^2 / |A|^2``: diffusion with coefficients that vary by a factor of 100 from point to point has 0.55 and more.
_REAL = 0.3


def default_method(forms: Forms, given: Mapping[str, Any]) -> Method:
    """The method taken for a problem when none is named.

    `SSPRK33` for finite volumes of an equation that says its speeds, with steps by `PDEProblem.cfl`: a step of it
    brings no new extrema where one of Euler's method brings none, and shocks offer nothing that an estimate of the
    local error could be trusted with. Otherwise, and where tolerances or a controller of such estimates are asked for,
    `ETDRK4` where the linear part is diagonal in waves or a matrix, and so solved exactly. Where only what it does to
    fields is known, `ROCK4` if it is like diffusion, with rates along the negative real axis, and `Tsit5` if it is like
    waves; likewise for an adjoint that goes back by the same method, which needs one that asks for no linear part.
    `Tsit5`, too, for an equation that says nothing of one.

    Args:
        forms: of the problem.
        given: the arguments of `kutta.solve` that are not at their defaults.
    """
    problem, goes_back = forms.problem, _takes_the_same_method_back(given.get("adjoint"))
    controller = given.get("controller")
    asked = goes_back or bool({"rtol", "atol"} & given.keys())
    estimates = isinstance(controller, PID) or (asked and controller is None)
    if isinstance(problem.scheme, FiniteVolume) and not estimates and problem.says_speeds:
        return SSPRK33()
    if isinstance(problem.scheme, FiniteVolume) or not forms.is_split:
        return Tsit5()
    linear: LinearOperator = forms.split.problem.linear  # type: ignore[union-attr]
    if isinstance(linear, BlockDiagonal | Dense | Diagonal) and not goes_back:
        return ETDRK4()
    return ROCK4() if has_real_rates(linear, problem.u0) else Tsit5()


def _takes_the_same_method_back(adjoint: Any) -> bool:
    return isinstance(adjoint, ContinuousAdjoint) and adjoint.method is None


@torch.no_grad()
def has_real_rates(operator: LinearOperator, u0: Tensor) -> bool:
    """Whether the eigenvalues ``lambda`` of an operator ``A`` lie nearer to the real axis than to the imaginary one.

    ``tr A^2``, the sum of ``lambda^2``, is ``|A|^2`` in the norm of Frobenius for what is symmetric, such as diffusion,
    ``-|A|^2`` for what is skew, such as transport, and negative for waves. The quotient of both is estimated from
    ``v . A A v`` and ``|A v|^2`` for a random ``v``, and without error for the first two.

    Args:
        operator: ``A``, linear.
        u0: a state such as it is applied to.
    """
    direction = random_field(u0.shape).to(u0.device, u0.dtype)
    image = operator.apply(direction)
    size = torch.linalg.vector_norm(image)
    returned = torch.sum(direction.conj() * operator.apply(image / size)).real
    return read(returned / size) > _REAL  # of what is zero everywhere, not
