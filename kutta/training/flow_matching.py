"""Flow matching: training a model whose velocity leads from noise to data.

    z_t = (1 - t) z_0 + (e + (1 - e) t) z_1,   loss = E |u(z_t, t) - ((1 - e) z_1 - z_0)|^2

with data ``z_0``, noise ``z_1 ~ N(0, I)``, times uniform in [0, 1], and a little noise `e` in the data. What the loss
tends to is not zero but the part of the velocity that ``z_t`` leaves open.

Source: Lipman et al., Flow matching for generative modeling, 2023; Liu, Gong and Liu, Flow straight and fast, 2023; in
the latent space of an autoencoder, with labels dropped, Dao et al., Flow matching in latent space, 2023.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel
from torch.utils import _pytree as pytree

from kutta.training.task import Task


class FlowMatching(Task):
    """The training of a velocity model, to be sampled with ``prediction="flow"`` and ``RectifiedFlow()``.

    Batches are data of shape ``(B, ...)``, or pairs of data and their condition: a tensor ``(B, ...)``, or a pytree of
    such (a dict or tuple), which the model is given as it is.

    Args:
        model: called as ``model(z, t)``, or with a condition as ``model(z, t, condition)``, with ``z`` of the
            dtype of the data, and ``t`` of shape ``(B,)``, float32 at least; returns the velocity, of the shape of
            ``z``.
        encode: makes latents of the data, such as an autoencoder's encoder; it is not trained.
        null: the condition that stands for none, of the condition's structure, each part of which broadcasts with
            that of a sample; needed where there are conditions and `drop` is not zero. With a leading axis of one it
            is the ``null`` of `kutta.diffusion.CFG` too.
        drop: the share of the samples whose condition is replaced by it, all parts of it at once, so that the model
            learns to do without and can be guided.
        least: the noise ``e`` in the data.
        average: how slowly an exponential average of the weights follows them, per step, or ``None`` for none. In the
            first steps it follows faster, as ``(1 + n) / (10 + n)``.
        generator: of times, noise and dropping, on the device of the data; it is kept in checkpoints.
        task: further arguments of `Task`, such as ``optimizer`` and ``schedule``.

    Attributes:
        averaged: the model with averaged weights, or the model itself.

    Raises:
        ValueError: for numbers out of their ranges, before the training; at the first step for conditions without
            `null` or that do not go with it, and outputs of another shape than the data.
        TypeError: for conditions that are no tensors.

    Example:
        >>> import torch, kutta as kt
        >>> from kutta.training import Batches, FlowMatching, fit
        >>> class Velocity(torch.nn.Linear):
        ...     def forward(self, z, t):
        ...         return super().forward(torch.cat([z, t[:, None]], 1))
        >>> model = Velocity(3, 2)
        >>> task = FlowMatching(model, average=None)
        >>> figures = fit(task, Batches(torch.randn(256, 2), size=64), steps=8, progress=False)
        >>> noise = torch.randn(5, 2)
        >>> problem = kt.DiffusionProblem(task.averaged, kt.diffusion.RectifiedFlow(), noise, prediction="flow")
        >>> with torch.no_grad():
        ...     samples = kt.solve(problem, kt.Dopri5()).y1
        >>> samples.shape
        torch.Size([5, 2])
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        encode: Callable[[Tensor], Tensor] | None = None,
        null: Any = None,
        drop: float = 0.1,
        least: float = 1e-5,
        average: float | None = 0.999,
        generator: torch.Generator | None = None,
        keep: Mapping[str, Any] | None = None,
        **task: Any,
    ):
        for name, value in (("drop", drop), ("least", least), ("average", 0.0 if average is None else average)):
            if not 0.0 <= value < 1.0:
                raise ValueError(f"{name} must lie in [0, 1); got {value!r}")
        kept = dict(keep or {}) | ({} if generator is None else {"flow matching": generator})
        super().__init__(model, self._loss, keep=kept, **task)
        self.encode, self.null, self.drop, self.least, self.generator = encode, null, drop, least, generator
        self._average = None if average is None else AveragedModel(model, avg_fn=_following(average))

    @property
    def averaged(self) -> nn.Module:
        """The model with averaged weights, or where there are none the model itself."""
        return self.model if self._average is None else self._average.module

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Let the average follow."""
        super().on_train_batch_end(outputs, batch, batch_idx)
        if self._average is not None:
            self._average.update_parameters(self.model)

    def _loss(self, model: Any, batch: Any, progress: float) -> Tensor:
        data, *condition = batch if isinstance(batch, list | tuple) else (batch,)
        if len(condition) > 1:
            raise ValueError(
                f"batches must be data, or pairs of data and condition; got {1 + len(condition)} parts: put several "
                "conditions into a dict or a tuple, which the model is given as one"
            )
        if self.encode is not None:
            with torch.no_grad():
                data = self.encode(data)
        # As samplers do: half precision cannot tell close times apart, so that only the model sees it.
        exact = {"dtype": torch.promote_types(data.dtype, torch.float32), "device": data.device}
        t = torch.rand(len(data), generator=self.generator, **exact)
        noise = torch.randn(data.shape, generator=self.generator, **exact)
        along = t.reshape(-1, *[1] * (data.dim() - 1))
        z = (1.0 - along) * data + (self.least + (1.0 - self.least) * along) * noise
        velocity = model(z.to(data.dtype), t, *(self._dropped(one, data) for one in condition))
        if velocity.shape != data.shape:
            raise ValueError(f"the model must return the data's shape {tuple(data.shape)}; got {tuple(velocity.shape)}")
        return (velocity - ((1.0 - self.least) * noise - data)).square().mean()

    def _dropped(self, condition: Any, data: Tensor) -> Any:
        """The condition, with `null` in its place for some of the samples."""
        if self.drop == 0.0:
            return condition
        if self.null is None:
            raise ValueError("null must say which condition stands for none, as the batches have conditions; or drop=0")
        parts, structure = pytree.tree_flatten(condition)
        nulls, same = pytree.tree_flatten(self.null)
        if structure != same:
            raise ValueError(f"null must have the structure of the conditions, {structure}; got {self.null!r}")
        gone = torch.rand(len(data), generator=self.generator, device=data.device) < self.drop
        return pytree.tree_unflatten([_replaced(*one, gone) for one in zip(parts, nulls, strict=True)], structure)


def _replaced(condition: Any, null: Any, gone: Tensor) -> Tensor:
    """A tensor of conditions with the null one in some rows."""
    if not isinstance(condition, Tensor):
        raise TypeError(f"conditions must be tensors of a row a sample; got {type(condition).__name__}")
    if condition.shape[:1] != gone.shape:
        raise ValueError(
            f"conditions must have a row for each of the {len(gone)} samples; got shape {tuple(condition.shape)}"
        )
    null = torch.as_tensor(null, dtype=condition.dtype, device=condition.device)
    sizes = zip(reversed(null.shape), reversed(condition.shape), strict=False)
    if null.dim() > condition.dim() or any(own not in (1, size) for own, size in sizes):
        raise ValueError(
            f"null must have the shape of one sample's condition, {tuple(condition.shape[1:])}, or broadcast to it; "
            f"got shape {tuple(null.shape)}"
        )
    return torch.where(gone.to(condition.device).reshape(-1, *[1] * (condition.dim() - 1)), null, condition)


def _following(decay: float) -> Callable[[Tensor, Tensor, Any], Tensor]:
    def follow(averaged: Tensor, current: Tensor, count: Any) -> Tensor:
        count = torch.as_tensor(count, device=averaged.device)
        return torch.lerp(averaged, current, (1.0 - ((1 + count) / (10 + count)).clamp(max=decay)).to(averaged.dtype))

    return follow
