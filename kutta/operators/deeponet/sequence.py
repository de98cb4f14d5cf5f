"""States over a long time from what drives them, window after window."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from kutta.operators.deeponet.deeponet import DeepONet
from kutta.operators.operator import check_counts

if TYPE_CHECKING:
    from jaxtyping import Bool, Float


class SequenceDeepONet(nn.Module):
    """A `DeepONet` for one window of time, and the chain of such windows.

        s(t_i + tau) = s(t_i) + tau/T G(controls on [t_i, t_i + T], s(t_i))(tau/T),    0 <= tau <= T

    The branch sees the controls at the samples of a window and the state at its start, the trunk the time in it. The
    last state of a window is the first of the next, so that a state at time 0 and the controls give all that follows.

    Errors of a start are errors of all that comes after it. Train with true starts first, then with more and more
    predicted ones (scheduled sampling), and the network learns to come back from its own.

    Args:
        controls: functions of time that drive the states.
        states: what is predicted.
        window: steps between samples in a window; a chain of ``k`` windows has ``k window + 1`` samples.
        terms: of each sum.
        branch_widths: of what lies between the branch's input and its output.
        trunk_widths: likewise of the trunk.
        nonlinearity: the name of the activation.
        sharing: ``"none"`` for a DeepONet of its own for each state, else what they share; see `DeepONet`.

    Attributes:
        net: the `DeepONet`, whose input is ``(window + 1) * controls`` samples and ``states`` numbers.

    Source of scheduled sampling: Bengio, Vinyals, Jaitly, Shazeer, NeurIPS 2015, arXiv 1506.03099. Of DeepONets that
    are chained: Kumar, Goswami, Smith, Karniadakis, Real-time prediction of gas flow dynamics in diesel engines using a
    deep neural operator framework, Applied Intelligence 53, 2023, arXiv 2304.00567.

    Example:
        >>> import torch, kutta as kt
        >>> model = kt.operators.SequenceDeepONet(controls=2, states=3, window=5)
        >>> controls, start = torch.randn(8, 21, 2), torch.randn(8, 3)
        >>> model(controls, start).shape  # four windows, each from what the one before it has found
        torch.Size([8, 21, 3])
        >>> bool((model(controls, start)[:, 0] == start).all())
        True
    """

    def __init__(
        self,
        controls: int,
        states: int,
        window: int,
        terms: int = 32,
        branch_widths: Sequence[int] = (64,),
        trunk_widths: Sequence[int] = (32,),
        nonlinearity: str = "silu",
        sharing: str = "none",
    ):
        super().__init__()
        check_counts(controls=controls, states=states, window=window)
        self.controls, self.states, self.window = controls, states, window
        sensors = (window + 1) * controls + states
        options = {"nonlinearity": nonlinearity, "sharing": sharing, "transform": from_start}
        self.net = DeepONet(sensors, 1, states, terms, branch_widths, trunk_widths, **options)  # type: ignore[arg-type]

    def forward(
        self,
        controls: Float[Tensor, "n times controls"],
        start: Float[Tensor, "n *k states"],
        predicted: Bool[Tensor, "n k"] | None = None,
    ) -> Float[Tensor, "n times states"]:
        """States at all samples.

        Args:
            controls: at ``k window + 1`` samples.
            start: at the first sample, ``(n, states)``, from where all windows are chained; or for the training
                ``(n, k, states)``, the true ones at the start of each window, which then stand alone.
            predicted: with true starts: where the last state of the window before is to be taken instead.

        Returns:
            the states; where windows meet, the last of the first one.

        Raises:
            ValueError: for what does not fit.
        """
        pieces = self._windows(controls)
        count, windows = pieces.shape[:2]
        self._check_start(start, count, windows, predicted)
        if start.dim() == 2:
            start = start[:, None].expand(-1, windows, -1)
            predicted = torch.ones(count, windows, dtype=torch.bool, device=start.device)
        if predicted is None:
            found = self._window(pieces.flatten(0, 1), start.flatten(0, 1)).unflatten(0, (count, windows))
        else:
            found = self._chained(pieces, start, predicted)
        return torch.cat([found[:, 0, :1], found[:, :, 1:].flatten(1, 2)], 1)

    def _chained(self, pieces: Tensor, start: Tensor, predicted: Tensor) -> Tensor:
        """One window after the other, ``(n, k, window + 1, states)``."""
        found = [self._window(pieces[:, 0], start[:, 0])]
        for number in range(1, pieces.shape[1]):
            first = torch.where(predicted[:, number, None], found[-1][:, -1], start[:, number])
            found.append(self._window(pieces[:, number], first))
        return torch.stack(found, 1)

    def _window(self, controls: Tensor, start: Tensor) -> Tensor:
        """States in single windows, ``(n, window + 1, states)``."""
        u = torch.cat([controls.flatten(1), start], 1)
        times = torch.linspace(0.0, 1.0, self.window + 1, dtype=u.dtype, device=u.device)
        return self.net(u, times[:, None]).reshape(len(u), self.window + 1, self.states)

    def _windows(self, controls: Tensor) -> Tensor:
        """``(n, k, window + 1, controls)``: the samples of all windows, whose ends are those of two."""
        steps = controls.shape[1] - 1 if controls.dim() == 3 else 0
        if controls.dim() != 3 or controls.shape[2] != self.controls or steps < 1 or steps % self.window:
            raise ValueError(
                f"controls must have the shape (n, k * {self.window} + 1, {self.controls}) for k windows of "
                f"{self.window} steps; got {tuple(controls.shape)}"
            )
        return controls.unfold(1, self.window + 1, self.window).mT

    def _check_start(self, start: Tensor, count: int, windows: int, predicted: Tensor | None) -> None:
        one, all_of_them = (count, self.states), (count, windows, self.states)
        if tuple(start.shape) not in (one, all_of_them):
            raise ValueError(
                f"start must have the shape {one} of first states, or {all_of_them} of those of all windows; got "
                f"{tuple(start.shape)}"
            )
        if predicted is not None and (start.dim() != 3 or predicted.shape != start.shape[:2]):
            raise ValueError(
                f"predicted must have the shape {all_of_them[:2]}, and goes with the states at the start of all "
                f"windows; got {tuple(predicted.shape)} and a start {tuple(start.shape)}"
            )


def from_start(u: Tensor, tau: Tensor, s: Tensor) -> Tensor:
    """``s(0) + tau G``, where the state at the start is what the branch sees last."""
    return u[:, None, -s.shape[-1] :] + tau * s
