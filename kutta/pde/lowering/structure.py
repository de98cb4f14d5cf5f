"""What structure the linear part of a discretised equation has.

Differences with constant coefficients have the waves of a periodic grid as their eigenvectors, and with walls those of
order 2 have cosines or sines. Whether it is so is not derived but tried: what the operator makes of the sum of all
waves gives its symbols, and a random field tells whether they are all that there is. Likewise for diffusion. It is
tried in double precision, and each wave of each component is judged by its own size: a slow wave, or a small coupling,
is as much a part of the equation as the fastest one.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from kutta.autodiff import read, under_transform
from kutta.pde.elliptic.operator import Elliptic
from kutta.pde.grids.grid import Grid
from kutta.pde.schemes.pseudo_spectral import kinds_of
from kutta.pde.waves.basis import Basis
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
    state = _probe(operator, u0)
    waves = torch.ones_like(basis.forward(state))
    symbols = real_if_it_is(basis.forward(operator.apply(basis.backward(waves))))
    found = symbols * basis.forward(state)
    error = (found - basis.forward(operator.apply(state))).detach().abs()
    if read((error > _tolerance(found.detach().abs(), state)).any()):
        return None
    precision = u0.dtype.to_complex() if symbols.is_complex() else u0.dtype.to_real()
    return Diagonal(symbols.to(precision), basis.forward, basis.backward, operator.axes)


def diffusion(operator: LinearOperator, grid: Grid, u0: Tensor) -> LinearOperator | None:
    """The same operator as ``c u + a laplacian(u)`` with numbers ``a > 0`` and ``c``; ``None`` if it is not so.

    A field that is one at a point in the middle, and zero elsewhere, tells what the numbers are.
    """
    state = _probe(operator, u0)
    if state.dim() != grid.dim or u0.is_complex() or min(grid.shape) < 5:
        return None
    middle = tuple(count // 2 for count in grid.shape)
    neighbour = (middle[0] + 1, *middle[1:])
    unit = torch.zeros_like(state)
    unit[middle] = 1.0
    image = operator.apply(unit)
    a = image[neighbour] * grid.spacing[0] ** 2
    c = image[middle] + 2.0 * a * sum(h**-2 for h in grid.spacing)
    has_shift = read((c.abs() > 1e-12 * image.abs().amax()).detach())
    try:
        exact, found = (-Elliptic(grid, a.to(like), -c.to(like) if has_shift else 0.0) for like in (state, u0))
    except ValueError:
        return None
    wanted = operator.apply(state).detach()
    differs = (exact.apply(state).detach() - wanted).abs() > _tolerance(wanted.abs(), state)
    return None if read(differs.any()) else found


def _probe(operator: LinearOperator, u0: Tensor) -> Tensor:
    """A random field, in double precision unless the equation insists on its own."""
    dtype = torch.promote_types(u0.dtype, torch.float64)
    noise = random_field(operator.state_shape(u0)).to(u0.device, dtype)
    try:
        image = operator.apply(noise)
    except RuntimeError:  # such as of a matrix of single precision
        return noise.to(u0)
    return noise if image.dtype == dtype else noise.to(u0)


def random_field(shape: Sequence[int]) -> Tensor:
    """Always the same one; NumPy's, since transformations allow no random numbers of PyTorch."""
    return torch.from_numpy(np.random.default_rng(0).standard_normal(shape))


def _tolerance(sizes: Tensor, probe: Tensor) -> Tensor:
    """By how much equal things may differ: rounding adds as much to each of them as to the largest."""
    rounding = max(64.0 * torch.finfo(probe.dtype).eps, 1e-12)
    return max(rounding, 1e-6) * sizes + rounding * sizes.amax()


def real_if_it_is(symbols: Tensor) -> Tensor:
    """Symbols without their imaginary parts where all of these are nothing but rounding: a third of the work."""
    if not symbols.is_complex() or under_transform():
        return symbols
    size, imaginary = read(torch.stack([symbols.detach().abs().amax(), symbols.detach().imag.abs().amax()]))
    return symbols.real.contiguous() if imaginary <= 8.0 * torch.finfo(symbols.dtype).eps * size else symbols
