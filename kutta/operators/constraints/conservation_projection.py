"""The nearest field of which some linear functionals have given values, such as its mass."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from kutta.operators.operator import check_counts
from kutta.pde.grids.given import unknowns
from kutta.pde.grids.grid import Grid
from kutta.pde.grids.quadrature import quadrature

if TYPE_CHECKING:
    from jaxtyping import Float


class ConservationProjection(nn.Module):
    """The nearest ``v`` to ``u`` that fulfils ``C v = d``.

        v = u - W^-1 C^T (C W^-1 C^T)^-1 (C u - d)        which minimises sum_i w_i (v_i - u_i)^2

    It has no weights to learn, and serves as the last layer of a network, in training or after it. ``C`` is factorised
    once; what remains are two thin products, in float64 whatever the dtype of ``u``. They are taken twice, so that
    nothing is left of ``C v - d`` but the rounding of ``v``. Fields of the right values stay as they are, to rounding.

    Args:
        functionals: ``C``, the weights of each entry of a state in each functional, ``(m, *state)``: a matrix
            ``(m, n)``, or for fields ``(m, channels, *grid.shape)``. They are constants; see `inner_products` and
            `totals` for those of fields on a grid.
        weight: ``W``, positive numbers that broadcast with a state; by default 1. Entries with an infinite weight stay
            as they are.

    Raises:
        TypeError: for tensors that are not real.
        ValueError: for rows of ``C`` that are linearly dependent, to about half of the digits of their dtype, of
            which the first is named, and for shapes that do not fit.

    Example:
        >>> import torch, kutta as kt
        >>> projection = kt.operators.ConservationProjection(torch.ones(1, 3))
        >>> projection(torch.tensor([[1.0, 2.0, 3.0], [0.0, 0.0, 0.0]]), 3.0)
        tensor([[0., 1., 2.],
                [1., 1., 1.]])
    """

    functionals: Tensor
    lift: Tensor

    def __init__(self, functionals: Tensor, weight: Tensor | float = 1.0):
        super().__init__()
        _check_functionals(functionals)
        self.state = functionals.shape[1:]
        rows = functionals.detach().to(torch.float64).flatten(1)
        spread = _checked_weight(weight, self.state).rsqrt()
        # With the rows of C W^-1/2 as R^T Q^T, what is sought is W^-1/2 Q R^-T (C u - d).
        basis, triangle = torch.linalg.qr((rows * spread).mT)
        _check_independent(rows * spread, triangle, torch.finfo(functionals.dtype).eps ** 0.5)
        lift = torch.linalg.solve_triangular(triangle.mT, basis, upper=False, left=False).mT * spread
        # No buffers, since those would lose digits where a model is made one of float32.
        self.functionals, self.lift = rows, lift

    @classmethod
    def inner_products(
        cls, grid: Grid, fields: Float[Tensor, "m c *s"], weight: Tensor | float = 1.0
    ) -> ConservationProjection:
        """Of fields on a grid, with the functionals ``integral of sum over channels of phi_k u``.

        Values at nodes that a Dirichlet boundary gives stay as they are. What is nearest is meant in the integral of
        ``w (v - u)^2``, so that without `weight` the same function is added at all kinds of points.

        Args:
            grid: of the fields.
            fields: ``phi``, ``(m, channels, *grid.shape)``.
            weight: ``w``, numbers that broadcast with ``(channels, *grid.shape)``.
        """
        if not isinstance(fields, Tensor) or fields.dim() != grid.dim + 2 or tuple(fields.shape[2:]) != grid.shape:
            shape = tuple(fields.shape) if isinstance(fields, Tensor) else type(fields).__name__
            wanted = ", ".join(map(str, grid.shape))
            raise ValueError(f"fields must have the shape (m, channels, {wanted}); got {shape}")
        volumes = quadrature(grid).to(fields.device)
        weight = torch.as_tensor(weight, dtype=torch.float64, device=fields.device) * volumes
        return cls(fields * volumes, torch.where(unknowns(grid).to(volumes) == 0.0, torch.inf, weight))

    @classmethod
    def totals(
        cls, grid: Grid, channels: int, conserved: Sequence[int] | None = None, weight: Tensor | float = 1.0
    ) -> ConservationProjection:
        """Of fields on a grid, with the integrals of some channels as functionals.

        Args:
            grid: of the fields.
            channels: of the fields.
            conserved: the numbers of those whose integrals are kept; by default all.
            weight: see `inner_products`.

        Example:
            >>> import torch, kutta as kt
            >>> projection = kt.operators.ConservationProjection.totals(kt.pde.Grid(64), 2, conserved=(0,))
            >>> before, after = torch.rand(2, 5, 2, 64).unbind()
            >>> kept = projection(after, projection.measure(before))
            >>> torch.allclose(kept.mean(2)[:, 0], before.mean(2)[:, 0]), torch.equal(kept[:, 1], after[:, 1])
            (True, True)
        """
        check_counts(channels=channels)
        conserved = tuple(range(channels)) if conserved is None else tuple(conserved)
        if not conserved or len(set(conserved)) < len(conserved) or not set(conserved) <= set(range(channels)):
            raise ValueError(f"conserved must be different channels out of 0 to {channels - 1}; got {conserved}")
        chosen = torch.eye(channels, dtype=torch.float64)[list(conserved)]
        fields = chosen.reshape(*chosen.shape, *[1] * grid.dim).expand(-1, -1, *grid.shape)
        return cls.inner_products(grid, fields, weight)

    def measure(self, u: Float[Tensor, "*n *state"]) -> Float[Tensor, "*n m"]:
        """``C u``, in float64: what a projection of other fields can be asked to keep."""
        return self._flat(u) @ self._on(u.device)[0].mT

    def forward(self, u: Float[Tensor, "*n *state"], d: Any) -> Float[Tensor, "*n *state"]:
        """``v``, of the dtype of `u`.

        Args:
            u: a state, or a batch of such along leading axes.
            d: the values of the functionals, ``(m,)`` for all or ``(*n, m)``; or a number, if all are the same.

        Raises:
            TypeError, ValueError: for tensors that do not fit.
        """
        flat = self._flat(u)
        functionals, lift = self._on(u.device)
        d = self._checked_values(d, (*flat.shape[:-1], len(functionals)), u.device)
        for _ in range(2):
            flat = flat - (flat @ functionals.mT - d) @ lift
        return flat.reshape(u.shape).to(u.dtype)

    def extra_repr(self) -> str:
        return f"functionals={len(self.functionals)}, state={tuple(self.state)}"

    def _on(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """The functionals and the fields by which they are changed, where they are needed."""
        if self.functionals.device != device:
            self.functionals, self.lift = self.functionals.to(device), self.lift.to(device)
        return self.functionals, self.lift

    def _flat(self, u: Any) -> Tensor:
        """A batch of states as vectors in float64."""
        if not isinstance(u, Tensor) or not u.is_floating_point():
            kind = u.dtype if isinstance(u, Tensor) else type(u).__name__
            raise TypeError(f"u must be a tensor of real floating-point numbers; got {kind}")
        lead = u.dim() - len(self.state)
        if lead < 0 or u.shape[lead:] != self.state:
            wanted = ", ".join(map(str, self.state))
            raise ValueError(f"u must have the shape (..., {wanted}) of states; got {tuple(u.shape)}")
        return u.reshape(*u.shape[:lead], self.state.numel()).to(torch.float64)

    def _checked_values(self, d: Any, shape: tuple[int, ...], device: torch.device) -> Tensor:
        d = torch.as_tensor(d, device=device)
        if d.is_complex():
            raise TypeError(f"d must be real; got {d.dtype}")
        try:
            return d.to(torch.float64).expand(shape)
        except RuntimeError:
            raise ValueError(
                f"d must have a value for each functional, {shape}, or ({shape[-1]},) for all states; "
                f"got the shape {tuple(d.shape)}"
            ) from None


def _check_functionals(functionals: Any) -> None:
    if not isinstance(functionals, Tensor) or not functionals.is_floating_point():
        kind = functionals.dtype if isinstance(functionals, Tensor) else type(functionals).__name__
        raise TypeError(f"functionals must be a tensor of real floating-point numbers; got {kind}")
    if functionals.dim() < 2 or functionals.numel() == 0:
        raise ValueError(
            f"functionals must have the shape (m, *state), one row or more; got {tuple(functionals.shape)}: "
            "write functionals[None] for a single one"
        )
    finite = torch.isfinite(functionals).flatten(1).all(1)
    if not bool(finite.all()):
        raise ValueError(f"functionals must be finite; row {int((~finite).nonzero()[0])} is not")
    count, n = len(functionals), functionals[0].numel()
    if count > n:
        raise ValueError(f"functionals must be no more than entries of a state, {n}; got {count}: some are redundant")


def _checked_weight(weight: Any, state: torch.Size) -> Tensor:
    """One number for each entry."""
    weight = torch.as_tensor(weight)
    if weight.is_complex():
        raise TypeError(f"weight must be real; got {weight.dtype}")
    try:
        weight = weight.detach().to(torch.float64).expand(state).flatten()
    except RuntimeError:
        raise ValueError(f"weight must broadcast with a state, {tuple(state)}; got {tuple(weight.shape)}") from None
    if not bool((weight > 0.0).all()):
        raise ValueError(f"weight must be positive everywhere; its smallest value is {float(weight.min()):g}")
    return weight


def _check_independent(rows: Tensor, triangle: Tensor, part: float) -> None:
    """Refuse rows that are combinations of earlier ones: a diagonal entry is what is left of a row without those."""
    sizes, left = rows.norm(dim=1), triangle.diagonal().abs()
    zero = sizes == 0.0
    if bool(zero.any()):
        raise ValueError(
            f"functionals must depend on entries that may change; row {int(zero.nonzero()[0])} is zero at all of them"
        )
    dependent = left <= part * sizes
    if bool(dependent.any()):
        raise ValueError(
            "functionals must be linearly independent, or their values may contradict each other; row "
            f"{int(dependent.nonzero()[0])} is a combination of those before it: leave it out"
        )
