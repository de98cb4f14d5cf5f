"""Samples to train on: fields that problems gave, and fields that solve them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from kutta.operators.scope import Scope, ranges

if TYPE_CHECKING:
    from jaxtyping import Float


@dataclass(frozen=True, eq=False)
class Data:
    """Pairs of fields, and where they come from.

    Attributes:
        inputs: ``a``, ``(n, i, *shape)``, channels as `Scope.channels` names them.
        outputs: ``u``, ``(n, o, *shape)``.
        scope: what problems they are of.
        manifest: how they were made: family, count, seed, method, tolerances, versions.

    Raises:
        ValueError: for tensors that do not fit one another or the scope.
    """

    inputs: Float[Tensor, "n i *s"]
    outputs: Float[Tensor, "n o *s"]
    scope: Scope
    manifest: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        shape = self.scope.grid.shape
        for name, u, channels in (
            ("inputs", self.inputs, self.scope.channels),
            ("outputs", self.outputs, self.scope.components),
        ):
            if tuple(u.shape[1:]) != (len(channels), *shape) or len(u) != len(self.inputs):
                wanted = ", ".join(map(str, (len(self.inputs), len(channels), *shape)))
                raise ValueError(
                    f"{name} must have the shape ({wanted}), for {', '.join(channels)} on the grid; "
                    f"got {tuple(u.shape)}"
                )

    def __len__(self) -> int:
        return len(self.inputs)

    def __getitem__(self, rows: slice) -> Data:
        """Some of the samples; the ranges of the scope are theirs alone, so that no test is known in training."""
        inputs = self.inputs[rows]
        lowest, highest = ranges(inputs) if len(inputs) else (self.scope.lowest, self.scope.highest)
        scope = replace(self.scope, lowest=lowest, highest=highest)
        return replace(self, inputs=inputs, outputs=self.outputs[rows], scope=scope)

    def split(self, *counts: int) -> tuple[Data, ...]:
        """Parts of so many samples, from the first on; what is left is left out.

        Trajectories stay together where the counts are multiples of their steps.
        """
        if sum(counts) > len(self):
            raise ValueError(f"there are {len(self)} samples; got counts {counts} of {sum(counts)}")
        ends = torch.tensor(counts).cumsum(0).tolist()
        return tuple(self[end - count : end] for count, end in zip(counts, ends, strict=True))

    def to(self, *target: Any) -> Data:
        """The same of another dtype, or on another device."""
        return replace(self, inputs=self.inputs.to(*target), outputs=self.outputs.to(*target))
