"""What structure the linear part of a discretised equation has.

Differences with constant coefficients have the waves of a periodic grid as their eigenvectors, and with walls those of
order 2 have cosines or sines. Whether it is so is not derived but tried: what the operator makes of the sum of all
waves gives its symbols, and a random field tells whether they are all that there is. Likewise for diffusion.
"""

from __future__ import annotations

import torch
from torch import Tensor

from kutta.autodiff import read, under_transform
from kutta.pde.elliptic import Elliptic
from kutta.pde.grid import Grid
from kutta.pde.schemes.pseudo_spectral import kinds_of
from kutta.pde.schemes.waves import Basis
from kutta.solvers.algebra.operators.dense import Dense
from kutta.solvers.algebra.operators.diagonal import Diagonal
from kutta.solvers.algebra.operators.linear_operator import LinearOperator

# Up to this size, a matrix and its functions cost less than products with it in Krylov spaces.
LARGEST_MATRIX = 1024


def structured(operator: LinearOperator, grid: Grid, u0: Tensor) -> LinearOperator:
    """An equal operator of the most structure that there is, or else the operator itself.

    It may be diagonal in waves, a matrix on few points of one axis, or diffusion, which multigrid solves.

    Args:
        operator: linear, on fields on the grid.
        grid: with homogeneous boundary conditions.
        u0: a field such as it is applied to.
    """
    found = diagonal_in_waves(operator, grid, u0)
    if found is not None:
        return found
    shape = operator.state_shape(u0)
    if len(shape) == 1 and shape.numel() <= LARGEST_MATRIX:
        return Dense(operator.dense(u0.detach()))
    return diffusion(operator, grid, u0) or operator


def diagonal_in_waves(operator: LinearOperator, grid: Grid, u0: Tensor) -> Diagonal | None:
    """The same operator as `Diagonal`; ``None`` if it is not so."""
    try:
        basis = Basis(grid, kinds_of(grid), not u0.is_complex())
    except ValueError:
        return None
    state = _noise(operator, u0)
    waves = torch.ones_like(basis.forward(state))
    symbols = real_if_it_is(basis.forward(operator.apply(basis.backward(waves))))
    found = Diagonal(symbols, basis.forward, basis.backward, operator.axes)
    return found if _equal(found, operator, state) else None


def diffusion(operator: LinearOperator, grid: Grid, u0: Tensor) -> LinearOperator | None:
    """The same operator as ``c u + a laplacian(u)`` with numbers ``a > 0`` and ``c``; ``None`` if it is not so.

    A field that is one at a point in the middle, and zero elsewhere, tells what the numbers are.
    """
    state = _noise(operator, u0)
    if state.dim() != grid.dim or u0.is_complex() or min(grid.shape) < 5:
        return None
    middle = tuple(count // 2 for count in grid.shape)
    neighbour = (middle[0] + 1, *middle[1:])
    unit = torch.zeros_like(state)
    unit[middle] = 1.0
    image = operator.apply(unit)
    a = image[neighbour] * grid.spacing[0] ** 2
    c = image[middle] + 2.0 * a * sum(h**-2 for h in grid.spacing)
    try:
        found = -Elliptic(grid, a, -c if read((c.abs() > 1e-12 * image.abs().amax()).detach()) else 0.0)
    except ValueError:
        return None
    return found if _equal(found, operator, state) else None


def _noise(operator: LinearOperator, u0: Tensor) -> Tensor:
    shape = operator.state_shape(u0)
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).to(u0)


def _equal(found: LinearOperator, operator: LinearOperator, state: Tensor) -> bool:
    """Whether two operators do the same to a field that has some of everything."""
    image = operator.apply(state).detach()
    difference = torch.linalg.vector_norm(found.apply(state).detach() - image)
    return read(difference <= 1e3 * torch.finfo(state.dtype).eps * torch.linalg.vector_norm(image))


def real_if_it_is(symbols: Tensor) -> Tensor:
    """Symbols without their imaginary parts where all of these are nothing but rounding: a third of the work."""
    if not symbols.is_complex() or under_transform():
        return symbols
    size, imaginary = read(torch.stack([symbols.detach().abs().amax(), symbols.detach().imag.abs().amax()]))
    return symbols.real.contiguous() if imaginary <= 8.0 * torch.finfo(symbols.dtype).eps * size else symbols
