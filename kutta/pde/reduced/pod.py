"""Proper orthogonal decomposition: the modes that lose least of a set of snapshots."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from kutta.pde.reduced.inner import Inner, checked_snapshots, weighted
from kutta.solvers.algebra.operators.linear_operator import LinearOperator


class POD:
    """Modes that are orthonormal, and best on average for snapshots.

    With the inner product ``<u, v> = u^T W v``, the first ``r`` modes are those for which

        sum_i |u_i - P u_i|^2,    P u = sum_j <phi_j, u> phi_j,

    is the least there is, the sum of the squares of the singular values that are left out. A state is
    ``reference + sum_j a_j phi_j``. States have any leading batch axes, and projections and solves are differentiable.

    Args:
        snapshots: states, ``(m, *state)``, float32 or float64.
        modes: how many; by default as many as the snapshots span.
        energy: instead, the part of the sum of squares of the snapshots that they must hold, such as 0.9999.
        inner: ``W``: a number or weights of the points, such as the volumes of cells; or a definite operator on states,
            for an energy. By default 1.
        reference: a state that is taken off first, such as one that fulfils the boundary conditions.

    Attributes:
        modes: ``(r, *state)``.
        singular_values: of all modes that there are, the largest first.
        reference: as given, or nothing.
        inner: likewise.

    Raises:
        TypeError, ValueError: for snapshots that are none or not finite, more modes than they span, both `modes` and
            `energy`, or a `W` that is not definite.

    Example:
        >>> import torch, kutta as kt
        >>> x = torch.linspace(0.0, 1.0, 101, dtype=torch.float64)
        >>> family = torch.stack([torch.sin(3.14159 * x) + k * torch.sin(6.28319 * x) for k in (0.0, 0.1, 0.2, 0.3)])
        >>> basis = kt.pde.POD(family)
        >>> basis.modes.shape
        torch.Size([2, 101])
        >>> bool(basis.error(family).max() < 1e-5)
        True

        The reduced model of ``-u'' = f`` with these modes:

        >>> bands = 1e4 * torch.tensor([[-1.0], [2.0], [-1.0]], dtype=torch.float64).expand(3, 101)
        >>> operator = kt.algebra.Banded(bands, (-1, 0, 1), definite=True)
        >>> u = basis.solve(operator, 9.87 * torch.sin(3.14159 * x))
        >>> bool((u - torch.sin(3.14159 * x)).abs().max() < 1e-3)
        True
    """

    def __init__(
        self,
        snapshots: Any,
        modes: int | None = None,
        energy: float | None = None,
        inner: Inner = None,
        reference: Tensor | None = None,
    ):
        snapshots = checked_snapshots(snapshots)
        self.inner, self.reference = inner, None if reference is None else reference.detach()
        found, self.singular_values = principal(self._centred(snapshots), inner)
        self.modes = found[: count_of(self.singular_values, modes, energy)]

    def coefficients(self, u: Tensor) -> Tensor:
        """``<phi_j, u - reference>``, ``(..., r)``."""
        self.check("u", u)
        return self._flat(weighted(self._centred(u), self.inner)) @ self._flat(self.modes).mT

    def expand(self, coefficients: Tensor) -> Tensor:
        """``reference + sum_j a_j phi_j``, ``(..., *state)``."""
        u = (coefficients @ self._flat(self.modes)).unflatten(-1, self.modes.shape[1:])
        return u if self.reference is None else self.reference + u

    def project(self, u: Tensor) -> Tensor:
        """What the modes hold of a state."""
        return self.expand(self.coefficients(u))

    def error(self, u: Tensor) -> Tensor:
        """``|u - P u| / |u - reference|`` of each state, ``(...)``; zero of the reference itself."""
        left, whole = self.norm(u - self.project(u)), self.norm(self._centred(u))
        return left / torch.where(whole > 0.0, whole, 1.0)

    def norm(self, u: Tensor) -> Tensor:
        """``sqrt(<u, u>)`` of each state."""
        square = torch.linalg.vecdot(self._flat(u), self._flat(weighted(u, self.inner)))
        # The root has no derivative at zero, where that of the norm is taken to be zero.
        return torch.where(square > 0.0, torch.where(square > 0.0, square, 1.0).sqrt(), 0.0)

    def galerkin(self, operator: LinearOperator) -> Tensor:
        """The reduced operator, ``phi_i^T A phi_j``, ``(*batch, r, r)``, with the batch of the operator."""
        return self._flat(self.modes) @ self._images(operator)

    def solve(self, operator: LinearOperator, b: Tensor, least_squares: bool = False) -> Tensor:
        """The solution of ``A u = b`` among ``reference + sum_j a_j phi_j``.

        By Galerkin's method the residual is orthogonal to the modes, which is best in the norm of the energy for
        symmetric definite operators. Least squares take the smallest residual, which is safe for all.

        Args:
            operator: ``A``, which knows the axes of a state.
            b: right-hand sides, ``(..., *state)``.
            least_squares: whether to.

        Returns:
            ``(..., *state)``, with gradients to whatever the operator and `b` depend on.
        """
        self.check("b", b)
        rest = b if self.reference is None else b - operator.apply(self.reference.expand(b.shape))
        images, right = self._images(operator), self._flat(rest).unsqueeze(-1)
        if least_squares:
            # By the orthogonal factors, whose conditioning is that of A phi and not its square.
            q, r = torch.linalg.qr(images)
            return self.expand(torch.linalg.solve_triangular(r, q.mT @ right, upper=True)[..., 0])
        test = self._flat(self.modes)
        return self.expand(torch.linalg.solve(test @ images, test @ right)[..., 0])

    def check(self, name: str, u: Tensor) -> None:
        """Refuse what is no state like the modes, or a batch of such."""
        state = self.modes.shape[1:]
        if u.shape[u.dim() - len(state) :] != state or u.dtype != self.modes.dtype:
            raise ValueError(
                f"{name} must be of shape (..., {', '.join(map(str, state))}) and {self.modes.dtype}, like the modes; "
                f"got {tuple(u.shape)} and {u.dtype}"
            )

    def _images(self, operator: LinearOperator) -> Tensor:
        """``A phi_j`` as columns, ``(*batch, n, r)``."""
        if operator.axes is None:
            raise TypeError("operator must know the axes of a state, as it acts on all modes at once; give it axes=")
        state = self.modes.shape[1:]
        modes = self.modes.reshape(-1, *[1] * len(operator.batch), *state).expand(-1, *operator.batch, *state)
        return self._flat(operator.apply(modes)).movedim(0, -1)

    def _centred(self, u: Tensor) -> Tensor:
        return u if self.reference is None else u - self.reference

    def _flat(self, u: Tensor) -> Tensor:
        return u.flatten(u.dim() - self.modes.dim() + 1)


def principal(u: Tensor, inner: Inner) -> tuple[Tensor, Tensor]:
    """All modes of snapshots, orthonormal in an inner product, and their singular values.

    With ``u = Q R`` by columns, where ``Q`` spans no more than the snapshots do, and ``Q^T W Q = L L^T``, they have the
    coordinates ``L^T R`` in a basis that is orthonormal for ``W``; what follows is their singular value decomposition.
    So no accuracy is lost by squaring.
    """
    rounding = max(u.flatten(1).shape) * torch.finfo(u.dtype).eps
    q, r = torch.linalg.qr(u.flatten(1).mT)
    left, values, right = torch.linalg.svd(r, full_matrices=False)
    spanned = int((values > rounding * values[0]).sum())
    if spanned == 0:
        raise ValueError("snapshots must not all be zero after the reference is taken off")
    q, r = q @ left[:, :spanned], values[:spanned, None] * right[:spanned]
    weighted_q = weighted(q.mT.unflatten(-1, u.shape[1:]), inner).flatten(1)
    gram, bad = torch.linalg.cholesky_ex(weighted_q @ q)
    if int(bad):
        raise ValueError("inner must be positive definite on the snapshots, and is not")
    left, values, _ = torch.linalg.svd(gram.mT @ r, full_matrices=False)
    kept = int((values > rounding * values[0]).sum())
    modes = torch.linalg.solve_triangular(gram.mT, left[:, :kept], upper=True)
    return (q @ modes).mT.unflatten(-1, u.shape[1:]), values[:kept]


def count_of(values: Tensor, modes: int | None, energy: float | None) -> int:
    """How many modes are asked for.

    Raises:
        ValueError: for what there is not.
    """
    if modes is not None and energy is not None:
        raise ValueError("modes and energy both say how many modes there are; give one of them")
    if energy is not None:
        if not 0.0 < energy <= 1.0:
            raise ValueError(f"energy must lie in (0, 1]; got {energy!r}")
        left_out = (values**2).flip(0).cumsum(0).flip(0)
        return int((left_out > (1.0 - energy) * left_out[0]).sum())
    if modes is None:
        return len(values)
    if isinstance(modes, bool) or not isinstance(modes, int) or not 1 <= modes <= len(values):
        raise ValueError(
            f"modes must be a whole number from 1 to {len(values)}, which is what the snapshots span; got {modes!r}"
        )
    return modes
