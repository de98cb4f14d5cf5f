"""Linear regression between coefficients of proper orthogonal modes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from kutta.operators.operator import Operator, check_counts
from kutta.pde.grids.grid import Grid
from kutta.pde.reduced.pod import POD

if TYPE_CHECKING:
    from jaxtyping import Float


class PODRegression(Operator):
    """The best linear map between the leading modes of what comes in and of what goes out.

        u = u_mean + sum_i psi_i sum_j W_ij <phi_j, a - a_mean>

    `fit` finds the modes of both sides (`kutta.pde.POD`), and ``W`` by least squares, without a step of training. What
    a model gains over this is what it gains by not being linear.

    Args:
        in_channels: fields ``a``.
        out_channels: fields ``u``.
        shape: points along each axis of the grid.
        modes: of ``a`` and of ``u``; fewer than there are samples.
        ridge: what large weights cost, ``|residual|^2 + ridge |a|^2 |W|^2`` with the mean square of the coefficients of
            ``a``.

    Example:
        >>> import torch, kutta as kt
        >>> grid, a = kt.pde.Grid((8, 10)), torch.randn(50, 1, 8, 10)
        >>> model = kt.operators.PODRegression(1, 1, grid.shape, modes=20).fit(a, 1 + 2 * a)
        >>> model(a, grid).shape
        torch.Size([50, 1, 8, 10])
    """

    in_modes: Tensor
    out_modes: Tensor
    in_mean: Tensor
    out_mean: Tensor
    fitted: Tensor

    def __init__(self, in_channels: int, out_channels: int, shape: Sequence[int], modes: int = 32, ridge: float = 0.0):
        super().__init__()
        shape = tuple(shape)
        check_counts(in_channels=in_channels, out_channels=out_channels, modes=modes)
        check_counts(**{f"shape[{axis}]": count for axis, count in enumerate(shape)})
        if ridge < 0.0:
            raise ValueError(f"ridge must not be negative; got {ridge!r}")
        self.in_channels, self.out_channels, self.shape, self.dim = in_channels, out_channels, shape, len(shape)
        self.modes, self.ridge = modes, ridge
        for side, channels in (("in", in_channels), ("out", out_channels)):
            self.register_buffer(f"{side}_mean", torch.zeros(channels, *shape))
            self.register_buffer(f"{side}_modes", torch.zeros(modes, channels, *shape))
        self.register_buffer("fitted", torch.tensor(False))
        self.weight = nn.Parameter(torch.zeros(modes, modes))

    @torch.no_grad()
    def fit(self, a: Float[Tensor, "n i *shape"], u: Float[Tensor, "n o *shape"]) -> PODRegression:
        """Find modes and weights; in place, in the precision of the samples.

        Args:
            a: samples of what comes in.
            u: what belongs to them.

        Returns:
            the model itself.

        Raises:
            ValueError: for samples of other shapes, or that span fewer modes.
        """
        self._check_samples("a", a, self.in_channels, len(u))
        self._check_samples("u", u, self.out_channels, len(a))
        bases = [POD(samples, self.modes, reference=samples.mean(0)) for samples in (a, u)]
        before, after = (basis.coefficients(samples) for basis, samples in zip(bases, (a, u), strict=True))
        # Rows that ask for zero weights make the ridge a part of the residual.
        root = (self.ridge * before.square().mean() * len(before)) ** 0.5
        nothing = torch.eye(self.modes, dtype=a.dtype, device=a.device)
        rows, wanted = torch.cat([before, root * nothing]), torch.cat([after, 0.0 * nothing])
        self.weight.data = torch.linalg.lstsq(rows, wanted).solution.mT.contiguous()
        for side, basis in zip(("in", "out"), bases, strict=True):
            setattr(self, f"{side}_mean", basis.reference)
            setattr(self, f"{side}_modes", basis.modes.contiguous())
        self.fitted.fill_(True)
        return self

    @property
    def parameter_count(self) -> int:
        """How many numbers are learned: weights, modes and means."""
        learned = (self.weight, self.in_modes, self.out_modes, self.in_mean, self.out_mean)
        return sum(one.numel() for one in learned)

    def check(self, a: Tensor, grid: Grid) -> None:
        super().check(a, grid)
        if grid.shape != self.shape:
            raise ValueError(f"grid must have the shape {self.shape} of the modes; got {grid.shape}")
        if not torch.compiler.is_compiling() and not self.fitted:
            raise ValueError(
                "PODRegression knows no modes yet: call fit(a, u) first, or load the state of a fitted one"
            )

    def transform(self, a: Tensor, grid: Grid) -> Tensor:
        coefficients = (a - self.in_mean).flatten(1) @ self.in_modes.flatten(1).mT
        return self.out_mean + (coefficients @ self.weight.mT @ self.out_modes.flatten(1)).unflatten(
            1, (self.out_channels, *self.shape)
        )

    def _check_samples(self, name: str, samples: Tensor, channels: int, count: int) -> None:
        if tuple(samples.shape) != (count, channels, *self.shape):
            wanted = ", ".join(map(str, (count, channels, *self.shape)))
            raise ValueError(f"{name} must have the shape ({wanted}); got {tuple(samples.shape)}")
