"""What structure the linear part of a discretised equation has.

Differences with constant coefficients have the waves of a periodic grid as their eigenvectors, and with walls those of
order 2 have cosines or sines. Whether it is so is not derived but tried: what the operator makes of the sum of all
waves gives its symbols, and a random field tells whether they are all that there is.
"""

from __future__ import annotations

import torch
from torch import Tensor

from kutta.autodiff import read, under_transform
from kutta.pde.grid import Grid
from kutta.pde.schemes.pseudo_spectral import kinds_of
from kutta.pde.schemes.waves import Basis
from kutta.solvers.algebra.operators.dense import Dense
from kutta.solvers.algebra.operators.diagonal import Diagonal
from kutta.solvers.algebra.operators.linear_operator import LinearOperator

# Up to this size, a matrix and its functions cost less than products with it in Krylov spaces.
LARGEST_MATRIX = 1024


def structured(operator: LinearOperator, grid: Grid, u0: Tensor) -> LinearOperator:
    """An equal operator that is diagonal in waves, or on few points a matrix, or else the operator itself.

    Args:
        operator: linear, on fields on the grid.
        grid: with homogeneous boundary conditions.
        u0: a field such as it is applied to.
    """
    found = diagonal_in_waves(operator, grid, u0)
    if found is not None:
        return found
    shape = operator.state_shape(u0)
    if shape.numel() > LARGEST_MATRIX or len(shape) > 1:
        return operator
    return Dense(operator.dense(u0.detach()))


def diagonal_in_waves(operator: LinearOperator, grid: Grid, u0: Tensor) -> Diagonal | None:
    """The same operator as `Diagonal`; ``None`` if it is not so."""
    try:
        basis = Basis(grid, kinds_of(grid), not u0.is_complex())
    except ValueError:
        return None
    shape = operator.state_shape(u0)
    state = torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).to(u0)
    waves = torch.ones_like(basis.forward(state))
    symbols = real_if_it_is(basis.forward(operator.apply(basis.backward(waves))))
    found = Diagonal(symbols, basis.forward, basis.backward, operator.axes)
    image = operator.apply(state)
    difference = torch.linalg.vector_norm((found.apply(state) - image).detach())
    rounding = 1e3 * torch.finfo(u0.dtype).eps * torch.linalg.vector_norm(image.detach())
    return found if read(difference <= rounding) else None


def real_if_it_is(symbols: Tensor) -> Tensor:
    """Symbols without their imaginary parts where all of these are nothing but rounding: a third of the work."""
    if not symbols.is_complex() or under_transform():
        return symbols
    size, imaginary = read(torch.stack([symbols.detach().abs().amax(), symbols.detach().imag.abs().amax()]))
    return symbols.real.contiguous() if imaginary <= 8.0 * torch.finfo(symbols.dtype).eps * size else symbols
